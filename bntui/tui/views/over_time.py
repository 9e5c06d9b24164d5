"""A number of each layer over time, as a heat map for each arm, one below the other with one scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bntui.messages.events import LayerFlow
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.heat import Scale, heat_rows, legend, rows_in
from bntui.tui.views.scene import Drawn, Scene, Times, log10, of_layers, thinned
from bntui.tui.views.words import weight_layer

HEAT_TITLES = (
    "gradient by the weights over time{}: log10 of its L2 norm, layer × time",
    "weight gradient over time{}: log10 of its L2 norm",
    "weight gradient over time{}, log10",
    "gradient over time",
)
"""From the one that tells most."""


def draw_gradient_heat(scene: Scene, width: int, height: int) -> Drawing:
    """Draw the gradients by the weights of every layer over time."""
    grid, times = scene.grid(width, height), Times(scene)
    left = gutter(scene, width)
    shown_reads = {i for i in times.columns(max(0, width - left)) if i is not None}
    logs = [
        log10(flow.weight_gradient) for i in shown_reads for of in scene.reads[i].arms.values() for flow in of
    ]  # fmt: skip
    scale = _round_scale([value for value in logs if math.isfinite(value)])
    shown = draw_over_time(scene, grid, 2, height, times, lambda flow: log10(flow.weight_gradient), scale)
    scene.write_title(grid, [title.format(of_layers(shown, scene.layers)) for title in HEAT_TITLES])
    known = legend(scale, scene.look)
    known.append(" log10", style=scene.grey)
    if len(known.plain) + 24 <= width:
        known.append("  empty: not a number", style=scene.grey)
    if height > 1:
        grid.lay(1, 0, known)
    return Drawing(grid.text(), left, times.axis(width - left))


def _round_scale(logs: Sequence[float]) -> Scale:
    """Return a scale that has nearly all of these logarithms, with round ends that seldom move."""
    known = sorted(logs) or [-1.0, 0.0]
    # The first steps of a run would else leave few colours for all that follow.
    left_out = len(known) // 50
    low, high = known[left_out], known[-1 - left_out]
    grain = 1.0 if high - low > 3 else 0.5 if high - low > 1 else 0.25
    low, high = math.floor(low / grain) * grain, math.ceil(high / grain) * grain
    return Scale(low, high if high > low else low + grain)


def gutter(scene: Scene, width: int) -> int:
    """Return how many cells the names of the layers take."""
    return len(_layer_name(max(0, scene.layers - 1), width)) + 3


def draw_over_time(
    scene: Scene, grid: Grid, top: int, bottom: int, times: Times, of: Callable[[LayerFlow], float], scale: Scale
) -> list[int]:
    """Draw a heat map for each arm between two rows, and below them the time axis; return which layers are shown."""
    arms, lines = scene.arms, bottom - top - 1
    left = gutter(scene, grid.width)
    cells = grid.width - left
    if cells < 4 or lines < 1 or not scene.layers:
        return list(range(scene.layers))
    arms = arms[:lines]
    each = lines // len(arms)
    # A line for the name, where all layers fit without it too.
    named = each > 1 and (rows_in(each - 1, scene.look) >= scene.layers or each > 6)
    rows = rows_in(each - named, scene.look)
    shown = thinned(scene.layers, rows)
    repeat = rows // len(shown)
    if scene.look.solid and repeat > 1:
        repeat -= repeat % 2
    columns = times.columns(cells)
    cursor = times.cursor_cell(cells)
    row = top
    for arm in arms:
        if named:
            grid.put(row, 0, f"{arm.glyph} {arm.label}", arm.colour)
            row += 1
        values = [row for row in (_row(scene, arm, i, columns, of) for i in shown) for _ in range(repeat)]
        drawn = heat_rows(values, scale, scene.look)
        for line, heat in enumerate(drawn):
            grid.lay(row + line, left, heat)
            if cursor is not None:
                grid.put(row + line, left + cursor, "|" if grid.ascii_only else "│", "bold")
        if not named:
            grid.put(row, 0, arm.glyph, arm.colour)
        for line, index in _labels(shown, repeat, rows_in(1, scene.look), len(drawn)):
            grid.put(row + line, 2, _layer_name(index, grid.width), scene.grey)
        row += len(drawn)
    times.write(grid, row, left, cells, scene.grey)
    return shown


def _layer_name(index: int, width: int) -> str:
    return weight_layer(index) if width >= 60 else str(index + 1)


def _row(
    scene: Scene, arm: Drawn, index: int, columns: Sequence[int | None], of: Callable[[LayerFlow], float]
) -> list[float]:
    """Return a layer's value in each column; NaN where there is none."""
    known: dict[int | None, float] = {None: math.nan}
    for i in columns:
        if i is not None and i not in known:
            flow = scene.layer(scene.reads[i], arm.name, index)
            value = math.nan if flow is None else of(flow)
            known[i] = math.nan if value == math.inf else value
    return [known[i] for i in columns]


def _labels(shown: Sequence[int], repeat: int, a_line: int, lines: int) -> list[tuple[int, int]]:
    """Return which line has the name of which layer: of two on a line the upper one, on the last line the last."""
    named = {place * repeat // a_line: index for place, index in reversed(list(enumerate(shown)))}
    if repeat < a_line and lines > 1:
        named[lines - 1] = shown[-1]
    return list(named.items())
