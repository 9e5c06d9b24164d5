"""Distributions from their quantiles: how much of one lies between two values, and where most of it lies over time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bntui.messages.events import QUANTILES, LayerFlow
from bntui.tui.plot.axes import clamp

_PERCENTILES = (0.0, 0.15, 0.5, 0.85, 1.0)
"""Levels of `LayerFlow.percentiles`, and of the ends that are made up for them."""
_TAIL = 2 * 0.15 / 0.35
"""Length of a made-up tail, in distances from the median to the percentile beside it: half as dense as that part."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Quantiles at levels from 0 to 1, both in ascending order; linear between them."""

    levels: Sequence[float]
    quantiles: Sequence[float]

    def at(self, level: float) -> float:
        """Return the quantile at a level."""
        right = min(max(1, bisect_right(self.levels, level)), len(self.levels) - 1)
        low, high = self.levels[right - 1], self.levels[right]
        share = (level - low) / (high - low)
        return self.quantiles[right - 1] + share * (self.quantiles[right] - self.quantiles[right - 1])

    def shares(self, edges: Sequence[float]) -> list[float]:
        """Return how much lies between each two neighbours of ascending edges; what is on an edge lies below it."""
        levels, quantiles, count = self.levels, self.quantiles, len(self.quantiles)
        below, right = [], 0
        for edge in edges:
            while right < count and quantiles[right] <= edge:
                right += 1
            if 0 < right < count:
                low, level = quantiles[right - 1], levels[right - 1]
                below.append(level + (edge - low) / (quantiles[right] - low) * (levels[right] - level))
            else:
                below.append(float(right > 0))
        return [high - low for low, high in zip(below, below[1:], strict=False)]


def distribution(flow: LayerFlow, of_unit: bool) -> Distribution | None:
    """Return how the input to an activation is distributed: from its quantiles, or, in older files, its percentiles.

    None where nothing was read, or what was read is not finite. Of a unit there are percentiles alone.
    """
    if flow.quantiles and not of_unit:
        levels, known = QUANTILES, flow.quantiles
        return Distribution(levels, known) if len(known) == len(levels) and math.isfinite(sum(known)) else None
    percentiles = flow.unit_percentiles if of_unit else flow.percentiles
    if len(percentiles) != 3 or not math.isfinite(sum(percentiles)):
        return None
    low, middle, high = percentiles
    ends = low - _TAIL * (middle - low), high + _TAIL * (high - middle)
    return Distribution(_PERCENTILES, (ends[0], *percentiles, ends[1]))


def usual_range(known: Iterable[Distribution]) -> tuple[float, float] | None:
    """Return between which values nearly all lies: from 1 to 99 % in all but the few farthest readings."""
    lows, highs = [], []
    for of in known:
        lows.append(of.at(0.01))
        highs.append(of.at(0.99))
    if not lows:
        return None
    lows.sort()
    highs.sort()
    # Of a handful of readings none is known to be an outlier; of more at least one may be.
    left_out = max(len(lows) // 20, 1 if len(lows) >= 5 else 0)
    return clamp(lows[left_out]), clamp(highs[len(highs) - 1 - left_out])
