"""The heat map of the charts view: a quantity of a normalization layer's channels over the time of the run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from bntui.messages.events import LayerStatistics, NormalizationRead
from bntui.messages.history import History
from bntui.tui.plot.axes import Axis, brief
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.heat import Scale, around_zero, between, heat_rows, legend, rows_in, spread
from bntui.tui.theme import Look
from bntui.tui.views.figures import x_range
from bntui.tui.views.layers import Place, places
from bntui.tui.views.view import StepAxis, View
from bntui.tui.views.words import QUANTITY_WORDS, norm_layer

MOST_REPEATS = 4
"""Rows that one channel takes where there is room for more."""
LEAST_GAP = 0.1
"""Standard deviations to which the scale of the gap reaches at least: a smaller one is nothing to look at."""
LEAST_ROWS = 5
"""Lines of values to which the words below them give way."""
LINES_BELOW = 5
"""Lines under the values: axis, legend, and words."""
SECOND_LINES = 8
"""Lines from which on a second layer is worth its room."""


@dataclass(frozen=True, slots=True)
class _Time:
    """Where the readings stand on the x axis."""

    readings: Sequence[NormalizationRead]
    columns: Sequence[int | None]
    """Of each column, which reading is shown there."""
    axis: Axis
    cursor: int | None
    """The column of the inspect cursor."""
    ends: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Block:
    """One layer as it is drawn."""

    lines: list[Text]
    channels: list[int | None]
    """Which channel each line is of."""


def draw_heat_map(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw a quantity of the chosen layer's channels over time, and of the next layer's where there is room."""
    there, readings = places(history), history.readings
    if not there or not readings:
        return Drawing(_waiting(history, look, width))
    left = 1 + max(3, *(len(str(_channels(readings[-1], place) - 1)) for place in there))
    time = _time(history, view, max(1, width - left))
    chosen = view.layer % len(there)
    first = there[chosen]
    needed = 1 + LINES_BELOW + math.ceil(_channels(readings[-1], first) / rows_in(1, look))
    room = height
    if len(there) > 1 and height - needed >= SECOND_LINES:
        room = needed
    elif len(there) > 1 and height >= 3 * SECOND_LINES:
        room = height - max(SECOND_LINES, height // 3)
    block = _block(history, view, look, time, first, left, width, room, own=True)
    lines, channels = block.lines, block.channels
    if room < height:
        second = there[(chosen + 1) % len(there)]
        rest = height - len(lines)
        lines = [*lines, *_block(history, view, look, time, second, left, width, rest, own=False).lines]
    return Drawing(Text("\n").join(lines[:height]), left, time.axis, channels)


def _waiting(history: History, look: Look, width: int) -> Text:
    """Say what the panel waits for."""
    if history.started is not None and not any(arm.normalized for arm in history.arms):
        why = "no arm has a normalization"
    else:
        why = "appears after the first steps"
    text = Text("normalization, channel by channel"[:width] + "\n", style="bold", no_wrap=True, overflow="crop")
    return text.append(look.text(why)[:width], style="not bold dim")


def _time(history: History, view: View, columns: int) -> _Time:
    """Place the readings in so many columns of the charts' x range; one stands until the next one comes."""
    steps = StepAxis(history, view.x_axis)
    low, high = x_range(history, view, steps) or (0.0, 0.0)
    high = max(high, low + 1e-9)
    shown = spread([steps.at(read.step) for read in history.readings], low, high, columns)
    # The newest reading stands until now, however long ago it was; what is still to come stays empty.
    begun = next((i for i, which in enumerate(shown) if which is not None), columns - 1)
    until = math.ceil((steps.at(history.step) - low) / (high - low) * columns - 1e-9)
    newest = len(history.readings) - 1
    filled = [newest if which is None and begun <= i < until else which for i, which in enumerate(shown)]
    axis = Axis(low, high, columns, 1)
    cursor = None
    if view.cursor is not None and low <= (x := steps.at(view.cursor)) <= high:
        cursor = min(columns - 1, int(axis.share(x) * columns))
    return _Time(history.readings, filled, axis, cursor, (_end(low, view.x_axis), _end(high, view.x_axis)))


def _end(value: float, kind: str) -> str:
    """Write an end of the x axis."""
    return f"{value:,.0f}" if kind == "step" or value >= 100 else brief(value)


def _layer(read: NormalizationRead, place: Place) -> LayerStatistics | None:
    layers = read.arms.get(place.arm, ())
    return layers[place.index] if place.index < len(layers) else None


def _channels(read: NormalizationRead, place: Place) -> int:
    layer = _layer(read, place)
    return len(layer.weight) if layer is not None else 0


def values_of(layer: LayerStatistics, quantity: str, channels: Sequence[int]) -> list[float]:
    """Return a quantity of some channels as it is put on a scale: the variance as log10, γ as its distance from 1.

    The gap leaves the layer's ε out: it is far below any variance worth looking at.
    """
    match quantity:
        case "gap":
            running, batch, variance = layer.running_mean, layer.batch_mean, layer.running_var
            return [(batch[c] - running[c]) / math.sqrt(variance[c]) if variance[c] > 0 else math.nan for c in channels]
        case "mean":
            return [layer.running_mean[c] for c in channels]
        case "variance":
            return [math.log10(v) if (v := layer.running_var[c]) > 0 else math.nan for c in channels]
        case "γ":
            return [layer.weight[c] - 1 for c in channels]
    return [layer.bias[c] for c in channels]


def _quantity(view: View, layer: LayerStatistics) -> tuple[str, str]:
    """Return what of a layer can be shown in place of a quantity, and why it is not that one."""
    wanted = view.quantity
    known = [wanted]
    if wanted in ("gap", "mean", "variance"):
        known = ["gap", "mean", "γ"] if wanted == "gap" else [wanted, "γ"]
    everything = range(len(layer.weight))
    for quantity in known:
        if any(map(math.isfinite, values_of(layer, quantity, everything))):
            break
    else:
        return wanted, ""
    if quantity == wanted:
        return quantity, ""
    if quantity == "mean":
        return quantity, f"{'this file holds no batch statistics' if view.replay else 'no batch yet'}: running mean"
    return quantity, "this kind has no running statistics"


def _scale(values: Sequence[float], quantity: str) -> Scale:
    if quantity == "variance":
        return between(values)
    return around_zero(values, LEAST_GAP if quantity == "gap" else 1e-3)


def _legend(scale: Scale, quantity: str, look: Look) -> Text:
    match quantity:
        case "variance":
            return legend(scale, look, ends=(brief(10**scale.low), brief(10**scale.high)))
        case "γ":
            return legend(scale, look, ends=(brief(1 + scale.low), brief(1 + scale.high)))
    return legend(scale, look)


def _title(history: History, look: Look, place: Place, quantity: str, width: int, own: bool) -> Text:
    """Write which layer is shown, and what of it; the name of the module only where there is room."""
    glyph, colour = look.of(history.arms)[place.arm]
    hint = "[ ]" if own and width >= 30 else ""
    room = width - (len(hint) + 1 if hint else 0)
    what = QUANTITY_WORDS[quantity]
    forms = [look.text(f"{norm_layer(history, place.arm, place.index, module)} · {what}") for module in (True, False)]
    form = next((form for form in forms if len(form) + 2 <= room), forms[-1])[: max(0, room - 2)]
    text = Text(no_wrap=True, overflow="crop").append(f"{glyph} ", colour).append(form, f"bold {colour}".strip())
    return text.append(hint.rjust(width - len(text)), "dim") if hint else text


def _block(
    history: History, view: View, look: Look, time: _Time, place: Place, left: int, width: int, height: int, own: bool
) -> _Block:
    """Draw one layer in at most so many lines."""
    newest = _layer(time.readings[-1], place)
    if newest is None or not newest.weight:
        title = _title(history, look, place, view.quantity, width, own)
        return _Block([title, Text("no channels were read here", style="dim")], [None, None])
    count = len(newest.weight)
    quantity, why = _quantity(view, newest)
    below = _below(look, newest, why, width) if own else []
    # What stands below the rows gives way to them on a small screen: first the words, then the axis, then the legend.
    extra = 2 if own else 1
    below = below[: max(0, height - 1 - extra - min(LEAST_ROWS, math.ceil(count / rows_in(1, look))))]
    extra = min(extra, max(0, height - 4))
    lines_left = max(1, height - 1 - extra - len(below))
    capacity = rows_in(lines_left, look)
    stride = math.ceil(count / capacity)
    channels = range(0, count, stride)
    repeats = min(MOST_REPEATS, max(1, capacity // len(channels)))
    rows = _rows(time, place, quantity, channels)
    scale = _scale([value for row in rows for value in row], quantity)
    if time.cursor is not None:
        for row in rows:
            row[time.cursor] = math.nan
    shown = [channel for channel in channels for _ in range(repeats)]
    drawn = heat_rows([row for row in rows for _ in range(repeats)], scale, look)
    per_line = rows_in(1, look)
    lines, of_lines = [_title(history, look, place, quantity, width, own)], [None, *shown[::per_line]]
    for i, line in enumerate(drawn):
        if time.cursor is not None:
            at = time.cursor
            line.plain = f"{line.plain[:at]}{'|' if look.ascii_only else '│'}{line.plain[at + 1 :]}"
        here = shown[i * per_line : (i + 1) * per_line]
        label = _label(here, shown[(i - 1) * per_line] if i else None, view.unit if own else None, left)
        lines.append(label.append_text(line))
    if extra:
        thinned = f"every {_ordinal(stride)} of {count}" if stride > 1 else f"{count} channels"
        scales = Text(" " * left, no_wrap=True, overflow="crop").append_text(_legend(scale, quantity, look))
        room = width - len(scales)
        scales.append(thinned.rjust(room) if len(thinned) < room else "", "dim")
        if extra == 2:
            start, end = time.ends
            name = f"{view.x_axis} {end}" if view.x_axis != "seconds" else f"{end} s"
            # Both ends, or the later one alone.
            axis = f"{start}{name.rjust(width - left - len(start))}" if len(name) + len(start) < width - left else name
            lines.append(Text(" " * left + axis, style="dim", no_wrap=True, overflow="crop"))
        lines.append(scales)
    return _Block([*lines, *below], of_lines)


def _rows(time: _Time, place: Place, quantity: str, channels: Sequence[int]) -> list[list[float]]:
    """Return the values to draw: a row for each channel, a value for each column."""
    nothing = [math.nan] * len(channels)
    read: dict[int, list[float]] = {}
    columns = []
    for which in time.columns:
        if which is None:
            columns.append(nothing)
            continue
        if which not in read:
            layer = _layer(time.readings[which], place)
            fits = layer is not None and len(layer.weight) > channels[-1]
            read[which] = values_of(layer, quantity, channels) if layer is not None and fits else nothing
        columns.append(read[which])
    return [list(row) for row in zip(*columns, strict=True)]


def _label(here: Sequence[int], before: int | None, chosen: int | None, left: int) -> Text:
    """Write the number of a line's channel; the chosen one's stands out, one that goes on is not repeated."""
    text = Text(no_wrap=True, overflow="crop")
    if chosen is not None and chosen in here:
        return text.append(f"{chosen:>{left - 1}}", "bold reverse").append(" ")
    number = "" if here[0] == before else str(here[0])
    return text.append(f"{number:>{left - 1}} ", "dim")


def _ordinal(number: int) -> str:
    """Write 2 as 2nd."""
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _below(look: Look, layer: LayerStatistics, why: str, width: int) -> list[Text]:
    """Write the newest numbers of all channels in words."""
    numbers = []
    for name, values in (("γ", layer.weight), ("β", layer.bias)):
        known = [value for value in values if math.isfinite(value)]
        if known:
            numbers.append((look.text(name), brief(min(known)), brief(max(known))))
    ranges = ["   ".join(f"{name} {low} to {high}" for name, low, high in numbers)]
    ranges.append("  ".join(f"{name} {low}..{high}" for name, low, high in numbers))
    lines = [next((form for form in ranges if len(form) <= width), ranges[-1])] if numbers else []
    gaps = [abs(gap) for gap in values_of(layer, "gap", range(len(layer.weight)))]
    known = [gap for gap in gaps if math.isfinite(gap)]
    if known:
        worst = gaps.index(max(known))
        forms = (
            f"|gap| median {brief(statistics.median(known))}, worst {brief(max(known))} in channel {worst}",
            f"worst |gap| {brief(max(known))} in channel {worst}",
        )
        lines.append(next((form for form in forms if len(form) <= width), forms[-1]))
    if why:
        lines.insert(0, why)
    return [Text(line[:width], style="dim", no_wrap=True, overflow="crop") for line in lines]
