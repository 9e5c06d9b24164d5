"""What stands around the curves: the axes, their ticks and names, and the marks of what happened."""

from __future__ import annotations

from collections.abc import Sequence

from bntui.tui.plot.axes import Axis, round_ticks, scientific
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.marks import ALERT, Mark, gathered

COUNTED = ("step", "layer")
"""Names of x axes that have no fractions."""


def draw_y_axis(grid: Grid, axis: Axis, ticks: Sequence[tuple[float, str]], top: int, left: int, style: str) -> None:
    """Draw the y axis in the column before `left`, and its ticks."""
    bar, notch = "||" if grid.ascii_only else "│┤"
    for row in range(top, top + axis.cells):
        grid.put(row, left - 1, bar, style)
    for y, label in ticks:
        if len(label) < left:
            grid.put(top + axis.cells - 1 - axis.cell(y), left - 1 - len(label), label + notch, style)


def draw_x_axis(grid: Grid, axis: Axis, name: str, cursor: float | None, left: int, style: str, *, ruled: bool) -> None:
    """Draw the x axis in the last row but one, if `ruled`, and below it its name, the cursor's place and ticks."""
    row, name = grid.height - 1, name[: axis.cells // 2]
    corner, dash, notch = "+-+" if grid.ascii_only else "└─┴"
    if ruled:
        grid.put(row - 1, left - 1, corner + dash * axis.cells, style)
    # The name is always there: labels near it move to its left.
    end = grid.width - len(name) - bool(name)
    grid.put(row, grid.width - len(name), name, style)
    taken: list[tuple[int, int]] = []

    def label(value: float, string: str, its_style: str) -> None:
        start = max(0, min(left + axis.cell(value) - len(string) // 2, end - len(string)))
        if start + len(string) <= end and all(start + len(string) < a or start > b for a, b in taken):
            taken.append((start, start + len(string)))
            grid.put(row, start, string, its_style)
            if ruled:
                grid.put(row - 1, left + axis.cell(value), notch, style)

    if cursor is not None and axis.low <= cursor <= axis.high:
        label(cursor, f"{cursor:,.6g}" if abs(cursor) < 1e9 else scientific(cursor, 2), "bold")
    count = max(2, min(axis.cells // 8, 4), axis.cells // 12)
    if name in COUNTED:
        count = max(1, min(count, int(axis.high - axis.low)))
    ticks = round_ticks(axis.low, axis.high, count, 1e9)
    if name == "layer" and axis.high == int(axis.high):
        ticks.append((axis.high, f"{axis.high:.0f}"))
    # How far the axis goes counts most.
    for value, string in [*ticks[-1:], *ticks[:-1]]:
        label(value, string, style)


def draw_marks(grid: Grid, marks: Sequence[Mark], axis: Axis, row: int, left: int, faint: str, warning: str) -> None:
    """Write what happened into a row, as far as it lies on the axis."""
    places = [(axis.cell(mark.x), mark) for mark in marks if axis.low <= mark.x <= axis.high and len(mark.sign) == 1]
    styles = {"done": "bold", "undone": faint, "alert": f"bold {warning}".strip()}
    for sign in gathered(places, axis.cells):
        text = sign.text.replace("×", "x").replace(ALERT, "!") if grid.ascii_only else sign.text
        grid.put(row, left + sign.column, text, styles[sign.kind])
