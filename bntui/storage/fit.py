"""Which events can follow each other in a run; what a journal holds beside that, nobody's run has told.

The views rely on what every run keeps to: as many layers and channels in each reading, numbers that can be squared,
settings of their own type. Files come from anywhere, so what they tell goes through here before it becomes history.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from bntui.config.interventions import INTERVENTIONS, parse_recorded
from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.messages import events as e
from bntui.messages.arms import MOST
from bntui.messages.history import MAX_MARKS

LARGEST_COUNT = 10**15
LARGEST_NUMBER = 1e150
"""Squares of which can be added up."""
MOST_LOSSES = 100_000
"""In one event; a run tells of a tenth of a second, and a journal of some thousand."""
_SHOWN = ("seed", "epochs", "hidden", "arms", "lr", "batch_size", "dropout", "bn_noise", "bn_eval", "shift",
          "adapt_bn")  # fmt: skip
"""Options that the screen shows, or that tell what else is there."""
_ENDS = ("completed", "interrupted", "failed")


class Fit:
    """Looks at the events of one run in their order."""

    def __init__(self) -> None:
        self._arms: tuple[str, ...] = ()
        """Names of the arms; none before the run has begun."""
        self._layers: dict[str, list[tuple[str, int]]] = {}
        """By arm: name and width of each layer with a normalization."""
        self._linear = 0
        """How many linear layers there are."""
        self._planned = 0
        """Step of the newest plan."""
        self._marks: deque[tuple[int, str, int]] = deque(maxlen=MAX_MARKS)
        """Of each intervention that can be taken back: step, action, and the step of the newest plan before it."""

    def takes(self, event: e.Event) -> bool:
        """Return whether an event fits what came before; one that does not is to be left out."""
        if not _sound(event):
            return False
        match event:
            case e.Notice() | e.Loading():
                return True
            case e.Started():
                return self._begin(event)
        return bool(self._arms) and self._follows(event)

    def _begin(self, event: e.Started) -> bool:
        hidden = _hidden(event.config)
        data, device = event.dataset, event.environment.get("device")
        names = tuple(arm.name for arm in event.arms)
        if (
            self._arms
            or hidden is None
            or not 2 <= len(names) == len(set(names)) <= MOST
            or [arm.norm for arm in event.arms] != event.config.get("arms")
            or not all(0 < len(arm.name) <= 40 and 0 < len(arm.label) <= 60 for arm in event.arms)
            or not set(event.layers) <= set(names)
            or not isinstance(device, str)
            or not isinstance(event.environment.get("device_name", ""), str)
            or not isinstance(data.get("name"), str)
            or not all(_is_count(data.get(f"{part}_samples")) for part in ("train", "validation"))
            or not all(_fit_widths(tuple(layers.values()), hidden) for layers in event.layers.values())
        ):
            return False
        self._arms, self._linear = names, len(hidden) + 1
        self._layers = {arm: list(layers.items()) for arm, layers in event.layers.items()}
        return True

    def _of_all(self, by_arm: Mapping[str, Any]) -> bool:
        """Return whether there is something of every arm, in their order."""
        return tuple(by_arm) == self._arms

    def _follows(self, event: e.Event) -> bool:
        match event:
            case e.Stepped():
                counts = {len(values) for told in (event.losses, event.accuracies) for values in told.values()}
                count = max(counts, default=0)
                return (
                    self._of_all(event.losses)
                    and (not event.accuracies or self._of_all(event.accuracies))
                    and all(map(_are_shares, event.accuracies.values()))
                    and len(counts) == 1
                    and 0 < count <= MOST_LOSSES
                    and event.width > 0
                    and event.width * count <= event.step
                    and _passed(event.seconds)
                )
            case e.EpochEnded():
                both = (event.train, event.validation)
                return all(map(self._of_all, both)) and _passed(event.train_seconds, event.eval_seconds)
            case e.Evaluated():
                accuracies = tuple(metrics.accuracy for metrics in event.validation.values())
                return self._of_all(event.validation) and _are_shares(accuracies) and _passed(event.seconds)
            case e.Evaluating():
                # Of one that goes on, nothing is written.
                return False
            case e.NormalizationRead():
                read = {arm: [(row.layer, _width(row)) for row in rows] for arm, rows in event.arms.items()}
                return read == self._layers != {}
            case e.FlowRead():
                return (
                    self._of_all(event.arms)
                    and all(len(flow) == self._linear for flow in event.arms.values())
                    and all(_fits(layer) for flow in event.arms.values() for layer in flow)
                    and _passed(event.milliseconds)
                )
            case e.Probed():
                return (
                    self._of_all(event.arms)
                    and all(len(probes.covariate_shift) <= self._linear for probes in event.arms.values())
                    and len(event.milliseconds) < 100
                    and _passed(*event.milliseconds.values())
                )
            case e.Explained():
                return event.arm in self._layers
            case e.Continued():
                return _hidden(event.config) is not None
            case e.Planned():
                # In their order, so that the plan for a step can be looked up.
                fitting = event.step >= self._planned and event.batch_size > 0 and _passed(event.epochs)
                self._planned = event.step if fitting else self._planned
                return fitting
            case e.Intervened():
                fitting = self._intervention(event)
                if fitting and event.action in INTERVENTIONS:
                    self._marks.append((event.step, event.action, self._planned))
                return fitting
            case e.Undone(branch=None):
                if not self._marks or self._marks[-1][:2] != (event.to, event.action) or event.step < event.to:
                    return False
                self._planned = self._marks.pop()[2]
                return True
            case e.Undone(branch=e.Branch() as branch):
                return (branch.until, branch.undone.step, branch.undone.action) == (
                    event.step,
                    event.to,
                    event.action,
                ) and self._branch(branch)
            case e.Alert():
                return event.arm in ("", *self._arms)
            case e.Restarted():
                self._planned = 0
                self._marks.clear()
                return True
            case e.Finished():
                return event.status in _ENDS and self._hashed(event)
            case e.Hashed():
                return self._hashed(event)
        return True

    def _hashed(self, event: e.Hashed | e.Finished) -> bool:
        return set(event.state_sha256) <= set(self._arms) and _passed(event.wall_seconds)

    def _branch(self, branch: e.Branch) -> bool:
        """Return whether this can have come after an intervention that was taken back."""
        steps, rows = branch.steps, (branch.evaluations, branch.epochs, branch.interventions)
        return (
            branch.undone.action in INTERVENTIONS
            and self._intervention(branch.undone)
            and max(map(len, (steps, *rows))) <= e.MOST_BRANCH_POINTS
            and all(a < b for a, b in pairwise((branch.undone.step, *steps, branch.until + 1)))
            and all(
                self._of_all(of) and all(len(values) == len(steps) for values in of.values())
                for of in (branch.losses, branch.accuracies)
            )
            and all(self._of_all(row.validation) and self._follows(row) for row in branch.evaluations)
            and all(map(self._follows, branch.epochs))
            and all(map(self._intervention, branch.interventions))
        )

    def _intervention(self, event: e.Intervened) -> bool:
        """Return whether the new value is one that the intervention takes, of its type."""
        if event.action not in INTERVENTIONS:
            return True
        try:
            value = parse_recorded(event.action, event.after)
        except ValueError:
            return False
        return event.action != "restart_arm" or value in self._arms


def _hidden(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the widths of a configuration's layers, None if what is shown of it is not as a run tells it."""
    told = {name: config[name] for name in _SHOWN if name in config}
    try:
        made = RunConfig(**told)
    except (UsageError, TypeError, ValueError, RecursionError):
        return None
    same = made.to_dict()
    whole = "seed" in told and "epochs" in told and all(same[name] == value for name, value in told.items())
    return made.hidden if whole else None


