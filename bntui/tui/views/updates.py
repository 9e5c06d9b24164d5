"""How far a step moves each layer's weights, measured by the weights themselves: by layer, and over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bntui.messages.events import LayerFlow
from bntui.tui.plot.axes import number
from bntui.tui.plot.decades import decades
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.heat import Scale, legend
from bntui.tui.views.over_time import draw_over_time, gutter
from bntui.tui.views.scene import Scene, Times, log10, of_layers, size_word, thinned
from bntui.tui.views.words import weight_layer

UPDATE_TITLES = (
    "update ÷ weights of each layer{}: L2 norms, log10 axis; rule of thumb: about 1e-3",
    "update ÷ weights{}: L2 norms, log10; rule of thumb 1e-3",
    "update ÷ weights{}, log10; rule of thumb 1e-3",
    "update ÷ weights{}, log10",
    "updates",
)
"""From the one that tells most."""
HEALTHY = 1e-3
"""Rule of thumb for the ratio; a published result it is not."""
_AROUND = Scale(-2.0, 2.0, diverging=True)
"""Of the decades by which a ratio lies off it."""
_LEAST_OVER_TIME = 4
"""Lines from which on the course over time is drawn."""


def draw_updates(scene: Scene, width: int, height: int) -> Drawing:
    """Draw the newest ratios, or those at the inspect cursor, and their course over time below."""
    grid, count, arms = scene.grid(width, height), scene.layers, len(scene.arms)
    if not any(_ratio(scene, arm.name, i) > 0 for arm in scene.arms for i in range(count)):
        scene.write_title(grid, [title.format("") for title in UPDATE_TITLES])
        grid.put(height // 2, 0, "not in these readings", scene.grey)
        return Drawing(grid.text())
    over_time = arms * (2 if height < 20 else 3) + 2
    with_course = height - 2 - count * arms >= over_time or height - 2 - count >= max(over_time, _LEAST_OVER_TIME)
    room = max(0, height - 2 - (over_time if with_course else 0))
    each = arms if room >= arms * count else 1
    shown = thinned(count, room // each)
    scene.write_title(grid, [t.format(of_layers(shown, count)) for t in UPDATE_TITLES], f"step {scene.now.step:,}")
    row = _draw_ratios(scene, grid, shown, each) if shown else 1
    if not with_course:
        return Drawing(grid.text())
    times = Times(scene)
    if height - row > over_time:
        row += 1
    _write_legend(scene, grid, row)
    draw_over_time(scene, grid, row + 1, height, times, _decades_off, _AROUND)
    left = gutter(scene, width)
    return Drawing(grid.text(), left, times.axis(width - left))


def _draw_ratios(scene: Scene, grid: Grid, shown: Sequence[int], each: int) -> int:
    """Draw the axis, and for each arm and layer how far its ratio lies off the rule of thumb; return the next row."""
    names = [weight_layer(i) if grid.width >= 34 else str(i + 1) for i in range(scene.layers)]
    numbered = each > 1 or len(scene.arms) == 1
    left = len(names[-1]) + (3 if numbered else 1)
    right = 7 if numbered and grid.width >= 30 else 0
    values = {arm.name: [_ratio(scene, arm.name, i) for i in range(scene.layers)] for arm in scene.arms}
    known = [value for of in values.values() for value in of]
    axis = decades([*known, HEALTHY / 10, HEALTHY * 10], max(1, grid.width - left - right))
    ticks = axis.ticks()
    for _, start, label in ticks:
        grid.put(1, left + start, label, scene.grey)
    healthy = axis.cell(HEALTHY)
    line_sign, dash, dot = "|-." if grid.ascii_only else "│━·"
    row = 2
    for index in shown:
        grid.put(row, 0, names[index].rjust(len(names[-1])), scene.grey)
        for line in range(row, row + each):
            for cell, _, _ in ticks:
                grid.put(line, left + cell, dot, scene.grey)
            grid.put(line, left + healthy, line_sign, "bold")
        for order, arm in reversed(list(enumerate(scene.arms))):
            line, value = row + (order if each > 1 else 0), values[arm.name][index]
            told = size_word(value)
            if numbered:
                grid.put(line, left - 2, arm.glyph, arm.colour)
            if told:
                if numbered:
                    grid.put(line, left, told, f"bold {arm.colour}".strip())
                continue
            cell = axis.cell(value)
            if numbered:
                start, end = sorted((cell, healthy))
                grid.put(line, left + start + (cell > healthy), dash * (end - start), arm.colour)
                if right:
                    grid.put(line, left + axis.cells, f" {number(value)}", arm.colour)
            grid.put(line, left + cell, arm.glyph, arm.colour)
        row += each
    return row


def _write_legend(scene: Scene, grid: Grid, row: int) -> None:
    text = "over time, decades off 1e-3: " if grid.width >= 60 else "off 1e-3: "
    grid.put(row, 0, text, "bold")
    grid.lay(row, len(text), legend(_AROUND, scene.look))


def _ratio(scene: Scene, arm: str, index: int) -> float:
    flow = scene.layer(scene.now, arm, index)
    return math.nan if flow is None else flow.update_ratio


def _decades_off(flow: LayerFlow) -> float:
    return log10(flow.update_ratio / HEALTHY)
