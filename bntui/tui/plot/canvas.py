"""Curves in cells of characters, drawn by plotext."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from plotext._figure import _figure_class

DOTS = {"braille": (2, 4), "fhd": (2, 3), "hd": (2, 2)}
"""Dots a cell, across and down, of plotext's fine markers."""
_CANVAS = re.compile(r"\x1b\[(?:38;5;)?([0-9;]*)m|([^\x1b\n]+)|\n")


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in shares of the axes, from 0 to 1."""

    x: list[float]
    y: list[float]
    marker: str
    """plotext's name of it, or a character."""
    scattered: bool = False
    """Draw the points alone, without a line."""


def paint(curves: Sequence[Curve], columns: int, rows: int) -> list[tuple[int, int, str, int]]:
    """Return row from the top, column, character and curve of each cell that plotext fills.

    A figure of our own leaves plotext's global one alone. A curve's colour number is its index.
    """
    # The only way to a figure of one's own; plotext's public functions share one, which it would have to be cleared of.
    figure = _figure_class()
    # Else it looks at the size of a terminal, which there need not be.
    figure._limit_size(False, False)
    figure.plot_size(columns, rows)
    figure.theme("clear")
    figure.frame(False)
    figure.xticks([])
    figure.yticks([])
    figure.xlim(0, 1)
    figure.ylim(0, 1)
    for index, curve in enumerate(curves):
        if curve.x:
            plot = figure.scatter if curve.scattered else figure.plot
            plot(curve.x, curve.y, marker=curve.marker, color=index % 256)
    cells, row, column, index = [], 0, 0, 0
    for match in _CANVAS.finditer(figure.build()):
        colour, run = match.groups()
        if run:
            cells += [(row, c, char, index) for c, char in enumerate(run, column) if char not in " \u2800"]
            column += len(run)
        elif colour is None:
            row, column = row + 1, 0
        else:
            index = int(colour or 0)
    return cells
