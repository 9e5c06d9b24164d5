from __future__ import annotations

import json
import math

import pytest

from bntui.config.parsers import arms as arms_of
from bntui.messages.alerts import Alerts, gradient_ratio, of_batch_size, of_flow, of_gap, of_learning_rate, verdict
from bntui.messages.arms import Arm, build_arms
from bntui.messages.events import Alert, LayerFlow


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
    found = of_flow("No norm", layers(first, last, inactive))
    assert [kind for kind, _ in found] == kinds
    assert all("No norm" in message for _, message in found)


def test_the_ratio_is_of_the_first_to_the_last() -> None:
    assert gradient_ratio(layers(3.0, 4.0)) == 0.75
    assert math.isnan(gradient_ratio(())) and math.isnan(gradient_ratio(layers(1.0, 0.0)))
    assert [verdict(ratio) for ratio in (1e-4, 1e-2, 1e4, math.nan)] == ["vanishing", "", "exploding", ""]


def test_a_small_batch_is_told_of_to_arms_that_have_its_statistics() -> None:
    renorm, group = Arm("a", "Batch renorm", "batch-renorm"), Arm("b", "Group norm 8", "group:8")
    ((kind, message),) = of_batch_size(7, renorm)
    assert kind == "small_batch" and message.startswith("Batch renorm: 7 samples a batch are few for batch renorm")
    assert of_batch_size(8, renorm) == of_batch_size(7, group) == []


def test_each_arm_is_warned_of_each_kind_once_and_what_was_told_is_kept() -> None:
    arms = build_arms(arms_of("batch,batch-renorm,none"))
    told: list[Alert] = []
    alerts = Alerts(told.append, arms)
    alerts.batch_size(0, 2)
    alerts.losses(3, {"batch": (1.0, math.nan, 2.0), "batch-renorm": (1.0,) * 3, "none": (1.0,) * 3})
    assert [(alert.step, alert.arm, alert.kind) for alert in told] == [
        (0, "batch", "small_batch"), (0, "batch-renorm", "small_batch"), (2, "batch", "diverged"),
    ]  # fmt: skip
    again = Alerts(told.append, arms)
    again.load_state_dict(json.loads(json.dumps(alerts.state_dict())))
    again.batch_size(4, 2)
    again.losses(5, {"batch": (math.nan,), "batch-renorm": (1.0,), "none": (math.inf,)})
    assert [(alert.step, alert.arm, alert.kind) for alert in told[3:]] == [(5, "none", "diverged")]
    again.forget("batch")
    again.losses(6, {"batch": (math.nan,), "batch-renorm": (1.0,), "none": (1.0,)})
    assert [(alert.step, alert.arm) for alert in told[4:]] == [(6, "batch")]


@pytest.mark.parametrize(
    ("training", "evaluation", "large"),
    [(0.1, 0.1, False), (0.1, 0.49, False), (0.1, 0.51, True), (2.0, 4.2, False), (2.0, 4.4, True),
     (math.nan, 5.0, False), (0.1, math.nan, False)],
)  # fmt: skip
def test_a_gap_is_large_from_twice_the_loss_and_a_margin_on(training: float, evaluation: float, large: bool) -> None:
    assert [kind for kind, _ in of_gap("With BN", training, evaluation)] == ["eval_gap"] * large


def test_a_raised_learning_rate_is_recalled_for_a_while() -> None:
    assert of_learning_rate(0.01, 0.02, 1_001) == of_learning_rate(0.02, 0.01, 5) == []
    ((kind, message),) = of_learning_rate(0.01, 0.5, 40)
    assert kind == "learning_rate" and "from 0.01 to 0.5, 40 steps before" in message
