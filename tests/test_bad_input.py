"""Everything a user can get wrong: one line that names the fault, the right exit code, and nothing left behind."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import json
import os
import re
import resource
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bntui.cli import main

USAGE, DATA, DEVICE, OUTPUT = 2, 3, 4, 5
NOBODY = 54_321
"""A user id without an entry in the password file."""

SMALL = ["--headless", "--run-dir", "run", "--data", "synthetic"]
SMALL += ["--train-samples", "200", "--validation-samples", "50", "--epochs", "1"]
"""A run of six steps, in case what should be refused is not."""

WITHOUT_FOLDER = [word for word in SMALL if word not in ("--run-dir", "run")]

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Outcome:
    """What a call left: its exit code and its two streams."""

    code: int
    out: str
    err: str


class Box:
    """The folder a test works in, with a home of its own."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.home = root / "home"
        self.work = root / "work"
        self.home.mkdir()
        self.work.mkdir()
        self._capsys = capsys
        monkeypatch.chdir(self.work)
        monkeypatch.setenv("HOME", str(self.home))
        for name in ("STATE", "CACHE", "CONFIG", "DATA"):
            monkeypatch.setenv(f"XDG_{name}_HOME", str(self.home / name.lower()))
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        # Unbuffered streams hide what goes wrong when Python flushes them at its end.
        monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
        # Nothing may be fetched, even where torchvision is installed.
        monkeypatch.setitem(sys.modules, "torchvision", None)

    def run(self, *arguments: str) -> Outcome:
        """Call the program in this process."""
        self._capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        streams = self._capsys.readouterr()
        return Outcome(code, streams.out, streams.err)

    def spawn(self, *arguments: str, first: str = ":", seconds: float = 60, **streams: Any) -> Outcome:
        """Run the program in a process of its own, after a line of shell that narrows what it may use."""
        command = ["sh", "-c", f'{first}; exec "$@"', "sh", sys.executable, "-m", "bntui", *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
        return Outcome(done.returncode, done.stdout or "", done.stderr or "")

    def snapshot(self) -> dict[str, tuple[int, int, bytes | str]]:
        """Return everything that lies in the box, with its contents."""
        return {str(path.relative_to(self.root)): _describe(path) for path in sorted(self.root.rglob("*"))}


def _describe(path: Path) -> tuple[int, int, bytes | str]:
    status = path.lstat()
    contents: bytes | str = ""
    if stat.S_ISLNK(status.st_mode):
        contents = os.readlink(path)
    elif stat.S_ISREG(status.st_mode) and status.st_size < 1 << 22:
        contents = path.read_bytes()
    return stat.S_IFMT(status.st_mode), 0 if stat.S_ISDIR(status.st_mode) else status.st_size, contents


@pytest.fixture
def box(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Box:
    """Return an empty box with the current folder in it."""
    return Box(tmp_path, capsys, monkeypatch)


@pytest.fixture
def open_box(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """Return a box that other users can enter, with temporary files of its own: pytest's are closed to them."""
    places = [Path(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp")]
    open_to_all = (p for p in places if all(f.stat().st_mode & 0o001 for f in (p, *p.resolve().parents)))
    root = Path(tempfile.mkdtemp(prefix="bntui-test-", dir=next(open_to_all)))
    root.chmod(0o755)
    (root / "temporary").mkdir()
    (root / "temporary").chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(root / "temporary"))
    monkeypatch.setenv("TMPDIR", str(root / "temporary"))
    before = Path.cwd()
    try:
        yield Box(root, capsys, monkeypatch)
    finally:
        os.chdir(before)
        for folder in [root, *(p for p in root.rglob("*") if p.is_dir() and not p.is_symlink())]:
            folder.chmod(0o755)
        shutil.rmtree(root)


def assert_refused(outcome: Outcome, code: int, *words: str) -> str:
    """Assert that the program said one line, on stderr, with these words in it; return the line."""
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    line = lines[0]
    assert line.startswith("bntui: error: ")
    assert "Traceback" not in line
    assert "unexpected" not in line
    assert outcome.code == code, line
    assert outcome.out == ""
    # A path is told of whole, wherever it was named from.
    told = line.replace(f"{Path.cwd()}/", "")
    for word in words:
        assert word in told, line
    return line


def refuse(box: Box, arguments: Sequence[str], code: int, *words: str) -> str:
    """Assert that a call in this process is refused and leaves the box as it was; return the line."""
    before = box.snapshot()
    line = assert_refused(box.run(*arguments), code, *words)
    assert box.snapshot() == before
    return line


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a full disk; Python ignores the signal that goes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody for a while: nothing is unreadable or read-only to root."""
    if os.getuid() != 0:
        yield
        return
    # Imported while still allowed to read Python's own folders, which may lie in root's home.
    for module in (
        "numpy.random",
        "tomllib" if sys.version_info >= (3, 11) else "tomli",
        "bntui.headless",
        "bntui.training.session",
    ):
        importlib.import_module(module)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


# Options, values and their combinations

OPTIONS: list[tuple[list[str], list[str]]] = [
    (["--epochs", "0"], ["--epochs", "'0'", "from 1"]),
    (["--epochs", "-1"], ["--epochs", "'-1'"]),
    (["--epochs", "1.5"], ["--epochs", "whole number"]),
    (["--epochs", "ten"], ["--epochs", "'ten'"]),
    (["--epochs", ""], ["--epochs", "''"]),
    (["--epochs", "_"], ["--epochs", "'_'"]),
    (["--epochs", "0x10"], ["--epochs", "'0x10'"]),
    (["--epochs", "1" * 5_000], ["--epochs", "whole number"]),
    (["--epochs", "１"], ["--epochs", "whole number"]),
    (["--epochs", "²"], ["--epochs", "whole number"]),
    (["--epochs", "1\0"], ["--epochs", "whole number"]),
    (["--epochs", "1\n2"], ["--epochs", "whole number"]),
    (["--epochs", "\udcff"], ["--epochs", "whole number"]),
    (["--epochs", "1000000001"], ["--epochs", "1,000,000,000"]),
    (["--epochs", "1", "--epochs", "0"], ["--epochs", "'0'"]),
    (["--epochs"], ["--epochs"]),
    (["--epochs="], ["--epochs"]),
    (["--max-steps", "0"], ["--max-steps"]),
    (["--max-steps", "1000000000001"], ["--max-steps"]),
    (["--batch-size", "0"], ["--batch-size", "from 2"]),
    (["--batch-size", "1"], ["--batch-size", "from 2"]),
    (["--batch-size", "1000001"], ["--batch-size"]),
    (["--batch-size", "201"], ["--train-samples", "--batch-size"]),
    (["--train-samples", "31"], ["--train-samples", "--batch-size"]),
    (["--train-samples", "0"], ["--train-samples"]),
    (["--train-samples", "all"], ["--train-samples"]),
    (["--validation-samples", "0"], ["--validation-samples"]),
    (["--validation-samples", "-5"], ["--validation-samples"]),
    (["--lr", "0"], ["--lr", "from 1e-12"]),
    (["--lr", "-0.1"], ["--lr"]),
    (["--lr", "-1e-3"], ["--lr"]),
    (["--lr=-1e-3"], ["--lr", "from 1e-12"]),
    (["--lr", "nan"], ["--lr", "'nan'"]),
    (["--lr", "inf"], ["--lr", "'inf'"]),
    (["--lr", "1e999"], ["--lr", "'1e999'"]),
    (["--lr", "1e-999"], ["--lr", "'1e-999'"]),
    (["--lr", "0,01"], ["--lr", "'0,01'"]),
    (["--lr", "fast"], ["--lr", "'fast'"]),
    (["--lr", "١.٥"], ["--lr"]),
    (["--lr", ""], ["--lr"]),
    (["--seed", "-1"], ["--seed"]),
    (["--seed", "9223372036854775808"], ["--seed"]),
    (["--seed", "1.0"], ["--seed"]),
    (["--hidden", ""], ["--hidden", "32,32"]),
    (["--hidden", "0"], ["--hidden"]),
    (["--hidden", "32,,32"], ["--hidden"]),
    (["--hidden", "32,-1"], ["--hidden"]),
    (["--hidden", "32;32"], ["--hidden"]),
    (["--hidden", "３２"], ["--hidden"]),
    (["--hidden", "65537"], ["--hidden", "65,536"]),
    (["--hidden", "65536,65536"], ["--hidden", "1,000,000,000"]),
    (["--hidden", ",".join(["1"] * 257)], ["--hidden", "256"]),
    (["--hidden", "9" * 5_000], ["--hidden", "layer widths"]),
    (["--activation", "swish"], ["--activation", "relu"]),
    (["--activation", "leaky_relu"], ["--activation", "did you mean leaky-relu?"]),
    (["--activation", ""], ["--activation"]),
    (["--init", "orthogonal"], ["--init", "xavier"]),
    (["--init", "normal"], ["--init", "normal:STD"]),
    (["--init", "normal:"], ["--init"]),
    (["--init", "normal:0"], ["--init", "above 0"]),
    (["--init", "normal:-1"], ["--init"]),
    (["--init", "normal:nan"], ["--init"]),
    (["--init", "normal:1:2"], ["--init"]),
    (["--optimizer", "lion"], ["--optimizer", "adam"]),
    (["--optimizer", "sgd:"], ["--optimizer", "MOMENTUM"]),
    (["--optimizer", "sgd:1"], ["--optimizer"]),
    (["--optimizer", "sgd:-0.5"], ["--optimizer"]),
    (["--optimizer", "sgd:nan"], ["--optimizer"]),
    (["--optimizer", "adam:0.9"], ["--optimizer"]),
    (["--dropout", "1"], ["--dropout"]),
    (["--dropout", "-0.1"], ["--dropout"]),
    (["--dropout", "nan"], ["--dropout"]),
    (["--dropout", "50%"], ["--dropout", "'50%'"]),
    (["--bn-momentum", "1.1"], ["--bn-momentum", "cumulative"]),
    (["--bn-momentum", "-0.1"], ["--bn-momentum"]),
    (["--bn-momentum", "None"], ["--bn-momentum"]),
    (["--bn-eps", "0"], ["--bn-eps"]),
    (["--bn-eps", "-1e-5"], ["--bn-eps"]),
    (["--bn-eps", "inf"], ["--bn-eps"]),
    (["--weights", "shared"], ["--weights", "paired"]),
    (["--threads", "0"], ["--threads"]),
    (["--threads", "1025"], ["--threads"]),
    (["--threads", "auto"], ["--threads"]),
    (["--data", "cifar10"], ["--data", "mnist"]),
    (["--data", "fashion"], ["--data", "did you mean fashion-mnist?"]),
    (["--data", "MNIST"], ["--data", "mnist"]),
    (["--data", ""], ["--data"]),
    (["--data-dir", ""], ["--data-dir"]),
    (["--data-dir", "a\0b"], ["--data-dir"]),
    (["--preset", "labb"], ["--preset", "did you mean lab?"]),
    (["--preset", "nothing"], ["--preset", "lab"]),
    (["--preset", ""], ["--preset"]),
    (["--preset"], ["--preset"]),
    (["--preset", "lab", "--lr", "0"], ["--lr"]),
    (["--export", ""], ["--export"]),
    (["--export", "a\0b"], ["--export"]),
    (["--export"], ["--export"]),
    (["--run-dir", ""], ["--run-dir"]),
    (["--run-dir", "a\0b"], ["--run-dir"]),
    (["--replay-interventions", ""], ["--replay-interventions"]),
    (["--replay-interventions", "a\0b"], ["--replay-interventions"]),
    (["--headless=yes"], ["--headless"]),
    (["--epoch", "1"], ["--epoch"]),
    (["--learning-rate", "0.1"], ["--learning-rate"]),
    (["--no-such-option"], ["--no-such-option", "--help"]),
    (["--nosuch"], ["--nosuch", "see bntui --help"]),
    (["--ephocs", "3"], ["--ephocs", "did you mean --epochs?"]),
    (["-x"], ["-x"]),
    (["mnist"], ["mnist", "--help"]),
    (["--quiet", "--epochs", "0"], ["--epochs"]),
    (["--device", "gpu"], ["--device", "cuda"]),
    (["--device", "CPU"], ["--device", "cpu"]),
    (["--device", ""], ["--device"]),
    (["--device", "cuda:"], ["--device", "cuda:N"]),
    (["--device", "cuda:-1"], ["--device"]),
    (["--device", "cuda:1.5"], ["--device"]),
    (["--device", "cuda:１"], ["--device"]),
    (["--device", "cuda:128"], ["--device"]),
    (["--device", "cuda:" + "9" * 5_000], ["--device", "one of"]),
    (["--device", "mps:0"], ["--device"]),
]


def _name(arguments: Sequence[str]) -> str:
    return ascii(" ".join(arguments))[1:-1][:40]


def _names(rows: Sequence[tuple[list[str], Any]] | Sequence[tuple[list[str], int, Any]]) -> list[str]:
    return [_name(row[0]) for row in rows]


@pytest.mark.parametrize(("arguments", "words"), OPTIONS, ids=[_name(row[0]) for row in OPTIONS])
def test_option(box: Box, arguments: list[str], words: list[str]) -> None:
    line = refuse(box, [*SMALL, *arguments], USAGE, *words)
    assert "Exceeds the limit" not in line, "Python's advice about its own limits helps nobody"


@pytest.mark.parametrize(
    "arguments",
    [["--data", "m" * 100_000], ["--" + "x" * 100_000], ["y" * 100_000], ["--device", "cuda:" + "0" * 100_000]],
    ids=_name,
)
def test_very_long_argument_does_not_flood_the_terminal(box: Box, arguments: list[str]) -> None:
    assert len(refuse(box, [*SMALL, *arguments], USAGE)) < 1_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lr", "1e300"],
        ["--lr", "1e300", "--optimizer", "sgd"],
        ["--lr", "1e39", "--optimizer", "sgd:0.9"],
        ["--lr", "1e-320"],
        ["--bn-eps", "1e300"],
        ["--bn-eps", "1e-300"],
        ["--init", "normal:1e300"],
        ["--init", "normal:1e-320"],
        ["--dropout", "0.9999999999999999"],
        ["--bn-momentum", "1e-300"],
        ["--optimizer", "sgd:0.99999999999999"],
        ["--epochs", "1000000000", "--max-steps", "1"],
    ],
    ids=_name,
)
def test_extreme_value_is_refused_or_runs(box: Box, arguments: list[str]) -> None:
    """A number beyond what the tensors can hold may diverge or be refused; the program itself must not fail."""
    outcome = box.run(*SMALL, "--quiet", *arguments)
    if outcome.code == 0:
        assert outcome.err == ""
    else:
        assert_refused(outcome, USAGE, arguments[0])
        assert list(box.work.iterdir()) == []


# The configuration file

CONFIGS: list[tuple[str, str | bytes, list[str]]] = [
    ("not-toml", "epochs: 10\n", ["not a TOML file"]),
    ("cut-short", "epochs = ", ["not a TOML file"]),
    ("json", '{"epochs": 10}', ["not a TOML file"]),
    ("twice", "epochs = 1\nepochs = 2\n", ["not a TOML file"]),
    ("binary", bytes(range(256)), ["not a TOML file"]),
    ("utf-16", "epochs = 1\n".encode("utf-16"), ["not a TOML file"]),
    ("nul", "epochs = 1\0\n", ["not a TOML file"]),
    ("deep", "hidden = " + "[" * 10_000, ["not a TOML file"]),
    ("long-integer", "epochs = " + "1" * 5_000, ["bad.toml"]),
    ("too-large", "# " + "x" * (1 << 20), ["16 KiB"]),
    ("unknown-key", "epoch = 1\n", ["'epoch'", "did you mean epochs?"]),
    ("unknown-dashed", "batchsize = 32\n", ["'batchsize'", "did you mean batch-size?"]),
    ("unknown-no-idea", "zzz = 1\n", ["'zzz'"]),
    ("empty-key", '"" = 1\n', ["''"]),
    ("key-of-two-lines", '"a\\nb" = 1\n', ["no option"]),
    ("config-in-config", 'config = "other.toml"\n', ["'config'"]),
    ("table", "[training]\nepochs = 1\n", ["'training'"]),
    ("table-for-value", "[epochs]\nvalue = 1\n", ["epochs", "table"]),
    ("inline-table", "lr = {value = 0.1}\n", ["lr", "table"]),
    ("text", 'epochs = "ten"\n', ["epochs", "'ten'"]),
    ("empty-text", 'epochs = ""\n', ["epochs"]),
    ("float", "epochs = 1.5\n", ["epochs", "whole number"]),
    ("zero", "epochs = 0\n", ["epochs", "'0'"]),
    ("truth-for-number", "epochs = true\n", ["epochs"]),
    ("number-for-truth", "quiet = 1\n", ["quiet"]),
    ("date", "seed = 2024-01-01\n", ["seed"]),
    ("list-for-number", "max-steps = [5]\n", ["max-steps"]),
    ("two-numbers", "lr = [0.1, 0.2]\n", ["lr"]),
    ("truth-for-path", "export = true\n", ["export"]),
    ("number-for-path", "export = 5\n", ["export"]),
    ("list-for-path", 'export = ["a", "b"]\n', ["export"]),
    ("nan", "lr = nan\n", ["lr"]),
    ("infinity", "bn-eps = inf\n", ["bn-eps"]),
    ("no-layers", "hidden = []\n", ["hidden"]),
    ("nested-layers", "hidden = [[32], [32]]\n", ["hidden"]),
    ("layers-of-text", 'hidden = ["wide"]\n', ["hidden"]),
    ("preset", 'preset = "labb"\n', ["preset", "did you mean lab?"]),
    ("preset-list", 'preset = "list"\n', ["preset"]),
    ("device", 'device = "gpu"\n', ["device"]),
    ("nul-in-path", 'replay-interventions = "a\\u0000b"\n', ["replay-interventions"]),
    ("one-batch", "batch-size = 201\n", ["batch-size"]),
]


@pytest.mark.parametrize(("contents", "words"), [row[1:] for row in CONFIGS], ids=[row[0] for row in CONFIGS])
def test_config_file(box: Box, contents: str | bytes, words: list[str]) -> None:
    file = box.work / "bad.toml"
    file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    # Without --epochs, which would be taken from the command line.
    refuse(box, [*SMALL[:-2], "--config", "bad.toml"], USAGE, *words)


PLACES: list[tuple[str, str, Make]] = [
    ("missing", "bad", lambda path: None),
    ("folder", "bad", Path.mkdir),
    ("below-a-file", "file/bad", lambda path: path.parent.write_text("")),
    ("dangling-link", "bad", lambda path: path.symlink_to("nowhere")),
    ("link-loop", "bad", lambda path: path.symlink_to("bad")),
    ("too-long", "bad" * 100, lambda path: None),
    ("unreadable", "/proc/self/mem", lambda path: None),
    ("endless-folder", "bad/" * 2_000, lambda path: None),
]
"""Places where no file can be read: id, path, what puts it there."""


@pytest.mark.parametrize("option", ["--config", "--replay-interventions"])
@pytest.mark.parametrize(("path", "make"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_file_that_is_not_there(box: Box, option: str, path: str, make: Make) -> None:
    make(box.work / path)
    refuse(box, [*SMALL, option, path], USAGE, option, path.rstrip("/")[:100])


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_config_file_without_a_usable_name(box: Box, path: str) -> None:
    line = refuse(box, [*SMALL, "--config", path], USAGE, "--config")
    assert "Is a directory" not in line, "an empty name is not a folder"


# Recorded interventions


def results(**changes: object) -> str:
    row = {"step": 1, "epoch": 1, "action": "learning_rate", "from": 0.01, "to": 0.1}
    return json.dumps({"schema": "bntui.results/2", "interventions": [row | changes]})


REPLAYS: list[tuple[str, str | bytes, list[str]]] = [
    ("empty", "", ["not a JSON file"]),
    ("not-json", "step,action\n", ["not a JSON file"]),
    ("cut-short", results()[:-5], ["not a JSON file"]),
    ("binary", bytes(range(256)), ["not a JSON file"]),
    ("deep", "[" * 100_000, ["not a JSON file"]),
    ("long-integer", '{"step": ' + "1" * 5_000 + "}", ["not a JSON file"]),
    ("number", "5", ["not a results file"]),
    ("list", "[]", ["not a results file"]),
    ("empty-object", "{}", ["not a results file"]),
    ("no-schema", '{"interventions": []}', ["not a results file"]),
    ("other-schema", '{"schema": "other/1", "interventions": []}', ["not a results file"]),
    ("later-schema", '{"schema": "bntui.results/3", "interventions": []}', ["bad.json"]),
    ("schema-is-a-number", '{"schema": 1, "interventions": []}', ["not a results file"]),
    ("no-interventions", '{"schema": "bntui.results/2"}', ["not a results file"]),
    ("interventions-are-none", '{"schema": "bntui.results/2", "interventions": null}', ["not a results file"]),
    ("row-is-a-number", '{"schema": "bntui.results/2", "interventions": [1]}', ["intervention 1", "damaged"]),
    ("row-is-a-text", '{"schema": "bntui.results/2", "interventions": ["stop"]}', ["intervention 1", "damaged"]),
    ("row-is-empty", '{"schema": "bntui.results/2", "interventions": [{}]}', ["intervention 1", "damaged"]),
    ("step-is-a-text", results(step="1"), ["intervention 1", "damaged"]),
    ("step-is-negative", results(step=-1), ["intervention 1", "damaged"]),
    ("step-is-a-fraction", results(step=1.5), ["intervention 1", "damaged"]),
    ("step-is-a-truth", results(step=True), ["intervention 1", "damaged"]),
    ("step-is-none", results(step=None), ["intervention 1", "damaged"]),
    ("action-unknown", results(action="explode"), ["intervention 1", "damaged"]),
    ("action-is-a-list", results(action=["bn"]), ["intervention 1", "damaged"]),
    ("lr-is-a-text", results(to="0.1"), ["intervention 1", "damaged"]),
    ("lr-is-none", results(to=None), ["intervention 1", "damaged"]),
    ("lr-is-a-truth", results(to=True), ["intervention 1", "damaged"]),
    ("lr-is-nan", results(to=float("nan")), ["intervention 1", "damaged"]),
    ("lr-is-infinite", results(to=float("inf")), ["intervention 1", "damaged"]),
    ("lr-is-too-long", results(to=10**400), ["intervention 1", "damaged"]),
    ("lr-is-zero", results(to=0), ["intervention 1", "damaged"]),
    ("lr-is-negative", results(to=-0.1), ["intervention 1", "damaged"]),
    ("lr-is-huge", results(to=1e9), ["intervention 1", "damaged"]),
    ("bn-is-a-number", results(action="bn", to=1), ["intervention 1", "damaged"]),
    ("freeze-is-none", results(action="freeze", to=None), ["intervention 1", "damaged"]),
]


@pytest.mark.parametrize(("contents", "words"), [row[1:] for row in REPLAYS], ids=[row[0] for row in REPLAYS])
def test_replay_file(box: Box, contents: str | bytes, words: list[str]) -> None:
    file = box.work / "bad.json"
    file.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    refuse(box, [*SMALL, "--replay-interventions", "bad.json"], USAGE, "--replay-interventions bad.json", *words)


def test_second_intervention_is_named_by_its_number(box: Box) -> None:
    good = json.loads(results())
    good["interventions"].append({"step": 2})
    (box.work / "bad.json").write_text(json.dumps(good))
    refuse(box, [*SMALL, "--replay-interventions", "bad.json"], USAGE, "intervention 2 is damaged")


def test_replay_of_a_folder_without_results(box: Box) -> None:
    """The folder is there: what is missing is the file in it."""
    (box.work / "empty").mkdir()
    refuse(box, [*SMALL, "--replay-interventions", "empty"], USAGE, "empty", "results.json")


def test_replay_of_a_file_too_large_for_results(box: Box) -> None:
    with (box.work / "big.json").open("wb") as file:
        file.truncate(300 << 20)
    refuse(box, [*SMALL, "--replay-interventions", "big.json"], USAGE, "big.json", "64 MiB")


def test_replay_of_an_endless_device(box: Box) -> None:
    """A device has no size to look at first; reading must stop at the limit all the same."""
    outcome = box.spawn(*SMALL, "--replay-interventions", "/dev/zero", first="ulimit -v 1000000", seconds=30)
    assert_refused(outcome, USAGE, "--replay-interventions /dev/zero")
    assert list(box.work.iterdir()) == []


# Data files

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
SAMPLES = 40


def idx(shape: Sequence[int], values: bytes, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + values


def images(count: int = SAMPLES, side: int = 28) -> bytes:
    return idx((count, side, side), bytes(i * 7 % 251 for i in range(side * side)) * count)


def labels(count: int = SAMPLES) -> bytes:
    return idx((count,), bytes(i % 10 for i in range(count)))


def write_data(folder: Path) -> None:
    """Write a data set of 40 and 40 samples."""
    folder.mkdir(parents=True)
    for name in (TRAIN_IMAGES, TEST_IMAGES):
        (folder / name).write_bytes(images())
    for name in (TRAIN_LABELS, TEST_LABELS):
        (folder / name).write_bytes(labels())


def put(contents: bytes) -> Make:
    return lambda path: path.write_bytes(contents)


def put_gz(contents: bytes) -> Make:
    """Put packed contents in the place of the plain file."""

    def make(path: Path) -> None:
        path.unlink()
        path.with_name(path.name + ".gz").write_bytes(contents)

    return make


def link(target: str) -> Make:
    def make(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return make


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


PACKED = gzip.compress(images(), mtime=0)
FLIPPED = PACKED[:100] + bytes(b ^ 0xFF for b in PACKED[100:140]) + PACKED[140:]
HTML = b"<!DOCTYPE html><title>Log in to this network</title>"

DAMAGES: list[tuple[str, str, Make, list[str]]] = [
    ("images-missing", TRAIN_IMAGES, Path.unlink, ["--data-dir", "missing"]),
    ("labels-missing", TRAIN_LABELS, Path.unlink, ["--data-dir", "missing"]),
    ("validation-missing", TEST_LABELS, Path.unlink, ["--data-dir", "missing"]),
    ("empty", TRAIN_IMAGES, put(b""), ["empty", "get it again"]),
    ("header-cut-short", TRAIN_IMAGES, put(images()[:10]), ["IDX"]),
    ("magic-cut-short", TRAIN_LABELS, put(b"\0\0"), ["IDX"]),
    ("values-missing", TRAIN_IMAGES, put(images()[:16]), ["cut short"]),
    ("cut-short", TRAIN_IMAGES, put(images()[:-1]), ["cut short", "get it again"]),
    ("labels-cut-short", TRAIN_LABELS, put(labels()[:-1]), ["cut short", "get it again"]),
    ("trailing-byte", TRAIN_IMAGES, put(images() + b"\0"), ["goes on", "get it again"]),
    ("trailing-labels", TEST_LABELS, put(labels() + bytes(10)), ["goes on"]),
    ("web-page", TRAIN_IMAGES, put(HTML), ["not an IDX file"]),
    ("text", TRAIN_LABELS, put(b"5\n0\n4\n"), ["not an IDX file"]),
    ("floats", TRAIN_IMAGES, put(idx((1, 28, 28), bytes(784 * 4), 13)), ["not an IDX file"]),
    ("labels-for-images", TRAIN_IMAGES, put(labels()), ["not an IDX file"]),
    ("images-for-labels", TRAIN_LABELS, put(images()), ["not an IDX file"]),
    ("little-endian", TRAIN_LABELS, put(labels()[3::-1] + labels()[4:]), ["not an IDX file"]),
    ("wrong-size", TRAIN_IMAGES, put(images(side=32)), ["32×32", "28×28"]),
    ("no-samples", TRAIN_IMAGES, put(images(0)), ["header"]),
    ("no-labels", TRAIN_LABELS, put(labels(0)), ["header"]),
    ("no-width", TRAIN_IMAGES, put(idx((40, 28, 0), b"")), ["28"]),
    ("too-many-samples", TRAIN_IMAGES, put(idx((0xFFFFFFFF, 28, 28), b"")), ["header"]),
    ("too-many-pixels", TRAIN_IMAGES, put(idx((40, 0xFFFFFFFF, 0xFFFFFFFF), b"")), ["4294967295"]),
    ("empty-promise", TRAIN_IMAGES, put(idx((10_000_000, 28, 28), bytes(784))), ["cut short"]),
    ("label-ten", TRAIN_LABELS, put(labels()[:-1] + b"\x0a"), ["label 10", "sample 39"]),
    ("label-255", TEST_LABELS, put(labels()[:-1] + b"\xff"), ["label 255"]),
    ("fewer-labels", TRAIN_LABELS, put(labels(39)), ["40 images", "39 labels"]),
    ("more-labels", TEST_LABELS, put(labels(41)), ["40 images", "41 labels"]),
    ("folder", TRAIN_IMAGES, folder_instead, ["is not a file"]),
    ("dangling-link", TRAIN_IMAGES, link("nowhere"), ["missing"]),
    ("link-loop", TRAIN_IMAGES, link(TRAIN_IMAGES), ["missing"]),
    ("null-device", TRAIN_IMAGES, link("/dev/null"), ["is not a file"]),
    ("zero-device", TRAIN_IMAGES, link("/dev/zero"), ["is not a file"]),
    ("unreadable", TRAIN_IMAGES, link("/proc/self/mem"), ["can't be read"]),
    ("gz-empty", TRAIN_IMAGES, put_gz(b""), ["empty"]),
    ("gz-of-nothing", TRAIN_IMAGES, put_gz(gzip.compress(b"")), ["empty"]),
    ("gz-is-plain", TRAIN_IMAGES, put_gz(images()), ["gz", "get it again"]),
    ("gz-is-zip", TRAIN_IMAGES, put_gz(b"PK\x03\x04" + bytes(40)), ["gz", "get it again"]),
    ("gz-is-web-page", TRAIN_LABELS, put_gz(HTML), ["gz", "get it again"]),
    ("gz-cut-short", TRAIN_IMAGES, put_gz(PACKED[:-20]), ["cut short", "get it again"]),
    ("gz-only-begun", TRAIN_IMAGES, put_gz(PACKED[:5]), ["cut short", "get it again"]),
    ("gz-flipped-bits", TRAIN_IMAGES, put_gz(FLIPPED), ["get it again"]),
    ("gz-wrong-sum", TRAIN_IMAGES, put_gz(PACKED[:-8] + bytes(4) + PACKED[-4:]), ["get it again"]),
    ("gz-wrong-length", TRAIN_IMAGES, put_gz(PACKED[:-4] + bytes(4)), ["get it again"]),
    ("gz-trailing-bytes", TRAIN_IMAGES, put_gz(PACKED + b"more"), ["get it again"]),
    ("gz-endless-name", TRAIN_IMAGES, put_gz(PACKED[:3] + b"\x08" + PACKED[4:10] + b"n" * 99_999), ["get it again"]),
    ("gz-unknown-method", TRAIN_IMAGES, put_gz(b"\x1f\x8b\x09" + PACKED[3:]), ["get it again"]),
    ("gz-of-empty-promise", TRAIN_IMAGES, put_gz(gzip.compress(idx((9_999_999, 28, 28), b"\0"))), ["cut short"]),
    ("gz-goes-on", TRAIN_IMAGES, put_gz(gzip.compress(images() + bytes(1 << 20))), ["goes on"]),
    ("gz-cut-inside", TRAIN_LABELS, put_gz(gzip.compress(labels()[:-1])), ["cut short"]),
]


@pytest.mark.parametrize("layout", ["files", "torchvision"])
@pytest.mark.parametrize(("name", "damage", "words"), [row[1:] for row in DAMAGES], ids=[row[0] for row in DAMAGES])
def test_data_file(box: Box, name: str, damage: Make, words: list[str], layout: str) -> None:
    folder = box.work / "data" if layout == "files" else box.work / "data" / "FashionMNIST" / "raw"
    write_data(folder)
    damage(folder / name)
    if layout == "torchvision" and "missing" in words:
        # Missing files might be downloaded there, and the line may be about that: only the name counts.
        words = []
    refuse(box, ["--headless", "--data", "fashion-mnist", "--data-dir", "data"], DATA, name, *words)


def test_data_files_are_damaged_and_no_data_set_was_named(box: Box) -> None:
    """Generated digits stand in for MNIST only where nothing at all was said about the data."""
    write_data(box.work / "data")
    (box.work / "data" / TRAIN_LABELS).write_bytes(b"")
    refuse(box, ["--headless", "--data-dir", "data"], DATA, TRAIN_LABELS)


@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_damaged_cache(box: Box, place: str) -> None:
    """Without --data-dir the line must not speak of that option's value."""
    import platformdirs

    folder = platformdirs.user_cache_path("bntui") / "data" / place
    assert folder.is_relative_to(box.home)
    write_data(folder)
    (folder / TRAIN_LABELS).unlink()
    line = refuse(box, ["--headless", "--data", "mnist"], DATA, TRAIN_LABELS)
    assert "None" not in line


FOLDERS: list[tuple[str, str, Make]] = [
    ("missing", "bad", lambda path: None),
    ("file", "bad", lambda path: path.write_text("")),
    ("below-a-file", "file/bad", lambda path: path.parent.write_text("")),
    ("dangling-link", "bad", lambda path: path.symlink_to("nowhere")),
    ("link-loop", "bad", lambda path: path.symlink_to("bad")),
    ("fifo", "bad", os.mkfifo),
    ("too-long", "bad" * 100, lambda path: None),
    ("unknown-user", "~no-such-user/bad", lambda path: None),
    ("empty", "bad", Path.mkdir),
    ("device", "/dev/null", lambda path: None),
]


@pytest.mark.parametrize(("path", "make"), [row[1:] for row in FOLDERS], ids=[row[0] for row in FOLDERS])
def test_data_folder(box: Box, path: str, make: Make) -> None:
    make(box.work / path)
    refuse(box, ["--headless", "--data", "kmnist", "--data-dir", path], DATA, "--data-dir")


TOO_MANY: list[tuple[list[str], list[str]]] = [
    (["--train-samples", "41"], ["--train-samples 41", "40", "fewer"]),
    (["--validation-samples", "41"], ["--validation-samples 41", "40", "fewer"]),
    (["--batch-size", "41"], ["--batch-size 41", "40"]),
    (["--batch-size", "41", "--train-samples", "41"], ["--train-samples 41", "40"]),
]


@pytest.mark.parametrize(("arguments", "words"), TOO_MANY, ids=[_name(row[0]) for row in TOO_MANY])
def test_more_samples_than_there_are(box: Box, arguments: list[str], words: list[str]) -> None:
    write_data(box.work / "data")
    refuse(box, ["--headless", "--data", "kmnist", "--data-dir", "data", *arguments], USAGE, *words)


def little_memory() -> str:
    """Return the shell line that leaves enough memory for torch to load, and no more than 2 GB beyond."""
    import torch

    if torch.version.cuda is not None:
        pytest.skip("torch with CUDA does not load in so little memory")
    return "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; ulimit -v 2500000"


def test_header_that_promises_images_of_another_size_is_not_believed(box: Box) -> None:
    """A file of 16 GB that takes no room: its size in pixels is wrong, so none of it need be read."""
    write_data(box.work / "data")
    with (box.work / "data" / TRAIN_IMAGES).open("wb") as file:
        file.write(idx((1_000, 4_096, 4_096), b""))
        file.truncate(16 + 1_000 * 4_096 * 4_096)
    outcome = box.spawn("--headless", "--data", "mnist", "--data-dir", "data", first=little_memory())
    assert_refused(outcome, DATA, TRAIN_IMAGES, "28×28")


# Downloads, with a stand-in for torchvision


def fake_torchvision(monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    module = types.ModuleType("torchvision")
    kind = types.SimpleNamespace(mirrors=[mirror], resources=[(TRAIN_IMAGES + ".gz", "0" * 32)])
    module.__dict__["datasets"] = types.SimpleNamespace(KMNIST=kind)
    monkeypatch.setitem(sys.modules, "torchvision", module)


DOWNLOAD = ["--headless", "--data", "kmnist", "--data-dir", "data"]


@pytest.mark.parametrize(
    "message", ["operator torchvision::nms does not exist", "two\nlines", ""], ids=["one-line", "two-lines", "empty"]
)
def test_torchvision_that_does_not_work(box: Box, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            raise RuntimeError(message)

    (box.work / "data").mkdir()
    monkeypatch.setitem(sys.modules, "torchvision", Broken("torchvision"))
    refuse(box, DOWNLOAD, DATA, "kmnist", "torchvision", "pip install")


def test_download_without_a_mirror_that_answers(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    (box.work / "data").mkdir()
    with socket.socket() as silent:
        # Bound but not listening: nobody answers there, and nobody else can take the port.
        silent.bind(("127.0.0.1", 0))
        fake_torchvision(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        refuse(box, DOWNLOAD, DATA, "kmnist", "check the network", "--data-dir")


# Devices and memory


def _has(device: str) -> bool:
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:99", "cuda:127", "mps"])
def test_device_that_is_not_there(box: Box, device: str) -> None:
    if _has(device.partition(":")[0]) and device in ("cuda", "cuda:0", "mps"):
        pytest.skip(f"{device} is there")
    refuse(box, [*SMALL, "--export", "out.json", "--device", device], DEVICE, f"--device {device}")


@pytest.mark.parametrize(
    "arguments", [["--hidden", "65536,14000"], ["--train-samples", "1000000000"]], ids=["network", "data"]
)
def test_out_of_memory(box: Box, arguments: list[str]) -> None:
    outcome = box.spawn(*SMALL, "--device", "cpu", *arguments, first=little_memory())
    assert_refused(outcome, DEVICE, "out of memory", "try")
    assert list(box.work.iterdir()) == []


# Where results go, seen before training

EXPORTS: list[tuple[str, str, Make, list[str]]] = [
    ("missing-folder", "missing/out.json", lambda path: None, ["does not exist", "make it first"]),
    ("folder", "out.json", Path.mkdir, ["is a folder", "name a file"]),
    ("current-folder", ".", lambda path: None, ["is a folder"]),
    ("root", "/", lambda path: None, ["is a folder"]),
    ("proc", "/proc/out.json", lambda path: None, ["can't be written"]),
    ("sys", "/sys/out.json", lambda path: None, ["can't be written"]),
    ("below-a-file", "file/out.json", lambda path: path.parent.write_text(""), ["folder"]),
    ("below-a-device", "/dev/null/out.json", lambda path: None, ["folder"]),
    ("link-loop", "out.json", lambda path: path.symlink_to("out.json"), []),
    ("link-into-nowhere", "out.json", lambda path: path.symlink_to("missing/out.json"), ["does not exist"]),
    ("too-long", "o" * 300, lambda path: None, ["too long"]),
]


@pytest.mark.parametrize(("path", "make", "words"), [row[1:] for row in EXPORTS], ids=[row[0] for row in EXPORTS])
def test_export(box: Box, path: str, make: Make, words: list[str]) -> None:
    make(box.work / path)
    line = refuse(box, [*SMALL, "--export", path], OUTPUT, "--export", *words)
    if "file/" in path or "null/" in path:
        assert "make it first" not in line, "what stands there can't be made a folder"


RUN_DIRS: list[tuple[str, str, Make, int, list[str]]] = [
    ("file", "bad", lambda path: path.write_text(""), USAGE, ["not a folder"]),
    ("fifo", "bad", os.mkfifo, USAGE, ["not a folder"]),
    ("device", "/dev/null", lambda path: None, USAGE, ["not a folder"]),
    ("below-a-file", "file/bad", lambda path: path.parent.write_text(""), OUTPUT, ["folder"]),
    ("deep-below-a-file", "file/a/b/bad", lambda path: path.parents[2].write_text(""), OUTPUT, ["folder"]),
    ("proc", "/proc/bad", lambda path: None, OUTPUT, ["can't be"]),
    ("sys", "/sys/bad", lambda path: None, OUTPUT, ["can't be"]),
    ("deep-in-proc", "/proc/a/b/bad", lambda path: None, OUTPUT, ["can't be"]),
    ("too-long", "b" * 300, lambda path: None, OUTPUT, ["too long"]),
    ("dangling-link", "bad", lambda path: path.symlink_to("nowhere"), OUTPUT, []),
    ("link-loop", "bad", lambda path: path.symlink_to("bad"), OUTPUT, []),
]


@pytest.mark.parametrize(
    ("path", "make", "code", "words"), [row[1:] for row in RUN_DIRS], ids=[row[0] for row in RUN_DIRS]
)
def test_run_dir(box: Box, path: str, make: Make, code: int, words: list[str]) -> None:
    """An export that was asked for as well must not be left as a run without a step."""
    make(box.work / path)
    line = refuse(box, [*SMALL, "--export", "out.json", "--run-dir", path], code, "--run-dir", *words)
    if "file/" in path:
        assert "make it first" not in line, "what stands there can't be made a folder"


@pytest.mark.parametrize("name", ["config.json", "journal.jsonl", "results.json"])
def test_run_dir_that_holds_a_run(box: Box, name: str) -> None:
    (box.work / "run").mkdir()
    (box.work / "run" / name).write_text("{}")
    refuse(box, SMALL, USAGE, "--run-dir run", "already holds a run", "another folder")


def test_run_dir_on_a_full_disk(box: Box) -> None:
    """The folder can be made and no file in it can be written: neither it nor an export is left."""
    with file_size_limit(0):
        refuse(box, [*SMALL, "--export", "out.json"], OUTPUT, "--run-dir run", "name another")


# Where results go, seen only after training


def results_in(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert loaded["status"] == "completed"
    return loaded


def test_failed_export_keeps_the_results_in_the_run_folder(box: Box) -> None:
    outcome = box.run(*SMALL, "--quiet", "--export", "/dev/full")
    assert_refused(outcome, OUTPUT, "/dev/full", "No space left", "run/results.json")
    assert results_in(box.work / "run")["epochs"]


def test_failed_export_says_where_results_of_a_default_folder_lie(box: Box) -> None:
    outcome = box.run(*WITHOUT_FOLDER, "--quiet", "--export", "/dev/full")
    line = assert_refused(outcome, OUTPUT, "the results lie in")
    kept = Path(line.partition("the results lie in ")[2])
    assert kept.is_relative_to(box.home)
    assert results_in(kept.parent)["epochs"]


def test_results_to_a_stdout_that_is_closed(box: Box) -> None:
    """Seen before training: nobody waits for results that can't be written."""
    outcome = box.spawn(*SMALL, "--quiet", "--export", "-", first="exec >&-")
    assert_refused(outcome, OUTPUT, "--export -", "stdout is closed")
    assert list(box.work.iterdir()) == []


def test_results_to_a_stdout_that_takes_nothing(box: Box) -> None:
    with open("/dev/full", "wb") as full:
        outcome = box.spawn(*SMALL, "--quiet", "--export", "-", stdout=full)
    assert_refused(outcome, OUTPUT, "--export -", "stdout", "run/results.json")
    assert results_in(box.work / "run")["epochs"]


@pytest.mark.parametrize("limit", [0, 64, 3_000])
def test_good_export_survives_a_failed_one(box: Box, limit: int) -> None:
    """Neither the run folder nor the export can be written whole; the older file is left as it was."""
    good = box.work / "out.json"
    good.write_text('{"good": true}\n')
    with file_size_limit(limit):
        outcome = box.run(*WITHOUT_FOLDER, "--quiet", "--export", "out.json")
    lines = outcome.err.splitlines()
    assert outcome.code == OUTPUT
    assert outcome.out == ""
    assert [line for line in lines if line.startswith("bntui: error: ")] == lines[-1:]
    assert all(line.startswith("bntui: ") for line in lines), outcome.err
    assert "out.json: could not be written (File too large)" in lines[-1]
    assert good.read_text() == '{"good": true}\n'
    assert sorted(p.name for p in box.work.iterdir()) == ["out.json"]
    assert not list(box.home.rglob("*.tmp")), "no half of a file is left"
    assert not list(box.home.rglob("results.json"))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "over-a-good-one"])
def test_export_onto_a_full_disk(box: Box, existing: bool) -> None:
    """A real full disk takes the empty file and fails only when it gets its contents."""
    disk = box.work / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can't be mounted here")
    try:
        if existing:
            (disk / "out.json").write_text('{"good": true}\n')
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        outcome = box.run(*SMALL, "--quiet", "--export", "disk/out.json")
        assert_refused(outcome, OUTPUT, "disk/out.json", "No space left", "run/results.json")
        left = {p.name: p.read_text() for p in disk.iterdir() if p.name != "filler"}
        assert left == ({"out.json": '{"good": true}\n'} if existing else {})
    finally:
        subprocess.run(["umount", disk], check=True)
    assert results_in(box.work / "run")["epochs"]


# What only root may do


def closed(mode: int) -> Make:
    return lambda path: path.chmod(mode)


CLOSED: list[tuple[str, str, Make, list[str], int, list[str]]] = [
    ("config", "a/file", closed(0), ["--config", "a/file"], USAGE, ["--config a/file"]),
    ("config-folder", "a", closed(0), ["--config", "a/file"], USAGE, ["--config a/file"]),
    ("replay", "a/file", closed(0), ["--replay-interventions", "a/file"], USAGE, ["a/file"]),
    ("replay-folder", "a", closed(0), ["--replay-interventions", "a/file"], USAGE, ["a/file"]),
    ("replay-run-folder", "a", closed(0), ["--replay-interventions", "a"], USAGE, ["--replay-interventions a"]),
    ("data", f"data/{TRAIN_IMAGES}", closed(0), [], DATA, [TRAIN_IMAGES, "can't be read"]),
    ("data-folder", "data", closed(0), [], DATA, ["data"]),
    ("data-folder-not-searchable", "data", closed(0o444), [], DATA, ["data"]),
    ("data-inside", "a", closed(0), ["--data-dir", "a/data"], DATA, ["--data-dir a/data"]),
    ("export-folder", "a", closed(0o555), ["--export", "a/out.json"], OUTPUT, ["--export a/out.json"]),
    ("export-inside", "a", closed(0), ["--export", "a/out.json"], OUTPUT, ["--export a/out.json"]),
    ("export-over", "out.json", closed(0o444), ["--export", "out.json"], OUTPUT, ["--export out.json", "read-only"]),
    ("run-dir", "a", closed(0o555), ["--run-dir", "a/run"], OUTPUT, ["--run-dir a/run"]),
    ("run-dir-itself", "a", closed(0o555), ["--run-dir", "a"], OUTPUT, ["--run-dir a"]),
    ("run-dir-inside", "a", closed(0), ["--run-dir", "a/run"], OUTPUT, ["--run-dir a/run"]),
]


@pytest.mark.parametrize(
    ("path", "close", "arguments", "code", "words"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED]
)
def test_without_permission(
    open_box: Box, path: str, close: Make, arguments: list[str], code: int, words: list[str]
) -> None:
    work = open_box.work
    work.chmod(0o777)
    write_data(work / "data")
    (work / "a").mkdir()
    (work / "a" / "file").write_text("")
    (work / "out.json").write_text("{}")
    before = open_box.snapshot()
    close(work / path)
    base = ["--headless", "--data", "mnist", "--data-dir", "data", "--epochs", "1"]
    with without_privileges():
        outcome = open_box.run(*base, *arguments)
    (work / path).chmod(0o755)
    assert_refused(outcome, code, *words)
    assert open_box.snapshot() == before


# Homes


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null", "/sys"])
def test_home_that_can_not_be_written(box: Box, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run folder is made among the temporary files instead, and the export is written."""
    temporary = temporary_files(box, monkeypatch)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, place)
    outcome = box.run(*WITHOUT_FOLDER, "--export", "out.json")
    assert outcome.code == 0
    assert outcome.err == ""
    assert [p.name for p in temporary.iterdir()] == [re.search(r"run folder: .*/(.+)", outcome.out)[1]]  # type: ignore[index]
    assert json.loads((box.work / "out.json").read_text())["status"] == "completed"
    assert [p.name for p in box.work.iterdir()] == ["out.json"]


def temporary_files(box: Box, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = box.home.parent / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_home_that_can_not_be_written_and_no_export(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results lie among the temporary files; where even those can't be, nobody waits for them in vain."""
    temporary = temporary_files(box, monkeypatch)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/proc/nowhere")
    assert box.run(*WITHOUT_FOLDER).code == 0
    (folder,) = temporary.iterdir()
    assert results_in(folder)["epochs"]
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    line = refuse(box, WITHOUT_FOLDER, OUTPUT, "no run folder can be made", "--run-dir", "--export")
    assert line.count(";") == 1


def test_cache_that_can_not_be_written(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torchvision(monkeypatch, "http://mirror.invalid/")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/proc/nowhere")
    refuse(box, ["--headless", "--data", "kmnist"], DATA, "/proc/nowhere", "--data-dir")


def test_no_home_at_all(open_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOME, and for a user whom nobody knows, `~` must not become a folder's name."""
    if os.getuid() != 0:
        pytest.skip("only root can become a user without a home")
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
    open_box.work.chmod(0o777)
    with without_privileges():
        outcome = open_box.run(*WITHOUT_FOLDER, "--export", "out.json")
    assert outcome.code == 0
    assert len(outcome.err.splitlines()) <= 1
    assert [p.name for p in open_box.work.iterdir()] == ["out.json"]


def test_no_home_for_the_cache(open_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become a user without a home")
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
    open_box.work.chmod(0o777)
    with without_privileges():
        refuse(open_box, ["--headless", "--data", "mnist"], DATA, "--data-dir")


# Streams and names


def test_error_without_a_stderr(box: Box) -> None:
    """The line has nowhere to go: not to stdout either, and the code still tells."""
    outcome = box.spawn(*SMALL, "--epochs", "0", first="exec 2>&-")
    assert (outcome.code, outcome.out) == (USAGE, "")


def test_error_to_a_full_stderr(box: Box) -> None:
    with open("/dev/full", "wb") as full:
        outcome = box.spawn(*SMALL, "--epochs", "0", stderr=full)
    assert (outcome.code, outcome.out) == (USAGE, "")


def test_run_without_a_stderr(box: Box) -> None:
    outcome = box.spawn(*SMALL, first="exec 2>&-")
    assert outcome.code == 0
    assert results_in(box.work / "run")["epochs"]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["--preset", "list"], ["explain"]], ids=_name)
def test_answer_to_a_full_stdout(box: Box, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        outcome = box.spawn(*arguments, stdout=full)
    assert_refused(outcome, OUTPUT, "stdout")


@pytest.mark.parametrize("arguments", [["--run-dir", "run\udcff"], ["--export", "out\udcff.json"]], ids=_name)
def test_name_that_is_not_text(box: Box, arguments: list[str]) -> None:
    """File names are bytes: one that is not UTF-8 works, or is refused before anybody waits for results."""
    outcome = box.run(*SMALL, *arguments)
    if outcome.code:
        assert_refused(outcome, USAGE, arguments[0])
        assert list(box.work.iterdir()) == []
    else:
        assert outcome.err == ""
        written = box.work / arguments[1]
        assert json.loads((written / "results.json" if written.is_dir() else written).read_text())["epochs"]


def test_name_that_stdout_can_not_spell(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    code = main([*SMALL, "--run-dir", "läufe"])
    assert code == 0
    assert results_in(box.work / "läufe")["epochs"]


# The same through a process of its own


PROCESSES: list[tuple[list[str], int, list[str]]] = [
    (["--epochs", "0"], USAGE, ["--epochs"]),
    (["--no-such-option"], USAGE, ["--no-such-option"]),
    (["--config", "missing.toml"], USAGE, ["missing.toml"]),
    (["--replay-interventions", "missing.json"], USAGE, ["missing.json"]),
    (["--run-dir", "/dev/null"], USAGE, ["/dev/null"]),
    (["--export", "missing/out.json"], OUTPUT, ["missing/out.json"]),
    (["--data", "mnist", "--data-dir", "missing"], DATA, ["missing"]),
    (["--device", "cuda:127"], DEVICE, ["cuda:127"]),
]


@pytest.mark.parametrize(("arguments", "code", "words"), PROCESSES, ids=[_name(row[0]) for row in PROCESSES])
def test_process(box: Box, arguments: list[str], code: int, words: list[str]) -> None:
    before = box.snapshot()
    assert_refused(box.spawn(*SMALL, *arguments), code, *words)
    assert box.snapshot() == before
