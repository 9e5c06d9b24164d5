from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bntui.cli import main
from bntui.experiment import CLAIMS, Claim, show
from bntui.history import History
from bntui.presets import UDACITY

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
        ratios.append(results["summary"]["gradient_ratio"]["plain"] / results["summary"]["gradient_ratio"]["bn"])
    printed = [float(number) for number in re.findall(r"\d\.\d+(?:e-\d+)?", rows[0])][:3]
    assert printed == pytest.approx([sum(ratios) / 2, *sorted(ratios)], rel=6e-3)


def test_what_was_published_for_mnist_is_not_compared_with_other_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "udacity-relu-lr2-std0.05", *SMALL, "--max-steps", "40"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("only on mnist") == 2
    assert "0.101" in shown and "0.983" in shown


def test_a_claim_holds_or_not_by_the_median(capsys: pytest.CaptureFixture[str]) -> None:
    values = iter([0.2, 0.9, 0.4])
    history = History()
    history.started = type("Started", (), {"dataset": {"name": "synthetic"}})()
    claim = Claim("it", "0.5", "at least 0.5", lambda _: next(values), lambda value: value >= 0.5)
    show("name", [claim], [history] * 3)
    row = next(row for row in capsys.readouterr().out.split("\n") if "| it" in row)
    assert [word in row for word in ("0.4000", "0.2000 to 0.9000", "does not hold")] == [True] * 3


def test_every_published_run_has_its_claims() -> None:
    assert len(CLAIMS) == 2 + len(UDACITY)
    claims = CLAIMS["udacity-sigmoid-lr0.01-std5"]
    assert [claim.what for claim in claims][::2] == ["without BN fails", "with BN trains"]
    assert [claim.published for claim in claims][1::2] == ["0.227", "0.853"]
    assert claims[1].holds(0.25) and not claims[1].holds(0.26)
    assert claims[0].holds(0.49) and not claims[0].holds(0.5)


def test_the_list_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.strip().split("\n")] == list(CLAIMS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which one"), (["nothing"], "there is no such"), (["lab", "--seeds", "0"], "--seeds takes"),
        (["lab", "--export", "-"], "name a file"), (["lab", "--epochs", "x"], "--epochs takes"),
        (["lab", "--sedes", "3"], "did you mean --seeds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and message in shown.err
