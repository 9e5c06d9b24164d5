"""How the input to an activation is distributed over time: one arm upwards from a common axis, another downwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bntui.messages.arms import first_normalized
from bntui.messages.events import QUANTILES
from bntui.tui.plot.axes import round_ticks, y_limits
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.heat import Scale, heat_rows, rows_in
from bntui.tui.views.distributions import Distribution, distribution, usual_range
from bntui.tui.views.scene import Drawn, Scene, Times
from bntui.tui.views.words import weight_layer

BUTTERFLY_TITLES = (
    "input to activation {0}, after {1}{2}: density over time, low values at the middle axis",
    "input to activation {0}, after {1}{2}: density over time",
    "input to activation {0}{2}: density over time",
    "input to activation {0}{2}, density",
    "activation {0}",
)
"""From the one that tells most."""
GUTTER = 7
FAR_WIDER = 4.0
"""How many times an arm's values have to spread wider than the other's for each to get a scale of its own."""
_SHADES = Scale(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Half:
    """One arm's half: its values from `low`, at the common axis, to `high`, at the edge."""

    arm: Drawn
    known: Sequence[Distribution | None]
    """Of each column."""
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def shares(self, rows: int) -> list[list[float]]:
        """Return the share of the values in each cell, for each column those of its cells from the axis outwards."""
        edges = [self.low + (self.high - self.low) * i / rows for i in range(rows + 1)]
        kept: dict[int, list[float]] = {}
        for of in self.known:
            if of is not None and id(of) not in kept:
                kept[id(of)] = of.shares(edges)
        nothing = [math.nan] * rows
        return [nothing if of is None else kept[id(of)] for of in self.known]


def mirrored(scene: Scene) -> list[Drawn]:
    """Return the arms that are shown: the first with a normalization, and the first without or the next one."""
    arms = {arm.name: arm for arm in scene.arms}
    first = first_normalized(scene.history.arms)
    if first is None or first.name not in arms:
        return scene.arms[:2]
    rest = [arm for arm in scene.history.arms if arm.name in arms and arm.name != first.name]
    rest.sort(key=lambda arm: arm.normalized)
    return [arms[first.name], *(arms[arm.name] for arm in rest[:1])]


