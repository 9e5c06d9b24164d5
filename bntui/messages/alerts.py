"""What deserves a warning: the rules, and who watches a run by them and warns of each kind once an arm."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from bntui.messages.arms import Arm
from bntui.messages.events import Alert, Emit, FlowRead, LayerFlow, Metrics

FAR_APART = 1e3
"""Factor between the first and the last layer's gradient from which on they vanish or explode."""
MANY = 0.5
"""Share of a layer's units."""
SMALL_BATCH = 8
"""Samples, below which batch statistics are poor (Wu & He 2018, https://arxiv.org/abs/1803.08494)."""
GAP_FACTOR, GAP_MARGIN = 2.0, 0.3
"""A loss in eval mode is far higher from so many times that in train mode on, and so many nats more."""
SOON = 1_000
"""Steps."""
RECENT = 100
"""Steps of which the mean loss in train mode is compared with that in eval mode."""


def gradient_ratio(layers: Sequence[LayerFlow]) -> float:
    """Return the norm of the first layer's weight gradient over the last's; NaN where there is none."""
    if not layers or not layers[-1].weight_gradient:
        return math.nan
    return layers[0].weight_gradient / layers[-1].weight_gradient


def verdict(ratio: float) -> str:
    """Return `vanishing` or `exploding` for the ratio of two gradients, or nothing."""
    return "vanishing" if ratio < 1 / FAR_APART else "exploding" if ratio > FAR_APART else ""


def of_flow(label: str, layers: Sequence[LayerFlow]) -> list[tuple[str, str]]:
    """Return kind and message of each warning that a reading of an arm gives rise to."""
    found = []
    ratio = gradient_ratio(layers)
    if kind := verdict(ratio):
        verb = {"vanishing": "vanish", "exploding": "explode"}[kind]
        found.append((kind, f"{label}: gradients {verb}: the first layer's is {ratio:.1e} of the last layer's"))
    for number, layer in enumerate(layers, 1):
        if layer.inactive >= MANY:
            share = f"{100 * layer.inactive:.0f} %"
            found.append(("inactive", f"{label}: {share} of the units after linear {number} are dead or saturated"))
            break
    return found


def of_batch_size(batch_size: int, arm: Arm) -> list[tuple[str, str]]:
    """Return kind and message where a batch is too small for an arm's normalization."""
    if batch_size >= SMALL_BATCH or not arm.norm.startswith("batch"):
        return []
    why = "its statistics are mostly noise; compare with --arms batch,group:8"
    return [("small_batch", f"{arm.label}: {batch_size} samples a batch are few for {arm.words}: {why}")]


def of_gap(label: str, in_training: float, in_evaluation: float) -> list[tuple[str, str]]:
    """Return kind and message where the loss on the training set is far higher in eval mode than in train mode."""
    if not in_evaluation > GAP_FACTOR * in_training + GAP_MARGIN:
        return []
    losses = f"loss {in_evaluation:.3g}, against {in_training:.3g} while it trains"
    told = f"{label}: much worse in eval mode on the training set ({losses}): the statistics do not fit"
    return [("eval_gap", told)]


def of_learning_rate(before: float, after: float, steps: int) -> list[tuple[str, str]]:
    """Return kind and message where the learning rate was raised so many steps before an arm diverged."""
    if not (after > before and steps <= SOON):
        return []
    return [
        ("learning_rate", f"the learning rate had been raised from {before:g} to {after:g}, {steps:,} steps before")
    ]


class Alerts:
    """What has to be kept of a run to know when something deserves a warning."""

    def __init__(self, emit: Emit, arms: Sequence[Arm]) -> None:
        self._emit = emit
        self._arms = {arm.name: arm for arm in arms}
        self._told: set[tuple[str, str]] = set()
        self._finite = dict.fromkeys(self._arms, True)
        self._recent: dict[str, deque[float]] = {name: deque(maxlen=RECENT) for name in self._arms}
        self._rate: tuple[int, float, float] | None = None
        """Step at which the learning rate was last changed, before and after."""

    def batch_size(self, step: int, batch_size: int) -> None:
        """Look at the batch size that is in force from a step on."""
        for arm in self._arms.values():
            self._warn(step, arm.name, of_batch_size(batch_size, arm))

    def learning_rate(self, step: int, before: float, after: float) -> None:
        """Remember that the learning rate was changed."""
        self._rate = step, before, after

    def losses(self, step: int, losses: Mapping[str, Sequence[float]]) -> None:
        """Look at each arm's losses of the steps up to one."""
        for name, values in losses.items():
            self._recent[name].extend(values)
            # One sum instead of a look at each: it is finite only if all of them are.
            if self._finite[name] and not math.isfinite(sum(values)):
                self._finite[name] = False
                first = step - len(values) + 1 + next(i for i, v in enumerate(values) if not math.isfinite(v))
                label = self._arms[name].label
                message = f"{label}: the loss is no longer a number: this arm has diverged; try a smaller --lr"
                self._warn(first, name, [("diverged", message)])
                if self._rate is not None:
                    at, before, after = self._rate
                    self._warn(first, name, of_learning_rate(before, after, first - at))

    def evaluated(self, step: int, train: Mapping[str, Metrics]) -> None:
        """Look at the metrics on the training set in eval mode."""
        for name, losses in self._recent.items():
            if len(losses) == RECENT:
                self._warn(step, name, of_gap(self._arms[name].label, sum(losses) / RECENT, train[name].loss))

    def flow(self, flow: FlowRead) -> None:
        """Look at what flowed through the layers."""
        for name, layers in flow.arms.items():
            self._warn(flow.step, name, of_flow(self._arms[name].label, layers))

    def forget(self, name: str) -> None:
        """Begin anew with an arm."""
        self._finite[name] = True
        self._recent[name].clear()
        self._told = {(of, kind) for of, kind in self._told if of != name}

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as plain lists, numbers and texts."""
        return {
            "told": [list(row) for row in sorted(self._told)],
            "finite": dict(self._finite),
            "recent": {name: list(losses) for name, losses in self._recent.items()},
            "rate": None if self._rate is None else list(self._rate),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises KeyError, TypeError or ValueError if it did not."""
        told = {(str(name), str(kind)) for name, kind in state["told"]}
        finite = {name: bool(state["finite"][name]) for name in self._arms}
        recent = {name: [float(value) for value in state["recent"][name]] for name in self._arms}
        rate = state["rate"]
        self._rate = None if rate is None else (int(rate[0]), float(rate[1]), float(rate[2]))
        self._told, self._finite = told, finite
        for name, losses in self._recent.items():
            losses.clear()
            losses.extend(recent[name])

    def _warn(self, step: int, name: str, found: Sequence[tuple[str, str]]) -> None:
        for kind, message in found:
            if (name, kind) not in self._told:
                self._told.add((name, kind))
                self._emit(Alert(step, name, kind, message))
