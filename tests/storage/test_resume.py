"""Runs that were stopped or killed, and went on: by the folder they leave, and as whole processes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bntui.cli import main
from bntui.config.options import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.messages.history import History
from bntui.storage.folder import CHECKPOINTS, RunFolder
from bntui.storage.journal import read_lines
from bntui.storage.recorder import Recorder
from bntui.storage.resume import check_same, find_interrupted, notice_of_interrupted, resumed_config
from bntui.training import checkpoint, session
from terminal_session import TIMEOUT, TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
SMALL = ["--data", "synthetic", "--train-samples", "650", "--validation-samples", "50", "--hidden", "8,8",
         "--dropout", ".2", "--bn-noise", ".1"]  # fmt: skip
PLANNED = [
    "--intervene",
    "30:batch_size=20,70:shift=noise:.3,90:bn=off,150:bn=on,200:learning_rate=0.005,250:restart_arm=none",
]


def bntui(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*BNTUI, "--headless", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done


def results(folder: Path) -> Any:
    """Everything but times and where things lie."""
    return _comparable(json.loads((folder / "results.json").read_text()))


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        aside = {"seconds", "milliseconds", "wall_seconds", "steps_per_second", "samples_per_second", "created",
                 "run_dir", "resume", "checkpoint_seconds", "headless", "quiet", "command"}  # fmt: skip
        return {name: _comparable(item) for name, item in value.items() if name not in aside}
    return [_comparable(item) for item in value] if isinstance(value, list) else value


def small(folder: Path, **options: Any) -> RunConfig:
    base = {"data": "synthetic", "train_samples": 320, "validation_samples": 50, "epochs": 2, "hidden": (8, 8),
            "device": "cpu", "run_dir": str(folder)}  # fmt: skip
    return RunConfig(**{**base, **options})


def record(config: RunConfig, stop_at: int | None = None) -> None:
    """A run in this process, with a folder; stopped after a step."""
    from bntui.messages.control import Control, Stop

    recorder = Recorder(config, History())
    session.run(config, recorder.take, Control([] if stop_at is None else [(stop_at, Stop())]), recorder)
    recorder.write_results()
    recorder.close()


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The folder of a run that was stopped after 7 of 20 steps."""
    record(small(tmp_path / "run"), stop_at=7)
    return tmp_path / "run"


# Which configuration goes on


def test_the_configuration_of_the_run_goes_on_with_what_may_differ(stopped: Path) -> None:
    config = resumed_config({"resume": str(stopped), "epochs": "5", "headless": True, "export": "x.json"})
    assert (config.epochs, config.headless, config.export, config.train_samples) == (
        5,
        True,
        str(Path.cwd() / "x.json"),
        320,
    )
    assert (config.resume, config.run_dir) == (str(stopped), str(stopped))
    assert resumed_config({"resume": str(stopped), "max_steps": "12"}).max_steps == 12


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("lr", "0.02", r"that run has --lr 0\.01, not 0\.02; leave the option out, or start a new run"),
        ("hidden", "16,16", "that run has --hidden 8,8, not 16,16"),
        ("arms", "batch,layer", "that run has --arms batch,none, not batch,layer"),
        ("data", "mnist", "that run has --data synthetic, not mnist"),
        ("train_samples", "64", "that run has --train-samples 320, not 64"),
        ("seed", "2", "that run has --seed 1, not 2"),
        ("threads", "7", "that run has --threads 1, not 7"),
        ("intervene", "5:bn=off", "that run has --intervene , not 5:bn=off"),
        ("preset", "lab", "that run has --preset None; leave the option out"),
        ("epochs", "-1", "--epochs takes"),
    ],
)
def test_a_contradiction_is_an_error_that_names_the_option(stopped: Path, option: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        resumed_config({"resume": str(stopped), option: value})


def test_the_name_of_the_preset_stays(tmp_path: Path) -> None:
    record(small(tmp_path / "run", preset="lab"), stop_at=7)
    folder = str(tmp_path / "run")
    assert resumed_config({"resume": folder}).preset == "lab"
    assert resumed_config({"resume": folder, "preset": "lab"}).preset == "lab"
    with pytest.raises(UsageError, match="that run has --preset lab"):
        resumed_config({"resume": folder, "preset": "deep"})


def test_a_folder_that_holds_no_run_is_an_error(tmp_path: Path) -> None:
    for name in ("nothing", ""):
        with pytest.raises(UsageError, match=r"its config\.json can't be read \(No such file .*name the folder of a"):
            resumed_config({"resume": str(tmp_path / name)})


@pytest.mark.parametrize(
    "contents", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"epochs": -1}', b'{"hidden": {}}', b"[" * 5_000,
                 b'{"a": "' + b"x" * (1 << 20) + b'"}']
)  # fmt: skip
def test_a_damaged_configuration_is_an_error(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "config.json").write_bytes(contents)
    with pytest.raises(UsageError, match=r"its config\.json is damaged.*start the run again"):
        resumed_config({"resume": str(tmp_path)})


