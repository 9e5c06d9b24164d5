"""Curves as lines of text, drawn by plotext on a canvas; title, legend and axes are drawn around it here."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from plotext._figure import _figure_class
from rich.cells import cell_len
from rich.text import Span, Text

from bntui.tui.axes import LARGEST, SMALLEST, Axis, around, clamp, number, round_ticks, scientific, y_limits

BLUE, ORANGE = "#5fafff", "#ff8700"
"""The accents of the `bn` and the `plain` arm on a dark background, exact in the 256-colour cube."""
GREY = "#767676"

GLYPHS, ASCII_GLYPHS = "●■▲◆", "*o+x"
DOTS = {"braille": (2, 4), "fhd": (2, 3), "hd": (2, 2)}
"""Dots a cell, across and down, of plotext's fine markers."""
MIN_WIDTH, MIN_HEIGHT = 20, 6
GUTTER = 6
_ASCII = str.maketrans({"…": "...", "–": "-", "—": "-", "−": "-", "·": "-", "×": "x"})
_CANVAS = re.compile(r"\x1b\[(?:38;5;)?([0-9;]*)m|([^\x1b\n]+)|\n")


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    x: Sequence[float]
    """In ascending order."""
    y: Sequence[float]
    """As many as `x`; NaN and infinities are gaps."""
    colour: str
    """`#rrggbb`, or empty for none."""
    marker: str
    """`braille`, `fhd`, `hd` or a single character."""
    label: str = ""
    """Its name in the legend; a line without one is left out there."""
    faint: bool = False
    """The raw curve behind a smoothed one: drawn first and dimmer."""
    points: bool = False
    """Draw the line's glyph on every point too, where there is room."""
    glyph: str = ""
    """Tells the line apart without colour; empty for one by the line's place among those not faint."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart shows."""

    title: str
    """Carries the unit."""
    lines: tuple[Line, ...]
    x_label: str = "step"
    verticals: tuple[tuple[float, str], ...] = ()
    """Interventions: where, and a letter."""
    cursor: float | None = None
    """The legend shows the values at the point nearest to this x."""
    log_y: bool = False
    """Values that are not positive are gaps."""
    x_range: tuple[float, float] | None = None
    """The part to show; all of it by default."""
    empty: str = "…"
    """What the chart waits for while no line has a finite value."""


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


