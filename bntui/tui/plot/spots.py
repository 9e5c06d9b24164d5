"""Signs on curves: an arm's glyph where it helps to tell the curve, and an arrow where the curve leaves the chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bntui.tui.plot.axes import Axis
from bntui.tui.plot.grid import Grid

NEAR = 3
"""Cells between two excursions of a curve, below which they are told as one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A part of a curve that lies outside the y axis."""

    x: float
    """Of its farthest point."""
    value: float
    above: bool


def spots(x: Sequence[float], y: Sequence[float], axis: Axis, order: int, every: int, *, points: bool) -> list[int]:
    """Return which points, in shares of the axes, to mark with the arm's glyph.

    They are the last, and all of them or those `every` so many cells; `order` keeps the arms' glyphs apart.
    """
    finite = [i for i, value in enumerate(y) if 0 <= value <= 1]
    if points:
        return list({axis.cell_of_share(x[i]): i for i in finite}.values())
    chosen = finite[-1:]
    if every:
        column = 3 + 5 * order
        for i in finite:
            at = axis.cell_of_share(x[i])
            if at >= column:
                chosen.append(i)
                column = at + every
    return chosen


def draw_spots(grid: Grid, cells: Sequence[tuple[int, int, str, str]]) -> None:
    """Write glyphs at row and column in a style; one whose cell is another's stands beside it."""
    taken: dict[tuple[int, int], str] = {}
    for row, column, glyph, style in cells:
        beside = (at for at in (column, column + 1, column - 1) if at < grid.width)
        at = next((at for at in beside if taken.get((row, at), glyph) == glyph), column)
        taken[row, at] = glyph
        grid.put(row, at, glyph, style)


def edges(x: Sequence[float], y: Sequence[float], x_axis: Axis, y_axis: Axis, *, from_start: bool) -> list[Edge]:
    """Return where a curve leaves the chart; not where it begins, if `from_start`: a first fall is no outlier."""
    slack = (y_axis.high - y_axis.low) / max(1, y_axis.cells * y_axis.dots) / 2
    found: list[tuple[int, Edge]] = []
    began = False
    for a, b in zip(x, y, strict=True):
        above, below = b > y_axis.high + slack, b < y_axis.low - slack
        if not above and not below:
            began = began or math.isfinite(b)
            continue
        if from_start and not began:
            continue
        column, edge = x_axis.cell(a), Edge(a, b, above)
        if found and found[-1][1].above == above and column - found[-1][0] <= NEAR:
            known = found[-1][1]
            farther = b > known.value if above else b < known.value
            found[-1] = (column, edge if farther else known)
        else:
            found.append((column, edge))
    return [edge for _, edge in found]


def draw_edges(
    grid: Grid, told: Sequence[tuple[Edge, str, str, str]], axis: Axis, left: int, top: int, bottom: int
) -> None:
    """Draw an arrow for each, with what is written before and behind it where there is room, in a style."""
    taken: set[tuple[int, int]] = set()
    for edge, before, behind, style in told:
        arrow = ("^" if edge.above else "v") if grid.ascii_only else ("↑" if edge.above else "↓")
        column = left + axis.cell(edge.x)
        for row in (top, top + 1, top + 2) if edge.above else (bottom, bottom - 1, bottom - 2):
            forms = [
                (column - len(before), f"{before}{arrow}{behind}"),
                (column - len(before) - len(behind), f"{before}{behind}{arrow}"),
                (column - len(before), f"{before}{arrow}"),
            ]
            for start, text in forms:
                around = {(row, at) for at in range(start - 1, start + len(text) + 1)}
                if left <= start and start + len(text) <= grid.width and not around & taken:
                    taken |= around
                    grid.put(row, start, text, style)
                    break
            else:
                continue
            break
