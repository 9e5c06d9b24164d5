"""Tests of the download: the real files of a small data set, and mirrors on the loopback, good and bad."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bntui import cli
from bntui.config.kinds import DATASETS
from bntui.config.options import RunConfig
from bntui.data import download, idx, resident
from bntui.errors import DataError, Interrupted

STEMS = [stem for stems in idx.STEMS.values() for stem in stems]
NAMES = [f"{stem}.gz" for stem in STEMS]


def _idx(values: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(side.to_bytes(4, "big") for side in values.shape)
    return header + values.tobytes()


def _make_files() -> dict[str, bytes]:
    """Return the four files, packed, by their names. Noise: the images take more than one read."""
    random = np.random.default_rng(1)
    files = {}
    for (images, labels), count in zip(idx.STEMS.values(), (64, 96), strict=True):
        files[images] = _idx(random.integers(0, 256, (count, 28, 28), np.uint8))
        files[labels] = _idx(random.integers(0, 10, count, np.uint8))
    return {f"{stem}.gz": gzip.compress(content, mtime=0) for stem, content in files.items()}


FILES = _make_files()


# Mirrors, and how they answer


class Mirror(ThreadingHTTPServer):
    """A mirror of the data set, or the proxy in front of one; `answers` are used up first, one a file."""

    daemon_threads = True

    def __init__(self, answer: Answer, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.answers = answer, answers
        self.asked: list[str] = []
        self.released = threading.Event()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/"

    def handle_error(self, *_: object) -> None:
        """Be silent: a client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answer = self.server.answers.pop(0) if self.server.answers else self.server.answer
        answer(self, FILES[self.path.rpartition("/")[2]])

    def log_message(self, *_: object) -> None:
        pass


Answer = Callable[[_Handler, bytes], None]


def whole(handler: _Handler, body: bytes, sent: int | None = None, *, length: bool = True) -> None:
    handler.send_response(200)
    if length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:sent])


def without_length(handler: _Handler, body: bytes) -> None:
    whole(handler, body, length=False)


