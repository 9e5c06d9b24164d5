"""Four arms at batch size 2: without a screen, in the app, gone on with, and replayed, to the same numbers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bntui.storage import results
from terminal_session import TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
ARMS = {"batch": "Batch norm", "group:8": "Group norm 8", "layer": "Layer norm", "none": "No norm"}
OPTIONS = ["--arms", ",".join(ARMS), "--batch-size", "2", "--lr", "0.001", "--data", "synthetic",
           "--train-samples", "400", "--validation-samples", "100", "--epochs", "2"]  # fmt: skip
PLAN = ["--intervene", "90:bn=off,150:dropout=0.2,170:bn=on,250:restart_arm=layer"]


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(loaded, results.schema())
    return loaded


def headless(*words: str | Path) -> None:
    subprocess.run([*BNTUI, "--headless", "--quiet", *map(str, words)], check=True, timeout=300, capture_output=True)


@pytest.mark.parametrize("engine", ["fused", "autograd"])
def test_four_arms_give_the_same_numbers_everywhere(tmp_path: Path, engine: str) -> None:
    options = [*OPTIONS, "--engine", engine]
    whole = tmp_path / "whole"
    headless(*options, *PLAN, "--run-dir", whole)
    expected = read(whole / "results.json")
    assert [arm["name"] for arm in expected["arms"]] == list(expected["state_sha256"]) == list(ARMS)
    assert len(set(expected["state_sha256"].values())) == 4
    assert [row["arm"] for row in expected["normalization"]] == ["batch"] * 2 + ["group:8"] * 2 + ["layer"] * 2
    assert any(alert["arm"] == "batch" and alert["kind"] == "small_batch" for alert in expected["alerts"])

    headless(*options, *PLAN, "--run-dir", tmp_path / "parts", "--max-steps", "130")
    headless("--resume", tmp_path / "parts", "--max-steps", "400")
    headless(*options, "--replay-interventions", whole, "--run-dir", tmp_path / "replayed")
    with TerminalSession([*BNTUI, *options, *PLAN, "--run-dir", str(tmp_path / "app")], size=(160, 48)) as s:
        s.wait("completed")
        for label in ARMS.values():
            assert label in s.text
        s.kill(signal.SIGTERM)
        s.finish(60)
    for place in ("parts", "replayed", "app"):
        made = read(tmp_path / place / "results.json")
        for part in ("state_sha256", "steps", "normalization", "interventions"):
            assert made[part] == expected[part], (place, part)


def test_four_arms_can_be_opened_again(tmp_path: Path) -> None:
    headless(*OPTIONS, "--run-dir", tmp_path / "run")
    for place in (tmp_path / "run", tmp_path / "run" / "results.json"):
        with TerminalSession([*BNTUI, "open", str(place)], size=(160, 48)) as s:
            s.wait("completed")
            for label in ARMS.values():
                s.wait(label)
            s.press("2", "BN 1 · norm1")
            s.press("]", "BN 2 · norm2")
            s.press("]", "Group norm 8 layer 1 · norm1")
            s.send("q")
            s.finish(60)
            assert s.process.returncode == 0