def test_a_run_of_a_later_bntui_does_not_go_on_without_its_options(stopped: Path) -> None:
    stored = json.loads((stopped / "config.json").read_text())
    (stopped / "config.json").write_text(json.dumps({**stored, "weight_decay": 0.1}))
    with pytest.raises(UsageError, match="that run has --weight-decay, which this bntui does not know; update it, or"):
        resumed_config({"resume": str(stopped)})


def test_a_run_of_the_first_version_is_refused_in_a_line(stopped: Path) -> None:
    stored = json.loads((stopped / "config.json").read_text())
    del stored["arms"]
    (stopped / "config.json").write_text(json.dumps({**stored, "norm": "batch", "versus": "none"}))
    with pytest.raises(UsageError, match="made by an older bntui; go on with that one, or start the run again"):
        resumed_config({"resume": str(stopped)})


def test_a_checkpoint_that_tells_no_configuration_is_an_error() -> None:
    for stored in (None, [], "text"):
        with pytest.raises(UsageError, match="tells no configuration"):
            check_same(RunConfig(), stored)


# The folder


def test_two_recorders_never_write_one_folder(stopped: Path) -> None:
    config = resumed_config({"resume": str(stopped)})
    first = Recorder(config, History())
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    with pytest.raises(UsageError, match="another bntui writes this run; stop that one first"):
        Recorder(config, History())
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before
    assert not RunFolder(stopped).is_interrupted()
    first.close()
    Recorder(config, History()).close()
    assert RunFolder(stopped).is_interrupted()


def test_of_two_that_begin_in_one_folder_the_second_leaves_the_run_of_the_first_as_it_is(tmp_path: Path) -> None:
    config = small(tmp_path / "run")
    # Both have looked before either has begun, as when the data takes long to load.
    late = Recorder(config, History())
    record(config)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    from bntui.messages.control import Control

    with pytest.raises(UsageError, match="already holds a run"):
        session.run(config, late.take, Control(), late)
    late.close()
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_what_can_go_on_is_known_by_its_folder(tmp_path: Path, own_home: Path) -> None:
    assert find_interrupted() is None
    assert not RunFolder(tmp_path).is_interrupted()
    record(small(tmp_path / "done"))
    assert not RunFolder(tmp_path / "done").is_interrupted()
    runs = own_home / "state" / "bntui" / "runs"
    record(small(runs / "20000101-000000-a"), stop_at=7)
    assert find_interrupted() == runs / "20000101-000000-a"
    record(small(runs / "20000101-000001-b"), stop_at=0)
    assert find_interrupted() == runs / "20000101-000001-b"
    record(small(runs / "20000101-000002-c"))
    # Only the newest counts: what came before it, somebody has left.
    assert find_interrupted() is None