def cut_short(handler: _Handler, body: bytes) -> None:
    whole(handler, body, len(body) // 2)


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
    """Return a function that starts a mirror: mirror(answer for all, answers to the first requests)."""
    started: list[tuple[Mirror, threading.Thread]] = []

    def start(answer: Answer = whole, answers: tuple[Answer, ...] = ()) -> Mirror:
        server = Mirror(answer, list(answers))
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
def dead() -> Iterator[str]:
    """Yield a host and port that nothing listens on, and that nothing else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


# The program


class Reports(list[tuple[str, int, int, str]]):
    """What `report` was told; a stop is asked for at the first one that `stop_at` is true of."""

    def __init__(self, stop_at: Callable[[tuple[str, int, int, str]], bool] = lambda _: False) -> None:
        super().__init__()
        self.stop_at = stop_at

    def __call__(self, what: str, done: int, total: int, unit: str) -> None:
        self.append((what, done, total, unit))
        if self.stop_at(self[-1]):
            raise Interrupted

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(done, total) for _, done, total, unit in self if unit == "bytes" and done]


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take the waits between two attempts out, and return how long they would have been."""
    taken: list[float] = []
    monkeypatch.setattr(download.time, "sleep", taken.append)
    return taken


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of the machine."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


Use = Callable[..., None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return a function that puts in torchvision's place one that names these mirrors for every data set."""

    def name(*urls: str) -> None:
        kind = types.SimpleNamespace(
            mirrors=list(urls),
            resources=[(name, hashlib.md5(content).hexdigest()) for name, content in FILES.items()],
        )
        module = types.ModuleType("torchvision")
        module.__dict__["datasets"] = types.SimpleNamespace(MNIST=kind, FashionMNIST=kind, KMNIST=kind)
        monkeypatch.setitem(sys.modules, "torchvision", module)

    return name


def _fetch(root: Path, report: Reports | None = None) -> Reports:
    report = Reports() if report is None else report
    download.download("fashion-mnist", root, report)
    return report


def _load(root: Path, report: Reports | None = None) -> resident.Dataset:
    notices: list[str] = []
    config = RunConfig(data="fashion-mnist", data_dir=str(root), batch_size=16)
    dataset = resident.load(config, torch.device("cpu"), Reports() if report is None else report, notices.append)
    assert notices == []
    return dataset


def _failure(root: Path, *words: str) -> str:
    """Download in vain, and return the one line that says why, which has these words; nothing may be left."""
    before = sorted(root.rglob("*"))
    with pytest.raises(DataError) as caught:
        _fetch(root)
    assert caught.value.exit_code == 3
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    for word in ("fashion-mnist", *words):
        assert word in message
    assert sorted(root.rglob("*")) == before
    return message


def _assert_whole(root: Path) -> None:
    raw = root / "FashionMNIST" / "raw"
    assert {path.name: path.read_bytes() for path in raw.iterdir() if path.name in NAMES} == FILES
    assert not [path for path in root.rglob(".*")]


# What goes well


def test_first_load_downloads_and_the_second_reads_the_disk(
    tmp_path: Path, mirror: MakeMirror, use: Use, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Into folders that are made for it; afterwards neither the network nor torchvision is needed."""
    monkeypatch.setattr(resident.platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    server = mirror()
    use(server.url)
    config = RunConfig(data="kmnist", batch_size=16)
    first = resident.load(config, torch.device("cpu"), Reports(), print)
    assert first.describe()["source"] == str((tmp_path / "cache" / "bntui" / "data" / "KMNIST" / "raw").resolve())
    assert (len(first.train), len(first.validation)) == (64, 96)
    assert first.train.images.numpy().tobytes() == gzip.decompress(FILES[NAMES[0]])[16:]
    assert [path.removeprefix("/") for path in server.asked] == NAMES
    monkeypatch.setitem(sys.modules, "torchvision", None)
    reports = Reports()
    assert resident.load(config, torch.device("cpu"), reports, print).sha256 == first.sha256
    assert len(server.asked) == 4
    assert not any(what.startswith(("loading torchvision", "looking", "downloading")) for what, *_ in reports)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("answer", [whole, without_length])
def test_bytes_are_counted(answer: Answer, root: Path, mirror: MakeMirror, use: Use) -> None:
    """Up to each file's size, in several steps for a large one; without a size, the total is 0: unknown."""
    use(mirror(answer).url)
    reports = _fetch(root)
    _assert_whole(root)
    expected = [len(FILES[name]) for name in NAMES]
    seen = list(dict.fromkeys(reports.sizes))
    if answer is whole:
        assert [done for done, total in seen if done == total] == expected
        assert [total for _, total in seen if total == expected[0]] == [expected[0]] * 2
    else:
        assert {total for _, total in seen} == {0}
        assert set(expected) <= {done for done, _ in seen}
    assert {what for what, *_, unit in reports if unit == "bytes"} == {"downloading fashion-mnist"}
    # What comes before the first byte is told too: loading torchvision alone takes seconds.
    assert [what for what, *_ in reports[:2]] == ["loading torchvision", "looking for a mirror of fashion-mnist"]


def test_mirror_that_sends_its_visitors_elsewhere(root: Path, mirror: MakeMirror, use: Use) -> None:
    other = mirror()

    def moved(handler: _Handler, _: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", other.url.rstrip("/") + handler.path)
        handler.end_headers()

    use(mirror(moved).url)
    _fetch(root)
    _assert_whole(root)


def test_other_files_stay_and_only_missing_ones_are_fetched(root: Path, mirror: MakeMirror, use: Use) -> None:
    others = [root / "notes.txt", root / "FashionMNIST" / "raw" / "mine.bin", root / "MNIST" / "raw" / STEMS[1]]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    (root / "FashionMNIST" / "raw" / STEMS[0]).write_bytes(gzip.decompress(FILES[NAMES[0]]))
    server = mirror(not_found)
    use(server.url)
    _failure(root, "404")
    server.answer = whole
    server.asked.clear()
    assert len(_load(root).train) == 64
    assert [path.removeprefix("/") for path in server.asked] == NAMES[1:]
    assert all(path.read_bytes() == b"mine" for path in others)


def test_what_torchvision_calls_its_mirrors_and_checksums() -> None:
    for name in (name for name, place in DATASETS.items() if place.startswith("torchvision.")):
        try:
            mirrors, sums = download._ask_torchvision(name)
        except DataError as error:
            pytest.skip(str(error))
        assert all(url.startswith("http") and url.endswith("/") for url in mirrors)
        assert list(sums) == NAMES
        assert all(len(md5) == 32 for md5 in sums.values())


# Mirrors that fail

WRONG = [cut_short, cut_short_in_chunks, damaged, hangs_up, login_page, not_found, not_http]


@pytest.mark.parametrize("answer", [*WRONG, stalls_halfway])
def test_next_mirror_serves(
    answer: Answer, root: Path, mirror: MakeMirror, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that failed is asked last from then on: it is not waited for with every file."""
    if answer is stalls_halfway:
        monkeypatch.setattr(download, "STALL_SECONDS", 2.0)
    bad = mirror(answer)
    use(bad.url, mirror().url)
    _fetch(root)
    _assert_whole(root)
    assert bad.asked == [f"/{NAMES[0]}"]


def test_mirrors_that_are_not_there_and_that_say_nothing(
    root: Path, mirror: MakeMirror, use: Use, dead: str, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ANSWER_SECONDS", 2.0)
    use(f"http://{dead}/", mirror(stalls).url, mirror().url)
    _fetch(root)
    _assert_whole(root)
    assert naps == []


@pytest.mark.parametrize("answer", WRONG)
def test_second_attempt(answer: Answer, root: Path, mirror: MakeMirror, use: Use, naps: list[float]) -> None:
    """What goes wrong once is tried again, it alone, after a short wait that is told."""
    server = mirror(whole, (whole, answer))
    use(server.url)
    reports = _fetch(root)
    _assert_whole(root)
    assert [path.removeprefix("/") for path in server.asked] == [*NAMES[:2], *NAMES[1:]]
    assert naps == [1]
    assert ("downloading fashion-mnist, attempt 2 of 3", 0, 0, "") in reports


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (cut_short, "cut short"),
        (cut_short_in_chunks, "IncompleteRead"),
        (damaged, "MD5 differs"),
        (hangs_up, "closed connection"),
        (login_page, "MD5 differs"),
        (not_found, "HTTP 404 Not Found"),
        (not_http, "SSH-2.0"),
        (stalls_halfway, "timed out"),
    ],
)
def test_every_attempt_fails(
    answer: Answer,
    reason: str,
    root: Path,
    mirror: MakeMirror,
    use: Use,
    naps: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if answer is stalls_halfway:
        monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
    server = mirror(answer)
    use(server.url)
    _failure(root, reason, server.url + NAMES[0], "after 3 attempts", "--data-dir")
    assert naps == [1, 2]
    assert len(server.asked) == 3


def test_whole_files_are_kept_for_the_next_time(root: Path, mirror: MakeMirror, use: Use) -> None:
    """What was fetched and checked need not be fetched again; nothing half lies beside it."""
    server = mirror(not_found, (whole, whole))
    use(server.url)
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.gz: HTTP 404"):
        _load(root)
    assert sorted(path.name for path in (root / "FashionMNIST" / "raw").iterdir()) == sorted(NAMES[:2])
    server.answer = whole
    _load(root)
    assert [path.removeprefix("/") for path in server.asked] == [*NAMES[:2], *[NAMES[2]] * 3, *NAMES[2:]]


def test_no_network(root: Path, use: Use, dead: str, naps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be reached, that is said at once."""
    use(f"http://{dead}/", f"http://localhost:{dead.partition(':')[2]}/")
    _failure(root, f"{dead}: Connection refused", "check the network", "--data-dir")

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    use("http://mirror.invalid/", "https://other.invalid/")
    _failure(root, "mirror.invalid: Name or service not known", "check the network")
    assert naps == []


def test_name_look_up_that_takes_forever(root: Path, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no time-out of its own; the wait for it ends all the same, and sooner where a stop is asked for."""
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60))
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.3)
    use("http://mirror.invalid/")
    try:
        _failure(root, "no answer", "check the network")
        monkeypatch.setattr(download, "ANSWER_SECONDS", 1e9)
        looking = Reports(lambda _: len(looking) == 4)
        with pytest.raises(Interrupted):
            _fetch(root, looking)
        assert [what for what, *_ in looking[2:]] == ["looking for a mirror of fashion-mnist"] * 2
    finally:
        released.set()


# Disk


@pytest.mark.parametrize("taken", [".", "FashionMNIST", "FashionMNIST/raw"])
def test_file_in_the_way(taken: str, tmp_path: Path, mirror: MakeMirror, use: Use) -> None:
    """A file where a folder must be stays, and is told of before anything is fetched."""
    root = tmp_path / "data"
    path = root / taken
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    server = mirror()
    use(server.url)
    with pytest.raises(DataError, match=r"can't be (stored here|read) \((File exists|Not a directory)\)"):
        _fetch(root)
    assert path.read_bytes() == b"mine"
    assert server.asked == []


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o600], ids=oct)
def test_root_without_permission(mode: int, root: Path, mirror: MakeMirror, use: Use) -> None:
    server = mirror()
    use(server.url)
    root.chmod(mode)
    try:
        if os.access(root, os.R_OK | os.W_OK | os.X_OK):
            pytest.skip("permissions are not obeyed here")
        with pytest.raises(DataError, match="Permission denied.*--data-dir|Permission denied.*permissions") as caught:
            _load(root)
    finally:
        root.chmod(0o700)
    assert str(root) in str(caught.value)
    assert server.asked == []
    assert list(root.iterdir()) == []


def test_full_disk(root: Path, mirror: MakeMirror, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as what it is, not as the failure of a mirror."""
    take = Path.open

    def full(path: Path, *arguments: Any) -> Any:
        return open("/dev/full", "wb") if path.name == NAMES[2] else take(path, *arguments)

    monkeypatch.setattr(Path, "open", full)
    use(mirror().url)
    with pytest.raises(DataError, match=r"can't be stored here \(No space left on device\); choose another --data-dir"):
        _fetch(root)
    assert sorted(path.name for path in (root / "FashionMNIST" / "raw").iterdir()) == sorted(NAMES[:2])


# A stop that is asked for


@pytest.mark.parametrize(
    "stop_at",
    [
        lambda report: report[0].startswith("loading"),
        lambda report: report[0].startswith("looking"),
        lambda report: 0 < report[1] < report[2],
        lambda report: 0 < report[1] == report[2],
        lambda report: "attempt 2" in report[0],
    ],
    ids=["loading", "looking", "halfway", "at-the-end", "between-attempts"],
)
def test_stop(
    stop_at: Callable[[tuple[str, int, int, str]], bool], tmp_path: Path, root: Path, mirror: MakeMirror, use: Use
) -> None:
    """It reaches the caller at once, nothing is left, and the next load begins anew."""
    use(mirror(whole, (not_found,)).url)
    with pytest.raises(Interrupted):
        _load(root, Reports(stop_at))
    assert list(root.iterdir()) == []
    assert len(_load(root).train) == 64
    _assert_whole(root)


def test_stop_while_the_network_is_silent(root: Path, mirror: MakeMirror, use: Use) -> None:
    """In the app, whose worker no signal reaches, what waits asks now and then whether to go on."""
    use(mirror(stalls_halfway).url)
    seen: list[int] = []

    def stop_at(report: tuple[str, int, int, str]) -> bool:
        seen.append(report[1])
        return seen[-3:].count(seen[-1]) == 3 and report[3] == "bytes"

    with pytest.raises(Interrupted):
        _fetch(root, Reports(stop_at))
    assert list(root.iterdir()) == []


def test_signal_while_the_network_is_silent(
    root: Path, mirror: MakeMirror, use: Use, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends the command at once."""
    use(mirror(whole, (interrupts,)).url)
    assert _run(tmp_path, "--data", "fashion-mnist", "--data-dir", str(root)) == 130
    assert list(root.iterdir()) == []
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "bntui: error: stopped before training began: there is nothing to save\n"


# Proxies


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("address", ["http://{}/", "{}", "http://me:secret@{}"])
def test_proxy_is_used(
    address: str, variable: str, root: Path, mirror: MakeMirror, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy that leads outside, neither the mirror's name nor a direct way to it is needed."""
    proxy = mirror()
    monkeypatch.setenv(variable, address.format(proxy.place))
    use("http://mirror.invalid/fashion/")
    _fetch(root)
    _assert_whole(root)
    assert [path.removeprefix("http://mirror.invalid/fashion/") for path in proxy.asked] == NAMES


def test_proxy_is_dead(root: Path, mirror: MakeMirror, use: Use, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy that is told of, even where the mirror itself would answer; its password is not."""
    server = mirror()
    monkeypatch.setenv("http_proxy", f"http://me:secret@{dead}")
    use(server.url)
    assert "secret" not in _failure(root, f"{dead}: Connection refused")
    monkeypatch.setenv("no_proxy", "other.invalid, 127.0.0.1")
    _fetch(root)
    _assert_whole(root)


@pytest.mark.parametrize("spelling", ["http://127.0.0.1:many", "http://127.0.0.1:99999", "http://[::1"])
def test_proxy_is_misspelt(
    spelling: str, root: Path, mirror: MakeMirror, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's address that makes no sense is an error like others."""
    monkeypatch.setenv("http_proxy", spelling)
    use(mirror().url)
    _failure(root)


# Without torchvision


def _break_torchvision(folder: Path, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a torchvision first in the path that raises `error`, a Python expression, when it is imported."""
    package = folder / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)


def _run(folder: Path, *arguments: str) -> int:
    """Run the command line without a screen on as little as possible, with its run folder in `folder`."""
    small = ["--train-samples", "200", "--validation-samples", "50", "--epochs", "1", "--max-steps", "2"]
    return cli.main(["--headless", *small, "--run-dir", str(folder / "run"), "--device", "cpu", *arguments])


def _assert_says_what_to_install(message: str) -> None:
    assert "pip install torchvision" in message
    assert torch.__version__.split("+")[0] in message
    assert "\n" not in message


def test_missing_torchvision(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torchvision, the error says what to install, for which torch, and what else can be done."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    _assert_says_what_to_install(_failure(root, "is missing", "--data-dir"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("RuntimeError('operator torchvision::nms does not exist')", "RuntimeError: operator torchvision::nms does"),
        ("RuntimeError('several\\nlines\\nof reasons')", "RuntimeError: several)"),
        ("RuntimeError", "(RuntimeError)"),
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
    message = _failure(root, "does not work", reason)
    _assert_says_what_to_install(message)
    assert "is missing" not in message


@pytest.mark.parametrize("how", ["missing", "broken", "no network"])
def test_generated_digits_take_the_place_where_nothing_was_named(
    how: str, own_home: Path, use: Use, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One notice tells why, and how to choose them; where something was named, nothing takes its place."""
    if how == "no network":
        use(f"http://{dead}/")
    elif how == "missing":
        monkeypatch.setitem(sys.modules, "torchvision", None)
    else:
        _break_torchvision(own_home, "RuntimeError('no such operator')", monkeypatch)
    notices: list[str] = []
    dataset = resident.load(
        RunConfig(train_samples=200, validation_samples=50), torch.device("cpu"), Reports(), notices.append
    )
    assert (dataset.name, len(dataset.train), len(dataset.validation)) == ("synthetic", 200, 50)
    assert len(notices) == 1
    assert ("refused" if how == "no network" else "pip install torchvision") in notices[0]
    assert "--data synthetic" in notices[0]
    for named in (RunConfig(data="mnist"), RunConfig(data_dir=str(own_home))):
        with pytest.raises(DataError):
            resident.load(named, torch.device("cpu"), Reports(), notices.append)
    assert len(notices) == 1
    assert not list(own_home.rglob("MNIST"))


@pytest.mark.parametrize("named", [(), ("--data", "fashion-mnist")], ids=["default", "named"])
def test_command_line_without_torchvision(
    named: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains on generated digits with a notice, or ends with exit code 3, where a data set was named."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    code = _run(tmp_path, *named)
    out, err = capfd.readouterr()
    assert code == (3 if named else 0)
    assert err.startswith("bntui: error: fashion-mnist " if named else "bntui: notice: mnist ")
    assert ("synthetic 200/50" in out) is not bool(named)
    _assert_says_what_to_install(err.rstrip("\n"))
