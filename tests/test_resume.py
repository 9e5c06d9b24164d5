"""Runs that were stopped or killed, and went on: by the folder they leave, and as whole processes."""

from __future__ import annotations

import json
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
from bntui.config import RunConfig
from bntui.errors import UsageError
from bntui.history import History
from bntui.resume import check_same, resumed_config
from bntui.sinks.folder import CHECKPOINTS, find_interrupted, is_interrupted
from bntui.sinks.recorder import Recorder
from bntui.training import session
from terminal_session import TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
SMALL = ["--data", "synthetic", "--train-samples", "650", "--validation-samples", "50", "--hidden", "8,8",
         "--dropout", ".2", "--bn-noise", ".1"]  # fmt: skip
PLANNED = [
    "--intervene",
    "30:batch_size=20,70:shift=noise:.3,90:bn=off,150:bn=on,200:learning_rate=0.005,250:restart_arm=plain",
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
    from bntui.control import Control, Stop

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
    assert (config.epochs, config.headless, config.export, config.train_samples) == (5, True, "x.json", 320)
    assert (config.resume, config.run_dir) == (str(stopped), str(stopped))
    assert resumed_config({"resume": str(stopped), "max_steps": "12"}).max_steps == 12


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("lr", "0.02", r"that run has --lr 0\.01, not 0\.02; leave the option out, or start a new run"),
        ("hidden", "16,16", r"that run has --hidden \[8, 8\], not \[16, 16\]"),
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
    assert not is_interrupted(stopped)
    first.close()
    Recorder(config, History()).close()
    assert is_interrupted(stopped)


def test_of_two_that_begin_in_one_folder_the_second_leaves_the_run_of_the_first_as_it_is(tmp_path: Path) -> None:
    config = small(tmp_path / "run")
    # Both have looked before either has begun, as when the data takes long to load.
    late = Recorder(config, History())
    record(config)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    from bntui.control import Control

    with pytest.raises(UsageError, match="already holds a run"):
        session.run(config, late.take, Control(), late)
    late.close()
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_what_can_go_on_is_known_by_its_folder(tmp_path: Path, own_home: Path) -> None:
    assert find_interrupted() is None
    assert not is_interrupted(tmp_path)
    record(small(tmp_path / "done"))
    assert not is_interrupted(tmp_path / "done")
    runs = own_home / "state" / "bntui" / "runs"
    record(small(runs / "20000101-000000-a"), stop_at=7)
    assert find_interrupted() == runs / "20000101-000000-a"
    record(small(runs / "20000101-000001-b"), stop_at=0)
    assert find_interrupted() == runs / "20000101-000001-b"
    record(small(runs / "20000101-000002-c"))
    # Only the newest counts: what came before it, somebody has left.
    assert find_interrupted() is None


def test_a_completed_run_that_goes_on_to_more_epochs_and_is_killed_can_go_on(tmp_path: Path) -> None:
    from bntui.control import Control
    from bntui.events import Event, Stepped

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
    assert is_interrupted(tmp_path / "run")


def test_a_run_folder_that_can_go_on_says_how(stopped: Path) -> None:
    with pytest.raises(UsageError, match=rf"already holds a run; bntui --resume {stopped} goes on with it; name"):
        Recorder(small(stopped), History())


# Whole processes


def test_more_steps_later_end_at_the_same_state(tmp_path: Path) -> None:
    options = [*SMALL, *PLANNED, "--epochs", "4"]
    bntui(*options, "--max-steps", "60", "--run-dir", tmp_path / "whole")
    bntui(*options, "--max-steps", "40", "--run-dir", tmp_path / "parts")
    bntui("--resume", tmp_path / "parts", "--max-steps", "60")
    whole, parts = results(tmp_path / "whole"), results(tmp_path / "parts")
    assert parts["state_sha256"] == whole["state_sha256"]
    for name in ("steps", "interventions", "alerts"):
        assert parts[name] == whole[name]
    assert parts["epochs"][-1] == whole["epochs"][-1]


def test_more_epochs_later_give_the_same_results(tmp_path: Path) -> None:
    more = {"dropout": 0.2, "batch_size": 11, "norm": "batch-renorm", "bn_momentum": "cumulative", "probe": "all"}
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
    from bntui.control import Control, Stop

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
    while not (folder / CHECKPOINTS[0]).exists() or (folder / "journal.jsonl").stat().st_mtime_ns == known:
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
    assert is_interrupted(folder)
    bntui("--resume", folder, "--quiet")
    assert results(folder) == expected


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