def test_a_completed_run_that_goes_on_to_more_epochs_and_is_killed_can_go_on(tmp_path: Path) -> None:
    from bntui.messages.control import Control
    from bntui.messages.events import Event, Stepped

    record(small(tmp_path / "run"))
    config = resumed_config({"resume": str(tmp_path / "run"), "epochs": 4})
    recorder = Recorder(config, History())

    class KilledError(Exception):
        pass

    def emit(event: Event) -> None:
        if isinstance(event, Stepped):
            raise KilledError
        recorder.take(event)

    with pytest.raises(KilledError):
        session.run(config, emit, Control(), recorder)
    recorder.close()
    assert RunFolder(tmp_path / "run").is_interrupted()


def test_a_run_folder_that_can_go_on_says_how(stopped: Path) -> None:
    with pytest.raises(UsageError, match=rf"already holds a run; bntui --resume {stopped} goes on with it; name"):
        Recorder(small(stopped), History())


# What is in the folder's files


def journal_lines(folder: Path) -> list[str]:
    return (folder / "journal.jsonl").read_text().splitlines(keepends=True)


def lines_of(folder: Path, kind: str) -> list[int]:
    return [i for i, line in enumerate(journal_lines(folder)) if json.loads(line)["event"] == kind]


def damage(folder: Path, number: int) -> None:
    """Make a line of the journal unreadable, and leave it as long as it was."""
    lines = journal_lines(folder)
    lines[number] = "x" * (len(lines[number]) - 1) + "\n"
    (folder / "journal.jsonl").write_text("".join(lines))


def gaps(folder: Path) -> list[str]:
    alerts = json.loads((folder / "results.json").read_text())["alerts"]
    return [alert["message"] for alert in alerts if alert["kind"] == "journal"]


def test_a_damaged_line_of_the_journal_is_told_of_in_the_results(tmp_path: Path) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    record(small(whole, epochs=3))
    record(small(folder, epochs=3), stop_at=25)
    damage(folder, lines_of(folder, "EpochEnded")[0])
    done = bntui("--resume", folder)
    told = "1 of the journal's lines is damaged or of no such run: what it told is missing from the results, such as "
    assert gaps(folder) == [f"{told}epoch 1"]
    assert f"alert: step 20: {gaps(folder)[0]}" in done.stderr
    ours, theirs = results(folder), results(whole)
    assert ours["state_sha256"] == theirs["state_sha256"]
    assert ours["epochs"] == theirs["epochs"][1:]
    # It is told of once, though the line is still there.
    record(resumed_config({"resume": str(folder), "epochs": 4}))
    assert len(gaps(folder)) == 1


@pytest.mark.parametrize("how", ["first line", "gone", "shorter"])
def test_a_journal_without_its_beginning_or_end_is_begun_anew_and_the_old_one_kept(tmp_path: Path, how: str) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    record(small(whole, epochs=4))
    record(small(folder, epochs=3), stop_at=25)
    journal = folder / "journal.jsonl"
    if how == "first line":
        damage(folder, 0)
    elif how == "shorter":
        journal.write_text("".join(journal_lines(folder)[:3]))
    before = journal.read_bytes()
    if how == "gone":
        journal.unlink()
    bntui("--resume", folder, "--quiet")
    kept = folder / "journal-damaged.jsonl"
    assert (kept.read_bytes() if kept.exists() else None) == (None if how == "gone" else before)
    (message,) = gaps(folder)
    assert {"first line": "damaged", "gone": "is gone", "shorter": "has lost its end"}[how] in message
    assert ("epoch" in message) == (how != "first line")
    assert json.loads(journal_lines(folder)[0])["event"] == "Started"
    bntui("--resume", folder, "--quiet", "--epochs", "4")
    assert gaps(folder) == [message]
    ours, theirs = results(folder), results(whole)
    for name in ("state_sha256", "steps", "dataset"):
        assert ours[name] == theirs[name]