def _ordered(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the points with a finite x, in its order."""
    xs, ys = list(x), list(y)
    if not all(map(math.isfinite, xs)) or xs != sorted(xs):
        pairs = sorted(((a, b) for a, b in zip(xs, ys, strict=True) if math.isfinite(a)), key=lambda pair: pair[0])
        return [a for a, _ in pairs], [b for _, b in pairs]
    return xs, ys


def draw(chart: Chart, width: int, height: int, *, colours: bool = True, ascii_only: bool = False) -> Text:
    """Return the chart as exactly `height` lines of `width` cells; below 20×6 only title and values.

    Without `colours` nothing but bold and dim is used, and the arms' glyphs are repeated along the curves.
    """
    grid = _Grid(width, height, ascii_only)
    grey = GREY if colours else "dim"
    arms = [line for line in chart.lines if not line.faint]
    order = {id(arm): i for i, arm in enumerate(arms)}
    glyphs = {id(arm): _glyph(arm, i, ascii_only) for i, arm in enumerate(arms)}
    legend = [
        (glyphs[id(arm)], arm.label, number(_value(arm, chart.cursor)), arm.colour if colours else "")
        for arm in arms
        if arm.label
    ]
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        _draw_summary(grid, chart.title, legend)
        return grid.text()
    _draw_heading(grid, chart.title, legend)

    x_low, x_high = _x_limits(chart)
    curves = [(line, *_visible(line, chart.log_y, x_low, x_high)) for line in chart.lines]
    seen = [value for _, _, y in curves for value in y if math.isfinite(value)]
    if not seen:
        some = any(math.isfinite(value) for line in chart.lines for value in line.y)
        message = chart.empty if not some else "nothing above 0 to show" if chart.log_y else "nothing in this range"
        grid.put(height // 2, (width - len(grid.clean(message)[:width])) // 2, message, grey)
        return grid.text()

    rows = height - 3 if height > 8 else height - 2
    y_low, y_high, ticks = y_limits(min(seen), max(seen), max(2, rows // 3), chart.log_y)
    longest = max((len(label) for _, label in ticks), default=0)
    left = 1 + (longest if GUTTER < longest <= width // 3 else GUTTER)
    dots = max((DOTS.get(_marker(line, "*", ascii_only), (1, 1)) for line in chart.lines), default=(1, 1))
    x_axis, y_axis = Axis(x_low, x_high, width - left, dots[0]), Axis(y_low, y_high, rows, dots[1])

    bar, notch, corner, dash = "||+-" if ascii_only else "│┤└─"
    for r in range(1, rows + 1):
        grid.put(r, left - 1, bar, grey)
    for y, label in ticks:
        if len(label) < left:
            grid.put(rows - y_axis.cell(y), left - 1 - len(label), label + notch, grey)
    if rows == height - 3:
        grid.put(rows + 1, left - 1, corner + dash * x_axis.cells, grey)
    _draw_x_labels(grid, chart, x_axis, left, grey, ruled=rows == height - 3)
    marks = [(left + x_axis.cell(x), bar, label, grey) for x, label in chart.verticals if x_low <= x <= x_high]
    if chart.cursor is not None and x_low <= chart.cursor <= x_high:
        marks.append((left + x_axis.cell(chart.cursor), ":" if ascii_only else "┊", "", ""))
    for column, char, _, style in marks:
        for r in range(1, rows + 1):
            grid.put(r, column, char, style)

    drawn = [
        _Curve(line, [x_axis.share(v) for v in x], [y_axis.share(v) for v in y], _marker(line, glyph, ascii_only))
        for line, x, y in (
            (c[0], *thin(c[1], c[2], x_axis.cells)) for c in sorted(curves, key=lambda c: not c[0].faint)
        )
        for glyph in (glyphs.get(id(line), "."),)
    ]
    styles = [_style(curve.line, colours) for curve in drawn]
    for r, c, char, index in _canvas(drawn, x_axis.cells, rows):
        grid.put(1 + r, left + c, char, styles[index])
    for curve, style in zip(drawn, styles, strict=True):
        if curve.line.faint:
            continue
        every = 0 if colours or len(curve.marker) == 1 else 12
        for i in _spots(curve, x_axis, order[id(curve.line)], every):
            row, column = rows - y_axis.cell_of_share(curve.y[i]), left + x_axis.cell_of_share(curve.x[i])
            grid.put(row, column, glyphs[id(curve.line)], style)
    for column, _, label, style in marks:
        grid.put(1, column, label, f"bold {style}".strip())
    return grid.text()


class _Grid:
    """Characters and their styles by row and column; what falls outside is cut."""

    def __init__(self, width: int, height: int, ascii_only: bool) -> None:
        self.width, self.height, self.ascii_only = width, height, ascii_only
        self._chars = [[" "] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]

    def clean(self, string: str) -> str:
        """Replace what does not take exactly one cell, or is not ASCII where it has to be."""
        if self.ascii_only:
            string = string.translate(_ASCII)
        if string.isascii() and string.isprintable():
            return string
        return "".join(
            c if c.isprintable() and cell_len(c) == 1 and (c.isascii() or not self.ascii_only) else "?" for c in string
        )

    def put(self, row: int, column: int, string: str, style: str) -> None:
        """Write from a cell to the right."""
        if 0 <= row < self.height:
            for i, char in enumerate(self.clean(string), column):
                if 0 <= i < self.width:
                    self._chars[row][i], self._styles[row][i] = char, style

    def text(self) -> Text:
        """Return all of it, a span for each run of one style."""
        spans, at = [], 0
        for chars, styles in zip(self._chars, self._styles, strict=True):
            start = 0
            for i in range(1, len(styles) + 1):
                if i == len(styles) or styles[i] != styles[start]:
                    if styles[start]:
                        spans.append(Span(at + start, at + i, styles[start]))
                    start = i
            at += len(chars) + 1
        plain = "\n".join("".join(chars) for chars in self._chars)
        return Text(plain, spans=spans, no_wrap=True, overflow="crop", end="")


@dataclass(frozen=True, slots=True)
class _Curve:
    line: Line
    x: list[float]
    y: list[float]
    """Shares of the axes."""
    marker: str


def _canvas(curves: Sequence[_Curve], columns: int, rows: int) -> list[tuple[int, int, str, int]]:
    """Return row from the top, column, character and curve of each cell that plotext fills.

    A figure of our own leaves plotext's global one alone. A curve's colour number is its index.
    """
    figure = _figure_class()
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
            figure.plot(curve.x, curve.y, marker=curve.marker, color=index % 256)
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


def _spots(curve: _Curve, axis: Axis, order: int, every: int) -> list[int]:
    """Return the points to mark with the arm's glyph: the last, and all or those `every` so many cells."""
    finite = [i for i, value in enumerate(curve.y) if math.isfinite(value)]
    if curve.line.points and len(finite) <= axis.cells // 2:
        return finite
    spots, column = finite[-1:], (3 + 5 * order) if every else axis.cells
    for i in finite:
        at = axis.cell_of_share(curve.x[i])
        if at >= column:
            spots.append(i)
            column = at + every
    return spots


def _draw_heading(grid: _Grid, title: str, legend: Sequence[tuple[str, str, str, str]]) -> None:
    """Write the title, and at the right the legend, without labels where there is no room for both."""
    for labelled in (True, False):
        entries = [(f"{glyph} {label} " if labelled else f"{glyph} ", value, c) for glyph, label, value, c in legend]
        length = sum(len(name) + len(value) + 2 for name, value, _ in entries)
        if len(title) + length <= grid.width:
            break
    column = max(0, grid.width - length + 2)
    grid.put(0, 0, title[: max(0, column - 1)] if entries else title, "bold")
    for name, value, colour in entries:
        grid.put(0, column, name, colour)
        grid.put(0, column + len(name), value, f"bold {colour}".strip())
        column += len(name) + len(value) + 2


def _draw_summary(grid: _Grid, title: str, legend: Sequence[tuple[str, str, str, str]]) -> None:
    """Write the title and a row for each arm, or what fits of them in one row."""
    if grid.height == 1:
        _draw_heading(grid, title, legend)
        return
    grid.put(0, 0, title, "bold")
    for row, (glyph, label, value, colour) in enumerate(legend, 1):
        short = len(glyph) + len(label) + len(value) + 2 > grid.width
        grid.put(row, 0, f"{glyph} {value.strip()}" if short else f"{glyph} {label} {value}", colour)


def _draw_x_labels(grid: _Grid, chart: Chart, axis: Axis, left: int, grey: str, *, ruled: bool) -> None:
    """Write the axis' name at the right, the cursor's place, and as many ticks as stay apart from them."""
    row, name, cursor = grid.height - 1, chart.x_label[: axis.cells // 2], chart.cursor
    taken: list[tuple[int, int]] = []

    def label(value: float, string: str, style: str) -> None:
        start = max(0, min(left + axis.cell(value) - len(string) // 2, grid.width - len(string)))
        if all(start + len(string) + 1 < a or start > b for a, b in taken):
            taken.append((start, start + len(string) + 1))
            grid.put(row, start, string, style)
            if ruled:
                grid.put(row - 1, left + axis.cell(value), "+" if grid.ascii_only else "┴", grey)

    if cursor is not None and axis.low <= cursor <= axis.high:
        label(cursor, f"{cursor:,.6g}" if abs(cursor) < 1e9 else scientific(cursor, 2), "bold")
    if all(end + 1 < grid.width - len(name) for _, end in taken):
        taken.append((grid.width - len(name) - 1, grid.width))
        grid.put(row, grid.width - len(name), name, grey)
    for value, string in round_ticks(axis.low, axis.high, max(2, min(axis.cells // 8, 4), axis.cells // 12), 1e9):
        label(value, string, grey)


def _x_limits(chart: Chart) -> tuple[float, float]:
    if chart.x_range and all(math.isfinite(end) for end in chart.x_range):
        low, high = sorted(chart.x_range)
    else:
        finite = [value for line in chart.lines for value in line.x if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
    low, high = clamp(low), clamp(high)
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high), SMALLEST) else around(low, max(1, abs(low) / 20))


def _visible(line: Line, log_y: bool, low: float, high: float) -> tuple[list[float], list[float]]:
    """Return the part of a curve between two x, its ends interpolated; log10 of y where asked; NaN for gaps."""
    x, values = _ordered(line.x, line.y)
    if log_y:
        y = [max(-300.0, min(300.0, math.log10(v))) if 0 < v < math.inf else math.nan for v in values]
    else:
        y = [v if -LARGEST < v < LARGEST else clamp(v) if math.isfinite(v) else math.nan for v in values]
    first, last = bisect_left(x, low), bisect_right(x, high)
    ends = [
        [(end, y[i - 1] + (y[i] - y[i - 1]) * ((end - x[i - 1]) / (x[i] - x[i - 1])))] if 0 < i < len(x) else []
        for end, i in ((low, first), (high, last))
    ]
    points = [*ends[0], *zip(x[first:last], y[first:last], strict=True), *ends[1]]
    return [a for a, _ in points], [b for _, b in points]


def _value(line: Line, cursor: float | None) -> float:
    """Return the value at the point nearest to the cursor, or the last finite one."""
    if cursor is None or not line.x:
        return next((value for value in reversed(line.y) if math.isfinite(value)), math.nan)
    i = bisect_left(line.x, cursor)
    near = [j for j in (i - 1, i) if 0 <= j < len(line.x)]
    return line.y[min(near, key=lambda j: abs(line.x[j] - cursor))]


def _glyph(line: Line, index: int, ascii_only: bool) -> str:
    if not ascii_only:
        return line.glyph or GLYPHS[index % len(GLYPHS)]
    own = next(
        (c for c in (line.glyph, line.marker) if len(c) == 1 and c.isascii() and c.isprintable() and c != " "), ""
    )
    return own or ASCII_GLYPHS[index % len(ASCII_GLYPHS)]


def _marker(line: Line, glyph: str, ascii_only: bool) -> str:
    """Return plotext's name of a marker, or a character."""
    if ascii_only:
        return glyph
    usable = line.marker in DOTS or (len(line.marker) == 1 and line.marker.isprintable() and cell_len(line.marker) == 1)
    return line.marker if usable else "hd"


def _style(line: Line, colours: bool) -> str:
    """Return the colour; of a faint line half of it, towards black if it is light and white if it is dark."""
    if not line.faint or not line.colour or not colours:
        return "dim" if line.faint else line.colour if colours else ""
    red, green, blue = (int(line.colour[i : i + 2], 16) for i in (1, 3, 5))
    end = 0 if 0.21 * red + 0.72 * green + 0.07 * blue > 130 else 255
    cube = (0, 95, 135, 175, 215, 255)
    halves = [min(cube, key=lambda level: abs(level - (part + end) / 2)) for part in (red, green, blue)]
    return "#{:02x}{:02x}{:02x}".format(*halves)
