"""A chart as lines of text: curves on a canvas; title, legend and axes are drawn around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from bntui.tui.plot.axes import SMALLEST, Axis, around, clamp, round_ticks, scientific, y_limits
from bntui.tui.plot.canvas import DOTS, Curve, paint
from bntui.tui.plot.curves import thin, value_at, visible
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.legend import Entry, draw_heading, draw_summary
from bntui.tui.theme import ASCII_GLYPHS, GLYPHS

GREY = "#767676"

MIN_WIDTH, MIN_HEIGHT = 20, 6
COUNTED = ("step", "layer")
"""Names of x axes that have no fractions."""
GUTTER = 6
FARTHEST = 20.0
"""Heights of the chart that a line may lead above it."""


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
    short: str = ""
    """The same where there is less room; the label, if it is empty."""
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
    robust: bool = False
    """Let the few highest values of a linear y axis lie above it, so that they don't press the rest together."""
    x_range: tuple[float, float] | None = None
    """The part to show; all of it by default."""
    empty: str = "…"
    """What the chart waits for while no line has a finite value."""


def draw(
    chart: Chart, width: int, height: int, *, colours: bool = True, ascii_only: bool = False, light: bool = False
) -> Drawing:
    """Draw the chart as exactly `height` lines of `width` cells; below 20×6 only title and values.

    Without `colours` nothing but bold and dim is used, and the arms' glyphs are repeated along the curves. `light` is
    what is faint drawn for a light background.
    """
    grid = Grid(width, height, ascii_only)
    grey = GREY if colours else "dim"
    arms = [line for line in chart.lines if not line.faint]
    order = {id(arm): i for i, arm in enumerate(arms)}
    glyphs = {id(arm): _glyph(arm, i, ascii_only) for i, arm in enumerate(arms)}
    legend = [
        Entry(glyphs[id(arm)], arm.label, arm.short or arm.label, value_at(arm.x, arm.y, chart.cursor),
              arm.colour if colours else "")
        for arm in arms
        if arm.label
    ]  # fmt: skip
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        draw_summary(grid, chart.title, legend)
        return Drawing(grid.text())
    top = draw_heading(grid, chart.title, legend)

    x_low, x_high = _x_limits(chart)
    curves = [(line, *visible(line.x, line.y, chart.log_y, x_low, x_high)) for line in chart.lines]
    seen = [value for _, _, y in curves for value in y if math.isfinite(value)]
    if not seen:
        some = any(math.isfinite(value) for line in chart.lines for value in line.y)
        message = chart.empty if not some else "nothing above 0 to show" if chart.log_y else "nothing in this range"
        grid.put(height // 2, (width - len(grid.clean(message)[:width])) // 2, message, grey)
        return Drawing(grid.text())

    ruled = height > 8
    rows = height - top - (2 if ruled else 1)
    highest = _usual_highest(curves) if chart.robust and not chart.log_y else max(seen)
    y_low, y_high, ticks = y_limits(min(seen), highest, max(2, rows // 3), chart.log_y)
    longest = max((len(label) for _, label in ticks), default=0)
    left = 1 + (longest if GUTTER < longest <= width // 3 else GUTTER)
    dots = max((DOTS.get(_marker(line, "*", ascii_only), (1, 1)) for line in chart.lines), default=(1, 1))
    x_axis, y_axis = Axis(x_low, x_high, width - left, dots[0]), Axis(y_low, y_high, rows, dots[1])

    bar, notch, corner, dash = "||+-" if ascii_only else "│┤└─"
    for r in range(top, top + rows):
        grid.put(r, left - 1, bar, grey)
    for y, label in ticks:
        if len(label) < left:
            grid.put(top + rows - 1 - y_axis.cell(y), left - 1 - len(label), label + notch, grey)
    if ruled:
        grid.put(top + rows, left - 1, corner + dash * x_axis.cells, grey)
    _draw_x_labels(grid, chart, x_axis, left, grey, ruled=ruled)
    marks = [(left + x_axis.cell(x), bar, label, grey) for x, label in chart.verticals if x_low <= x <= x_high]
    if chart.cursor is not None and x_low <= chart.cursor <= x_high:
        marks.append((left + x_axis.cell(chart.cursor), ":" if ascii_only else "┊", "", ""))
    for column, char, _, style in marks:
        for r in range(top, top + rows):
            grid.put(r, column, char, style)

    drawn = [
        # A faint curve as the dots of its extremes: its line would hide the other, and take longest to draw.
        (line, Curve([x_axis.share(v) for v in x], [_near(y_axis.share(v)) for v in y],
                     _marker(line, glyph, ascii_only), scattered=line.faint))
        for line, x, y in (
            (c[0], *thin(c[1], c[2], x_axis.cells)) for c in sorted(curves, key=lambda c: not c[0].faint)
        )
        for glyph in (glyphs.get(id(line), "."),)
    ]  # fmt: skip
    styles = [_style(line, colours, light) for line, _ in drawn]
    for r, c, char, index in paint([curve for _, curve in drawn], x_axis.cells, rows):
        grid.put(top + r, left + c, char, styles[index])
    for (line, curve), style in zip(drawn, styles, strict=True):
        if line.faint:
            continue
        every = 0 if colours or len(curve.marker) == 1 else 12
        for i in _spots(curve, x_axis, order[id(line)], every, all_points=line.points):
            row = top + rows - 1 - y_axis.cell_of_share(curve.y[i])
            column = left + x_axis.cell_of_share(curve.x[i])
            grid.put(row, column, glyphs[id(line)], style)
    for column, _, label, style in marks:
        grid.put(top, column, label, f"bold {style}".strip())
    return Drawing(grid.text(), left, x_axis)


def _near(share: float) -> float:
    """Keep a point off the axis not too far off: plotext goes along each dot of a line, those outside too."""
    return max(-FARTHEST, min(FARTHEST, share)) if math.isfinite(share) else share


def _spots(curve: Curve, axis: Axis, order: int, every: int, *, all_points: bool) -> list[int]:
    """Return the points to mark with the arm's glyph: the last, and all or those `every` so many cells."""
    finite = [i for i, value in enumerate(curve.y) if math.isfinite(value)]
    if all_points and len(finite) <= axis.cells // 2:
        return finite
    spots, column = finite[-1:], (3 + 5 * order) if every else axis.cells
    for i in finite:
        at = axis.cell_of_share(curve.x[i])
        if at >= column:
            spots.append(i)
            column = at + every
    return spots


def _draw_x_labels(grid: Grid, chart: Chart, axis: Axis, left: int, grey: str, *, ruled: bool) -> None:
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
    count = max(2, min(axis.cells // 8, 4), axis.cells // 12)
    if chart.x_label in COUNTED:
        count = max(1, min(count, int(axis.high - axis.low)))
    for value, string in round_ticks(axis.low, axis.high, count, 1e9):
        label(value, string, grey)


def _usual_highest(curves: Sequence[tuple[Line, list[float], list[float]]]) -> float:
    """Return the highest value, or, if that is far above them, a value well above 95 % of what is not faint."""
    values = sorted(v for line, _, y in curves if not line.faint for v in y if math.isfinite(v))
    usual = values[int(0.95 * (len(values) - 1))]
    return min(values[-1], usual + (usual - values[0]) / 2) if usual > values[0] else values[-1]


def _x_limits(chart: Chart) -> tuple[float, float]:
    if chart.x_range and all(math.isfinite(end) for end in chart.x_range):
        low, high = sorted(chart.x_range)
    else:
        finite = [value for line in chart.lines for value in line.x if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
    low, high = clamp(low), clamp(high)
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high), SMALLEST) else around(low, max(1, abs(low) / 20))


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


def _style(line: Line, colours: bool, light: bool) -> str:
    """Return the colour; of a faint line half of it, towards the background."""
    if not line.faint or not line.colour or not colours:
        return "dim" if line.faint else line.colour if colours else ""
    parts = (int(line.colour[i : i + 2], 16) for i in (1, 3, 5))
    cube = (0, 95, 135, 175, 215, 255)
    halves = [min(cube, key=lambda level: abs(level - (part + 255 * light) / 2)) for part in parts]
    return "#{:02x}{:02x}{:02x}".format(*halves)