def test_half_a_line_that_was_written_again_is_no_damage(stopped: Path) -> None:
    lines = journal_lines(stopped)
    written = "".join([lines[0], lines[1][:-20] + "\n", lines[1][:9] + "\n", "\n", *lines[1:]])
    with (stopped / "journal.jsonl").open("rb") as file:
        whole = len(list(read_lines(file)))
    (stopped / "journal.jsonl").write_text(written)
    with (stopped / "journal.jsonl").open("rb") as file:
        read = list(read_lines(file))
    assert len(read) == whole
    assert None not in read


def test_a_checkpoint_of_nothing_leaves_the_results_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record(small(folder))
    before = (folder / "results.json").read_bytes()
    for change in ({"journal": {}}, {"series": None}, {"recent": 3}, {"started": "x"}):
        path = folder / CHECKPOINTS[0]
        state, kept = checkpoint.unpack(path.read_bytes())
        path.write_bytes(checkpoint.pack(state, {**kept, **change}))
        (folder / CHECKPOINTS[1]).unlink(missing_ok=True)
        done = bntui("--resume", folder, "--epochs", "3", code=2)
        assert "checkpoint.pt is damaged: it does not fit that run" in done.stderr
        assert done.stderr.count("\n") == 1
        assert (folder / "results.json").read_bytes() == before
        path.write_bytes(checkpoint.pack(state, kept))


def test_a_checkpoint_that_can_not_be_read_is_told_of_and_the_one_before_is_used(tmp_path: Path) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    record(small(whole, epochs=3))
    record(small(folder, epochs=3, checkpoint_seconds=0))
    (folder / CHECKPOINTS[0]).unlink()
    (folder / CHECKPOINTS[0]).mkdir()
    done = bntui("--resume", folder)
    assert "notice: checkpoint.pt can't be read (it is not a regular file); goes on after step" in done.stderr
    assert "(the one before is used)" in done.stderr
    assert results(folder)["state_sha256"] == results(whole)["state_sha256"]


WRITTEN = ["config.json", "checkpoint.pt", ".lock", "journal.jsonl", "results.json", "log.txt"]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_pipe_in_the_place_of_a_file_is_told_of_and_never_waited_for(stopped: Path, name: str) -> None:
    (stopped / name).unlink()
    os.mkfifo(stopped / name)
    # A process, so that one that hangs is ended. Of a checkpoint, the one before takes the place.
    usable = name == CHECKPOINTS[0]
    done = bntui("--resume", stopped, code=0 if usable else 2)
    assert f"{name} " in done.stderr
    assert "not a regular file" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (stopped / name).is_fifo() != usable


def test_the_files_of_a_run_are_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "there.json").write_text("{}")
        (tmp_path / "there.json").chmod(0o640)
        for name in ("new", "there"):
            record(small(tmp_path / name, checkpoint_seconds=0, export=str(tmp_path / f"{name}.json")))
    finally:
        os.umask(before)
    files = [tmp_path / name / file for name in ("new", "there") for file in [*WRITTEN, CHECKPOINTS[1]]]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    # What is exported has the mode of other programs' files, or keeps its own.
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o666
    assert (tmp_path / "there.json").stat().st_mode & 0o777 == 0o640


# Where files are


def test_a_run_goes_on_from_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("there")
    monkeypatch.chdir(tmp_path / "there")
    Path("data").mkdir()
    record(small(Path("run"), data_dir="data", export="out.json"), stop_at=7)
    assert json.loads(Path("run/config.json").read_text())["data_dir"] == str(tmp_path / "there" / "data")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for same in ("../there/data", str(tmp_path / "link" / "data"), "../link/data/"):
        assert resumed_config({"resume": "../there/run", "data_dir": same}).resume == str(tmp_path / "there" / "run")
    with pytest.raises(UsageError, match="that run has --data-dir .*there/data, not .*elsewhere/data"):
        resumed_config({"resume": "../there/run", "data_dir": "data"})
    record(resumed_config({"resume": "../there/run"}))
    assert results(tmp_path / "there" / "run")["status"] == "completed"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_that_goes_on_exports_as_it_was_asked_to(tmp_path: Path) -> None:
    record(small(tmp_path / "run", export=str(tmp_path / "out.json")), stop_at=7)
    record(resumed_config({"resume": str(tmp_path / "run")}))
    assert json.loads((tmp_path / "out.json").read_text())["status"] == "completed"
    before = (tmp_path / "out.json").read_bytes()
    for _ in range(2):
        epochs = json.loads((tmp_path / "run" / "config.json").read_text())["epochs"] + 1
        more = {"export": str(tmp_path / "other.json")} if epochs == 3 else {}
        record(resumed_config({"resume": str(tmp_path / "run"), "epochs": epochs, **more}))
        assert len(json.loads((tmp_path / "other.json").read_text())["epochs"]) == epochs
    assert (tmp_path / "out.json").read_bytes() == before


