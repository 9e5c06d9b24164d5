"""How far the y axis of a chart goes: as far as its curves, but for what is short and far off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

CUT, CUT_OF_FAINT = 0.05, 0.25
"""Share of the x axis on which a curve may lie outside, above and below alike; of single steps behind it, more."""
LASTING = 0.03
"""Share of the x axis from which on the newest part of a curve is no outlier any more, however far off it is."""
CUT_OF_SPIKE, SPIKE = 0.25, 5.0
"""The same of a spike after a calm start, in which a curve is so many times as large as on the rest."""
FEW = 5
"""Points, below which every one counts."""
FAR, MARGIN = 0.75, 0.25
"""What lies within so many usual ranges is obeyed; if more does not, there is so much room beyond the usual range."""


Points: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""Of a curve: x, and y with NaN for gaps."""


def robust_limits(
    curves: Sequence[Points], faint: Sequence[Points] = (), ghosts: Sequence[Points] = ()
) -> tuple[float, float]:
    """Return the lowest and the highest y to show of curves and the single steps behind them; one is finite at least.

    Each curve may lie outside for a twentieth of its length, or with one point: so one bad epoch presses nothing
    together, and neither does the first fall, while what lasts is seen. Ghosts get as much room again as the curves.
    """
    ends = [_usual(x, y, CUT) for x, y in curves]
    usual = [end for end in ends if end is not None]
    behind = [end for end in (_usual(x, y, CUT_OF_FAINT) for x, y in faint) if end is not None]
    shown = [value for _, y in (curves if usual else faint) for value in y if math.isfinite(value)]
    lowest, highest = min(shown), max(shown)
    low = min(end[0] for end in [*usual, *behind])
    high = max(end[1] for end in [*usual, *behind])
    spread = high - low
    if not spread > 0:
        return lowest, highest
    if highest > high:
        high = highest if highest - high <= FAR * spread else high + MARGIN * spread
    if lowest < low:
        low = lowest if low - lowest <= FAR * spread else low - MARGIN * spread
    beside = [end for end in (_usual(x, y, CUT) for x, y in ghosts) if end is not None]
    return (
        min([low, *(max(end[0], low - spread) for end in beside)]),
        max([high, *(min(end[1], high + spread) for end in beside)]),
    )


def _usual(x: Sequence[float], y: Sequence[float], cut: float) -> tuple[float, float] | None:
    """Return the lowest and the highest value that a curve has for longer than a share of its length."""
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    if not points:
        return None
    values = [b for _, b in points]
    if len(points) < FEW:
        return min(values), max(values)
    places = [a for a, _ in points]
    length = places[-1] - places[0]
    if not length > 0:
        return min(values), max(values)
    # A point stands for half of the way to each of its neighbours.
    edges = [places[0], *((a + b) / 2 for a, b in zip(places, places[1:], strict=False)), places[-1]]
    weights = [(b - a) / length for a, b in zip(edges, edges[1:], strict=False)]
    order = sorted(range(len(values)), key=values.__getitem__)
    low, high = values[_kept(order, weights, cut)], values[_kept(order[::-1], weights, cut)]
    calm_low, calm_high = values[_kept(order, weights, CUT_OF_SPIKE)], values[_kept(order[::-1], weights, CUT_OF_SPIKE)]
    most = SPIKE * max(abs(calm_low), abs(calm_high))
    if high > most > 0 and _was_calm(values, calm_high, most):
        high = calm_high
    if -low > most > 0 and _was_calm([-value for value in values], -calm_low, most):
        low = calm_low
    newest = [value for value, place in zip(values, places, strict=True) if place >= places[-1] - LASTING * length]
    if len(newest) > 2:
        low, high = min(low, max(newest)), max(high, min(newest))
    return low, high


def _was_calm(values: Sequence[float], calm: float, most: float) -> bool:
    """Return whether a curve was calm before it first got too large: a first fall is no spike."""
    return next(i for i, value in enumerate(values) if value <= calm) < next(
        i for i, value in enumerate(values) if value > most
    )


def _kept(order: Sequence[int], weights: Sequence[float], cut: float) -> int:
    """Return the first of the points that is not cut off; one always is."""
    total = weights[order[0]]
    for i in order[1:]:
        total += weights[i]
        if total > cut:
            return i
    return order[-1]