def halves(scene: Scene, columns: Sequence[int | None], lines: int, layer: int) -> list[Half]:
    """Return what is drawn of each arm; none where nothing is known of any."""
    of_unit = scene.view.unit is not None
    known: list[tuple[Drawn, list[Distribution | None], tuple[float, float]]] = []
    for arm in mirrored(scene):
        read: dict[int | None, Distribution | None] = {None: None}
        for i in columns:
            if i is not None and i not in read:
                flow = scene.layer(scene.reads[i], arm.name, layer)
                right = flow is not None and (not of_unit or scene.reads[i].unit == scene.view.unit)
                read[i] = distribution(flow, of_unit) if flow is not None and right else None
        usual = usual_range(of for of in read.values() if of is not None)
        known.append((arm, [read[i] for i in columns], usual or (math.nan, math.nan)))
    ranges = [usual for _, _, usual in known if math.isfinite(sum(usual))]
    if not ranges:
        return []
    sizes = [high - low for low, high in ranges]
    own = max(sizes) > FAR_WIDER * min(sizes) > 0 or max(sizes) > 0 == min(sizes)
    both = min(low for low, _ in ranges), max(high for _, high in ranges)
    made = []
    for arm, of, usual in known:
        low, high = usual if own and math.isfinite(sum(usual)) else both
        low, high, _ = y_limits(low, high, max(6, lines), False)
        made.append(Half(arm, of, low, high, round_ticks(low, high, max(3, lines // 2), 1e5)))
    return made


def draw_activations(scene: Scene, width: int, height: int) -> Drawing:
    """Draw the butterfly of the chosen layer."""
    grid, times, view = scene.grid(width, height), Times(scene), scene.view
    activated = max(1, scene.layers - 1)
    layer = view.layer % activated
    cells = width - GUTTER
    arms = len(mirrored(scene))
    ticked = height >= 6
    lines = (height - 2 - (arms > 1) - ticked) // max(1, arms)
    columns = times.columns(max(0, cells))
    drawn = halves(scene, columns, lines, layer) if cells >= 4 and lines >= 1 else []
    unit = "" if view.unit is None else f", unit {view.unit}"
    some = f", {arms} of {len(scene.arms)} arms" if arms < len(scene.arms) else ""
    rough = any(of is not None and len(of.levels) < len(QUANTILES) for half in drawn for of in half.known)
    more = unit + some + (", from 3 percentiles" if rough else "")
    titles = [title.format(layer + 1, weight_layer(layer), more) for title in BUTTERFLY_TITLES]
    scene.write_title(grid, titles if arms > 1 else titles[1:], f"{layer + 1} of {activated}  [ ]")
    if not drawn:
        if cells >= 4 and lines >= 1:
            of_whom = "of this unit " if unit else ""
            grid.put(height // 2, 0, f"nothing was read {of_whom}after {weight_layer(layer)}", scene.grey)
        return Drawing(grid.text())
    rows = rows_in(lines, scene.look)
    shares = [half.shares(rows) for half in drawn]
    peak = min(filter(None, map(_usual_peak, shares)), default=1.0)
    _write_legend(scene, grid, drawn, peak)
    middle = 2 + lines
    for place, (half, of) in enumerate(zip(drawn, shares, strict=True)):
        upwards = place == 0
        for value, label in half.ticks:
            line = min(lines - 1, int((value - half.low) / (half.high - half.low) * lines + 1e-9))
            row = middle - 1 - line if upwards else middle + 1 + line
            grid.put(row, 0, label.rjust(GUTTER - 1)[: GUTTER - 1] + ("+" if grid.ascii_only else "┤"), scene.grey)
            if value == 0:
                grid.put(row, GUTTER, ("-" if grid.ascii_only else "┄") * cells, scene.grey)
        # From the row that is drawn first, which is at the edge above the axis, and at the axis below it.
        strengths = {id(column): [_strength(share, peak) for share in column] for column in of}
        values = list(zip(*(strengths[id(column)] for column in of), strict=True))
        heat = heat_rows(values[::-1] if upwards else values, _SHADES, scene.look, half.arm.colour)
        for i, line_text in enumerate(heat):
            if not scene.look.solid:
                line_text.stylize(half.arm.colour)
            grid.lay((2 if upwards else middle + 1) + i, GUTTER, line_text)
    if arms > 1:
        _write_axis(scene, grid, drawn, middle)
    bottom = 2 + arms * lines + (arms > 1)
    cursor = times.cursor_cell(cells)
    if cursor is not None:
        for row in range(2, bottom):
            grid.put(row, GUTTER + cursor, "|" if grid.ascii_only else "│", "bold")
    if ticked:
        times.write(grid, bottom, GUTTER, cells, scene.grey)
    return Drawing(grid.text(), GUTTER, times.axis(cells))


def _usual_peak(shares: Sequence[Sequence[float]]) -> float:
    """Return the share in the fullest cell of the usual column; 0 where no column is known."""
    peaks = sorted(max(column) for column in shares if not math.isnan(column[0]))
    return peaks[len(peaks) // 2] if peaks else 0.0


def _strength(share: float, peak: float) -> float:
    """Return how strong a cell is drawn: by the root, so that the flanks of a distribution are seen too."""
    return math.sqrt(min(1.0, share / peak)) if share > 0 else math.nan


def _write_axis(scene: Scene, grid: Grid, drawn: Sequence[Half], row: int) -> None:
    """Draw the line about which the halves are mirrored."""
    dash = "-" if grid.ascii_only else "─"
    grid.put(row, GUTTER - 1, dash * (grid.width - GUTTER + 1), scene.grey)
    above, below = drawn[0], drawn[-1]
    if (above.low, above.high) != (below.low, below.high):
        said = " each half has its own scale "
        if len(said) + 4 < grid.width - GUTTER:
            grid.put(row, grid.width - len(said) - 2, said, scene.grey)


def _write_legend(scene: Scene, grid: Grid, drawn: Sequence[Half], peak: float) -> None:
    """Write which arm is where, and what the shades stand for."""
    up, down = ("up", "down") if grid.width < 60 else ("upwards", "downwards")
    words = [up, down] if len(drawn) > 1 else [""]
    column = 0
    for half, word in zip(drawn, words, strict=True):
        long, short = (f"{half.arm.glyph} {name}{word}".rstrip() for name in (f"{half.arm.label} ", ""))
        text = grid.clean(long if grid.width >= 40 and len(half.arm.label) <= 16 else short)
        grid.put(1, column, text, half.arm.colour)
        column += len(text) + 2
        if not any(half.known):
            grid.put(1, column, "not a number", "bold")
            column += 14
    levels = [(i + 0.5) / 6 for i in range(6)]
    told = f" {100 * peak:.0f} %+ {'a cell' if grid.width < 76 else 'of values a cell'}"
    swatches = [heat_rows([levels] * rows_in(1, scene.look), _SHADES, scene.look, half.arm.colour)[0] for half in drawn]
    if not scene.look.solid:
        swatches = swatches[:1]
    start = grid.width - len(told) - 2 - 6 * len(swatches)
    if start < column:
        return
    grid.put(1, start, "0 ", scene.grey)
    for i, swatch in enumerate(swatches):
        grid.lay(1, start + 2 + 6 * i, swatch)
    grid.put(1, grid.width - len(told), told, scene.grey)
