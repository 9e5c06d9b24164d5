"""Fetch a data set through torchvision's own classes, which know the mirrors and the checksums."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bntui.data import idx
from bntui.errors import DataError
from bntui.run.signals import interruptible

Report = Callable[[str, int, int, str], None]
"""Called with what is done, how much of it, of how much (0: unknown) and in what unit; may raise Interrupted."""

FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""torchvision's name of each data set: a class in torchvision.datasets and a folder in its root."""

REACH_SECONDS = 3.0
STALL_SECONDS = 10.0
ATTEMPTS = 3


def download(name: str, root: Path, report: Report) -> None:
    """Put the four files into `root`/CLASS/raw, each whole or not at all.

    Raises
    ------
    DataError
        torchvision does not work here, no mirror answers, or every attempt failed.
    """
    report("loading torchvision", 0, 0, "")
    datasets = interruptible(lambda: _import_datasets(name))
    kind = getattr(datasets, FOLDERS[name])
    report(f"looking for a mirror of {name}", 0, 0, "")
    _check_reachable(name, list(kind.mirrors))
    try:
        root.mkdir(parents=True, exist_ok=True)
        # A folder of its own: what is interrupted is thrown away, and only whole files are moved in.
        scratch = Path(tempfile.mkdtemp(prefix=".download-", dir=root))
    except OSError as error:
        raise DataError(f"{root}: {name} can't be stored here ({error.strerror}); choose another --data-dir") from None
    try:
        _download_into(scratch, name, kind, report)
        target = root / FOLDERS[name] / "raw"
        target.mkdir(parents=True, exist_ok=True)
        for file in (scratch / FOLDERS[name] / "raw").iterdir():
            os.replace(file, target / file.name)
    except OSError as error:
        raise DataError(f"{root}: {name} can't be stored here ({error.strerror}); choose another --data-dir") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _import_datasets(name: str) -> Any:
    import torch

    wanted = "pip install torchvision, in the release made for torch " + torch.__version__.split("+")[0]
    try:
        from torchvision import datasets
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise DataError(_broken(name, error, wanted)) from None
        raise DataError(f"{name} is not on this machine, and torchvision, which downloads it, is missing: {wanted}; "
                        "or point --data-dir to the files") from None  # fmt: skip
    except Exception as error:  # a torchvision built for another torch fails in many ways
        raise DataError(_broken(name, error, wanted)) from None
    return datasets


def _broken(name: str, error: Exception, wanted: str) -> str:
    reason = next((line for line in str(error).splitlines() if line.strip()), "")
    said = f"{type(error).__name__}: {reason.strip()[:160]}" if reason else type(error).__name__
    return f"{name} is not on this machine, and torchvision does not work with this torch ({said}): {wanted}"


def _check_reachable(name: str, mirrors: list[str]) -> None:
    """Raise DataError unless a mirror, or the proxy in front of it, takes a connection within a few seconds."""
    proxies = urllib.request.getproxies()
    answered = threading.Event()
    failures: list[str] = []

    def connect(url: str) -> None:
        host = url
        try:
            parts = urlsplit(url)
            host = parts.hostname or url
            if parts.scheme in proxies and not urllib.request.proxy_bypass(parts.netloc):
                proxy = proxies[parts.scheme]
                host = "the proxy"
                parts = urlsplit(proxy if "//" in proxy else "//" + proxy)
                host = parts.hostname or host
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), REACH_SECONDS).close()
            answered.set()
        except (OSError, ValueError) as error:
            failures.append(f"{host}: {getattr(error, 'strerror', None) or error}")

    # Threads, because no time-out reaches a name look-up; daemons, because it must not hold up the exit either.
    threads = [threading.Thread(target=connect, args=(url,), daemon=True) for url in mirrors]
    for thread in threads:
        thread.start()
    end = time.monotonic() + REACH_SECONDS
    while any(t.is_alive() for t in threads) and not answered.is_set() and time.monotonic() < end:
        answered.wait(0.05)
    if not answered.is_set():
        why = failures[0] if failures else f"no answer in {REACH_SECONDS:.0f} s"
        raise DataError(f"{name} can't be downloaded ({why}); check the network, or point --data-dir to the files")


def _download_into(scratch: Path, name: str, kind: Any, report: Report) -> None:
    failure = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            report(f"downloading {name}, attempt {attempt + 1} of {ATTEMPTS}", 0, 0, "")
            time.sleep(attempt)
        try:
            with _progress_to(report, name, kind), _time_out(STALL_SECONDS):
                _rotated(kind, attempt)(root=scratch, download=True)
            return
        except (OSError, RuntimeError, EOFError, ValueError, zlib.error, http.client.HTTPException) as error:
            # An unpacked file may be cut short, and torchvision would take it for whole; it checks the packed ones.
            for stem in idx.STEMS["train"] + idx.STEMS["validation"]:
                (scratch / FOLDERS[name] / "raw" / stem).unlink(missing_ok=True)
            failure = " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{name} can't be downloaded after {ATTEMPTS} attempts ({failure[:200]}); try again later, or "
                    "point --data-dir to the files")  # fmt: skip


def _rotated(kind: Any, by: int) -> Any:
    """Return the class with its mirrors in another order: not every failure makes torchvision try the next one."""
    by %= len(kind.mirrors)
    return type(kind.__name__, (kind,), {"mirrors": [*kind.mirrors[by:], *kind.mirrors[:by]]})


@contextlib.contextmanager
def _time_out(seconds: float) -> Iterator[None]:
    """Limit every wait for the network: torchvision itself sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _progress_to(report: Report, name: str, kind: Any) -> Iterator[None]:
    """Let torchvision's progress bar call `report` instead of drawing on stderr; without that bar, show none."""
    from torchvision.datasets import utils

    class Bar:
        def __init__(self, *_: Any, total: int | None = None, **__: Any) -> None:
            self.done, self.total = 0, total or 0

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, amount: int) -> None:
            self.done += amount
            report(f"downloading {name}", self.done, self.total, "bytes")

    with contextlib.ExitStack() as undo:
        if hasattr(utils, "tqdm"):
            undo.callback(setattr, utils, "tqdm", utils.tqdm)
            utils.tqdm = Bar
        # Older releases print what they do, through a name that is looked up here before the builtin one.
        for namespace in (vars(utils), vars(sys.modules[kind.__module__])):
            undo.callback(namespace.pop, "print", None)
            namespace["print"] = lambda *_, **__: None
        yield
