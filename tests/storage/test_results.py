from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bntui.config.options import RunConfig
from bntui.run import events as e
from bntui.run.history import History
from bntui.storage import results


def history(loss: float = 0.5, status: str = "completed") -> History:
    config = RunConfig(data="synthetic", hidden=(2,), threads=1, device="cpu")
    environment = {"python": "3", "torch": "2", "device": "cpu", "device_name": "x", "threads": 1, "platform": "y"}
    dataset = {"name": "synthetic", "source": "z", "train_samples": 64, "validation_samples": 9, "sha256": "0" * 64}
    split = e.Split(e.Metrics(loss, 0.75), e.Metrics(1.0, 0.5))
    row = (1.0, loss)
    events: list[e.Event] = [
        e.Started("2026-01-01T00:00:00+00:00", {**config.to_dict(), "command": config.to_command()}, environment,
                  dataset, {"bn1": 2}, 2, 4),
        e.Stepped(2, 1, (loss, 1.0), (1.0, 1.0), 0.5),
        e.EpochEnded(1, 2, 0.01, 0.5, 0.25, split, split),
        e.BatchNormRead(1, 2, (e.LayerStatistics("bn1", row, row, row, row, row, row),)),
        e.Intervened(2, 2, "learning_rate", 0.01, 0.02),
        e.Alert(1, "bn", "diverged", "no longer a number"),
        e.Finished(status, 2, {"bn": "a" * 64, "plain": "b" * 64}, 3.0),
    ]  # fmt: skip
    made = History()
    for event in events:
        made.apply(event)
    return made


def validate(built: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(results.schema(), format_checker=jsonschema.FormatChecker()).validate(built)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(results.schema())


def test_results_hold_what_happened() -> None:
    built = results.build(history())
    validate(built)
    assert built["schema"] == "bntui.results/1"
    assert built["status"] == "completed"
    assert built["epochs"] == [
        {
            "epoch": 1,
            "step": 2,
            "lr": 0.01,
            "seconds": {"train": 0.5, "eval": 0.25},
            "train": {"bn": {"loss": 0.5, "accuracy": 0.75}, "plain": {"loss": 1.0, "accuracy": 0.5}},
            "validation": {"bn": {"loss": 0.5, "accuracy": 0.75}, "plain": {"loss": 1.0, "accuracy": 0.5}},
        }
    ]
    assert built["steps"] == {"step": [1, 2], "bn_loss": [0.5, 1.0], "plain_loss": [1.0, 1.0]}
    assert built["batch_norm"] == [
        {
            "layer": "bn1",
            "features": 2,
            "history": [
                {"epoch": 1, "running_mean": [1, 0.5], "running_var": [1, 0.5], "weight": [1, 0.5], "bias": [1, 0.5]}
            ],
        }
    ]
    assert built["interventions"] == [{"step": 2, "epoch": 2, "action": "learning_rate", "from": 0.01, "to": 0.02}]
    summary = built["summary"]
    assert summary["final"]["bn"]["validation"] == {"loss": 0.5, "accuracy": 0.75}
    assert summary["best"]["plain"]["epoch"] == 1
    assert (summary["steps_per_second"], summary["samples_per_second"]) == (4.0, 128.0)
    assert summary["diverged"] == {"bn": True, "plain": False}


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_and_the_file_is_json(loss: float) -> None:
    built = results.build(history(loss))
    validate(built)
    text = results.to_json(built)
    assert json.loads(text, parse_constant=pytest.fail) == built
    assert built["epochs"][0]["train"]["bn"]["loss"] is None
    assert built["steps"]["bn_loss"][0] is None
    assert built["alerts"][0]["message"] == "no longer a number"


@pytest.mark.parametrize(("status", "written"), [("running", "interrupted"), ("failed", "failed")])
def test_a_run_that_goes_on_is_written_as_interrupted(status: str, written: str) -> None:
    made = history()
    made.status = status
    assert results.build(made)["status"] == written


def test_a_failed_run_without_hashes_is_valid() -> None:
    made = history(status="failed")
    made.state_sha256 = {}
    made.epochs.clear()
    built = results.build(made)
    validate(built)
    assert built["summary"]["final"] == {"bn": None, "plain": None}


def test_the_command_of_a_run_with_interventions_replays_them() -> None:
    built = results.build(history(), Path("/tmp/a b/results.json"))
    assert built["config"]["command"].endswith("--replay-interventions '/tmp/a b/results.json'")