def _fit_widths(told: tuple[int, ...], hidden: tuple[int, ...]) -> bool:
    """Return whether these can be the layers' numbers of channels: of very wide ones, not all are told of."""
    return len(told) == len(hidden) and all(0 < a <= b for a, b in zip(told, hidden, strict=True))


def _width(layer: e.LayerStatistics) -> int:
    """Return how many channels there are numbers of, 0 if not equally many of each kind."""
    rows = (layer.running_mean, layer.running_var, layer.batch_mean, layer.batch_var, layer.bias)
    return len(layer.weight) if all(len(row) == len(layer.weight) for row in rows) else 0


def _fits(flow: e.LayerFlow) -> bool:
    """Return whether there are as many percentiles and quantiles as there have to be, and these in their order."""
    return (
        len(flow.percentiles) in (0, 3)
        and len(flow.unit_percentiles) in (0, 3)
        and len(flow.quantiles) in (0, len(e.QUANTILES))
        and not any(a > b for a, b in itertools.pairwise(flow.quantiles))
        and not flow.update_ratio < 0
    )


def _are_shares(values: tuple[float, ...]) -> bool:
    """Return whether all of these lie from 0 to 1, or are unknown."""
    return all(0 <= value <= 1 or math.isnan(value) for value in values)


def _passed(*numbers: float) -> bool:
    """Return whether all of these can be times that have passed."""
    return all(0 <= number <= LARGEST_COUNT for number in numbers)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _sound(value: Any) -> bool:
    """Return whether all numbers are such as can be computed with; NaN, which stands for none, among them."""
    if isinstance(value, float):
        return abs(value) <= LARGEST_NUMBER or math.isnan(value)
    if isinstance(value, int):
        return 0 <= value <= LARGEST_COUNT
    if isinstance(value, tuple):
        return all(map(_sound, value))
    if isinstance(value, e.Started):
        return all(map(_sound, (value.steps_per_epoch, value.total_steps, *value.layers.values())))
    if isinstance(value, e.Continued):
        return _sound(value.step)
    if isinstance(value, dict):
        return all(map(_sound, value.values()))
    return not is_dataclass(value) or all(_sound(getattr(value, field.name)) for field in fields(value))