@pytest.mark.parametrize("fate", ["overwritten", "gone"])
def test_what_is_replayed_is_read_once(tmp_path: Path, fate: str) -> None:
    planned = tmp_path / "planned.json"
    rows = [
        {"step": step, "epoch": 1, "action": "dropout", "from": 0.0, "to": to} for step, to in ((5, 0.5), (15, 0.1))
    ]
    text = json.dumps({"schema": "bntui.results/2", "interventions": rows})
    options = {"data": "synthetic", "train_samples": 320, "validation_samples": 50, "hidden": "8"}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += ["--epochs", "2", "--replay-interventions", str(planned), "--quiet"]
    planned.write_text(text)
    bntui(*words, "--run-dir", tmp_path / "whole")
    # Ends where it would go on, and leaves its results, a stop among them, in the place of what it replayed.
    bntui(*words, "--run-dir", tmp_path / "parts", "--max-steps", "10")
    shutil.copy(tmp_path / "parts" / "results.json", planned)
    if fate == "gone":
        planned.unlink()
    config = resumed_config({"resume": str(tmp_path / "parts"), "max_steps": "20"})
    assert config.replay_interventions == str(planned)
    bntui("--resume", tmp_path / "parts", "--max-steps", "20", "--quiet")
    ours, theirs = results(tmp_path / "parts"), results(tmp_path / "whole")
    assert [row["step"] for row in ours["interventions"]] == [5, 15]
    assert ours["state_sha256"] == theirs["state_sha256"]


