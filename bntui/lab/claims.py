"""What is claimed of the presets, each with what makes it so stated beforehand."""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bntui.config.presets import PRESETS, SMALL_BATCH, UDACITY, udacity_name
from bntui.errors import UsageError
from bntui.messages.alerts import gradient_ratio
from bntui.messages.history import History

TRAINS = 0.5
"""Accuracy that separates an arm that trains from one that fails; chance is 0.1."""
NEAR = 0.03
"""How far from a published accuracy ours may lie, on the data set that it was published for."""

Runs: TypeAlias = Mapping[str, History]
"""The runs of one seed by the label of their variant; a preset without variants has one, labelled ''."""
Measure: TypeAlias = Callable[[Runs], float]


_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "above": operator.gt, "at least": operator.ge, "at most": operator.le, "below": operator.lt,
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Something that can be true of a preset or not, with what makes it so stated beforehand."""

    what: str
    relation: str
    """Of the median over the seeds to the limit; `within`: so far at most from what was published."""
    limit: float
    measure: Measure
    published: float | None = None
    data: str = ""
    """The only data set on which it can be compared; any, if empty."""

    def holds(self, value: float) -> bool:
        """Return whether the claim is true, given the median."""
        if self.published is not None and self.relation == "within":
            return abs(value - self.published) <= self.limit
        return _HOLDS[self.relation](value, self.limit)


def claims_of(name: str) -> list[Claim]:
    """Return what is claimed of a preset.

    Raises
    ------
    UsageError
        Nothing is.
    """
    claims = CLAIMS.get(name)
    if claims is None:
        raise UsageError(f"experiment {name}: there is no such; take one of {', '.join(CLAIMS)}")
    return claims


BN, BARE, GROUP = "batch", "none", "group:8"
"""Names of the arms that something is claimed of."""


def _published(arm: str, who: str, number: float, near: float = NEAR) -> list[Claim]:
    """Claim of an arm that it trains, or fails, as published for MNIST, and on MNIST the number."""
    accuracy = _accuracy(arm)
    what, relation = (f"{who} trains", "at least") if number >= TRAINS else (f"{who} fails", "below")
    return [
        Claim(what, relation, TRAINS, accuracy),
        Claim(f"validation accuracy {who}", "within", near, accuracy, number, "mnist"),
    ]


def _accuracy(arm: str, label: str = "", part: str = "validation") -> Measure:
    return lambda runs: float(getattr(runs[label].epochs[-1], part)[arm].accuracy)


def _error(arm: str, label: str) -> Measure:
    return lambda runs: 1 - _accuracy(arm, label)(runs)


def _minus(a: Measure, b: Measure) -> Measure:
    return lambda runs: a(runs) - b(runs)


def _cost(better: str, worse: str) -> Measure:
    """Return the measure of how much less accurate BN is in one variant than in another."""
    return _minus(_accuracy(BN, better), _accuracy(BN, worse))


def _share(part: Measure, whole: Measure) -> Measure:
    """Return the measure part / whole; NaN where there is no whole."""
    return lambda runs: part(runs) / whole(runs) if whole(runs) > 0 else math.nan


def _gradients(arm: str) -> Measure:
    return lambda runs: gradient_ratio(runs[""].flow[-1].arms[arm])


def _catching_up(runs: Runs) -> float:
    """Return at which share of the steps BN first has the other arm's last accuracy; infinite if it never has."""
    epochs = runs[""].epochs
    goal = epochs[-1].validation[BARE].accuracy
    return next((row.step for row in epochs if row.validation[BN].accuracy >= goal), math.inf) / epochs[-1].step


def _drift(arm: str, label: str = "") -> Measure:
    """Return the measure of how unsteady what enters one unit of the last hidden layer is, from epoch to epoch.

    The standard deviation over the epochs, without the first, of each of the three percentiles, and of these the mean,
    in distances between the outer two: the units of a layer differ in scale, and a scale alone is no drift.
    """

    def measure(runs: Runs) -> float:
        rows = [flow.arms[arm][-2].unit_percentiles for flow in runs[label].flow[1:]]
        if not rows:
            return math.nan
        columns = [(column, statistics.fmean(column)) for column in zip(*rows, strict=True)]
        wander = [math.sqrt(statistics.fmean((value - mean) ** 2 for value in column)) for column, mean in columns]
        width = columns[-1][1] - columns[0][1]
        return statistics.fmean(wander) / width if width > 0 else math.nan

    return measure


