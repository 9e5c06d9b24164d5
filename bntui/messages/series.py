"""The loss and the accuracy of every arm by step, in bounded memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bntui.messages.events import Stepped

MAX_POINTS = 2_000
METRICS = ("loss", "accuracy")


class Series:
    """Loss and accuracy of every arm by step, as at most `MAX_POINTS` means over buckets of equally many steps.

    When the buckets run out, neighbours are merged and the width doubles. Only the step numbers decide where a bucket
    ends, so the same losses give the same points however they arrive.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.width = 1
        self._names = list(names)
        self._means = {(metric, name): array("d") for metric in METRICS for name in names}
        self._sums = dict.fromkeys(self._means, 0.0)
        self._pending = 0
        self._last = 0
        self.seconds = array("d")
        """Training seconds up to each whole bucket's end; at the resolution of the events that brought the losses."""

    def extend(self, event: Stepped) -> None:
        """Add the losses and accuracies of an event; accuracies that it does not tell of are NaN."""
        unknown = (math.nan,) * len(next(iter(event.losses.values()), ()))
        columns = [*event.losses.values(), *(event.accuracies.get(name, unknown) for name in self._names)]
        first = event.step - event.width * (len(unknown) - 1)
        steps = range(first, event.step + 1, event.width)
        for step, row in zip(steps, zip(*columns, strict=True), strict=True):
            for key, value in zip(self._sums, row, strict=True):
                self._sums[key] += value * event.width
            self._pending += event.width
            self._last = step
            if step % self.width == 0:
                self.seconds.append(event.seconds)
                self._close()

    def points(self, metric: str = "loss") -> tuple[list[int], dict[str, list[float]]]:
        """Return the steps, and a metric by arm; a point stands at the last step of its bucket."""
        steps = [self.width * (i + 1) for i in range(len(self.seconds))]
        values = {name: list(self._means[metric, name]) for name in self._names}
        if self._pending:
            steps.append(self._last)
            for name, known in values.items():
                known.append(self._sums[metric, name] / self._pending)
        return steps, values

    def copied(self) -> Series:
        """Return the same, which goes on by itself."""
        copied = Series(self._names)
        copied.load_state_dict(self.state_dict())
        return copied

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as plain lists and numbers."""
        return {
            "width": self.width,
            "means": {m: {name: list(self._means[m, name]) for name in self._names} for m in METRICS},
            "sums": {m: {name: self._sums[m, name] for name in self._names} for m in METRICS},
            "pending": self._pending,
            "last": self._last,
            "seconds": list(self.seconds),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` made.

        Raises KeyError, TypeError, ValueError or OverflowError, and changes nothing, for anything else.
        """
        width, pending, last = (int(state[name]) for name in ("width", "pending", "last"))
        means = {(m, name): array("d", state["means"][m][name]) for m, name in self._means}
        sums = {(m, name): float(state["sums"][m][name]) for m, name in self._means}
        seconds = array("d", state["seconds"])
        if width < 1 or pending < 0 or any(len(values) != len(seconds) for values in means.values()):
            raise ValueError("not a series")
        self.width, self._pending, self._last = width, pending, last
        self._means, self._sums, self.seconds = means, sums, seconds

    def _close(self) -> None:
        for key, total in self._sums.items():
            self._means[key].append(total / self._pending)
        self._sums, self._pending = dict.fromkeys(self._sums, 0.0), 0
        if len(self.seconds) == MAX_POINTS:
            for key, means in self._means.items():
                self._means[key] = array("d", [(a + b) / 2 for a, b in zip(means[::2], means[1::2], strict=True)])
            self.seconds = self.seconds[1::2]
            self.width *= 2


def steps_of(event: Stepped) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Yield each step of an event, and its losses in the order of the arms."""
    rows = list(zip(*event.losses.values(), strict=True))
    first = event.step - event.width * (len(rows) - 1)
    return zip(range(first, event.step + 1, event.width), rows, strict=True)
