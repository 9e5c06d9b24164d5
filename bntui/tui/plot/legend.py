"""The title of a chart, and what its lines are called and their values, as much as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.tui.plot.axes import number, short_number
from bntui.tui.plot.grid import Grid

MIN_HEIGHT = 6
"""Rows of a chart from which on a legend may have rows of its own."""
ROOMY = 14
"""Rows from which on the legend rather has a row of its own than that the title is shortened."""
ROWS_EACH = 6
"""Rows of a chart for each row that the legend may have."""


@dataclass(frozen=True, slots=True)
class Title:
    """What a chart is."""

    text: str
    """With its unit, behind a comma."""
    detail: str = ""
    """What is told of it where there is room."""
    moment: str = ""
    """Where the values are, if they are not the newest, as `at step 740`; takes the place of the detail."""

    @property
    def forms(self) -> list[tuple[str, str]]:
        """The title and what is told behind it, from the longest form to the shortest."""
        plain = self.text.partition(",")[0]
        if self.moment:
            at, _, where = self.moment.rpartition(" ")
            return [(self.text, f" {self.moment}"), (plain, f" {self.moment}"), (plain, f" {at[:2]} {where}")]
        detail = f" · {self.detail}" if self.detail else ""
        return [(self.text, detail), (self.text, ""), (plain, "")]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told of a line."""

    glyph: str
    label: str
    value: float
    colour: str
    share: bool = False
    """Whether the value is a share of 1, of which three digits say all."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How entries are written."""

    own_row: bool
    """Below the title, not beside it."""
    named: bool
    """With the label, not by the glyph alone."""
    short_values: bool = False
    gap: int = 2

    def write(self, entry: Entry) -> tuple[str, str]:
        """Return name and value of an entry."""
        name = f"{entry.glyph} {entry.label} " if self.named else f"{entry.glyph}{' ' * (self.gap > 1)}"
        return name, (short_number if self.short_values or entry.share else number)(entry.value)

    def rows(self, entries: Sequence[Entry], width: int) -> list[list[Entry]]:
        """Return the entries of each row."""
        rows: list[list[Entry]] = [[]]
        room = width
        for entry in entries:
            length = len("".join(self.write(entry)))
            if rows[-1] and length > room:
                rows.append([])
                room = width
            rows[-1].append(entry)
            room -= length + self.gap
        return rows

    def length(self, entries: Sequence[Entry]) -> int:
        """Return how many cells the entries take in one row."""
        return max(0, sum(len("".join(self.write(entry))) + self.gap for entry in entries) - self.gap)


_NAMED, _OWN_ROW = _Form(False, True), _Form(True, True)
_TIGHT_BESIDE, _TIGHT = (_Form(own_row, False, short_values=True, gap=1) for own_row in (False, True))
_NAMED_FORMS = (_NAMED, _Form(False, True, short_values=True), _OWN_ROW, _Form(True, True, short_values=True, gap=1))
_BARE_FORMS = (_Form(False, False), _Form(True, False), _TIGHT_BESIDE, _TIGHT)
"""From the one that tells most to the one that takes least; which glyph is whose counts more than two more digits."""


def draw_heading(grid: Grid, title: Title, entries: Sequence[Entry], grey: str) -> int:
    """Write the title and the legend, at the right or below; return how many rows they take."""
    if not entries:
        _draw_title(grid, title, grid.width, grey)
        return 1
    form, room = _choose(grid, title, entries)
    if not form.own_row:
        _draw_title(grid, title, room, grey)
        _draw_entries(grid, 0, max(0, grid.width - form.length(entries)), form, entries)
        return 1
    _draw_title(grid, title, grid.width, grey)
    rows = form.rows(entries, grid.width)[: max(1, grid.height // ROWS_EACH)]
    for row, some in enumerate(rows, 1):
        _draw_entries(grid, row, 0, form, some)
    return 1 + len(rows)


def _choose(grid: Grid, title: Title, entries: Sequence[Entry]) -> tuple[_Form, int]:
    """Return how the entries are written, and how many cells the title has then."""
    first, *shorter = (len(text) + len(rest) for text, rest in title.forms)
    most = max(1, grid.height // ROWS_EACH)

    def fits(form: _Form, title_length: int, most: int) -> bool:
        if not form.own_row:
            return title_length + 2 + form.length(entries) <= grid.width
        rows = form.rows(entries, grid.width)
        return grid.height >= MIN_HEIGHT and len(rows) <= most and form.length(rows[0]) <= grid.width

    tried = [(_NAMED, first, 1)]
    if grid.height >= ROOMY:
        tried.append((_OWN_ROW, first, 1))
    tried += [(form, length, 1) for form in _NAMED_FORMS for length in shorter]
    tried += [(form, first, rows) for rows in range(2, most + 1) for form in _NAMED_FORMS if form.own_row]
    tried += [(form, length, rows) for rows in range(1, most + 1) for form in _BARE_FORMS for length in shorter]
    last = _TIGHT if grid.height >= MIN_HEIGHT else _TIGHT_BESIDE
    form = next((form for form, length, rows in tried if fits(form, length, rows)), last)
    return form, grid.width if form.own_row else grid.width - form.length(entries) - 2


def _draw_title(grid: Grid, title: Title, room: int, grey: str) -> None:
    forms = title.forms
    text, rest = next((form for form in forms if len(form[0]) + len(form[1]) <= room), forms[-1])
    # Of when the values are counts more than the end of what they are.
    text = text[: max(0, room - len(rest))]
    grid.put(0, 0, text, "bold")
    grid.put(0, len(text), rest[: max(0, room - len(text))], "bold" if title.moment else grey)


def _draw_entries(grid: Grid, row: int, column: int, form: _Form, entries: Sequence[Entry]) -> None:
    for entry in entries:
        name, value = form.write(entry)
        # A value that is cut would be another one.
        if column and column + len(name) + len(value) > grid.width:
            break
        grid.put(row, column, name, entry.colour)
        grid.put(row, column + len(name), value, f"bold {entry.colour}".strip())
        column += len(name) + len(value) + form.gap


def draw_summary(grid: Grid, title: Title, entries: Sequence[Entry], grey: str) -> None:
    """Write the title and a row for each entry, or what fits of them in few rows: all there is of a tiny chart."""
    if grid.height == 1:
        draw_heading(grid, title, entries, grey)
        return
    _draw_title(grid, title, grid.width, grey)
    several = len(entries) >= grid.height
    row, column = 1, 0
    for entry in entries:
        name, value = (_TIGHT if several else _NAMED).write(entry)
        if not several and len(name) + len(value) + 1 > grid.width:
            name = f"{entry.glyph} "
        if column and column + len(name) + len(value) > grid.width:
            row, column = row + 1, 0
        grid.put(row, column, name + value, entry.colour)
        row, column = (row, column + len(name) + len(value) + 1) if several else (row + 1, 0)
