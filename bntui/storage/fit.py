"""Which events can follow each other in a run; what a journal holds beside that, nobody's run has told.

The views rely on what every run keeps to: as many layers and channels in each reading, numbers that can be squared,
settings of their own type. Files come from anywhere, so what they tell goes through here before it becomes history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bntui.config.interventions import NUMERIC_ACTIONS, recorded
from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.run import events as e

LARGEST_COUNT = 10**15
LARGEST_NUMBER = 1e150
"""Squares of which can be added up."""
MOST_LOSSES = 100_000
"""In one event; a run tells of a tenth of a second, and a journal of some thousand."""
_SHOWN = ("seed", "epochs", "hidden", "norm", "versus", "lr", "batch_size", "dropout", "bn_noise", "bn_eval", "shift",
          "adapt_bn")  # fmt: skip
"""Options that the screen shows, or that tell what else is there."""
_ENDS = ("completed", "interrupted", "failed")


class Fit:
    """Looks at the events of one run in their order."""

    def __init__(self) -> None:
        self._layers: list[tuple[str, int]] | None = None
        """Name and width of each layer with a normalization; None before the run has begun."""
        self._linear = 0
        """How many linear layers there are."""
        self._planned = 0
        """Step of the newest plan."""

    def takes(self, event: e.Event) -> bool:
        """Return whether an event fits what came before; one that does not is to be left out."""
        if not _sound(event):
            return False
        if isinstance(event, e.Notice | e.Loading):
            return True
        if isinstance(event, e.Started):
            return self._begin(event)
        return self._layers is not None and self._follows(event, self._layers)

    def _begin(self, event: e.Started) -> bool:
        hidden = _hidden(event.config)
        data, device = event.dataset, event.environment.get("device")
        if (
            self._layers is not None
            or hidden is None
            or not isinstance(device, str)
            or not isinstance(event.environment.get("device_name", ""), str)
            or not isinstance(data.get("name"), str)
            or not all(_is_count(data.get(f"{part}_samples")) for part in ("train", "validation"))
            or (event.layers and tuple(event.layers.values()) != hidden)
        ):
            return False
        self._layers, self._linear = list(event.layers.items()), len(hidden) + 1
        return True

    def _follows(self, event: e.Event, layers: list[tuple[str, int]]) -> bool:
        if isinstance(event, e.Stepped):
            count = len(event.bn)
            return (
                0 < count == len(event.plain) <= MOST_LOSSES
                and event.width > 0
                and event.width * count <= event.step
                and _passed(event.seconds)
            )
        if isinstance(event, e.EpochEnded):
            return _passed(event.train_seconds, event.eval_seconds)
        if isinstance(event, e.BatchNormRead):
            return [(layer.layer, _width(layer)) for layer in event.layers] == layers != []
        if isinstance(event, e.FlowRead):
            flows = (event.bn, event.plain)
            return all(len(flow) == self._linear and all(map(_has_percentiles, flow)) for flow in flows) and _passed(
                event.milliseconds
            )
        if isinstance(event, e.Probed):
            shifts = (len(arm.covariate_shift) for arm in (event.bn, event.plain))
            return (
                max(shifts) <= self._linear and len(event.milliseconds) < 100 and _passed(*event.milliseconds.values())
            )
        if isinstance(event, e.Continued):
            return _hidden(event.config) is not None
        if isinstance(event, e.Planned):
            # In their order, so that the plan for a step can be looked up.
            fitting = event.step >= self._planned and event.batch_size > 0 and _passed(event.epochs)
            self._planned = event.step if fitting else self._planned
            return fitting
        if isinstance(event, e.Intervened):
            return _intervention(event)
        if isinstance(event, e.Restarted):
            self._planned = 0
        if isinstance(event, e.Finished):
            return event.status in _ENDS and _passed(event.wall_seconds)
        return not isinstance(event, e.Hashed) or _passed(event.wall_seconds)


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


def _intervention(event: e.Intervened) -> bool:
    """Return whether the new value is one that the setting takes, of its type."""
    if event.action not in NUMERIC_ACTIONS:
        return True
    try:
        recorded(event.action, event.after)
    except ValueError:
        return False
    return True


def _width(layer: e.LayerStatistics) -> int:
    """Return how many channels there are numbers of, 0 if not equally many of each kind."""
    rows = (layer.running_mean, layer.running_var, layer.batch_mean, layer.batch_var, layer.bias)
    return len(layer.weight) if all(len(row) == len(layer.weight) for row in rows) else 0


def _has_percentiles(flow: e.LayerFlow) -> bool:
    return len(flow.percentiles) in (0, 3) and len(flow.unit_percentiles) in (0, 3)


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
