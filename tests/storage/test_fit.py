from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bntui.config.options import RunConfig
from bntui.messages import events as e
from bntui.messages.arms import build_arms
from bntui.storage.fit import Fit

SPLIT = {"batch": e.Metrics(0.5, 0.9), "none": e.Metrics(math.nan, 0.1)}
EVALUATED = e.Evaluated(1, 3, 256, 0.5, SPLIT)
STEPPED = e.Stepped(2, 1, {"batch": (1.0, 2.0), "none": (1.0, 2.0)}, 0.5)


def begun() -> Fit:
    config = RunConfig(data="synthetic", hidden=(2,))
    dataset = {"name": "synthetic", "train_samples": 64, "validation_samples": 9}
    fit = Fit()
    assert fit.takes(e.Started("", config.to_dict(), {"device": "cpu"}, dataset, build_arms(config.arms), {}, 2, 4))
    return fit


@pytest.mark.parametrize(
    "event",
    [
        EVALUATED,
        STEPPED,
        replace(STEPPED, accuracies={"batch": (0.0, 1.0), "none": (math.nan, 0.5)}),
    ],
)
def test_what_a_run_tells_fits(event: e.Event) -> None:
    assert begun().takes(event)


@pytest.mark.parametrize(
    "event",
    [
        e.Evaluating(3, 1, 2),
        replace(EVALUATED, validation={"batch": SPLIT["batch"]}),
        replace(EVALUATED, validation={"none": SPLIT["none"], "batch": SPLIT["batch"]}),
        replace(EVALUATED, validation={**SPLIT, "none": e.Metrics(1.0, 1.5)}),
        replace(EVALUATED, seconds=math.nan),
        replace(EVALUATED, samples=-1),
        replace(STEPPED, accuracies={"batch": (0.5, 0.5)}),
        replace(STEPPED, accuracies={"batch": (0.5,), "none": (0.5,)}),
        replace(STEPPED, accuracies={"batch": (0.5, 0.5), "none": (0.5, -0.1)}),
    ],
)
def test_what_no_run_tells_does_not_fit(event: e.Event) -> None:
    assert not begun().takes(event)
