from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bntui.cli import main
from bntui.config.options import RunConfig
from bntui.config.presets import PRESETS, SMALL_BATCH, VARIANTS
from bntui.lab.claims import CLAIMS, Claim
from bntui.lab.experiment import show
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.storage.recorder import Recorder

SMALL = ["--data", "synthetic", "--train-samples", "2000", "--validation-samples", "200", "--epochs", "2"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_an_experiment_ends_in_a_table_and_leaves_every_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--export", str(tmp_path / "out.json"), "--run-dir", str(tmp_path / "runs")]
    assert main(["experiment", "vanishing", "--seeds", "2", "--seed", "5", *SMALL, *places]) == 0
    shown = capsys.readouterr()
    assert "vanishing on synthetic, 2 seeds" in shown.out
    rows = [row for row in shown.out.split("\n") if row.endswith(" holds |") or "holds  |" in row]
    assert len(rows) == 2 and "first / last gradient" in rows[0]
    ratios = []
    for seed in (5, 6):
        results = json.loads((tmp_path / f"out-seed-{seed}.json").read_text())
        assert results["config"]["seed"] == seed
        assert results == json.loads((tmp_path / "runs" / f"seed-{seed}" / "results.json").read_text()) | {
            "config": results["config"]
        }
        assert f"seed {seed}: run folder" in shown.err
        ratios.append(results["summary"]["gradient_ratio"]["none"] / results["summary"]["gradient_ratio"]["batch"])
    printed = [float(number) for number in re.findall(r"\d\.\d+(?:e-\d+)?", rows[0])][:3]
    assert printed == pytest.approx([sum(ratios) / 2, *sorted(ratios)], rel=6e-3)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_run_with_every_seed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--data", "synthetic", "--train-samples", "200", "--validation-samples", "50", "--epochs", "1"]
    assert main(["experiment", name, "--seeds", "2", *tiny, "--export", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    assert f"{name} on synthetic, 2 seeds" in shown.out
    judged = [claim for claim in CLAIMS[name] if not claim.data]
    assert len(re.findall(r"\| (holds|does not hold) +\|", shown.out)) == len(judged)
    for claim in CLAIMS[name]:
        assert claim.what in shown.out
    for label, options in VARIANTS[name].items():
        for seed in (1, 2):
            assert f"{name}, {label}, seed {seed}: run folder" in shown.err
            config = json.loads((tmp_path / f"out-{label.replace(' ', '-')}-seed-{seed}.json").read_text())["config"]
            assert config["seed"] == seed
            for option, value in {**PRESETS[name][1], **options, "train_samples": 200, "epochs": 1}.items():
                expected = (
                    list(map(str, value)) if option == "arms" else list(value) if isinstance(value, tuple) else value
                )
                assert config[option] == expected or option == "data"


def test_after_a_signal_the_table_is_of_the_seeds_that_were_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [0, 0, 0, 130]

    def run(config: RunConfig, recorder: Recorder, *, lines: bool) -> int:
        recorder.history.started = STARTED
        recorder.history.epochs = made(config.seed / 10).epochs
        return codes.pop(0)

    monkeypatch.setattr("bntui.lab.experiment.run_headless", run)
    assert main(["experiment", "forgot-eval", "--seeds", "3"]) == 130
    shown = capsys.readouterr()
    assert not codes
    assert "forgot-eval on synthetic, 1 seed " in shown.out and "0.1000 to 0.1000" in shown.out
    assert shown.err.count("run folder") == 3


def test_a_folder_in_the_way_is_told_of_before_the_first_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bntui.lab.experiment.run_headless", lambda *_, **__: pytest.fail("has begun"))
    (tmp_path / "running-seed-2").mkdir()
    (tmp_path / "running-seed-2" / "results.json").touch()
    assert main(["experiment", "forgot-eval", "--seeds", "2", "--run-dir", str(tmp_path)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main(["experiment", "small-batch", "--train-samples", "20"]) == 2
    assert "less than one batch" in capsys.readouterr().err


def test_claims_are_about_the_arms_of_their_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "vanishing", "--arms", "layer,none", *SMALL]) == 2
    assert "what is claimed is of the arms of its preset; leave --arms out" in capsys.readouterr().err


def test_what_was_published_for_mnist_is_not_compared_with_other_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "udacity-relu-lr2-std0.05", *SMALL, "--max-steps", "40"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("not comparable: mnist") == 2
    assert "0.101" in shown and "0.983" in shown


STARTED = e.Started("", {}, {}, {"name": "synthetic"}, (), {}, 1, 1)


def made(
    *bn: float,
    plain: Sequence[float] = (0.5,),
    train: float = 0.9,
    medians: dict[str, Sequence[float]] | None = None,
    other: str = "none",
) -> History:
    """Return a run with these validation accuracies, and medians of one unit, by epoch, of batch norm and another."""
    history = History(started=STARTED)
    for epoch, (with_bn, without) in enumerate(zip(bn, plain * len(bn) if len(plain) == 1 else plain, strict=True), 1):
        validation = {"batch": e.Metrics(1.0, with_bn), other: e.Metrics(1.0, without)}
        on_train = dict.fromkeys(("batch", other), e.Metrics(1.0, train))
        history.epochs.append(e.EpochEnded(epoch, 10 * epoch, 0.1, 0.0, 0.0, on_train, validation))
    layers = {
        arm: [
            [e.LayerFlow("linear", 1.0, 1.0, (), 0.0, (middle - 1, middle, middle + 1))] * 2
            for middle in (medians or {}).get(arm, ())
        ]
        for arm in ("batch", other)
    }
    for epoch, (with_bn_, without_) in enumerate(zip(layers["batch"], layers[other], strict=True), 1):
        history.flow.append(e.FlowRead(epoch, 10 * epoch, {"batch": tuple(with_bn_), other: tuple(without_)}))
    return history


def group(accuracy: float) -> dict[str, Any]:
    return {"plain": (accuracy,), "other": "group:8"}


def verdicts(name: str, runs: dict[str, History]) -> list[bool]:
    return [claim.holds(claim.measure(runs)) for claim in CLAIMS[name] if not claim.data]


NUMBERS = SMALL_BATCH.items()
STEADY, DRIFTING = (9.0, 0.0, 0.1, 0.0), (9.0, 0.0, 0.5, -0.5)


@pytest.mark.parametrize(
    ("name", "runs", "expected"),
    [
        ("forgot-eval", {"single": made(0.1), "running": made(0.9)}, [True, True]),
        ("forgot-eval", {"single": made(0.9), "running": made(0.1)}, [False, False]),
        ("covariate-shift", {"clean": made(0.9), "shifted": made(0.3), "adapted": made(0.7)}, [True, True]),
        ("covariate-shift", {"clean": made(0.9), "shifted": made(0.3), "adapted": made(0.5)}, [True, False]),
        ("covariate-shift", {"clean": made(0.9), "shifted": made(0.9), "adapted": made(0.9)}, [False, False]),
        ("dropout-bn", {"dropout": made(0.8, train=0.85), "no dropout": made(0.85, train=0.95)}, [True, True]),
        ("dropout-bn", {"dropout": made(0.85, train=0.95), "no dropout": made(0.8, train=0.85)}, [False, False]),
        (
            "noisy-bn",
            {"noise": made(0.8, medians={"batch": DRIFTING, "none": STEADY}),
             "no noise": made(0.81, medians={"batch": STEADY, "none": STEADY})},
            [True, True, True],
        ),
        (
            "noisy-bn",
            {"noise": made(0.4, medians={"batch": STEADY, "none": STEADY}),
             "no noise": made(0.81, medians={"batch": STEADY, "none": STEADY})},
            [False, False, False],
        ),
        (
            "ioffe-4.1",
            {"": made(0.7, 0.8, 0.9, 0.9, plain=(0.3, 0.5, 0.6, 0.8), medians={"batch": STEADY, "none": DRIFTING})},
            [True, True, True],
        ),
        (
            "ioffe-4.1",
            {"": made(0.3, 0.5, 0.6, 0.8, plain=(0.7, 0.8, 0.9, 0.9), medians={"batch": DRIFTING, "none": DRIFTING})},
            [False, False, False],
        ),
        ("small-batch", {f"batch {n}": made(1 - bn, **group(1 - gn)) for n, (bn, gn) in NUMBERS}, [True] * 3),
        ("small-batch", {f"batch {n}": made(1 - gn, **group(1 - bn)) for n, (bn, gn) in NUMBERS}, [False] * 3),
    ],
)  # fmt: skip
def test_a_claim_can_hold_and_can_fail(name: str, runs: dict[str, History], expected: list[bool]) -> None:
    assert verdicts(name, runs) == expected


def test_a_run_too_short_for_a_number_proves_nothing() -> None:
    short = made(0.9, medians={"batch": (0.0,), "none": (0.0,)})
    assert verdicts("ioffe-4.1", {"": short}) == [True, False, False]
    for claims in CLAIMS.values():
        assert not any(claim.holds(math.nan) for claim in claims)


def test_drift_is_in_widths_of_the_distribution() -> None:
    drift = next(claim for claim in CLAIMS["ioffe-4.1"] if claim.what.startswith("drift")).measure
    # Both arms' medians lie 0.5 about their mean, all epochs but the first; the width is 2.
    equal = {"batch": (7.0, 0.0, 1.0), "none": (0.0, 5.0, 4.0)}
    assert drift({"": made(0.9, medians=equal)}) == pytest.approx(1)
    assert drift({"": made(0.9, medians={**equal, "none": (0.0, 5.0, 8.0)})}) == pytest.approx(3)
    assert math.isnan(drift({"": made(0.9, medians={**equal, "batch": (1.0, 1.0, 1.0)})}))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.2, 0.9, 0.4], ["0.4000", "0.2000 to 0.9000", "does not hold"]),
        ([0.2, 0.9, 0.5], ["0.5000", "0.2000 to 0.9000", "holds"]),
        *(
            (list(order), [" nan ", "0.2000 to 0.9000, 1 without a number", "does not hold"])
            for order in itertools.permutations([0.9, math.nan, 0.2])
        ),
        ([math.nan] * 3, [" nan ", "does not hold"]),
    ],
)
def test_a_claim_holds_or_not_by_the_median(
    values: list[float], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = iter(values)
    claim = Claim("it", "at least", 0.5, lambda _: next(numbers), 0.7)
    show("name", [claim], [{"": History(started=STARTED)}] * 3)
    row = next(row for row in capsys.readouterr().out.split("\n") if "| it" in row)
    assert [word for word in [*shown, "0.700", "at least 0.5"] if word not in row] == []


def test_every_preset_has_its_claims() -> None:
    assert list(CLAIMS) == list(PRESETS)
    assert set(VARIANTS) < set(PRESETS)
    claims = CLAIMS["udacity-sigmoid-lr0.01-std5"]
    assert [claim.what for claim in claims][::2] == ["without BN fails", "with BN trains"]
    assert [claim.published for claim in claims][1::2] == [0.227, 0.853]
    assert claims[1].holds(0.25) and not claims[1].holds(0.26)
    assert claims[0].holds(0.49) and not claims[0].holds(0.5)


def test_the_list_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.strip().split("\n")] == list(CLAIMS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which one"), (["nothing"], "experiment nothing: there is no such; take one of lab, vanishing, ioffe-4.1"),
        (["lab", "--seeds", "0"], "--seeds takes"), (["lab", "--resume", "somewhere"], "resume"),
        (["lab", "--export", "-"], "name a file"), (["lab", "--epochs", "x"], "--epochs takes"),
        (["lab", "--sedes", "3"], "did you mean --seeds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and message in shown.err
