"""One channel of a normalization layer: how the newest batch goes through it, and how it came about."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from rich.text import Text

from bntui.lab.batch_norm import X_HAT
from bntui.messages.arms import Arm, first_normalized
from bntui.messages.events import Explained
from bntui.messages.history import ENDED, History
from bntui.tui.plot.axes import brief
from bntui.tui.plot.band import LEAST_LINES, Trace, draw_band
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.heat import shade
from bntui.tui.theme import Look
from bntui.tui.views.histograms import bins_for, distribute, ends_of, histogram, mean_signs, normalized
from bntui.tui.views.layers import Channels, channels, chosen_channel, explained_at, statistics_at
from bntui.tui.views.view import StepAxis, View
from bntui.tui.views.words import norm_layer

SENTENCE = (
    "Eval mode uses the running statistics, train mode the batch's: a wide gap means that the two disagree.",
    "Eval uses running statistics, training the batch's: a gap tells how they differ.",
    "eval: running, train: batch's; a gap: they differ",
)
FROZEN = ("The statistics are frozen: the running ones normalise in train mode too.", "frozen: running ones in use")
OFF = ("The normalization is switched off: x goes out as it is.", "switched off: x goes out as it is")
NO_GAP = ("It normalises in the same way in train and eval mode: there is no gap.", "train and eval mode are alike")
RENORM = (
    "Eval mode uses the running statistics; train mode corrects the batch's towards them.",
    "train mode corrects the batch's statistics",
)
MOST_VALUES = 8_192
"""Values of a batch that are counted; of more, evenly chosen ones."""
STACKED_FROM = 20
"""Lines from which on the charts stand below the distributions, not beside them."""
_INK = {"dark": "#e4e4e4", "light": "#1c1c1c"}
"""Of what is drawn beside the arm's colour."""
_GAP = 3
"""Cells between two distributions."""


