from __future__ import annotations

import json
from pathlib import Path

import pytest

from bntui.config.options import RunConfig
from bntui.messages.control import Command, Stop
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
