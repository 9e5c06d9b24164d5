"""The gradients by layer: bars on one logarithmic axis, what does nothing beside them, and the verdict below."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bntui.messages.alerts import FAR_APART, gradient_ratio, verdict
from bntui.tui.plot.axes import brief, number
from bntui.tui.plot.decades import Decades, bar, decades
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.grid import Grid
from bntui.tui.views.scene import Drawn, Scene, of_layers, size_word, thinned
from bntui.tui.views.words import weight_layer

GRADIENT_TITLES = (
    "gradient by the weights of each layer{}: L2 norm, log10 axis",
    "gradient by the weights{}: L2 norm, log10 axis",
    "weight gradient{}: L2 norm, log10",
    "weight gradient{}, log10",
    "gradient",
)
"""From the one that tells most."""
_INACTIVE = {"relu": "dead", "sigmoid": "saturated", "tanh": "saturated"}
"""What the outputs are that do nothing, by the activation."""
Segments = list[tuple[str, str]]
"""Texts and their styles, one after another."""


def judged(ratio: float) -> str:
    """Return the verdict on the ratio of the first layer's gradient to the last's in a word."""
    return "no verdict" if math.isnan(ratio) else verdict(ratio).upper() or "steady"


def draw_gradients(scene: Scene, width: int, height: int) -> Drawing:
    """Draw the newest gradients, or those at the inspect cursor."""
    grid, arms, count = scene.grid(width, height), len(scene.arms), scene.layers
    listed, joined = _listed(scene, width), _joined(scene, width)
    notes = _notes(scene, width)
    verdicts, told = joined, notes if height >= 16 else []
    too_wide = any(sum(len(text) for text, _ in line) > width for line in listed)
    for one_each, more in ((joined if too_wide else listed, notes), (joined, notes), (joined, [])):
        if height - 2 - len(one_each) - len(more) >= count * arms:
            verdicts, told = one_each, more
            break
    if height == 2:
        verdicts = joined[:1]
    # A bar for each arm, or, of a net that is too deep for that, its glyph on a line of the layer.
    each = arms if height - 2 - len(verdicts) - len(told) >= arms * min(count, 3) else 1
    if each < arms:
        told = []
    room = max(0, height - 2 - len(verdicts) - len(told))
    shown = thinned(count, room // max(1, each))
    gap = 1 if room >= len(shown) * (each + 1) and each > 1 else 0
    scene.write_title(grid, [t.format(of_layers(shown, count)) for t in GRADIENT_TITLES], f"step {scene.now.step:,}")
    if not count:
        grid.put(height // 2, 0, "no linear layer was read", scene.grey)
    row = _draw_bars(scene, grid, shown, each, gap) if shown else min(1, height - 1)
    spare = height - row - len(verdicts) - len(told)
    for i, line in enumerate([*verdicts, *told]):
        # Some air around the verdict, where there is any.
        _write(grid, row + i + (spare > 0) + (spare > 1 and i >= len(verdicts)), line)
    return Drawing(grid.text())


def _draw_bars(scene: Scene, grid: Grid, shown: Sequence[int], each: int, gap: int) -> int:
    """Draw the axis and the layers from the second row on; return the row after the last."""
    names = [weight_layer(i) if grid.width >= 34 else str(i + 1) for i in range(scene.layers)]
    values = {arm.name: [_gradient(scene, arm.name, i) for i in range(scene.layers)] for arm in scene.arms}
    numbered = each > 1 or len(scene.arms) == 1
    word = inactive_word(scene) if numbered and grid.width >= 60 else ""
    left = len(names[-1]) + (3 if numbered else 1)
    dead_bar = (grid.width - 44) // 4 if word else 0
    right = (7 if numbered and grid.width >= 30 else 0) + (dead_bar + 8 if word else 0)
    axis = decades((v for of in values.values() for v in of), max(1, grid.width - left - right))
    ticks = axis.ticks()
    for _, start, label in ticks:
        grid.put(1, left + start, label, scene.grey)
    if word:
        grid.put(1, grid.width - dead_bar - 6, f"{word}, %"[: dead_bar + 6], scene.grey)
    dot = "." if grid.ascii_only else "·"
    row = 2
    for place, index in enumerate(shown):
        row += gap if place else 0
        chosen = "bold" if index == scene.view.layer % max(1, scene.layers - 1) and scene.layers > 2 else scene.grey
        grid.put(row, 0, names[index].rjust(len(names[-1])), chosen)
        for line in range(each):
            for cell, _, _ in ticks:
                grid.put(row + line, left + cell, dot, scene.grey)
        # The first arm is drawn last where several share a line: it is seen where two have one place.
        for order, arm in reversed(list(enumerate(scene.arms))):
            line = row + (order if each > 1 else 0)
            value = values[arm.name][index]
            if numbered:
                grid.put(line, left - 2, arm.glyph, arm.colour)
                _draw_bar(grid, line, left, axis, value, arm)
                if right and not size_word(value):
                    grid.put(line, left + axis.cells, f" {number(value)}", arm.colour)
                if word:
                    _draw_inactive(scene, grid, line, dead_bar, arm, index)
            elif not size_word(value):
                grid.put(line, left + axis.cell(value), arm.glyph, arm.colour)
        row += each
    return row


def _draw_bar(grid: Grid, row: int, left: int, axis: Decades, value: float, arm: Drawn) -> None:
    told = size_word(value)
    if told:
        grid.put(row, left, told[: grid.width - left], f"bold {arm.colour}".strip())
    else:
        grid.put(row, left, axis.bar(value, grid.ascii_only), arm.colour)


def _draw_inactive(scene: Scene, grid: Grid, row: int, cells: int, arm: Drawn, index: int) -> None:
    flow = scene.layer(scene.now, arm.name, index)
    column = grid.width - cells - 6
    if flow is None or not math.isfinite(flow.inactive):
        grid.put(row, column, "    -", scene.grey)
        return
    grid.put(row, column, f"{100 * flow.inactive:>5.0f}", arm.colour)
    grid.put(row, column + 6, bar(round(cells * max(0.0, min(1.0, flow.inactive))), grid.ascii_only), arm.colour)


def _gradient(scene: Scene, arm: str, index: int) -> float:
    flow = scene.layer(scene.now, arm, index)
    return math.nan if flow is None else flow.weight_gradient


def inactive_word(scene: Scene) -> str:
    """Return what units that do nothing are called here; nothing where none was looked for."""
    known = any(math.isfinite(flow.inactive) for layers in scene.now.arms.values() for flow in layers)
    activation = str(scene.history.started.config.get("activation", "")) if scene.history.started else ""
    return _INACTIVE.get(activation, "inactive") if known else ""


def _listed(scene: Scene, width: int) -> list[Segments]:
    """Say of each arm in a line of its own how the first gradient compares with the last."""
    cells = max(len(other.label) for other in scene.arms)
    short, long = [], []
    for arm in scene.arms:
        ratio = gradient_ratio(scene.now.arms.get(arm.name, ()))
        word, name = judged(ratio), (f"{arm.glyph} {arm.label:<{cells}}  ", arm.colour)
        told = [(f"{brief(ratio):<8}", arm.colour), (word, _style(word))]
        short.append([name, ("first ÷ last ", scene.grey), *told])
        long.append([name, ("first ÷ last layer ", scene.grey), *told, (f", {_meaning(word)}", scene.grey)])
    fits = all(sum(len(text) for text, _ in line) <= width for line in long)
    return long if fits else short


def _style(word: str) -> str:
    """Return how a verdict is written: one that is bad news is seen without colours too."""
    return "bold reverse" if word.isupper() else "bold"


def _meaning(word: str) -> str:
    """Say what a verdict means."""
    match word:
        case "steady":
            return f"within a factor of {FAR_APART:,.0f}"
        case "VANISHING":
            return f"below 1/{FAR_APART:,.0f}"
        case "EXPLODING":
            return f"above {FAR_APART:,.0f}"
    return "no ratio of these two"


def _joined(scene: Scene, width: int) -> list[Segments]:
    """Say the same of all arms in as few lines as that takes."""
    blocks = []
    for arm in scene.arms:
        ratio = gradient_ratio(scene.now.arms.get(arm.name, ()))
        word = judged(ratio)
        blocks.append([(f"{arm.glyph} {brief(ratio)} ", arm.colour), (word, _style(word)), ("  ", "")])
    before = "first ÷ last  "
    full = sum(len(text) for block in blocks for text, _ in block) + len(before) - 2
    lines: list[Segments] = [[(before, scene.grey)] if full <= width else []]
    for block in blocks:
        cells = sum(len(text) for text, _ in lines[-1])
        if lines[-1] and cells + sum(len(text) for text, _ in block[:-1]) > width:
            lines.append([])
        lines[-1] += block
    return lines


def _notes(scene: Scene, width: int) -> list[Segments]:
    """Say what the share beside the bars is judged by."""
    samples = scene.history.settings["batch_size"]
    match inactive_word(scene):
        case "dead":
            forms = [
                f"dead: outputs that are 0 for all of this batch's {samples} samples; another batch may wake some",
                f"dead: 0 for all of this batch's {samples} samples",
            ]
        case "saturated":
            forms = [
                f"saturated: outputs within 0.05 of a limit, in this batch of {samples} samples alone",
                f"saturated: within 0.05 of a limit, this batch's {samples} samples",
            ]
        case "inactive":
            forms = [f"inactive: dead or saturated in this batch of {samples} samples"]
        case _:
            return []
    form = next((form for form in forms if len(form) <= width), "")
    return [[(form, scene.grey)]] if form and width >= 60 else []


def _write(grid: Grid, row: int, line: Segments) -> None:
    column = 0
    for text, style in line:
        grid.put(row, column, text, style)
        column += len(grid.clean(text))