def draw_channel(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw the chosen channel's distributions and its history, beside or below each other."""
    read = channels(history, view)
    chosen = chosen_channel(history, view, read)
    if read is None or chosen is None:
        return Drawing(Text("the chosen channel", style="bold"))
    arm = next(arm for arm in history.arms if arm.name == read.place.arm)
    lines = [_title(history, read, chosen, look, width)]
    sentence = _sentence(history, arm, read, look, 2 * width if height >= STACKED_FROM else width)
    explained = explained_at(history, read.place)
    batch = explained if explained is not None and explained.channel == chosen else None
    body = height - 2
    if height >= STACKED_FROM:
        lines += _distributions(history, view, batch, arm, look, width, 10)
        lines += [*(Text(line, style="dim") for line in textwrap.wrap(sentence, width)), Text()]
        rest = height - len(lines)
        upper = rest if rest < 2 * LEAST_LINES + 4 else rest - 1 - rest * 2 // 5
        lines += _split(draw_means(history, view, read, chosen, look, width, upper))
        if rest > upper:
            lines.append(Text())
            lines += _split(draw_learned(history, view, read, chosen, look, width, rest - upper - 1))
        return Drawing(_joined(lines[:height]))
    charted = body >= LEAST_LINES and width >= 60
    left = max(20, (width - 2) * 3 // 5) if charted else width
    drawn = _distributions(history, view, batch, arm, look, left, body)
    chart = None
    if charted:
        chart = draw_means(history, view, read, chosen, look, width - left - 2, body)
        drawn = _beside([drawn, _split(chart)], [left, width - left - 2], 2)
    lines += drawn[: max(0, height - 2)]
    lines.append(Text(sentence, style="dim"))
    text = _joined(lines[:height])
    return Drawing(text) if chart is None else Drawing(text, left + 2 + chart.left, chart.x_axis)


# Text


def _title(history: History, read: Channels, chosen: int, look: Look, width: int) -> Text:
    layer = read.statistics
    text = Text(look.text(f"channel {chosen} of {norm_layer(history, read.place.arm, read.place.index)}"), style="bold")
    text.truncate(width)
    mean, var = layer.running_mean[chosen], layer.running_var[chosen]
    told = [f" · γ {brief(layer.weight[chosen])}  β {brief(layer.bias[chosen])}"]
    if math.isfinite(mean):
        told += [f"  running mean {brief(mean)}", f"  σ {brief(math.sqrt(var)) if var >= 0 else '-'}"]
    for part in map(look.text, told):
        if text.cell_len + len(part) > width:
            break
        text.append(part, style="not bold")
    return text


def _sentence(history: History, arm: Arm, read: Channels, look: Look, width: int) -> str:
    switched = first_normalized(history.arms)
    if not history.settings["bn"] and switched is not None and switched.name == arm.name:
        sentences: Sequence[str] = OFF
    elif not read.tracked:
        sentences = NO_GAP
    elif history.settings["freeze"]:
        sentences = FROZEN
    elif arm.norm == "batch-renorm":
        sentences = RENORM
    else:
        sentences = SENTENCE
    told = [look.text(sentence) for sentence in sentences]
    return next((sentence for sentence in told if len(sentence) <= width), told[-1][:width])


def _no_batch(history: History, view: View, arm: Arm) -> str:
    """Say why there are no distributions."""
    if arm.norm != "batch":
        return f"x, {X_HAT}, y are read of batch norm alone"
    if not history.settings["bn"] and first_normalized(history.arms) == arm:
        return f"x, {X_HAT}, y: none while it is switched off"
    if view.replay or history.status in ENDED:
        return f"x, {X_HAT}, y are read while a run is watched live"
    return f"x, {X_HAT}, y: read with the next step"


# Distributions


def _distributions(
    history: History, view: View, batch: Explained | None, arm: Arm, look: Look, width: int, height: int
) -> list[Text]:
    """Draw x, x̂ and y side by side, below what they are of; x̂ and y on one axis."""
    if batch is None or not batch.x:
        lines = [Text(look.text(_no_batch(history, view, arm))[:width], style="dim")]
        return lines + [Text()] * (min(height, 3) - 1)
    count = len(batch.x)
    stride = math.ceil(count / MOST_VALUES)
    values = normalized(batch)
    gap = _GAP if width >= 50 else 1
    each = max(1, (width - 2 * gap) // 3)
    bins = bins_for(len(values[0][::stride]), each)
    ends = [ends_of(values[0]), *[ends_of([*values[1], *values[2]])] * 2]
    counted = f"the {count:,} values of this batch" if stride == 1 else f"every {stride}th of {count:,} values"
    odd = count - len(values[0])
    told = f"{counted} in {bins} bins"
    for more in (f", {odd:,} not finite" if odd else "", f", step {batch.step:,}"):
        told += more if len(told + more) <= width else ""
    lines = [Text(told[:width], style="dim")]
    blocks = []
    colour = look.of(history.arms)[arm.name][1]
    mean = sum(values[0]) / max(1, len(values[0]))
    marks = list(zip((batch.running_mean, mean), mean_signs(look), strict=False))
    for name, numbers, (low, high) in zip(("x", X_HAT, "y"), values, ends, strict=True):
        found = distribute(numbers[::stride], low, high, bins)
        blocks.append(histogram(found, name, colour, look, each, max(2, height - 1), marks if name == "x" else ()))
    return [*lines, *_beside(blocks, [each] * 3, gap)][:height]


# History


def _means(history: History, read: Channels, chosen: int) -> tuple[list[int], list[tuple[float, ...]]]:
    """Return the steps of all readings, and of the channel running mean and standard deviation, batch mean, γ, β."""
    steps: list[int] = []
    rows: list[tuple[float, ...]] = []
    for reading in history.readings:
        layer = statistics_at(reading.arms, read.place)
        if layer is None or chosen >= len(layer.weight):
            continue
        var = layer.running_var[chosen]
        steps.append(reading.step)
        rows.append((
            layer.running_mean[chosen], math.sqrt(var) if var >= 0 else math.nan, layer.batch_mean[chosen],
            layer.weight[chosen], layer.bias[chosen],
        ))  # fmt: skip
    return steps, rows


def draw_means(
    history: History, view: View, read: Channels, chosen: int, look: Look, width: int, height: int
) -> Drawing:
    """Draw the running mean, a running standard deviation to both sides of it, and the batch mean over time."""
    steps, rows = _means(history, read, chosen)
    axis = StepAxis(history, view.x_axis)
    colour, light = look.of(history.arms)[read.place.arm][1], look.theme == "light"
    running, batch, _ = mean_signs(look)
    plain = _INK[look.theme] if look.coloured else ""
    traces = [Trace([row[2] for row in rows], plain, batch, joined=False)]
    mark = "━" if look.solid else ""
    title = [(f"{mark or batch} batch mean", plain)]
    if read.tracked:
        band = shade(colour, 0.4 if light else 0.55, light) if look.coloured else ""
        reach = [row[1] for row in rows]
        traces.append(Trace([row[0] for row in rows], colour, running, reach, band))
        around = "+-" if look.ascii_only else "±"
        title = [(f"{mark or running} running mean", colour), (f" {around} σ  ", ""), *title]
    return draw_band(title, traces, [axis.at(step) for step in steps], look, width, height, view.x_axis,
                     None if view.cursor is None else axis.at(view.cursor), "read while this view is open")  # fmt: skip


def draw_learned(
    history: History, view: View, read: Channels, chosen: int, look: Look, width: int, height: int
) -> Drawing:
    """Draw γ and β over time."""
    steps, rows = _means(history, read, chosen)
    axis = StepAxis(history, view.x_axis)
    colour, plain = look.of(history.arms)[read.place.arm][1], _INK[look.theme] if look.coloured else ""
    signs = "gb" if look.ascii_only else "γβ"
    mark = "━ " if look.solid else ""
    traces = [Trace([row[4] for row in rows], plain, signs[1]), Trace([row[3] for row in rows], colour, signs[0])]
    learned = ((f"{mark}{look.text('γ')} {brief(read.statistics.weight[chosen])}   ", colour),
               (f"{mark}{look.text('β')} {brief(read.statistics.bias[chosen])}", plain))  # fmt: skip
    return draw_band(learned, traces, [axis.at(step) for step in steps], look, width, height, view.x_axis,
                     None if view.cursor is None else axis.at(view.cursor), "read while this view is open")  # fmt: skip


# Lines


def _split(drawing: Drawing) -> list[Text]:
    return list(drawing.text.split("\n", allow_blank=True))


def _joined(lines: Sequence[Text]) -> Text:
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


def _beside(blocks: Sequence[Sequence[Text]], widths: Sequence[int], gap: int) -> list[Text]:
    """Return the lines of blocks that stand side by side."""
    lines = []
    for row in range(max(map(len, blocks))):
        text = Text()
        for i, (block, width) in enumerate(zip(blocks, widths, strict=True)):
            cell = block[row].copy() if row < len(block) else Text()
            cell.truncate(width, pad=i < len(blocks) - 1)
            text.append_text(cell)
            if i < len(blocks) - 1:
                text.append(" " * gap)
        lines.append(text)
    return lines
