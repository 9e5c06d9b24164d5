"""Watches what a run tells and warns, of each kind once an arm."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from bntui.run import alerts
from bntui.run.arms import ARMS
from bntui.run.events import Alert, Emit, FlowRead, Split

RECENT = 100
"""Steps of which the mean loss in train mode is compared with that in eval mode."""


class Alarms:
    """What has to be kept of a run to know when something deserves a warning."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._told: set[tuple[str, str]] = set()
        self._finite = dict.fromkeys(ARMS, True)
        self._recent: dict[str, deque[float]] = {arm: deque(maxlen=RECENT) for arm in ARMS}
        self._rate: tuple[int, float, float] | None = None
        """Step at which the learning rate was last changed, before and after."""

    def batch_size(self, step: int, batch_size: int, norms: Mapping[str, str]) -> None:
        """Look at the batch size that is in force from a step on, for arms with these normalizations."""
        for arm, kind, message in alerts.of_batch_size(batch_size, norms):
            self._warn(step, arm, kind, message)

    def learning_rate(self, step: int, before: float, after: float) -> None:
        """Remember that the learning rate was changed."""
        self._rate = step, before, after

    def losses(self, step: int, losses: Mapping[str, Sequence[float]]) -> None:
        """Look at each arm's losses of the steps up to one."""
        for arm, values in losses.items():
            self._recent[arm].extend(values)
            # One sum instead of a look at each: it is finite only if all of them are.
            if self._finite[arm] and not math.isfinite(sum(values)):
                self._finite[arm] = False
                first = step - len(values) + 1 + next(i for i, v in enumerate(values) if not math.isfinite(v))
                message = f"the loss of {arm} is no longer a number: this arm has diverged; try a smaller --lr"
                self._warn(first, arm, "diverged", message)
                if self._rate is not None:
                    at, before, after = self._rate
                    for kind, told in alerts.of_learning_rate(before, after, first - at):
                        self._warn(first, arm, kind, told)

    def evaluated(self, step: int, train: Split) -> None:
        """Look at the metrics on the training set in eval mode."""
        for arm, losses in self._recent.items():
            if len(losses) == RECENT:
                for kind, message in alerts.of_gap(arm, sum(losses) / RECENT, getattr(train, arm).loss):
                    self._warn(step, arm, kind, message)

    def flow(self, flow: FlowRead) -> None:
        """Look at what flowed through the layers."""
        for arm in ARMS:
            for kind, message in alerts.of_flow(arm, getattr(flow, arm)):
                self._warn(flow.step, arm, kind, message)

    def forget(self, arm: str) -> None:
        """Begin anew with an arm."""
        self._finite[arm] = True
        self._recent[arm].clear()
        self._told = {(of, kind) for of, kind in self._told if of != arm}

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain lists, numbers and texts."""
        return {
            "told": [list(row) for row in sorted(self._told)],
            "finite": dict(self._finite),
            "recent": {arm: list(losses) for arm, losses in self._recent.items()},
            "rate": None if self._rate is None else list(self._rate),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over what `to_dict` returned. Raises KeyError, TypeError or ValueError if it did not."""
        self._told = {(str(arm), str(kind)) for arm, kind in data["told"]}
        self._finite = {arm: bool(data["finite"][arm]) for arm in ARMS}
        for arm, losses in self._recent.items():
            losses.extend(float(value) for value in data["recent"][arm])
        rate = data["rate"]
        self._rate = None if rate is None else (int(rate[0]), float(rate[1]), float(rate[2]))

    def _warn(self, step: int, arm: str, kind: str, message: str) -> None:
        if (arm, kind) not in self._told:
            self._told.add((arm, kind))
            self._emit(Alert(step, arm, kind, message))
