"""A chart as lines of text: curves on a canvas; title, legend and axes are drawn around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from bntui.tui.plot.axes import SMALLEST, Axis, around, brief, clamp, short_number, y_limits
from bntui.tui.plot.curves import thin, value_at, visible
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.frame import COUNTED, draw_marks, draw_x_axis, draw_y_axis
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.legend import Entry, Title, draw_heading, draw_summary
from bntui.tui.plot.limits import robust_limits
from bntui.tui.plot.marks import Mark
from bntui.tui.plot.raster import DOTS, Stroke, paint
from bntui.tui.plot.spots import draw_edges, draw_spots, edges, spots
from bntui.tui.plot.strokes import GREY, glyph_of, marker_of, style_of
from bntui.tui.theme import WARNINGS

MIN_WIDTH, MIN_HEIGHT = 20, 6
GUTTER = 6


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
    """`braille`, `hd` or a single character."""
    label: str = ""
    """Its name in the legend; a line without one is left out there."""
    _: KW_ONLY
    faint: bool = False
    """The single steps behind a smoothed curve: points without a line, drawn first and dimmer."""
    ghost: bool = False
    """A future that was abandoned: dashed and dimmer, behind the curves."""
    points: bool = False
    """Draw the line's glyph on every point too, where there is room."""
    joined: bool = True
    """Whether the points are joined; if not, nothing is drawn but their glyphs."""
    marked: bool = True
    """Whether the line's glyph stands at its end, and where there are no colours along it."""
    glyph: str = ""
    """Tells the line apart without colour; empty for one by the line's place among the curves."""

    @property
    def curve(self) -> bool:
        """Whether it is one of the curves that the chart is about."""
        return not (self.faint or self.ghost)


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart shows."""

    title: str
    """Carries the unit, behind a comma."""
    lines: tuple[Line, ...]
    x_label: str = "step"
    marks: tuple[Mark, ...] = ()
    """What happened, in the line of the x axis."""
    cursor: float | None = None
    """The legend shows the values at the point nearest to this x, and says so."""
    log_y: bool = False
    """Values that are not positive are gaps."""
    robust: bool = False
    """Let what is short and far off lie outside the y axis, marked at its edge, so that it doesn't press the rest
    together."""
    x_range: tuple[float, float] | None = None
    """The part to show; all of it by default."""
    shares: bool = False
    """Whether the values are shares of 1, written as `.962`."""
    detail: str = ""
    """What the title says besides, where there is room."""
    empty: str = "…"
    """What the chart waits for while no line has a finite value."""


Seen = tuple[Line, list[float], list[float]]
"""A line, and its points on the chart: x, and y or its logarithm."""


def draw(
    chart: Chart,
    width: int,
    height: int,
    *,
    colours: bool = True,
    ascii_only: bool = False,
    light: bool = False,
    few_colours: bool = False,
) -> Drawing:
    """Draw the chart as exactly `height` lines of `width` cells; below 20×6 only title and values.

    Without `colours` nothing but bold and dim is used, and the arms' glyphs are repeated along the curves. `light` is
    what is faint drawn for a light background. With `few_colours` there is no half of a colour: single steps are left
    out, as they would be as bright as the curves.
    """
    grid = Grid(width, height, ascii_only)
    grey = GREY if colours else "dim"
    lines = [line for line in chart.lines if not (few_colours and line.faint)]
    arms = [line for line in lines if line.curve]
    glyphs = {id(arm): glyph_of(arm.glyph, arm.marker, i, ascii_only) for i, arm in enumerate(arms)}
    legend = [
        Entry(glyphs[id(arm)], grid.clean(arm.label), value_at(arm.x, arm.y, chart.cursor),
              arm.colour if colours else "", chart.shares)
        for arm in arms
        if arm.label
    ]  # fmt: skip
    title = Title(grid.clean(chart.title), grid.clean(chart.detail), grid.clean(_moment(chart)))
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        draw_summary(grid, title, legend, grey)
        return Drawing(grid.text())
    top = draw_heading(grid, title, legend, grey)

    x_low, x_high = _x_limits(chart)
    cells = width - 1 - GUTTER
    seen: list[Seen] = [(line, *thin(*visible(line.x, line.y, chart.log_y, x_low, x_high), cells)) for line in lines]
    limits = _y_limits(seen, chart.robust)
    rows = height - top - (2 if height > 8 else 1)
    if limits is None or rows < 1:
        some = any(math.isfinite(value) for line in chart.lines for value in line.y)
        message = chart.empty if not some else "nothing above 0 to show" if chart.log_y else "nothing in this range"
        grid.put(max(top, height // 2), (width - len(grid.clean(message)[:width])) // 2, message, grey)
        return Drawing(grid.text())

    y_low, y_high, ticks = y_limits(*limits, max(2, rows // 3), chart.log_y)
    if chart.shares and not chart.log_y:
        ticks = [(y, label.replace("0.", ".", 1) if label.startswith("0.") else label) for y, label in ticks]
    longest = max((len(label) for _, label in ticks), default=0)
    left = 1 + (longest if GUTTER < longest <= width // 3 else GUTTER)
    kinds = [marker_of(line.marker, "*", ascii_only) for line in lines]
    across, down = max((DOTS.get(kind, (1, 1)) for kind in kinds), default=(1, 1))
    x_axis, y_axis = Axis(x_low, x_high, width - left, across), Axis(y_low, y_high, rows, down)

    ruled = height > 8
    draw_y_axis(grid, y_axis, ticks, top, left, grey)
    draw_x_axis(grid, x_axis, chart.x_label, chart.cursor, left, grey, ruled=ruled)
    if ruled:
        warning = WARNINGS["light" if light else "dark"] if colours else ""
        draw_marks(grid, chart.marks, x_axis, top + rows, left, grey, warning)
    if chart.cursor is not None and x_low <= chart.cursor <= x_high:
        for r in range(top, top + rows):
            grid.put(r, left + x_axis.cell(chart.cursor), ":" if ascii_only else "┊", "")

    shares = [(line, [x_axis.share(v) for v in x], [y_axis.share(v) for v in y]) for line, x, y in seen]
    styles = {id(line): style_of(line.colour, colours, light, few_colours, faint=not line.curve) for line in lines}
    for layer in _LAYERS:
        strokes = [
            Stroke(x, y, marker_of(line.marker, glyphs.get(id(line), "."), ascii_only), styles[id(line)],
                   joined=not line.faint, dashed=line.ghost)
            for line, x, y in shares
            if layer(line)
        ]  # fmt: skip
        for cell in paint(strokes, x_axis.cells, rows, mixed=not colours):
            grid.set(top + cell.row, left + cell.column, cell.char, cell.style)

    on_curves, outside = [], []
    for order, line in enumerate(arms):
        x, y = next((x, y) for other, x, y in shares if other is line)
        style, glyph = styles[id(line)], glyphs[id(line)]
        if line.points or line.marked:
            every = 0 if colours or len(marker_of(line.marker, glyph, ascii_only)) == 1 else 12
            on_curves += [
                (top + rows - 1 - y_axis.cell_of_share(y[i]), left + x_axis.cell_of_share(x[i]), glyph,
                 style if line.joined else f"bold {style}".strip())
                for i in spots(x, y, x_axis, order, every, points=line.points)
            ]  # fmt: skip
        if line.label:
            values = next((x, y) for other, x, y in seen if other is line)
            for edge in edges(*values, x_axis, y_axis, from_start=bool(line.x) and line.x[0] >= x_low):
                value = 10**edge.value if chart.log_y else edge.value
                told = short_number(value).strip() if chart.shares else brief(value)
                outside.append((edge, "" if colours else glyph, told, f"bold {style}".strip()))
    draw_spots(grid, on_curves)
    draw_edges(grid, outside, x_axis, left, top, top + rows - 1)
    return Drawing(grid.text(), left, x_axis)


_LAYERS: tuple[Callable[[Line], bool], ...] = (
    lambda line: line.faint,
    lambda line: line.ghost,
    lambda line: line.curve and line.joined,
)
"""What is drawn one above the other, the curves last."""
_KINDS: tuple[Callable[[Line], bool], ...] = (
    lambda line: line.curve,
    lambda line: line.faint,
    lambda line: line.ghost,
)


def _moment(chart: Chart) -> str:
    """Say where the values of the legend are, if they are not the newest."""
    if chart.cursor is None or not math.isfinite(chart.cursor):
        return ""
    where = f"{chart.cursor:,.0f}" if chart.x_label in COUNTED else brief(chart.cursor)
    return f"at {chart.x_label} {where}"


def _y_limits(seen: Sequence[Seen], robust: bool) -> tuple[float, float] | None:
    """Return the lowest and the highest y to show, or None where there is nothing to show."""
    shown = [y for line, _, y in seen if line.curve or line.faint] if robust else [y for _, _, y in seen]
    finite = [value for y in shown for value in y if math.isfinite(value)]
    if not finite:
        return None
    if not robust:
        return min(finite), max(finite)
    curves, faint, ghosts = ([(x, y) for line, x, y in seen if layer(line)] for layer in _KINDS)
    return robust_limits(curves, faint, ghosts)


def _x_limits(chart: Chart) -> tuple[float, float]:
    if chart.x_range and all(math.isfinite(end) for end in chart.x_range):
        low, high = sorted(chart.x_range)
    else:
        finite = [value for line in chart.lines for value in line.x if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
    low, high = clamp(low), clamp(high)
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high), SMALLEST) else around(low, max(1, abs(low) / 20))
