from __future__ import annotations

import math

import pytest

from bntui.run.alerts import gradient_ratio, of_batch_size, of_flow, of_gap, of_learning_rate, verdict
from bntui.run.events import LayerFlow


def layers(first: float, last: float, inactive: float = 0.1) -> tuple[LayerFlow, ...]:
    return tuple(
        LayerFlow(f"linear{i}", norm, norm, (), share)
        for i, (norm, share) in enumerate(((first, inactive), (1.0, 0.0), (last, math.nan)), 1)
    )


@pytest.mark.parametrize(
    ("first", "last", "inactive", "kinds"),
    [
        (1.0, 1.0, 0.1, []), (1e-3, 0.5, 0.1, []), (1e-4, 1.0, 0.1, ["vanishing"]), (2e3, 1.0, 0.1, ["exploding"]),
        (1.0, 1.0, 0.5, ["inactive"]), (0.0, 1.0, 1.0, ["vanishing", "inactive"]), (1.0, 0.0, 0.1, []),
        (math.nan, 1.0, math.nan, []), (math.inf, 1.0, 0.0, ["exploding"]),
    ],
)  # fmt: skip
def test_what_deserves_a_warning(first: float, last: float, inactive: float, kinds: list[str]) -> None:
    found = of_flow("plain", layers(first, last, inactive))
    assert [kind for kind, _ in found] == kinds
    assert all("plain" in message for _, message in found)


def test_the_ratio_is_of_the_first_to_the_last() -> None:
    assert gradient_ratio(layers(3.0, 4.0)) == 0.75
    assert math.isnan(gradient_ratio(())) and math.isnan(gradient_ratio(layers(1.0, 0.0)))
    assert [verdict(ratio) for ratio in (1e-4, 1e-2, 1e4, math.nan)] == ["vanishing", "", "exploding", ""]


def test_a_small_batch_is_told_of_to_arms_that_have_its_statistics() -> None:
    found = of_batch_size(7, {"bn": "batch-renorm", "plain": "group:8"})
    assert [(arm, kind) for arm, kind, _ in found] == [("bn", "small_batch")]
    assert found[0][2].startswith("7 samples a batch are few for bn")
    assert of_batch_size(8, {"bn": "batch", "plain": "batch"}) == []
    assert len(of_batch_size(2, {"bn": "batch", "plain": "batch"})) == 2


@pytest.mark.parametrize(
    ("training", "evaluation", "large"),
    [(0.1, 0.1, False), (0.1, 0.49, False), (0.1, 0.51, True), (2.0, 4.2, False), (2.0, 4.4, True),
     (math.nan, 5.0, False), (0.1, math.nan, False)],
)  # fmt: skip
def test_a_gap_is_large_from_twice_the_loss_and_a_margin_on(training: float, evaluation: float, large: bool) -> None:
    assert [kind for kind, _ in of_gap("bn", training, evaluation)] == ["eval_gap"] * large


def test_a_raised_learning_rate_is_recalled_for_a_while() -> None:
    assert of_learning_rate(0.01, 0.02, 1_001) == of_learning_rate(0.02, 0.01, 5) == []
    ((kind, message),) = of_learning_rate(0.01, 0.5, 40)
    assert kind == "learning_rate" and "from 0.01 to 0.5, 40 steps before" in message
