"""Every call that changes what is on disk fails once, or from then on: nothing that was waited for is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bntui.cli import main
from bntui.config.options import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.headless import _Store
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.events import Event
from bntui.messages.history import History
from bntui.storage import files, lines
from bntui.storage.journal import read_events
from bntui.storage.recorder import Recorder
from bntui.storage.resume import resumed_config
from bntui.training import checkpoint, session

CALLS = ("open", "write", "fsync", "replace", "truncate", "mkdir")
LAST, STRIDE = 10, 4


class Faulty(files.Disk):
    """Counts the calls; fails those of which `when` says so, unless they are about what lies in a spared folder."""

    def __init__(
        self,
        when: Callable[[int], bool] = lambda n: False,
        kind: int = errno.ENOSPC,
        half: bool = False,
        spared: Path | None = None,
    ) -> None:
        self.spared = str(spared)
        self.spared_descriptors: set[int] = set()
        self.count = 0
        self.when, self.kind, self.half = when, kind, half
        self.names: list[str] = []
        for name in CALLS:
            setattr(self, name, self._wrapped(name))

    def _wrapped(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.count += 1
            self.names.append(name)
            first = arguments[0]
            spared = first in self.spared_descriptors if isinstance(first, int) else str(first).startswith(self.spared)
            if self.when(self.count) and not spared:
                if self.half and name == "write":
                    os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise OSError(self.kind, os.strerror(self.kind))
            if name == "fsync":
                return None  # a test that pulls no plug need not wait for the disk
            result = getattr(os, name)(*arguments)
            if name == "open":
                (self.spared_descriptors.add if spared else self.spared_descriptors.discard)(result)
            return result

        return call


class Reference(NamedTuple):
    """A run without faults: its hashes, the kinds of events in its journal, and the calls it makes."""

    hashes: dict[str, str]
    kinds: list[str]
    calls: list[str]


class Screen:
    def show(self, event: Event) -> None: ...


def options(place: Path, **more: object) -> RunConfig:
    base = {"data": "synthetic", "train_samples": 96, "validation_samples": 20, "epochs": 3, "checkpoint_seconds": 0,
            "hidden": (8,), "device": "cpu", "export": str(place / "out.json")}  # fmt: skip
    return RunConfig(**{**base, **more})  # type: ignore[arg-type]


def train(config: RunConfig, schedule: list[tuple[int, c.Command]] | None = None,
          each: Callable[[Recorder, Event], None] = lambda recorder, event: None) -> Recorder:  # fmt: skip
    recorder = Recorder(config, History())

    def emit(event: Event) -> None:
        recorder.take(event)
        recorder.log(type(event).__name__)
        each(recorder, event)

    try:
        session.run(config, emit, c.Control(schedule or []), _Store(recorder, Screen()))  # type: ignore[arg-type]
    except BaseException:
        recorder.close()
        raise
    return recorder


def finish(recorder: Recorder) -> str:
    try:
        recorder.write_results()
        return ""
    except ExportError as error:
        return str(error)
    finally:
        recorder.close()


def check_whole(folder: Path) -> None:
    """What is there is whole, and nothing temporary is."""
    for path in folder.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".pt":
            checkpoint.unpack(path.read_bytes())
        else:
            assert path.name in (".lock", "journal.jsonl", "log.txt"), path


def kinds_in_journal(folder: Path) -> list[str]:
    with (folder / "journal.jsonl").open("rb") as file:
        return [type(event).__name__ for event in read_events(file)]


def fresh(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    (place / "temporary").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(place / "temporary"))
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    # The clock must not decide how many events there are.
    monkeypatch.setattr(session, "EMIT_SECONDS", 1e9)
    return place


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    place = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        fresh(place, patch)
        disk = Faulty()
        patch.setattr(files, "disk", disk)
        recorder = train(options(place))
        assert finish(recorder) == ""
        assert recorder.problem == ""
        assert recorder.folder is not None
        kinds = kinds_in_journal(recorder.folder)
        assert set(disk.names) == {"open", "write", "fsync", "replace", "mkdir"}
        return Reference(recorder.history.state_sha256, kinds, disk.names)


def chosen(count: int, kind: int) -> list[int]:
    """Return which calls are to fail: all, but of the second kind of error, which nothing tells apart, some."""
    return [n for n in range(1, count + 1) if kind == errno.ENOSPC or n > count - LAST or n % STRIDE == 0]


KINDS = [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False), (errno.EIO, True)]


@pytest.mark.parametrize("forever", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize(("kind", "half"), KINDS, ids=["ENOSPC", "ENOSPC-half", "EIO", "EIO-half"])
def test_a_fault_at_any_call_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference,
    kind: int, half: bool, forever: bool,
) -> None:  # fmt: skip
    hashes, kinds, calls = reference
    outcomes: Counter[str] = Counter()
    for n in chosen(len(calls), kind):
        if half and calls[n - 1] != "write":
            continue
        place = fresh(tmp_path / "place", monkeypatch)
        when = (lambda at, n=n: at >= n) if forever else (lambda at, n=n: at == n)
        disk = Faulty(when, kind, half, place / "temporary")
        monkeypatch.setattr(files, "disk", disk)
        told: list[str] = []
        recorder = train(options(place), each=lambda recorder, _, told=told: told.append(recorder.problem))
        failure = finish(recorder)
        monkeypatch.setattr(files, "disk", Faulty())
        assert recorder.history.state_sha256 == hashes
        assert all("\n" not in problem for problem in told)
        outcomes[check_results(recorder, place, failure, hashes)] += 1
        if recorder.folder is None:
            continue
        check_whole(recorder.folder)
        if not forever:
            assert kinds_in_journal(recorder.folder) == kinds
        outcomes[resume(recorder.folder, hashes)] += 1
    print(f"{errno.errorcode[kind]}{' half' if half else ''} {'from then on' if forever else 'once'}: {dict(outcomes)}")
    assert outcomes["resumed"]
    assert outcomes["temporary"] if forever else set(outcomes) <= {"both", "one of two", "resumed"}


def check_results(recorder: Recorder, place: Path, failure: str, hashes: dict[str, str]) -> str:
    """Results lie where they should, or it is said where they lie instead."""
    asked = [place / "out.json"] + ([recorder.folder / "results.json"] if recorder.folder is not None else [])
    there = [path for path in asked if path.exists()]
    for path in there:
        assert json.loads(path.read_text())["state_sha256"] == hashes
    assert not failure or "\n" not in failure
    if len(there) == len(asked):
        assert not failure
        return "both"
    assert failure
    if there:
        assert str(there[0]) in failure
        return "one of two"
    found = re.search(r"the results lie in (\S+)", failure)
    assert found is not None
    assert json.loads(Path(found[1]).read_text())["state_sha256"] == hashes
    assert stat.S_IMODE(Path(found[1]).parent.stat().st_mode) == 0o700
    return "temporary"


def resume(folder: Path, hashes: dict[str, str], **more: object) -> str:
    """Go on as if the run had been killed before its end."""
    for path in folder.glob("results*.json"):
        path.unlink()
    try:
        config = resumed_config({"resume": str(folder), **more})
        recorder = train(config)
    except UsageError as error:
        assert re.search(r"config.json can't be read|holds no checkpoint", str(error))
        return "cannot be resumed"
    assert finish(recorder) == ""
    assert recorder.problem == ""
    assert recorder.history.state_sha256 == hashes
    assert recorder.history.status == "completed"
    assert [row.epoch for row in recorder.history.epochs] == [1, 2, 3]
    return "resumed"


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO])
def test_a_run_that_is_killed_after_any_fault_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference, kind: int
) -> None:
    class Killed(BaseException):
        pass

    hashes, _, calls = reference
    outcomes: Counter[str] = Counter()
    for n in range(1, len(calls) - 20, 3):
        place = fresh(tmp_path / "place", monkeypatch)
        monkeypatch.setattr(files, "disk", Faulty(lambda at, n=n: at == n, kind, half=True))
        folders: list[Path | None] = []

        def each(recorder: Recorder, event: Event, folders: list[Path | None] = folders) -> None:
            folders[:] = [recorder.folder]
            if isinstance(event, e.EpochEnded) and event.epoch == 3:
                raise Killed

        with pytest.raises(Killed):
            train(options(place), each=each)
        monkeypatch.setattr(files, "disk", Faulty())
        assert folders[0] is not None
        outcomes[resume(folders[0], hashes)] += 1
    assert outcomes["resumed"] > 0
    assert set(outcomes) == {"resumed"}


def test_a_fault_while_a_run_goes_on_is_told_of_or_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference
) -> None:
    def begin() -> Path:
        place = fresh(tmp_path / "place", monkeypatch)
        recorder = train(options(place, epochs=2, export=None))
        assert finish(recorder) == ""
        assert recorder.folder is not None
        return recorder.folder

    hashes = reference.hashes
    refused = 0
    for n in range(1, 200):
        folder = begin()
        disk = Faulty(lambda at, n=n: at == n, errno.EIO, half=True)
        monkeypatch.setattr(files, "disk", disk)
        try:
            recorder = train(resumed_config({"resume": str(folder), "epochs": 3}))
        except ExportError as error:
            refused += 1
            assert "can't be written (Input/output error)" in str(error)
        else:
            finish(recorder)
            assert recorder.history.state_sha256 == hashes
        monkeypatch.setattr(files, "disk", Faulty())
        if n > disk.count:
            break
        assert resume(folder, hashes, epochs=3) == "resumed"
    # To hold the folder, to take the journal back to the checkpoint, and to open it.
    assert refused == 3


def test_a_folder_that_was_asked_for_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = []
    for n in range(1, 12):
        place = fresh(tmp_path / "place", monkeypatch)
        monkeypatch.setattr(files, "disk", Faulty(lambda at, n=n: at == n))
        try:
            recorder = train(options(place, run_dir=str(place / "run")))
        except ExportError as error:
            refused.append(n)
            assert f"--run-dir {place / 'run'}: can't be written (" in str(error)
            assert not (place / "run").exists()
        else:
            assert finish(recorder) == ""
    # The folder, its lock, and opening, writing, syncing and renaming its config.json; the rest is made up for.
    assert refused == [1, 2, 3, 4, 5, 6]


def at_epoch(number: int, act: Callable[[Recorder], object]) -> Callable[[Recorder, Event], None]:
    def each(recorder: Recorder, event: Event) -> None:
        if isinstance(event, e.EpochEnded) and event.epoch == number:
            act(recorder)

    return each


def test_a_run_folder_that_is_removed_is_told_of_once_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference
) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    told: list[str] = []

    def remove(recorder: Recorder) -> None:
        assert recorder.folder is not None
        shutil.rmtree(recorder.folder)

    def each(recorder: Recorder, event: Event) -> None:
        at_epoch(1, remove)(recorder, event)
        if recorder.problem not in told[-1:]:
            told.append(recorder.problem)

    recorder = train(options(place, run_dir=str(place / "run")), each=each)
    assert told == ["", f"the run folder {place / 'run'} is gone; the results come into a new one; training goes on"]
    assert finish(recorder) == ""
    for path in (place / "run" / "results.json", place / "out.json"):
        assert json.loads(path.read_text())["state_sha256"] == reference[0]
    assert sorted(p.name for p in (place / "run").iterdir()) == ["log.txt", "results.json"]


def test_a_run_folder_that_cannot_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    remove = at_epoch(1, lambda _: shutil.rmtree(place / "runs"))
    recorder = train(options(place, run_dir=str(place / "runs" / "run"), export=None), each=remove)
    failure = finish(recorder)
    found = re.fullmatch(r".*results.json: could not be written \(No such file or directory\); the results lie in "
                         r"(\S+)", failure)  # fmt: skip
    assert found is not None
    assert json.loads(Path(found[1]).read_text())["status"] == "completed"


def test_a_disk_that_becomes_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    disk = Faulty(kind=errno.EROFS)

    def each(recorder: Recorder, event: Event) -> None:
        if isinstance(event, e.EpochEnded):
            # root writes to a folder all the same: as the kernel answers on a file system that is mounted so
            disk.when = lambda n: disk.names[-1] in ("open", "replace", "mkdir", "truncate", "write")

    monkeypatch.setattr(files, "disk", disk)
    recorder = train(options(place), each=each)
    assert "(Read-only file system); training goes on" in recorder.problem
    failure = finish(recorder)
    assert failure.count("Read-only file system") == 3
    assert "nor can a temporary folder be made" in failure
    assert recorder.folder is not None
    check_whole(recorder.folder)


def test_an_export_folder_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    (place / "there").mkdir()
    config = options(place, export=str(place / "there" / "out.json"))
    recorder = train(config, [(4, c.Export())], at_epoch(1, lambda _: shutil.rmtree(place / "there")))
    assert re.fullmatch(r"results: .*out.json: could not be written \(No such file or directory\); the results lie in "
                        r".*results.json; training goes on", recorder.problem)  # fmt: skip
    assert f"the results lie in {recorder.folder}/results.json" in finish(recorder)


def test_results_before_a_restart_are_kept_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    target = "results-before-restart-1.json"
    recorder = train(options(place), [(4, c.Restart())], lambda recorder, event: (
        (recorder.folder / target).mkdir() if isinstance(event, e.Started) and recorder.folder else None))  # fmt: skip
    found = re.search(r"they lie in (\S+); training goes on", recorder.problem)
    assert found is not None
    assert json.loads(Path(found[1]).read_text())["summary"]["steps"] == 4
    assert finish(recorder) == ""


def test_lines_that_wait_are_bounded_and_what_is_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "WAITING_LIMIT", 100)
    disk = Faulty()
    monkeypatch.setattr(files, "disk", disk)
    file = lines.Lines(lambda count: f"{count} lost", again=True)
    file.open(tmp_path / "file")
    file.add("first")
    disk.when, disk.half = lambda n: True, True
    for i in range(50):
        with pytest.raises(OSError, match="oldest lines" if i > 11 else "No space"):
            file.add(f"line {i:03}")
    disk.when = lambda n: False
    file.add("last")
    written = (tmp_path / "file").read_text().split("\n")
    assert written[0] == "first"
    assert written[-14:] == ["39 lost", *(f"line {i:03}" for i in range(39, 50)), "last", ""]


@pytest.mark.parametrize("part", ["journal", "history", "results", "checkpoint"])
def test_a_bug_in_a_sink_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference, part: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("no such luck")

    place = fresh(tmp_path / "place", monkeypatch)
    finished: list[e.Finished] = []

    def each(recorder: Recorder, event: Event) -> None:
        if isinstance(event, e.Started):
            target, name = {"journal": (recorder._journal, "write"), "history": (recorder.history, "apply"),
                            "results": (recorder._journal, "state_dict"),
                            "checkpoint": (checkpoint, "pack")}[part]  # fmt: skip
            monkeypatch.setattr(target, name, fail)
        if isinstance(event, e.Finished):
            finished.append(event)

    recorder = train(options(place), [(4, c.Export())], each)
    assert finished[0].state_sha256 == reference[0]
    assert "unexpected ZeroDivisionError: no such luck; training goes on" in recorder.problem


WORDS = ["--headless", "--data", "synthetic", "--train-samples", "96", "--validation-samples", "20", "--epochs", "3",
         "--hidden", "8", "--device", "cpu", "--checkpoint-seconds", "0"]  # fmt: skip


@pytest.mark.parametrize("forever", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("back", [1, 2, 4, 7, 10, 13, 30, 60])
def test_exit_codes_of_the_front_end_without_a_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], back: int, forever: bool
) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    disk = Faulty()
    monkeypatch.setattr(files, "disk", disk)
    words = [*WORDS, "--export", str(place / "out.json")]
    assert main(words) == 0
    n = disk.count - back
    place = fresh(tmp_path / "place", monkeypatch)
    capsys.readouterr()
    monkeypatch.setattr(files, "disk", Faulty((lambda at: at >= n) if forever else (lambda at: at == n), half=True))
    code = main(words)
    shown = capsys.readouterr()
    folder = next((place / "state" / "bntui" / "runs").iterdir())
    asked = [place / "out.json", folder / "results.json"]
    assert code == (0 if all(path.exists() for path in asked) else 5)
    assert shown.err.count("bntui: error: ") == (code == 5)
    for path in asked:
        if path.exists():
            assert json.loads(path.read_text())["status"] == "completed"


def test_the_front_end_without_a_screen_says_where_results_without_a_place_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = fresh(tmp_path / "place", monkeypatch)
    whole = files.write_whole

    def write_whole(path: Path, *arguments: Any, **named: Any) -> None:
        if path.name in ("out.json", "results.json") and place / "temporary" not in path.parents:
            raise ExportError(f"{path}: could not be written (No space left on device)")
        whole(path, *arguments, **named)

    monkeypatch.setattr("bntui.storage.saving.write_whole", write_whole)
    assert main([*WORDS, "--export", str(place / "out.json")]) == 5
    found = re.search(r"bntui: error: .*No space left on device.*; the results lie in (\S+)\n", capsys.readouterr().err)
    assert found is not None
    assert json.loads(Path(found[1]).read_text())["status"] == "completed"
