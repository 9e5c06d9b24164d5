"""A few quantities over time, one of them with a band around it, in half blocks: much faster than a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bntui.tui.plot.axes import LARGEST, Axis, brief, y_limits
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.heat import spread
from bntui.tui.theme import Look

GUTTER = 7
"""Cells at the left, for the numbers of the y axis."""
LEAST_LINES = 4


@dataclass(frozen=True, slots=True)
class Trace:
    """A quantity over time."""

    y: Sequence[float]
    """NaN is a gap."""
    colour: str
    sign: str
    """Stands for it where there are no colours."""
    reach: Sequence[float] = ()
    """How far its band goes to both sides; empty for no band."""
    band: str = ""
    """Colour of the band."""
    joined: bool = True
    """Draw a line; else each point in one cell, not on until the next point."""


def draw_band(
    title: Sequence[tuple[str, str]], traces: Sequence[Trace], x: Sequence[float], look: Look, width: int, height: int,
    x_label: str, cursor: float | None = None, empty: str = "",
) -> Drawing:  # fmt: skip
    """Draw traces one over the other, the last one in front; each column shows the newest point up to it.

    Parameters
    ----------
    title
        The first line: texts and their styles.
    traces
        Each with as many values as `x`.
    x
        In ascending order; the axis begins at 0.
    look
        How it is drawn.
    width, height
        Cells and lines that it takes.
    x_label
        What the x axis counts.
    cursor
        The x that is inspected.
    empty
        What it says while there is nothing to draw.
    """
    grid = Grid(width, height, look.ascii_only)
    at = 0
    for text, style in title:
        grid.put(0, at, text, style)
        at += len(grid.clean(text))
    columns, rows = width - GUTTER, height - 2
    last = max(x, default=0.0)
    shown = spread(x, 0.0, last, columns) if columns > 0 else []
    seen = [value for trace in traces for i in {i for i in shown if i is not None} for value in _extent(trace, i)]
    if rows < LEAST_LINES - 2 or not seen:
        grid.put(min(1, height - 1), 0, "" if seen else empty, "dim")
        return Drawing(grid.text())
    low, high, ticks = y_limits(min(seen), max(seen), max(2, rows // 3), False)
    fine = 2 if look.solid else 1
    pixels = [[-1] * columns for _ in range(fine * rows)]
    """Which colour a pixel has, by its place among `colours`; bands first."""
    colours: list[tuple[str, str]] = []

    def row_of(value: float) -> int:
        share = (high - value) / (high - low)
        return max(0, min(len(pixels) - 1, round(share * (len(pixels) - 1))))

    for trace in (trace for trace in traces if trace.reach):
        colours.append((trace.band, ":"))
        for column, i in enumerate(shown):
            if i is not None and _known(trace.y[i]) and _known(trace.reach[i]):
                for row in range(row_of(trace.y[i] + trace.reach[i]), row_of(trace.y[i] - trace.reach[i]) + 1):
                    pixels[row][column] = len(colours) - 1
    for trace in traces:
        colours.append((trace.colour, trace.sign))
        before: int | None = None
        for column, i in enumerate(shown):
            if i is None or not _known(trace.y[i]):
                before = None
                continue
            if not trace.joined and column and shown[column - 1] == i:
                continue
            now = row_of(trace.y[i])
            start = now if before is None or not trace.joined else before
            # A step down or up is a line too, which the pixel before begins.
            for row in range(min(now, start + (now > start)), max(now, start - (now < start)) + 1):
                pixels[row][column] = len(colours) - 1
            before = now
    bar, notch, dash, dots = "|+-:" if look.ascii_only else "│┤─┊"
    zero = row_of(0.0) // fine if low < 0 < high else -1
    inspected = Axis(0.0, last, columns, 1).cell(cursor) if cursor is not None and 0 <= cursor <= last else -1
    for row in range(rows):
        grid.put(1 + row, GUTTER - 1, bar, "dim")
        if row == zero:
            grid.put(1 + row, GUTTER, dash * columns, "dim")
        if inspected >= 0:
            grid.put(1 + row, GUTTER + inspected, dots, "")
        for column in range(columns):
            upper, lower = pixels[fine * row][column], pixels[fine * row + fine - 1][column]
            if upper < 0 and lower < 0:
                continue
            if fine == 1:
                grid.put(1 + row, GUTTER + column, colours[upper][1], colours[upper][0] if look.coloured else "")
            elif upper >= 0 and lower >= 0:
                style = f"{colours[upper][0]} on {colours[lower][0]}"
                grid.put(1 + row, GUTTER + column, "█" if upper == lower else "▀",
                         colours[upper][0] if upper == lower else style)  # fmt: skip
            else:
                sign, index = ("▀", upper) if upper >= 0 else ("▄", lower)
                grid.put(1 + row, GUTTER + column, sign, colours[index][0])
    for value, label in ticks:
        if low <= value <= high and len(label) < GUTTER:
            grid.put(1 + row_of(value) // fine, GUTTER - 1 - len(label), label + notch, "dim")
    grid.put(height - 1, GUTTER, "0", "dim")
    end = f"{last:,.0f} {x_label}" if x_label == "step" else f"{brief(last)} {x_label}"
    grid.put(height - 1, width - len(end), end, "dim")
    if inspected >= 0:
        label = f"{cursor:,.0f}" if x_label == "step" else brief(cursor or 0.0)
        at = GUTTER + inspected - len(label) // 2
        if at >= GUTTER + 2 and at + len(label) < width - len(end):
            grid.put(height - 1, at, label, "bold")
    return Drawing(grid.text(), GUTTER, Axis(0.0, last, columns, 1))


def _known(value: float) -> bool:
    return math.isfinite(value) and abs(value) < LARGEST


def _extent(trace: Trace, i: int) -> list[float]:
    """Return the finite values that a point of a trace takes up."""
    value, reach = trace.y[i], trace.reach[i] if trace.reach else 0.0
    if not _known(value):
        return []
    return [value - reach, value + reach] if _known(reach) and _known(value + reach) else [value]
