"""Tests of the download: torchvision's own code against a server on the loopback, good and bad."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import os
import signal
import socket
import sys
import threading
import time
import types
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bntui import cli
from bntui.config.options import RunConfig
from bntui.data import download, idx, resident
from bntui.errors import DataError, Interrupted


def _why_no_torchvision() -> str:
    """Say why torchvision does not import here; one made for another torch raises more than ImportError."""
    try:
        import torchvision.datasets  # noqa: F401
    except Exception as error:
        return f"torchvision does not import here ({type(error).__name__}: {str(error)[:80]})"
    return ""


_WHY = _why_no_torchvision()
needs_torchvision = pytest.mark.skipif(bool(_WHY), reason=_WHY)
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

STEMS = [stem for stems in idx.STEMS.values() for stem in stems]
NAMES = [f"{stem}.gz" for stem in STEMS]
BOUND = 20.0
"""Seconds within which every failure must be known; a hang, or a real time-out, takes longer."""
TIME_OUT_BEFORE = 17.0
"""The process's socket time-out before each test, to be found again after it."""
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


# The data


def _idx(values: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(side.to_bytes(4, "big") for side in values.shape)
    return header + values.tobytes()


def _make_files() -> dict[str, bytes]:
    """Return the four files, unpacked, by their stems. Noise: the packed images take more than one read."""
    random = np.random.default_rng(1)
    files = {}
    for (images, labels), count in zip(idx.STEMS.values(), (64, 32), strict=True):
        files[images] = _idx(random.integers(0, 256, (count, 28, 28), np.uint8))
        files[labels] = _idx(random.integers(0, 10, count, np.uint8))
    return files


PLAIN = _make_files()
PACKED = {f"{stem}.gz": gzip.compress(content, mtime=0) for stem, content in PLAIN.items()}


# The server


class Mirror(ThreadingHTTPServer):
    """A mirror of the data set, or the proxy in front of one.

    `answers` are used up by the downloads, one each; after them, and for torchvision's look for a redirect, `answer`
    is given.
    """

    daemon_threads = True

    def __init__(self, answer: Answer, answers: list[Answer], files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.answers, self.files = answer, answers, files
        self.asked: list[str] = []
        self.released = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def handle_error(self, *_: object) -> None:
        """Be silent: a client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        download_itself = self.headers.get("Method") != "HEAD"
        answer = self.server.answers.pop(0) if download_itself and self.server.answers else self.server.answer
        body = self.server.files.get(self.path.rpartition("/")[2])
        if body is None:
            self.send_error(404)
        else:
            answer(self, body)

    def log_message(self, *_: object) -> None:
        pass


Answer = Callable[[_Handler, bytes], None]


def _head(handler: _Handler, length: int | None) -> None:
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def whole(handler: _Handler, body: bytes) -> None:
    _head(handler, len(body))
    handler.wfile.write(body)


def without_length(handler: _Handler, body: bytes) -> None:
    _head(handler, None)
    handler.wfile.write(body)


def cut_short(handler: _Handler, body: bytes) -> None:
    _head(handler, len(body))
    handler.wfile.write(body[: len(body) // 2])


def cut_short_in_chunks(handler: _Handler, body: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    handler.wfile.write(b"%x\r\n" % len(body) + body[: len(body) // 2])


def damaged(handler: _Handler, body: bytes) -> None:
    middle = len(body) // 2
    whole(handler, body[:middle] + bytes((body[middle] ^ 1,)) + body[middle + 1 :])


def login_page(handler: _Handler, _: bytes) -> None:
    whole(handler, b"<html>Welcome to the hotel's network</html>")


def not_found(handler: _Handler, _: bytes) -> None:
    handler.send_error(404)


def server_error(handler: _Handler, _: bytes) -> None:
    handler.send_error(500)


def hangs_up(handler: _Handler, _: bytes) -> None:
    """Answer nothing at all."""


def not_http(handler: _Handler, _: bytes) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")


def stalls(handler: _Handler, _: bytes) -> None:
    handler.server.released.wait(60)


def stalls_halfway(handler: _Handler, body: bytes) -> None:
    cut_short(handler, body)
    handler.wfile.flush()
    handler.server.released.wait(60)


def interrupts(handler: _Handler, body: bytes) -> None:
    """Send half of the body; somebody presses Ctrl-C; the other half never comes."""
    cut_short(handler, body)
    handler.wfile.flush()
    os.kill(os.getpid(), signal.SIGINT)
    handler.server.released.wait(60)


MakeMirror = Callable[..., Mirror]


@pytest.fixture
def mirror() -> Iterator[MakeMirror]:
    """Return a function that starts a mirror: mirror(answer for all, answers to the first downloads, files)."""
    started: list[tuple[Mirror, threading.Thread]] = []

    def start(
        answer: Answer = whole, answers: list[Answer] | None = None, files: dict[str, bytes] | None = None
    ) -> Mirror:
        server = Mirror(answer, list(answers or []), PACKED if files is None else files)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Yield a port that nothing listens on, and that nothing else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# The program


class Reports:
    """What `report` was told; cancels at the call of the number `cancel_at`."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.seen: list[tuple[str, int, int, str]] = []
        self.cancel_at = cancel_at

    def __call__(self, what: str, done: int, total: int, unit: str) -> None:
        self.seen.append((what, done, total, unit))
        if len(self.seen) == self.cancel_at:
            raise Interrupted

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(done, total) for _, done, total, unit in self.seen if unit == "bytes"]


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take the waits between two attempts out, and return how long they would have been."""
    taken: list[float] = []
    monkeypatch.setattr(download, "time", types.SimpleNamespace(monotonic=time.monotonic, sleep=taken.append))
    return taken


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a silent mirror soon; a mirror that answers takes milliseconds."""
    monkeypatch.setattr(download, "STALL_SECONDS", 5.0)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of the machine, and urllib's memory of them."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.fixture(autouse=True)
def leaves_process_alone() -> Iterator[None]:
    """Check that the socket time-out and torchvision's progress bar are after each test what they were before."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIME_OUT_BEFORE)
    bar = _progress_bar()
    yield
    after = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before)
    assert after == TIME_OUT_BEFORE
    assert _progress_bar() is bar


def _progress_bar() -> object:
    utils = sys.modules.get("torchvision.datasets.utils")
    return None if utils is None else getattr(utils, "tqdm", None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


UseMirrors = Callable[..., None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> UseMirrors:
    """Return a function that makes torchvision fetch a data set from these mirrors."""

    def point(*urls: str, files: dict[str, bytes] = PACKED, kind: str = "FashionMNIST") -> None:
        from torchvision import datasets

        sums = [(name, hashlib.md5(files[name]).hexdigest()) for name in NAMES]
        monkeypatch.setattr(getattr(datasets, kind), "resources", sums)
        monkeypatch.setattr(getattr(datasets, kind), "mirrors", list(urls))

    return point


def _fetch(root: Path, report: Reports | None = None) -> Reports:
    report = report or Reports()
    download.download("fashion-mnist", root, report)
    return report


def _load(root: Path, report: Reports | None = None, **options: Any) -> resident.Dataset:
    notices: list[str] = []
    config = RunConfig(data="fashion-mnist", data_dir=str(root), batch_size=16, **options)
    dataset = resident.load(config, torch.device("cpu"), report or Reports(), notices.append)
    assert notices == []
    return dataset


def _failure(root: Path, report: Reports | None = None) -> str:
    """Download in vain and return the one line that says why; nothing may be left, and it must not take long."""
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        _fetch(root, report)
    assert time.monotonic() - start < BOUND
    assert caught.value.exit_code == 3
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 500
    assert not _is_begun(root)
    return message


def _is_begun(root: Path) -> bool:
    """Tell whether anything of a download lies in the root, finished or not."""
    return root.is_dir() and any(path.is_file() or path.name.startswith(".") for path in root.rglob("*"))


def _assert_whole(root: Path) -> None:
    raw = root / "FashionMNIST" / "raw"
    assert {path.name: path.read_bytes() for path in raw.iterdir() if path.name in {*STEMS, *NAMES}} == PLAIN | PACKED
    assert list(root.glob(".*")) == []


# What goes well


@needs_torchvision
def test_whole_download(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """The four files lie in torchvision's folder, whole, and can be read."""
    server = mirror()
    use(server.url)
    _fetch(root)
    _assert_whole(root)
    assert [path.name for path in root.iterdir()] == ["FashionMNIST"]
    assert {path.rpartition("/")[2] for path in server.asked} == set(NAMES)
    found, missing = idx.find_files(root / "FashionMNIST" / "raw")
    assert missing == []
    for split, count in {"train": 64, "validation": 32}.items():
        images, labels = idx.read_split(*found[split])
        assert images.shape == (count, 784)
        stem, label_stem = idx.STEMS[split]
        assert images.tobytes() == PLAIN[stem][16:]
        assert labels.tobytes() == PLAIN[label_stem][8:]


@needs_torchvision
def test_load_downloads_once(root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first load downloads; the second reads the disk, and needs neither the network nor torchvision."""
    server = mirror()
    use(server.url)
    first = _load(root)
    assert first.name == "fashion-mnist"
    assert first.source == str((root / "FashionMNIST" / "raw").resolve())
    assert (len(first.train), len(first.validation)) == (64, 32)
    assert first.train.images.numpy().tobytes() == PLAIN["train-images-idx3-ubyte"][16:]
    requests = len(server.asked)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    reports = Reports()
    second = _load(root, reports)
    assert second.sha256 == first.sha256
    assert len(server.asked) == requests
    assert reports.sizes == []
    assert not any(what.startswith(("loading torchvision", "looking", "downloading")) for what, *_ in reports.seen)


@needs_torchvision
def test_root_is_made(tmp_path: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A root that does not exist yet, as the user's cache at first, is made."""
    use(mirror().url)
    _fetch(tmp_path / "cache" / "bntui" / "data")
    _assert_whole(tmp_path / "cache" / "bntui" / "data")


@needs_torchvision
def test_progress(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """Every file's bytes are counted up to its size; the large one in several steps."""
    use(mirror().url)
    reports = _fetch(root)
    expected = [len(PACKED[name]) for name in NAMES]
    files: list[list[tuple[int, int]]] = []
    for done, total in reports.sizes:
        if not files or total != files[-1][-1][1]:
            files.append([])
        files[-1].append((done, total))
    assert [{total for _, total in file} for file in files] == [{size} for size in expected]
    assert [file[-1][0] for file in files] == expected
    assert all(file == sorted(set(file)) for file in files)
    assert len(files[0]) > 1
    assert all(0 < done <= total for done, total in reports.sizes)
    assert all(what == "downloading fashion-mnist" for what, *_, unit in reports.seen if unit == "bytes")
    # What comes before the first byte is told too: loading torchvision alone takes seconds.
    assert [unit for *_, unit in reports.seen[:2]] == ["", ""]


@needs_torchvision
def test_progress_without_length(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """Where the server does not tell the size, the bytes are counted and the total is 0: unknown."""
    use(mirror(without_length).url)
    reports = _fetch(root)
    assert {total for _, total in reports.sizes} == {0}
    assert max(done for done, _ in reports.sizes) == len(PACKED[NAMES[0]])
    _assert_whole(root)


@needs_torchvision
def test_redirect(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A mirror may send its visitors elsewhere."""
    other = mirror()

    def moved(handler: _Handler, _: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", other.url.rstrip("/") + handler.path)
        handler.end_headers()

    use(mirror(moved).url)
    _fetch(root)
    _assert_whole(root)


@needs_torchvision
def test_prints_nothing(
    root: Path, mirror: MakeMirror, use: UseMirrors, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Neither success nor a bad mirror, another attempt or failure prints anything."""
    use(mirror(not_found).url, mirror(whole, [damaged, cut_short]).url)
    _fetch(root)
    use(mirror(server_error).url)
    _failure(tmp_path / "other")
    assert capfd.readouterr() == ("", "")


@needs_torchvision
def test_prints_nothing_with_older_torchvision(
    root: Path,
    mirror: MakeMirror,
    use: UseMirrors,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older releases print what they do; where stdout carries the results, that would spoil them."""
    from torchvision.datasets import mnist, utils

    # In the modules' own namespaces, so that `print` is found where their code finds it.
    for module, function in ((mnist, "download_and_extract_archive"), (utils, "extract_archive")):
        monkeypatch.setattr(module, "silent_" + function, getattr(module, function), raising=False)
        monkeypatch.setattr(module, function, None)
        code = f"def {function}(*args, **kwargs):\n    print(args)\n    return silent_{function}(*args, **kwargs)\n"
        exec(code, vars(module))
    use(mirror().url)
    _fetch(root)
    _assert_whole(root)
    assert capfd.readouterr() == ("", "")


@needs_torchvision
def test_other_files_survive(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """What else lies in the folders stays; an incomplete set is completed."""
    others = [root / "notes.txt", root / "FashionMNIST" / "mine.txt", root / "FashionMNIST" / "raw" / "mine.bin"]
    others += [root / "MNIST" / "raw" / "train-labels-idx1-ubyte", root / "FashionMNIST" / "processed" / "training.pt"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    (root / "FashionMNIST" / "raw" / NAMES[0]).write_bytes(PACKED[NAMES[0]])
    use(mirror().url)
    assert len(_load(root).train) == 64
    _assert_whole(root)
    assert all(path.read_bytes() == b"mine" for path in others)


@needs_torchvision
def test_other_files_survive_failure(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A download that fails leaves even an incomplete set as it was."""
    kept = root / "FashionMNIST" / "raw" / STEMS[0]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    use(mirror(not_found).url)
    with pytest.raises(DataError):
        _load(root)
    assert [path for path in root.rglob("*") if path.is_file()] == [kept]
    assert kept.read_bytes() == b"mine"
    assert list(root.glob(".*")) == []


@needs_torchvision
@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"{DEBIAN} (Debian's dataset-fashion-mnist) is not installed")
def test_real_size(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """The real files arrive."""
    files = {name: (DEBIAN / name).read_bytes() for name in NAMES}
    server = mirror(files=files)
    use(server.url, files=files)
    reports = Reports()
    dataset = _load(root, reports)
    assert (len(dataset.train), len(dataset.validation)) == (60_000, 10_000)
    assert {total for _, total in reports.sizes} == {len(content) for content in files.values()}
    config = RunConfig(data="fashion-mnist", data_dir=str(DEBIAN))
    assert resident.load(config, torch.device("cpu"), Reports(), print).sha256 == dataset.sha256


# Mirrors that fail


@needs_torchvision
def test_first_mirror_refuses(
    root: Path, mirror: MakeMirror, use: UseMirrors, dead_port: int, naps: list[float]
) -> None:
    """Where the first mirror refuses the connection, the second serves, without another attempt."""
    use(f"http://127.0.0.1:{dead_port}/", mirror().url)
    _fetch(root)
    _assert_whole(root)
    assert naps == []


@needs_torchvision
@pytest.mark.parametrize("answer", [not_found, server_error, login_page, damaged, cut_short])
def test_first_mirror_answers_wrongly(
    answer: Answer, root: Path, mirror: MakeMirror, use: UseMirrors, naps: list[float]
) -> None:
    """Where the first mirror has not the file, the second serves."""
    use(mirror(answer).url, mirror().url)
    _fetch(root)
    _assert_whole(root)
    assert sum(naps) <= 10


@needs_torchvision
@pytest.mark.parametrize("answer", [hangs_up, not_http, cut_short_in_chunks])
def test_first_mirror_breaks_off(answer: Answer, root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """Where the first mirror does not keep to the protocol, the second serves."""
    use(mirror(answer).url, mirror().url)
    _fetch(root)
    _assert_whole(root)


@needs_torchvision
@pytest.mark.parametrize("answer", [stalls, stalls_halfway])
def test_first_mirror_stalls(
    answer: Answer, root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first mirror stalls, the second serves."""
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    use(mirror(answer).url, mirror().url)
    _fetch(root)
    _assert_whole(root)


@needs_torchvision
@pytest.mark.parametrize(
    "answer", [cut_short, cut_short_in_chunks, damaged, hangs_up, login_page, not_found, not_http, server_error]
)
def test_second_attempt(answer: Answer, root: Path, mirror: MakeMirror, use: UseMirrors, naps: list[float]) -> None:
    """What goes wrong the first time is tried again, after a short wait that is told."""
    server = mirror(whole, [answer])
    use(server.url)
    reports = _fetch(root)
    _assert_whole(root)
    assert len(naps) == 1
    assert 0 < naps[0] <= 10
    assert any("attempt 2" in what for what, *_ in reports.seen)


@needs_torchvision
@pytest.mark.parametrize("answer", [stalls, stalls_halfway])
def test_second_attempt_after_stall(
    answer: Answer, root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that stalls once is asked again."""
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    use(mirror(whole, [answer]).url)
    _fetch(root)
    _assert_whole(root)


@needs_torchvision
@pytest.mark.parametrize("number", range(4))
def test_second_attempt_keeps_whole_files(number: int, root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """Whichever file is damaged, it is fetched again, and only it."""
    server = mirror(whole, [*[whole] * number, damaged])
    use(server.url)
    reports = _fetch(root)
    _assert_whole(root)
    finished = [total for done, total in reports.sizes if done == total]
    assert sorted(finished) == sorted([*map(len, PACKED.values()), len(PACKED[NAMES[number]])])


# No mirror works


@needs_torchvision
def test_all_mirrors_refuse(root: Path, use: UseMirrors, dead_port: int, naps: list[float]) -> None:
    """Where no mirror takes a connection, that is said at once."""
    use(f"http://127.0.0.1:{dead_port}/", f"http://localhost:{dead_port}/")
    message = _failure(root)
    assert "fashion-mnist" in message
    assert "refused" in message
    assert "--data-dir" in message
    assert naps == []


@needs_torchvision
def test_all_names_unknown(root: Path, use: UseMirrors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names are not resolved, as without a network, that is said at once."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    use("http://mirror.invalid/", "https://other.invalid/")
    assert "Name or service not known" in _failure(root)


@needs_torchvision
def test_names_take_forever(root: Path, use: UseMirrors, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer is not waited for."""
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(download, "REACH_SECONDS", 0.3)
    use("http://mirror.invalid/")
    try:
        assert "no answer" in _failure(root)
    finally:
        released.set()


@needs_torchvision
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (not_found, "404"),
        (server_error, "500"),
        (login_page, "corrupted"),
        (damaged, "corrupted"),
        (cut_short, ""),
        (cut_short_in_chunks, ""),
        (hangs_up, ""),
        (not_http, ""),
    ],
)
def test_every_attempt_fails(
    answer: Answer, reason: str, root: Path, mirror: MakeMirror, use: UseMirrors, naps: list[float]
) -> None:
    """A mirror that never serves is given up after a few attempts, with its last answer."""
    server = mirror(answer)
    use(server.url)
    message = _failure(root)
    assert "fashion-mnist" in message
    assert reason in message
    assert "--data-dir" in message
    assert 1 <= len(naps) <= 5
    assert sum(naps) <= 10
    assert len(server.asked) <= 2 * (len(naps) + 1)


@needs_torchvision
@pytest.mark.parametrize("answer", [stalls, stalls_halfway])
def test_every_mirror_stalls(
    answer: Answer, root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that takes the connection and then says nothing is given up."""
    monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
    use(mirror(answer).url)
    assert "timed out" in _failure(root)


@needs_torchvision
def test_one_file_is_gone(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """Three files of four are nothing: none is kept."""
    use(mirror(files={name: content for name, content in PACKED.items() if name != NAMES[3]}).url)
    message = _failure(root)
    assert "404" in message
    assert NAMES[3] in message


@needs_torchvision
def test_default_falls_back(tmp_path: Path, use: UseMirrors, dead_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no data set was named and there is no network, digits are generated, and the reason is told."""
    monkeypatch.setattr(resident.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    use(f"http://127.0.0.1:{dead_port}/", kind="MNIST")
    notices: list[str] = []
    config = RunConfig(train_samples=200, validation_samples=50)
    dataset = resident.load(config, torch.device("cpu"), Reports(), notices.append)
    assert (dataset.name, len(dataset.train), len(dataset.validation)) == ("synthetic", 200, 50)
    assert len(notices) == 1
    assert "refused" in notices[0]
    assert "synthetic" in notices[0]
    assert not _is_begun(tmp_path)


# Disk


@needs_torchvision
def test_root_is_under_a_file(tmp_path: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A root that can't be made is named, with the reason."""
    (tmp_path / "file").write_text("mine")
    use(mirror().url)
    with pytest.raises(DataError, match="Not a directory") as caught:
        _fetch(tmp_path / "file" / "data")
    assert str(tmp_path / "file" / "data") in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@needs_torchvision
def test_root_is_not_writable(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A root that may not be written to is named, with the reason, and nothing is fetched."""
    server = mirror()
    use(server.url)
    with _mode(root, 0o500), pytest.raises(DataError, match="Permission denied") as caught:
        _load(root)
    assert str(root) in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert server.asked == []
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("mode", [0o000, 0o600], ids=oct)
def test_root_is_not_readable(mode: int, root: Path) -> None:
    """A root that may not be looked into is named, with the reason."""
    with _mode(root, mode), pytest.raises(DataError, match="Permission denied") as caught:
        _load(root)
    assert str(root) in str(caught.value)
    assert list(root.iterdir()) == []


@contextlib.contextmanager
def _mode(folder: Path, mode: int) -> Iterator[None]:
    """Give a folder other permissions for a while; skip the test where they are not obeyed, as for root."""
    folder.chmod(mode)
    try:
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            pytest.skip("permissions are not obeyed here")
        yield
    finally:
        folder.chmod(0o700)


@needs_torchvision
@pytest.mark.parametrize("taken", ["FashionMNIST", "FashionMNIST/raw"])
def test_file_in_the_way(taken: str, root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A file where a folder must be stays, and is told of."""
    path = root / taken
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    use(mirror().url)
    with pytest.raises(DataError, match=r"can't be stored here \(.*(exists|Not a directory)"):
        _fetch(root)
    assert path.read_bytes() == b"mine"
    assert list(root.glob(".*")) == []


@needs_torchvision
@pytest.mark.parametrize("times", [1, 100], ids=["once", "always"])
@pytest.mark.parametrize("stem", [STEMS[0], STEMS[3]])
def test_disk_is_full(
    stem: str, times: int, root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full while a file is unpacked, no part of that file is taken for the file."""
    from torchvision.datasets import utils

    unpack = utils._decompress
    left = [times]

    def full(from_path: str, to_path: str, *args: Any, **kwargs: Any) -> Any:
        result = unpack(from_path, to_path, *args, **kwargs)
        if os.path.basename(to_path) == stem and left[0]:
            left[0] -= 1
            os.truncate(to_path, 20)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return result

    monkeypatch.setattr(utils, "_decompress", full)
    use(mirror().url)
    try:
        _load(root)
    except DataError as error:
        assert "No space left on device" in str(error)
        assert not _is_begun(root)
    else:
        assert times == 1
        _assert_whole(root)


# Cancelling


@needs_torchvision
def test_cancel_anywhere(tmp_path: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """Whenever it is cancelled, the exception reaches the caller at once and nothing is left."""
    server = mirror()
    use(server.url)
    calls = len(_fetch(tmp_path / "whole").seen)
    assert calls > 5
    for cancel_at in range(1, calls + 1):
        root = tmp_path / str(cancel_at)
        reports = Reports(cancel_at)
        with pytest.raises(Interrupted):
            _fetch(root, reports)
        assert len(reports.seen) == cancel_at
        assert not _is_begun(root)
        assert socket.getdefaulttimeout() == TIME_OUT_BEFORE
    _fetch(root)
    _assert_whole(root)


@needs_torchvision
def test_cancel_between_attempts(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A download that goes wrong again and again can be cancelled."""
    server = mirror(not_found)
    use(server.url)

    class Impatient(Reports):
        def __call__(self, what: str, done: int, total: int, unit: str) -> None:
            super().__call__(what, done, total, unit)
            if "attempt 2" in what:
                raise Interrupted

    with pytest.raises(Interrupted):
        _fetch(root, Impatient())
    assert not _is_begun(root)


@needs_torchvision
def test_cancel_through_load(root: Path, mirror: MakeMirror, use: UseMirrors) -> None:
    """A download cancelled through `load` begins anew at the next load."""
    use(mirror().url)
    with pytest.raises(Interrupted):
        _load(root, Reports(5))
    assert not _is_begun(root)
    assert len(_load(root).train) == 64
    _assert_whole(root)


@needs_torchvision
def test_signal_during_stall(
    root: Path,
    mirror: MakeMirror,
    use: UseMirrors,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C ends the command at once, even while the network is silent."""
    monkeypatch.setattr(download, "STALL_SECONDS", 60.0)
    use(mirror(whole, [interrupts]).url)
    start = time.monotonic()
    assert _run(tmp_path, "--data", "fashion-mnist", "--data-dir", str(root)) == 130
    assert time.monotonic() - start < BOUND
    assert not _is_begun(root)
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "stopped before training" in err


# Proxies


@needs_torchvision
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("address", ["http://{}", "http://{}/", "{}", "http://me:secret@{}"])
def test_proxy_is_used(
    address: str, variable: str, root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy that leads outside, neither the mirror's name nor a direct way to it is needed."""
    proxy = mirror()
    monkeypatch.setenv(variable, address.format(f"127.0.0.1:{proxy.port}"))
    use("http://mirror.invalid/fashion/")
    _fetch(root)
    _assert_whole(root)
    assert all(path.startswith("http://mirror.invalid/fashion/") for path in proxy.asked)


@needs_torchvision
def test_proxy_is_dead(
    root: Path, mirror: MakeMirror, use: UseMirrors, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses is found out at once, even where the mirror itself would answer."""
    server = mirror()
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{dead_port}")
    use(server.url)
    message = _failure(root)
    assert "refused" in message
    assert "secret" not in message
    assert server.asked == []


@needs_torchvision
@pytest.mark.parametrize("spelling", ["http://127.0.0.1:many", "http://127.0.0.1:99999", "http://[::1"])
def test_proxy_is_misspelt(
    spelling: str, root: Path, mirror: MakeMirror, use: UseMirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's address that makes no sense is an error like others."""
    monkeypatch.setenv("http_proxy", spelling)
    use(mirror().url)
    _failure(root)


@needs_torchvision
@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "other.invalid, 127.0.0.1", "127.0.0.1:{}"])
def test_proxy_is_bypassed(
    exception: str, root: Path, mirror: MakeMirror, use: UseMirrors, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that the proxy is not for is asked directly, with the rules that urllib has."""
    server = mirror()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port}")
    monkeypatch.setenv("no_proxy", exception.format(server.port))
    use(server.url)
    _fetch(root)
    _assert_whole(root)


@needs_torchvision
def test_proxy_of_another_scheme(
    root: Path, mirror: MakeMirror, use: UseMirrors, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy for https does not stand before an http mirror."""
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{dead_port}")
    use(mirror().url)
    _fetch(root)
    _assert_whole(root)


# Without torchvision


def _break_torchvision(folder: Path, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a torchvision first in the path that raises `error`, a Python expression, when it is imported."""
    package = folder / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move the user's cache into the test's folder."""
    monkeypatch.setattr(resident.platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path


def _run(folder: Path, *arguments: str) -> int:
    """Run the command line without a screen on as little as possible, with its run folder in `folder`."""
    small = ["--train-samples", "200", "--validation-samples", "50", "--epochs", "1", "--max-steps", "2"]
    place = ["--run-dir", str(folder / "run"), "--device", "cpu", "--threads", "1"]
    threads = torch.get_num_threads()
    try:
        return cli.main(["--headless", *small, *place, *arguments])
    finally:
        torch.set_num_threads(threads)


def _assert_says_what_to_install(message: str) -> None:
    assert "pip install torchvision" in message
    assert torch.__version__.split("+")[0] in message
    assert "\n" not in message


def test_missing_torchvision(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchvision, the error says what to install, for which torch, and what else can be done."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    message = _failure(root)
    _assert_says_what_to_install(message)
    assert "missing" in message
    assert "--data-dir" in message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            "RuntimeError('operator torchvision::nms does not exist')",
            "RuntimeError: operator torchvision::nms does not",
        ),
        ("RuntimeError('several\\nlines\\nof reasons')", "RuntimeError: several"),
        ("RuntimeError('\\n  the first line is empty')", "RuntimeError"),
        ("RuntimeError", "RuntimeError"),
        ("AttributeError('no attribute _C')", "AttributeError: no attribute _C"),
        ("OSError(2, 'No such file or directory')", "No such file or directory"),
        ("ImportError('libtorch_cuda.so: cannot open shared object file')", "libtorch_cuda.so: cannot open"),
        ("ModuleNotFoundError('No module named PIL', name='PIL')", "No module named PIL"),
    ],
)
def test_broken_torchvision(
    error: str, reason: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torchvision that does not import is told from a missing one, with what it says."""
    _break_torchvision(tmp_path, error, monkeypatch)
    message = _failure(root)
    _assert_says_what_to_install(message)
    assert "does not work" in message
    assert "is missing" not in message
    assert reason in message


@pytest.mark.parametrize("how", ["missing", "broken", "broken without a word"])
def test_default_falls_back_without_torchvision(how: str, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no data set was named, digits are generated instead, and one notice tells why and how to get MNIST."""
    if how == "missing":
        monkeypatch.setitem(sys.modules, "torchvision", None)
    else:
        error = "RuntimeError" if "without" in how else "RuntimeError('no such operator')"
        _break_torchvision(state, error, monkeypatch)
    notices: list[str] = []
    config = RunConfig(train_samples=200, validation_samples=50)
    dataset = resident.load(config, torch.device("cpu"), Reports(), notices.append)
    assert (dataset.name, len(dataset.train), len(dataset.validation)) == ("synthetic", 200, 50)
    assert len(notices) == 1
    _assert_says_what_to_install(notices[0])
    assert "--data synthetic" in notices[0]
    chosen = RunConfig(data="synthetic", train_samples=200, validation_samples=50)
    assert resident.load(chosen, torch.device("cpu"), Reports(), notices.append).sha256 == dataset.sha256
    assert len(notices) == 1


@pytest.mark.parametrize("options", [{"data": "mnist"}, {"data_dir": True}, {"data": "kmnist", "data_dir": True}])
def test_no_fallback_where_asked_for(
    options: dict[str, Any], state: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a data set or its folder was named, nothing takes its place."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    options = {name: str(root) if value is True else value for name, value in options.items()}
    notices: list[str] = []
    with pytest.raises(DataError) as caught:
        resident.load(RunConfig(**options), torch.device("cpu"), Reports(), notices.append)
    _assert_says_what_to_install(str(caught.value))
    assert notices == []


def test_headless_falls_back(state: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line trains on generated digits, with the notice on stderr, and succeeds."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert _run(state) == 0
    out, err = capfd.readouterr()
    assert "synthetic 200/50" in out
    assert len(err.splitlines()) == 1
    assert err.startswith("bntui: notice: mnist ")
    _assert_says_what_to_install(err.strip())


def test_headless_fails_where_asked_for(
    state: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line ends with exit code 3 and one line where the data set was named."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert _run(state, "--data", "fashion-mnist") == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("bntui: error: fashion-mnist ")
    _assert_says_what_to_install(err.strip())


@needs_torchvision
def test_headless_fails_without_network(
    state: Path, root: Path, use: UseMirrors, dead_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command line ends with exit code 3 and one line where no mirror answers."""
    use(f"http://127.0.0.1:{dead_port}/")
    assert _run(state, "--data", "fashion-mnist", "--data-dir", str(root)) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("bntui: error: fashion-mnist can't be downloaded")