WITH, WITHOUT = "with BN", "without BN"
_AHEAD = Claim("validation accuracy, with BN ahead by", "above", 0, _minus(_accuracy(BN), _accuracy(BARE)))
_GRADIENTS = _share(_gradients(BARE), _gradients(BN))
_RISE, _GROUP_RISE = (_minus(_error(arm, "batch 2"), _error(arm, "batch 32")) for arm in (BN, GROUP))
_GROUP_SHARE = _share(lambda runs: abs(_GROUP_RISE(runs)), _RISE)
_GROUP_AHEAD = _minus(_error(BN, "batch 2"), _error(GROUP, "batch 2"))
_NOISE_AHEAD = _minus(_accuracy(BN, "noise"), _accuracy(BARE, "noise"))
_NOISE_DRIFT = _share(_drift(BN, "noise"), _drift(BN, "no noise"))
_WON_BACK = _share(_cost("adapted", "shifted"), _cost("clean", "shifted"))
_LESS_OVERFIT = _minus(
    *(_minus(_accuracy(BN, label, "train"), _accuracy(BN, label)) for label in ("no dropout", "dropout"))
)

CLAIMS: dict[str, list[Claim]] = {
    "lab": [_AHEAD, *_published(BN, WITH, 0.97, 0.01), *_published(BARE, WITHOUT, 0.95, 0.01)],
    "vanishing": [
        Claim("first / last gradient, without BN / with", "at most", 0.01, _GRADIENTS),
        _AHEAD,
    ],
    "ioffe-4.1": [
        _AHEAD,
        Claim("share of the steps after which BN is where the other ends", "at most", 0.5, _catching_up),
        # In the figure a look is enough to tell them apart, so far above 1.
        Claim("drift of what enters a unit, without BN / with", "at least", 1.5, _share(_drift(BARE), _drift(BN))),
    ],
    "small-batch": [
        *(
            Claim(f"error at batch {size}, {who}", "within", NEAR, _error(arm, f"batch {size}"), numbers[i], "imagenet")
            for i, (arm, who) in enumerate(((BN, "batch norm"), (GROUP, "group norm")))
            for size, numbers in SMALL_BATCH.items()
        ),
        Claim("from batch 32 to 2 batch norm's error rises by", "above", 0.02, _RISE),
        Claim("group norm's changes by this share of that", "at most", 0.5, _GROUP_SHARE),
        Claim("at batch 2 group norm's error is lower by", "above", 0, _GROUP_AHEAD),
    ],
    "noisy-bn": [
        Claim("the noise costs BN's accuracy", "at most", 0.02, _cost("no noise", "noise")),
        Claim("BN with noise is ahead of no BN by", "above", 0, _NOISE_AHEAD),
        Claim("drift of what enters a unit, with noise / without", "above", 1, _NOISE_DRIFT),
    ],
    "forgot-eval": [
        Claim("accuracy with BN, an image at a time", "at most", 0.2, _accuracy(BN, "single"), 0.05),
        Claim("accuracy with BN, running statistics", "at least", TRAINS, _accuracy(BN, "running")),
        Claim("accuracy with BN, running statistics", "within", NEAR, _accuracy(BN, "running"), 0.97, "mnist"),
    ],
    "covariate-shift": [
        Claim("the shift costs BN's accuracy", "at least", 0.1, _cost("clean", "shifted")),
        Claim("AdaBN wins back this share of it", "at least", 0.5, _WON_BACK),
    ],
    "dropout-bn": [
        Claim("dropout costs BN's accuracy", "above", 0, _cost("no dropout", "dropout")),
        Claim("dropout narrows the gap from training to validation by", "above", 0, _LESS_OVERFIT),
    ],
    **{
        udacity_name(*setting): [*_published(BARE, WITHOUT, plain), *_published(BN, WITH, bn)]
        for setting, (plain, bn) in UDACITY.items()
    },
}  # fmt: skip
"""What is claimed of a preset, by its name."""

assert set(CLAIMS) <= set(PRESETS)
