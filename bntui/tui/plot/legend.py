"""The title of a chart, and what its lines are called and their values: on one row or two, as much as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.tui.plot.axes import number, short_number
from bntui.tui.plot.grid import Grid

MIN_HEIGHT = 6
"""Rows of a chart from which on a legend may have one of its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told of a line."""

    glyph: str
    label: str
    short: str
    """An abbreviation, for where there is no room for the label."""
    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class _Form:
    """How entries are written."""

    own_row: bool
    """Below the title, not beside it."""
    name: str
    """Made of `glyph`, `label` and `short`."""
    short_values: bool = False
    gap: int = 2

    def write(self, entry: Entry) -> tuple[str, str]:
        """Return name and value of an entry."""
        name = self.name.format(glyph=entry.glyph, label=entry.label, short=entry.short)
        return name, short_number(entry.value) if self.short_values else number(entry.value)

    def length(self, entries: Sequence[Entry]) -> int:
        """Return how many cells the entries take."""
        return sum(len("".join(self.write(entry))) + self.gap for entry in entries) - self.gap


_LABELLED, _BARE = _Form(False, "{glyph} {label} "), _Form(False, "{glyph} ")
_TIGHT = _Form(True, "{glyph}", short_values=True, gap=1)
_FORMS_OF_MANY = (
    _LABELLED,
    _Form(False, "{glyph} {short} "),
    _Form(True, "{glyph} {label} "),
    _Form(True, "{glyph} {short} "),
    _Form(True, "{glyph} {short} ", short_values=True, gap=1),
    _BARE,
    _Form(True, "{glyph} "),
    _Form(False, "{glyph}", short_values=True, gap=1),
    _Form(True, "{glyph} ", short_values=True, gap=1),
    _TIGHT,
)
"""From the one that tells most to the one that takes least; which glyph is whose counts more than two more digits."""


def draw_heading(grid: Grid, title: str, entries: Sequence[Entry]) -> int:
    """Write the title and the legend, at the right or below; return how many rows they take."""
    forms: Sequence[_Form] = (_LABELLED, _BARE) if len(entries) <= 2 else _FORMS_OF_MANY
    if grid.height < MIN_HEIGHT:
        forms = [form for form in forms if not form.own_row]
    form = next((form for form in forms if form.length(entries) <= _room(form, grid, title)), forms[-1])
    length = form.length(entries)
    column = 0 if form.own_row else max(0, grid.width - max(0, length))
    grid.put(0, 0, title if form.own_row or not entries else title[: max(0, column - 1)], "bold")
    row = 1 if form.own_row else 0
    for entry in entries:
        name, value = form.write(entry)
        # A value that is cut would be another one.
        if column and column + len(name) + len(value) > grid.width:
            break
        grid.put(row, column, name, entry.colour)
        grid.put(row, column + len(name), value, f"bold {entry.colour}".strip())
        column += len(name) + len(value) + form.gap
    return 1 + row


def _room(form: _Form, grid: Grid, title: str) -> int:
    return grid.width if form.own_row else grid.width - len(title) - 2


def draw_summary(grid: Grid, title: str, entries: Sequence[Entry]) -> None:
    """Write the title and a row for each entry, or what fits of them in one row: all there is of a tiny chart."""
    if grid.height == 1:
        draw_heading(grid, title, entries)
        return
    grid.put(0, 0, title, "bold")
    several = len(entries) >= grid.height
    row, column = 1, 0
    for entry in entries:
        name, value = (_TIGHT if several else _LABELLED).write(entry)
        if not several and len(name) + len(value) + 1 > grid.width:
            name = f"{entry.glyph} "
        if column and column + len(name) + len(value) > grid.width:
            row, column = row + 1, 0
        grid.put(row, column, name + value, entry.colour)
        row, column = (row, column + len(name) + len(value) + 1) if several else (row + 1, 0)
