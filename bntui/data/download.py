"""Fetch a data set from the mirrors, and with the checksums, that torchvision knows of it."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import queue
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bntui.config.kinds import DATASETS
from bntui.data import idx
from bntui.errors import DataError
from bntui.messages.signals import interruptible

Report = Callable[[str, int, int, str], None]
"""Called with what is done, how much of it, of how much (0: unknown) and in what unit; may raise Interrupted."""

ANSWER_SECONDS = 5.0
STALL_SECONDS = 10.0
WAKE_SECONDS = 0.2
"""How long to wait for a mirror's answer, for more of it, and between two looks at whether to go on waiting."""

ATTEMPTS = 3
_PIECE = 1 << 15


class _Published(NamedTuple):
    mirrors: list[str]
    """Addresses that the names of the files are appended to, the one to ask first first."""
    sums: dict[str, str]
    """MD5 of each packed file by its name."""


class _MirrorFailed(Exception):
    """A mirror did not give a file; `answered`, if it said anything at all and so may be worth another attempt."""

    def __init__(self, why: str, answered: bool = True) -> None:
        super().__init__(why)
        self.answered = answered


_Arrived = tuple[int, bytes] | _MirrorFailed
"""The size of a file (0: unknown) and a piece of it: an empty one first and last; or what came instead."""


def download(name: str, root: Path, report: Report) -> None:
    """Put those of the four files that are missing into `root`/CLASS/raw, packed, each whole or not at all.

    Raises
    ------
    DataError
        torchvision does not work here, no mirror answers, or every attempt failed.
    """
    report("loading torchvision", 0, 0, "")
    mirrors, sums = interruptible(lambda: _ask_torchvision(name))
    report(f"looking for a mirror of {name}", 0, 0, "")
    folder = root / class_of(name) / "raw"
    made: list[Path] = []
    try:
        missing = idx.find_files(folder)[1]
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        # In a folder of its own: only whole files are moved out of it, and what is left in it is thrown away.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder, ignore_cleanup_errors=True) as scratch:
            for file, md5 in sums.items():
                if file.removesuffix(".gz") in missing:
                    _fetch(name, file, md5, mirrors, Path(scratch, file), report)
                    os.replace(Path(scratch, file), folder / file)
    except OSError as error:
        why = _one_line(error)
        raise DataError(f"{root}: {name} can't be stored here ({why}); choose another --data-dir") from None
    finally:
        with contextlib.suppress(OSError):  # of the folder that something lies in
            for place in made:
                place.rmdir()


def class_of(name: str) -> str:
    """Return torchvision's class of a data set, after which its folder is named too."""
    return DATASETS[name].removeprefix("torchvision.")


def _ask_torchvision(name: str) -> _Published:
    import torch

    wanted = "pip install torchvision, in the release made for torch " + torch.__version__.split("+")[0]
    try:
        from torchvision import datasets

        kind = getattr(datasets, class_of(name))
        return _Published(list(kind.mirrors), dict(kind.resources))
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise DataError(_broken(name, error, wanted)) from None
        raise DataError(f"{name} is not on this machine, and torchvision, which knows where it is, is missing: "
                        f"{wanted}; or point --data-dir to the files") from None  # fmt: skip
    except Exception as error:  # a torchvision built for another torch fails in many ways
        raise DataError(_broken(name, error, wanted)) from None


def _broken(name: str, error: Exception, wanted: str) -> str:
    reason = next((line for line in str(error).splitlines() if line.strip()), "")
    said = f"{type(error).__name__}: {reason.strip()[:160]}" if reason else type(error).__name__
    return f"{name} is not on this machine, and torchvision does not work with this torch ({said}): {wanted}"


def _fetch(name: str, file: str, md5: str, mirrors: list[str], target: Path, report: Report) -> None:
    """Get a file from the first mirror that gives it; one that does not is asked last from then on."""
    for attempt in range(ATTEMPTS):
        if attempt:
            report(f"downloading {name}, attempt {attempt + 1} of {ATTEMPTS}", 0, 0, "")
            time.sleep(attempt)
        failures: list[_MirrorFailed] = []
        for mirror in tuple(mirrors):
            try:
                _fetch_from(mirror, name, file, md5, target, report)
                return
            except _MirrorFailed as failure:
                failures.append(failure)
                mirrors.remove(mirror)
                mirrors.append(mirror)
        answers = [failure for failure in failures if failure.answered]
        if not answers:
            why = failures[0] if failures else "torchvision names no mirror"
            raise DataError(f"{name} can't be downloaded ({why}); check the network, or point --data-dir to the files")
    raise DataError(f"{name} can't be downloaded after {ATTEMPTS} attempts ({answers[0]}); try again later, or "
                    "point --data-dir to the files")  # fmt: skip


def _fetch_from(mirror: str, name: str, file: str, md5: str, target: Path, report: Report) -> None:
    arriving: queue.SimpleQueue[_Arrived] = queue.SimpleQueue()
    given_up = threading.Event()
    # In a thread, because no time-out reaches a name look-up, nor a stop that is asked for any wait of the network;
    # a daemon, because it must not hold up the exit either.
    threading.Thread(target=_read, args=(mirror + file, arriving, given_up), name="bntui-download", daemon=True).start()
    try:
        total, _ = _next(arriving, ANSWER_SECONDS, lambda: report(f"looking for a mirror of {name}", 0, 0, ""))
        done = 0
        digest = hashlib.md5(usedforsecurity=False)

        def tell() -> None:
            report(f"downloading {name}", done, total, "bytes")

        with target.open("wb") as stream:
            while piece := _next(arriving, math.inf, tell)[1]:
                stream.write(piece)
                digest.update(piece)
                done += len(piece)
                tell()
    finally:
        given_up.set()
    if digest.hexdigest() != md5:
        why = "cut short" if done < total else "damaged, or another file: its MD5 differs"
        raise _MirrorFailed(f"{mirror}{file}: {why}")


def _read(url: str, arriving: queue.SimpleQueue[_Arrived], given_up: threading.Event) -> None:
    """Put what the address gives into the queue, or why it gives nothing."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "bntui"})
        # An opener of its own: the shared one would keep the proxies of its first use.
        with urllib.request.build_opener().open(request, timeout=STALL_SECONDS) as response:
            total = int(response.headers.get("Content-Length") or 0)
            arriving.put((total, b""))
            while not given_up.is_set() and (piece := response.read(_PIECE)):
                arriving.put((total, piece))
        arriving.put((total, b""))
    except urllib.error.HTTPError as error:
        arriving.put(_MirrorFailed(f"{url}: {_one_line(f'HTTP {error.code} {error.reason}')}"))
    except urllib.error.URLError as error:  # by now the request is one to the proxy, where there is one
        arriving.put(_MirrorFailed(f"{request.host}: {_one_line(error.reason)}", answered=False))
    except Exception as error:  # strangers who keep to no protocol, and proxies that are misspelt
        arriving.put(_MirrorFailed(f"{url}: {_one_line(error)}"))


def _one_line(error: object) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(str(said).split())[:160] or type(error).__name__


def _next(arriving: queue.SimpleQueue[_Arrived], patience: float, tell: Callable[[], None]) -> tuple[int, bytes]:
    """Return what arrives next, and call `tell` now and then until it does."""
    end = time.monotonic() + patience
    while True:
        try:
            arrived = arriving.get(timeout=WAKE_SECONDS)
        except queue.Empty:
            if time.monotonic() > end:
                raise _MirrorFailed(f"no answer in {patience:.0f} s", answered=False) from None
            tell()
            continue
        if isinstance(arrived, _MirrorFailed):
            raise arrived
        return arrived
