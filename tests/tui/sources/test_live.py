from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.messages.control import Change, Command, Stop
from bntui.messages.history import History
from bntui.storage.folder import CHECKPOINTS
from bntui.tui.sources.live import LiveRun


@pytest.mark.parametrize("step", [0, 7])
def test_a_run_that_is_stopped_leaves_its_results_as_one_without_a_screen(tmp_path: Path, step: int) -> None:
    config = RunConfig(data="synthetic", train_samples=320, validation_samples=50, epochs=1, device="cpu",
                       run_dir=str(tmp_path / "run"))  # fmt: skip
    live = LiveRun(config)
    schedule: list[tuple[int, Command]] = [(step, Stop())]
    live.control.go_on(schedule, 0)
    live.start()
    live.join()
    live.recorder.close()
    assert live.error is None and live.saved
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["status"], results["summary"]["steps"]) == ("interrupted", step)


def small(**options: Any) -> RunConfig:
    base = {"data": "synthetic", "train_samples": 330, "validation_samples": 50, "device": "cpu", "hidden": (8, 8)}
    return RunConfig(**{**base, **options})


def finish(live: LiveRun, schedule: list[tuple[int, Command]] | None = None) -> LiveRun:
    if schedule is not None:
        live.control.go_on(schedule, 0)
    live.start()
    live.join()
    assert live.error is None and live.saved
    return live


def results(folder: Path) -> dict[str, Any]:
    """What no clock has a say in."""
    loaded = json.loads((folder / "results.json").read_text())
    names = ("state_sha256", "steps", "normalization", "alerts")
    return {**{name: loaded[name] for name in names}, "final": loaded["summary"]["final"]}


@pytest.mark.parametrize("ended_by", ["epochs", "steps within an epoch", "a stop"])
def test_a_run_goes_on_for_more_epochs_to_the_bits_of_one_that_was_asked_for_all(tmp_path: Path, ended_by: str) -> None:
    planned: list[tuple[int, Command]] = [(5, Change("dropout", 0.3)), (23, Change("batch_size", 20))]
    options = {
        "epochs": {"epochs": 1},
        "steps within an epoch": {"epochs": 3, "max_steps": 13},
        "a stop": {"epochs": 9},
    }
    evaluated = {"epochs": 1, "steps within an epoch": 2, "a stop": 1}[ended_by]
    whole = finish(LiveRun(small(epochs=evaluated + 3, run_dir=str(tmp_path / "whole"))), planned)
    whole.recorder.close()
    stop: list[tuple[int, Command]] = [(14, Stop())] if ended_by == "a stop" else []
    folder, export = tmp_path / "run", tmp_path / "out.json"
    first = LiveRun(small(run_dir=str(folder), export=str(export), **options[ended_by]))
    finish(first, sorted([*planned, *stop], key=lambda row: row[0]))
    assert first.recorder.history.epoch == evaluated
    second = finish(first.more(1))
    third = finish(second.more(2))
    assert third.config.epochs == evaluated + 3 and third.recorder.history.epoch == evaluated + 3
    assert third.recorder.folder == folder and third.before == []
    assert results(folder) == results(tmp_path / "whole")
    assert json.loads(export.read_text())["state_sha256"] == results(folder)["state_sha256"]
    # Who looks at the new source is told of all that was before.
    history = History()
    for event in third.poll():
        history.apply(event)
    assert [row.epoch for row in history.epochs] == list(range(1, evaluated + 4))
    third.recorder.close()


def test_a_run_that_can_not_go_on_says_so_in_a_line(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=1, run_dir=str(tmp_path / "run")))
    live.control.send(Stop())
    live.start()
    live.join()
    with pytest.raises(UsageError, match="without a run folder"):
        live.more(1)
    finish(live := LiveRun(small(epochs=1, run_dir=str(tmp_path / "run"))))
    for name in CHECKPOINTS:
        (tmp_path / "run" / name).unlink(missing_ok=True)
    with pytest.raises(UsageError, match="no checkpoint is left"):
        live.more(1)
