"""A chart, and below it or beside it a table of its newest numbers and sentences, as far as there is room."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.text import Text

from bntui.tui.plot.axes import scientific
from bntui.tui.plot.chart import Chart, draw
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look

LEAST_CHART = 9
"""Lines of a chart below which rather something else is left out."""
SIDE, LEAST_WIDE = 51, 76
"""Most cells of what stands beside a chart, and least cells of a panel that is wide enough for that."""
LOW = 24
"""Lines of a panel in which nothing more fits below the chart."""
CELL = 8
"""Least cells of a number in a table."""


@dataclass(frozen=True)
class Row:
    """One of a table."""

    name: str
    short: str
    """The same where there is less room."""
    values: Sequence[float]
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers with names above and at the left."""

    title: str
    """What all of them are of; what is in parentheses at its end is left out where there is no room."""
    columns: Sequence[str]
    rows: Sequence[Row]
    needed: int = 99
    """Columns that are told even where they leave no room for the rows' names."""

    def lines(self, look: Look, width: int) -> list[Text]:
        """Write it; columns without room are left out, the last first."""
        names = [look.text(name) for name in self.columns]
        cells = [max(CELL, cell_len(name) + 2) for name in names]
        longest = max((cell_len(look.text(row.name)) for row in self.rows), default=0)
        while (sum(cells) + longest >= width and len(cells) > self.needed) or (sum(cells) > width and cells):
            names.pop()
            cells.pop()
        room = width - sum(cells)
        # A number that is cut would be another one.
        titles = (look.text(self.title), look.text(self.title.partition(" (")[0]))
        head = next((title for title in titles if cell_len(title) < room), "").ljust(room)
        head += "".join(name.rjust(n) for name, n in zip(names, cells, strict=True))
        lines = [_line(head[:width], "dim")]
        for row in self.rows:
            name = look.text(row.name if longest < room else row.short)[: max(0, room - 1)]
            values = "".join(three_digits(v).rjust(n) for v, n in zip(row.values, cells, strict=False))
            lines.append(_line((name.ljust(room) + values)[:width], row.colour))
        return lines


@dataclass(frozen=True)
class Annotated:
    """What a panel shows."""

    title: str
    short_title: str
    """The same where there is less room."""
    hint: str
    """Keys that change it; beside the title, if there is room."""
    charts: Sequence[Chart]
    """The first is always shown, the others where there is room; each but the first is shown with its title."""
    tables: Sequence[Table] = ()
    """The first stands for the legend of the charts."""
    told: str = ""
    """What stands below a chart that has no room for tables."""
    sentences: Sequence[str] = ()
    """In the order of their weight."""
    note: str = ""
    """How it was read."""

    def draw(self, look: Look, width: int, height: int) -> Drawing:
        """Draw it in exactly so many cells and lines."""
        title = _title(self, look, width)
        if height == 1:
            return Drawing(_joined([title]))
        body = height - 1
        beside = width >= LEAST_WIDE and height < LOW
        side = min(SIDE, width // 2 + 1)
        table = [line for of in self.tables[:1] for line in of.lines(look, side if beside else width)]
        if not beside and (len(table) > body - LEAST_CHART or width < 40):
            return self._draw_small(title, look, width, body)
        if beside:
            drawn = self._chart(0, look, width - side - 2, body)
            lines = _side_by_side(_lines(drawn.text), self._text(table, look, side, body)[:body], width - side)
        else:
            wanted = self._text(table, look, width, body - LEAST_CHART * len(self.charts))
            charts = len(self.charts) if len(wanted) > len(table) or len(self.charts) == 1 else 1
            text = wanted if charts == len(self.charts) else self._text(table, look, width, body - LEAST_CHART)
            rows = body - len(text)
            heights = [rows // charts + (i < rows % charts) for i in range(charts)]
            drawings = [self._chart(i, look, width, n) for i, n in enumerate(heights)]
            drawn, lines = drawings[0], [line for one in drawings for line in _lines(one.text)] + text
        return replace(drawn, text=_joined([title, *lines]))

    def _draw_small(self, title: Text, look: Look, width: int, body: int) -> Drawing:
        """Draw the chart with a legend of its own, and a line."""
        told = [_line(look.text(self.told)[:width])] if self.told and body > LEAST_CHART - 3 else []
        drawn = _drawn(replace(self.charts[0], title=""), look, width, body - len(told))
        return replace(drawn, text=_joined([title, *_lines(drawn.text), *told]))

    def _chart(self, index: int, look: Look, width: int, height: int) -> Drawing:
        """Draw a chart without a legend; the first one's title stands above the panel."""
        chart = self.charts[index]
        lines = tuple(replace(line, label="") for line in chart.lines)
        title = chart.title if index else ""
        drawn = _drawn(replace(chart, title=title, lines=lines), look, width, height if index else height + 1)
        return drawn if index else replace(drawn, text=_joined(_lines(drawn.text)[1:]))

    def _text(self, table: list[Text], look: Look, width: int, most: int) -> list[Text]:
        """Return the table and below it, with a line free before each, what fits: the sentences count most."""
        sentences = [_wrapped(look.text(sentence), width) for sentence in self.sentences]
        tables = [of.lines(look, width) for of in self.tables[1:]]
        note = _wrapped(look.text(self.note), width, "dim")
        free = most - len(table) + (not table)
        shown = []
        for part in (*sentences, *tables, note):
            fits = 0 < len(part) < free
            shown.append(fits)
            free -= (len(part) + 1) * fits
        parts = [
            *zip(tables, shown[len(sentences) :], strict=False),
            *zip(sentences, shown, strict=False),
            (note, shown[-1]),
        ]
        text = [*table, *(line for part, fits in parts if fits for line in (_line(""), *part))]
        return text[not table :]


def three_digits(value: float) -> str:
    """Write a number with three digits, those of a round one too: as it changes it stays as wide."""
    if not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 999.5:
        return f"{value:,.0f}" if 999.5 <= abs(value) < 99_999.5 else scientific(value, 1)
    return f"{value:#.3g}".rstrip(".") if value else "0"


def _drawn(chart: Chart, look: Look, width: int, height: int) -> Drawing:
    light = look.theme == "light"
    return draw(chart, width, height, colours=look.coloured, ascii_only=look.ascii_only, light=light)


def _title(panel: Annotated, look: Look, width: int) -> Text:
    title = look.text(panel.title)
    if cell_len(title) > width:
        title = look.text(panel.short_title)[:width]
    text = _line(title, "bold")
    hint = look.text(panel.hint)
    if hint and text.cell_len + 2 + cell_len(hint) <= width:
        text.append(hint.rjust(width - text.cell_len), style="dim")
    return text


def _line(text: str, style: str = "") -> Text:
    # A style of the whole would reach over what is appended.
    return Text(no_wrap=True, overflow="crop", end="").append(text, style=style or None)


def _lines(text: Text) -> list[Text]:
    return list(text.split("\n", allow_blank=True))


def _wrapped(text: str, width: int, style: str = "") -> list[Text]:
    return [_line(line, style) for line in textwrap.wrap(text, width)]


def _side_by_side(left: Sequence[Text], right: Sequence[Text], column: int) -> list[Text]:
    lines = []
    for i, line in enumerate(left):
        if i < len(right):
            line.pad_right(column - line.cell_len)
            line.append_text(right[i])
        lines.append(line)
    return lines


def _joined(lines: Sequence[Text]) -> Text:
    joined = Text("\n", no_wrap=True, overflow="crop", end="").join(lines)
    joined.no_wrap, joined.overflow, joined.end = True, "crop", ""
    return joined
