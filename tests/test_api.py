from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bntui


def test_the_public_names_are_there_and_torch_comes_only_with_run() -> None:
    code = (
        "import sys, bntui\n"
        "bntui.RunConfig, bntui.Control, bntui.History\n"
        "assert 'torch' not in sys.modules\n"
        "events = []\n"
        "config = bntui.RunConfig(data='synthetic', train_samples=64, validation_samples=10, epochs=1)\n"
        "print(bntui.run(config, events.append, bntui.Control()).status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("completed\n", "")


def test_the_readmes_python_runs() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    code = readme.read_text().partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("{'batch': Metrics(loss=")


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = bntui.nonsense