def test_a_folder_that_can_not_be_written_is_refused_before_the_training(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    monkeypatch.setattr("bntui.storage.folder.check_folder", fail)
    with pytest.raises(
        ExportError, match=r"can't be written \(Read-only file system\); copy it to where it can"
    ) as told:
        Recorder(resumed_config({"resume": str(stopped)}), History())
    assert told.value.exit_code == 5
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_of_an_interrupted_run_a_new_one_tells_once(tmp_path: Path, own_home: Path) -> None:
    runs = own_home / "state" / "bntui" / "runs"
    record(small(runs / "20000101-000000-a"), stop_at=7)
    assert "20000101-000000-a goes on" in notice_of_interrupted(RunConfig())
    assert notice_of_interrupted(RunConfig()) == ""
    record(small(runs / "20000101-000001-b"), stop_at=7)
    assert "20000101-000001-b goes on" in notice_of_interrupted(RunConfig())


def test_a_name_that_would_act_on_the_terminal_is_printed_plain(tmp_path: Path) -> None:
    folder = tmp_path / "run\x1b[31mred\nline\r\x1b]0;title\x07"
    done = bntui(*SMALL, "--epochs", "1", "--run-dir", folder, "--export", folder.with_name("out\x1b[1m"))
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x1b" not in (folder / "log.txt").read_text()
    done = bntui("--resume", folder, "--lr", "1", code=2)
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


# Whole processes


def test_more_steps_later_end_at_the_same_state(tmp_path: Path) -> None:
    options = [*SMALL, *PLANNED, "--epochs", "4"]
    bntui(*options, "--max-steps", "60", "--run-dir", tmp_path / "whole")
    bntui(*options, "--max-steps", "40", "--run-dir", tmp_path / "parts")
    bntui("--resume", tmp_path / "parts", "--max-steps", "60")
    whole, parts = results(tmp_path / "whole"), results(tmp_path / "parts")
    # What was evaluated within an epoch gives way to what is when the run ends in the same one.
    assert [row["epoch"] for row in parts["epochs"]] == sorted({row["epoch"] for row in parts["epochs"]})
    for name in ("state_sha256", "steps", "interventions", "alerts", "epochs", "normalization", "flow"):
        assert parts[name] == whole[name]
    assert parts["summary"]["best"] == whole["summary"]["best"]


def test_more_epochs_later_give_the_same_results(tmp_path: Path) -> None:
    more = {
        "dropout": 0.2,
        "batch_size": 11,
        "arms": "batch-renorm,batch,none",
        "bn_momentum": "cumulative",
        "probe": "all",
    }
    record(small(tmp_path / "whole", epochs=4, **more))
    record(small(tmp_path / "parts", epochs=1, **more))
    for epochs in (2, 4):
        record(resumed_config({"resume": str(tmp_path / "parts"), "epochs": epochs}))
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


def test_a_contradiction_on_the_command_line(stopped: Path) -> None:
    done = bntui("--resume", stopped, "--lr", "0.02", code=2)
    says = "that run has --lr 0.01, not 0.02; leave the option out, or start a new run"
    assert done.stderr == f"bntui: error: --resume {stopped}: {says}\n"
    assert done.stdout == ""
    done = bntui(*SMALL, "--run-dir", stopped, code=2)
    assert done.stderr.startswith(f"bntui: error: --run-dir {stopped}: already holds a run; bntui --resume {stopped} ")
    assert done.stderr.count("\n") == 1


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record(small(folder, checkpoint_seconds=0))
    whole = results(folder)
    newest = folder / CHECKPOINTS[0]
    newest.write_bytes(newest.read_bytes()[:-50])
    done = bntui("--resume", folder)
    assert "bntui: notice: checkpoint.pt is damaged: it can't be read" in done.stderr
    assert "(the one before is used)" in done.stderr
    assert results(folder) == whole
    for name in CHECKPOINTS:
        (folder / name).write_bytes(b"damaged")
    done = bntui("--resume", folder, code=2)
    assert "checkpoint.pt is damaged" in done.stderr
    assert "checkpoint-before.pt is damaged" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_a_killed_process_had_begun_to_write_is_removed(stopped: Path) -> None:
    (stopped / ".bntui-12345.tmp").write_bytes(b"half a checkpoint")
    record(resumed_config({"resume": str(stopped)}))
    assert not list(stopped.glob("*.tmp"))


def test_a_damaged_newest_checkpoint_never_takes_the_place_of_the_whole_one(stopped: Path) -> None:
    # Else a kill between the two renames of the next checkpoint would leave the damaged one alone.
    newest, before = (stopped / name for name in CHECKPOINTS)
    shutil.copy(newest, before)
    newest.write_bytes(b"damaged")
    config = resumed_config({"resume": str(stopped)})
    recorder = Recorder(config, History())
    from bntui.messages.control import Control, Stop

    # The first stop is the one that the run has behind it; so there is one new checkpoint and no more.
    session.run(config, recorder.take, Control([(7, Stop()), (9, Stop())]), recorder)
    assert recorder.history.step == 9
    recorder.close()
    assert b"damaged" not in (newest.read_bytes(), before.read_bytes())


# Stopped and killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Any]:
    """Options, and the results of a run by them that nobody disturbed."""
    options = [*SMALL, *PLANNED, "--epochs", "40"]
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    bntui(*options, "--quiet", "--run-dir", folder)
    return options, results(folder)


def until_it_trains(folder: Path, known: int) -> Iterator[None]:
    """Yield until the journal is another one than it was, or grows beyond what is known of it."""
    end = time.monotonic() + TIMEOUT
    while not (folder / CHECKPOINTS[0]).exists() or (folder / "journal.jsonl").stat().st_mtime_ns == known:
        assert time.monotonic() < end, "it does not train"
        yield


def last_written(folder: Path) -> int:
    journal = folder / "journal.jsonl"
    return journal.stat().st_mtime_ns if journal.exists() else 0


def test_a_run_that_is_asked_to_stop_goes_on(whole: tuple[list[str], Any], tmp_path: Path) -> None:
    options, expected = whole
    folder = tmp_path / "run"
    for words in ([*options, "--run-dir", str(folder)], ["--resume", str(folder)]):
        known = last_written(folder)
        process = subprocess.Popen([*BNTUI, "--headless", "--quiet", *words], stderr=subprocess.PIPE, text=True)
        for _ in until_it_trains(folder, known):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        # It may not yet have read where it was: then all stays as it is.
        assert errors in ("", "bntui: error: stopped before training began: there is nothing to save\n")
    assert RunFolder(folder).is_interrupted()
    bntui("--resume", folder, "--quiet")
    assert results(folder) == expected


def test_a_run_without_its_config_goes_on_with_what_the_journal_begins_with(
    whole: tuple[list[str], Any], tmp_path: Path
) -> None:
    options, expected = whole
    folder = tmp_path / "run"
    process = subprocess.Popen([*BNTUI, "--headless", "--quiet", *options, "--run-dir", str(folder)])
    for _ in until_it_trains(folder, 0):
        time.sleep(0.005)
    process.kill()
    process.wait()
    (folder / "config.json").unlink()
    bntui("--resume", folder, "--quiet")
    assert results(folder) == expected
    assert (folder / "config.json").exists()


def test_a_run_that_is_killed_again_and_again_gives_the_same_results(
    whole: tuple[list[str], Any], tmp_path: Path
) -> None:
    options, expected = whole
    folder = tmp_path / "run"
    instants = random.Random(3)
    words = [*options, "--run-dir", str(folder)]
    for _ in range(5):
        known = last_written(folder)
        process = subprocess.Popen([*BNTUI, "--headless", "--quiet", *words, "--checkpoint-seconds", "0.05"])
        for _ in until_it_trains(folder, known):
            if process.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(instants.uniform(0, 0.2))
        process.kill()
        process.wait()
        words = ["--resume", str(folder)]
    bntui("--resume", folder, "--quiet")
    assert results(folder) == expected


def test_a_run_that_is_killed_in_the_app_gives_the_same_results(whole: tuple[list[str], Any], tmp_path: Path) -> None:
    options, expected = whole
    folder = tmp_path / "run"
    instants = random.Random(4)
    words = [*options, "--run-dir", str(folder)]
    for _ in range(2):
        known = last_written(folder)
        with TerminalSession([*BNTUI, *words, "--checkpoint-seconds", "0.05"], emulate=False) as s:
            for _ in until_it_trains(folder, known):
                s.pump(0.005)
                if s.process.poll() is not None:
                    break
            end = time.monotonic() + instants.uniform(0, 0.2)
            while time.monotonic() < end:
                s.pump(0.01)
            s.process.kill()
        words = ["--resume", str(folder)]
    with TerminalSession([*BNTUI, "--resume", str(folder)]) as s:
        s.wait("completed")
        # As long as the results are being written, it asks first.
        s.send("qs")
        assert s.finish() == 0
    assert results(folder) == expected


def test_fewer_steps_than_were_done_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["--headless", "--quiet", "--data", "synthetic", "--train-samples", "320", "--epochs", "3"]
    assert main([*arguments, "--validation-samples", "50", "--run-dir", str(folder)]) == 0
    before = (folder / "results.json").read_bytes()
    assert main(["--headless", "--resume", str(folder), "--epochs", "2"]) == 2
    assert (folder / "results.json").read_bytes() == before
