"""Curves as numbers: smoothed, thinned out to what a chart can show, cut to what it does show."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from bntui.tui.plot.axes import LARGEST, clamp


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Return the exponential moving average, corrected for its start at zero as in Adam and TensorBoard.

    `weight` of the past is in [0, 1), else `ValueError`; 0 returns the values. Values that are not finite pass
    through and leave the average as it was.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"weight must be at least 0 and below 1, not {weight}")
    average, total, smoothed = 0.0, 0.0, []
    for value in values:
        if weight and math.isfinite(value):
            average = weight * average + (1 - weight) * value
            total = weight * total + (1 - weight)
            smoothed.append(average / total)
        else:
            smoothed.append(value)
    return smoothed


def smooth_on(start: float, values: Sequence[float], weight: float) -> list[float]:
    """Return the moving average of values that follow on an average, or on nothing if that is not finite."""
    smoothed = []
    for value in values:
        if math.isfinite(value):
            start = weight * start + (1 - weight) * value if math.isfinite(start) else value
            smoothed.append(start)
        else:
            smoothed.append(value)
    return smoothed


def thin(x: Sequence[float], y: Sequence[float], columns: int) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest point of each of equally wide columns, in order of `x`.

    A column without a finite value keeps its first point, so that a gap stays a gap. Smooth before, not after.
    """
    xs, ys = _ordered(x, y)
    if not xs:
        return [], []
    width = xs[-1] / columns - xs[0] / columns
    kept: list[int] = []
    start = 0
    for column in range(1, columns + 1):
        end = bisect_left(xs, xs[0] + column * width) if column < columns else len(xs)
        if end > start:
            values = ys[start:end]
            finite = values if math.isfinite(sum(values)) else [value for value in values if math.isfinite(value)]
            extremes = {start + values.index(min(finite)), start + values.index(max(finite))} if finite else {start}
            kept += sorted(extremes)
            start = end
    return [xs[i] for i in kept], [ys[i] for i in kept]


def visible(
    x: Sequence[float], y: Sequence[float], log_y: bool, low: float, high: float
) -> tuple[list[float], list[float]]:
    """Return the part of a curve between two x, its ends interpolated; log10 of y where asked; NaN for gaps."""
    xs, values = _ordered(x, y)
    if log_y:
        ys = [max(-300.0, min(300.0, math.log10(v))) if 0 < v < math.inf else math.nan for v in values]
    else:
        ys = [v if -LARGEST < v < LARGEST else clamp(v) if math.isfinite(v) else math.nan for v in values]
    first, last = bisect_left(xs, low), bisect_right(xs, high)
    ends = [
        [(end, ys[i - 1] + (ys[i] - ys[i - 1]) * ((end - xs[i - 1]) / (xs[i] - xs[i - 1])))] if 0 < i < len(xs) else []
        for end, i in ((low, first), (high, last))
    ]
    points = [*ends[0], *zip(xs[first:last], ys[first:last], strict=True), *ends[1]]
    return [a for a, _ in points], [b for _, b in points]


def value_at(x: Sequence[float], y: Sequence[float], cursor: float | None) -> float:
    """Return the value at the point nearest to the cursor, or without one the last that is finite."""
    if cursor is None or not x:
        return next((value for value in reversed(y) if math.isfinite(value)), math.nan)
    i = bisect_left(x, cursor)
    near = [j for j in (i - 1, i) if 0 <= j < len(x)]
    return y[min(near, key=lambda j: abs(x[j] - cursor))]


def _ordered(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the points with a finite x, in its order."""
    xs, ys = list(x), list(y)
    if not all(map(math.isfinite, xs)) or xs != sorted(xs):
        pairs = sorted(((a, b) for a, b in zip(xs, ys, strict=True) if math.isfinite(a)), key=lambda pair: pair[0])
        return [a for a, _ in pairs], [b for _, b in pairs]
    return xs, ys
