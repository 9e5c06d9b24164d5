from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.messages import events as e
from bntui.messages.arms import build_arms
from bntui.messages.history import History
from bntui.storage import results
from bntui.storage.results_file import events_of, read_results
from bntui.storage.schedule import read_interventions


def history(loss: float = 0.5, status: str = "completed", width: int = 2) -> History:
    config = RunConfig(data="synthetic", hidden=(width,), threads=1, device="cpu")
    environment = {"python": "3", "torch": "2", "device": "cpu", "device_name": "x", "threads": 1, "platform": "y"}
    dataset = {"name": "synthetic", "source": "z", "train_samples": 64, "validation_samples": 9, "sha256": "0" * 64}
    split = {"batch": e.Metrics(loss, 0.75), "none": e.Metrics(1.0, 0.5)}
    row = (1.0, *(width - 1) * (loss,))
    quantiles = tuple(float(i) for i in range(len(e.QUANTILES)))
    flow = e.LayerFlow("linear1", 1.0, 2.0, (0.0, 1.0, 2.0), 0.5, (0.0, 1.0, 2.0), quantiles, 1e-3)
    last = e.LayerFlow("linear2", 1.0, 2.0, (), math.nan)
    events: list[e.Event] = [
        e.Started("2026-01-01T00:00:00+00:00", {**config.to_dict(), "command": config.to_command()}, environment,
                  dataset, build_arms(config.arms), {"batch": {"norm1": width}}, 2, 4),
        e.Stepped(1, 1, {"batch": (loss,), "none": (1.0,)}, 0.25, {"batch": (0.25,), "none": (0.5,)}),
        e.Evaluated(1, 1, 7, 0.125, split),
        e.Stepped(2, 1, {"batch": (1.0,), "none": (1.0,)}, 0.5, {"batch": (0.75,), "none": (0.0,)}),
        e.EpochEnded(1, 2, 0.01, 0.5, 0.25, split, split),
        e.NormalizationRead(1, 2, {"batch": (e.LayerStatistics("norm1", *[row] * 6),)}),
        e.FlowRead(1, 2, {arm: (flow, last) for arm in split}),
        e.Intervened(2, 2, "learning_rate", 0.01, 0.02),
        e.Alert(1, "batch", "diverged", "no longer a number"),
        e.Finished(status, 2, {"batch": "a" * 64, "none": "b" * 64}, 3.0),
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
    assert built["schema"] == "bntui.results/2"
    assert built["status"] == "completed"
    assert built["epochs"] == [
        {
            "epoch": 1,
            "step": 2,
            "lr": 0.01,
            "seconds": {"train": 0.5, "eval": 0.25},
            "train": {"batch": {"loss": 0.5, "accuracy": 0.75}, "none": {"loss": 1.0, "accuracy": 0.5}},
            "validation": {"batch": {"loss": 0.5, "accuracy": 0.75}, "none": {"loss": 1.0, "accuracy": 0.5}},
        }
    ]
    assert built["steps"] == {
        "step": [1, 2],
        "loss": {"batch": [0.5, 1.0], "none": [1.0, 1.0]},
        "accuracy": {"batch": [0.25, 0.75], "none": [0.5, 0.0]},
    }
    split = built["epochs"][0]["validation"]
    assert built["evaluations"] == [{"epoch": 1, "step": 1, "samples": 7, "seconds": 0.125, "validation": split}]
    first, last = built["flow"][0]["arms"]["batch"]
    assert (first["quantiles"][:3], len(first["quantiles"]), first["update_ratio"]) == ([0, 1, 2], 25, 1e-3)
    assert (last["quantiles"], last["update_ratio"]) == ([], None)
    assert built["normalization"] == [
        {
            "arm": "batch",
            "layer": "norm1",
            "kind": "batch",
            "features": 2,
            "history": [
                {"epoch": 1, "running_mean": [1, 0.5], "running_var": [1, 0.5], "weight": [1, 0.5], "bias": [1, 0.5]}
            ],
        }
    ]
    assert built["interventions"] == [{"step": 2, "epoch": 2, "action": "learning_rate", "from": 0.01, "to": 0.02}]
    summary = built["summary"]
    assert summary["final"]["batch"]["validation"] == {"loss": 0.5, "accuracy": 0.75}
    assert summary["best"]["none"]["epoch"] == 1
    assert (summary["steps_per_second"], summary["samples_per_second"]) == (4.0, 128.0)
    assert summary["diverged"] == {"batch": True, "none": False}


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_and_the_file_is_json(loss: float) -> None:
    built = results.build(history(loss))
    validate(built)
    text = results.to_json(built)
    assert json.loads(text, parse_constant=pytest.fail) == built
    assert built["epochs"][0]["train"]["batch"]["loss"] is None
    assert built["steps"]["loss"]["batch"][0] is None
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
    assert built["summary"]["final"] == {"batch": None, "none": None}


def test_the_command_of_a_run_with_interventions_replays_them() -> None:
    built = results.build(history(), Path("/tmp/a b/results.json"))
    assert built["config"]["command"].endswith("--replay-interventions '/tmp/a b/results.json'")


def test_of_very_wide_layers_an_even_choice_of_channels_is_told() -> None:
    built = results.build(history(width=10_000))
    validate(built)
    (row,) = built["normalization"]
    assert (row["features"], row["channels"][:3], len(row["channels"])) == (10_000, [0, 3, 6], 3_334)
    assert len(row["history"][0]["running_mean"]) == 3_334
    again = History()
    for event in events_of(built, "open x"):
        again.apply(event)
    assert again.normalization_now is not None and len(again.normalization_now.arms["batch"][0].weight) == 3_334


@pytest.mark.parametrize(
    "part", ["arms", "epochs", "steps", "evaluations", "normalization", "flow", "probes", "summary", "plans"]
)
def test_results_tell_the_history_that_they_were_made_of(part: str) -> None:
    built = results.build(history())
    again = History()
    for event in events_of(json.loads(results.to_json(built)), "open x"):
        again.apply(event)
    assert results.build(again)[part] == built[part]


def test_results_without_what_was_added_later_still_open() -> None:
    built = results.build(history())
    del built["evaluations"], built["steps"]["accuracy"]
    for layer in built["flow"][0]["arms"]["batch"]:
        del layer["quantiles"], layer["update_ratio"]
    validate(built)
    again = History()
    for event in events_of(built, "open x"):
        again.apply(event)
    assert again.steps.points()[1] == {"batch": [0.5, 1.0], "none": [1.0, 1.0]}
    assert all(math.isnan(share) for shares in again.steps.points("accuracy")[1].values() for share in shares)
    assert again.evaluations == []
    flow = again.flow[0].arms["batch"][0]
    assert flow.quantiles == () and math.isnan(flow.update_ratio) and flow.percentiles == (0.0, 1.0, 2.0)
    validate(results.build(again))


@pytest.mark.parametrize(
    ("layer", "accuracy"),
    [
        ({"quantiles": [1.0]}, 0.5),
        ({"quantiles": [2.0, 1.0] + [3.0] * 23}, 0.5),
        ({"update_ratio": -1}, 0.5),
        ({}, 1.5),
    ],
)
def test_readings_that_no_run_tells_of_are_refused(layer: dict[str, Any], accuracy: float) -> None:
    built = results.build(history())
    events_of(built, "open x")
    built["flow"][0]["arms"]["batch"][0].update(layer)
    built["steps"]["accuracy"]["none"][1] = accuracy
    with pytest.raises(UsageError, match="damaged"):
        events_of(built, "open x")


def test_results_of_the_first_version_open_in_the_form_of_today() -> None:
    old = Path(__file__).with_name("results-version-1.json")
    read = read_results(str(old), "open x")
    validate(read)
    first = json.loads(old.read_text())
    assert [(arm["name"], arm["norm"]) for arm in read["arms"]] == [("group:1", "group:1"), ("batch", "batch")]
    assert read["config"]["arms"] == ["group:1", "batch"] and "norm" not in read["config"]
    assert read["steps"]["loss"] == {"group:1": first["steps"]["bn_loss"], "batch": first["steps"]["plain_loss"]}
    assert read["state_sha256"] == {"group:1": first["state_sha256"]["bn"], "batch": first["state_sha256"]["plain"]}
    assert [row["arm"] for row in read["normalization"]] == ["group:1", "group:1"]
    unknown = {"quantiles": [], "update_ratio": None}
    assert read["flow"][0]["arms"]["batch"] == [{**layer, **unknown} for layer in first["flow"][0]["plain"]]
    assert read["probes"][0]["arms"]["group:1"] == first["probes"][0]["bn"]
    assert [(row["action"], row["to"]) for row in read["interventions"]] == [
        ("dropout", 0.2), ("restart_arm", "batch"), ("batch_size", 16),
    ]  # fmt: skip
    again = History()
    for event in events_of(read, "open x"):
        again.apply(event)
    built = results.build(again)
    assert {**built, "bntui_version": read["bntui_version"]} == read
    assert [step for step, _ in read_interventions(str(old))] == [5, 12, 20]


@pytest.mark.parametrize("missing", ["config", "steps", "epochs", "batch_norm", "summary", "state_sha256", "alerts"])
def test_damaged_results_of_the_first_version_are_refused_in_a_line(tmp_path: Path, missing: str) -> None:
    old = json.loads(Path(__file__).with_name("results-version-1.json").read_text())
    del old[missing]
    (tmp_path / "old.json").write_text(json.dumps(old))
    with pytest.raises(UsageError, match="the results file is damaged; export the run again"):
        read_results(str(tmp_path / "old.json"), "open old.json")
