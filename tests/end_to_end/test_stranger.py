"""A stranger at the keyboard, for a short while; `benchmarks/stranger.py` plays it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.stranger import STAGES, Stranger


@pytest.mark.parametrize("stage", STAGES)
def test_whatever_is_typed_it_goes_on_answers_and_leaves_in_order(stage: str, tmp_path: Path) -> None:
    Stranger(STAGES.index(stage), tmp_path).play(80, (stage,))
