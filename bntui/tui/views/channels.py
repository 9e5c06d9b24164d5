"""The table of one normalization layer: a row for each channel, with its means on a common axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.text import Text

from bntui.messages.arms import Arm
from bntui.messages.events import Explained, Finished, NormalizationRead, Started
from bntui.messages.history import ENDED, History
from bntui.messages.names import norm_word
from bntui.tui.plot.axes import LARGEST, Axis, brief, number, signed, y_limits
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.heat import Scale, around_zero, cell_style, colour_of, legend
from bntui.tui.theme import Look
from bntui.tui.views.channel import draw_channel
from bntui.tui.views.histograms import mean_signs
from bntui.tui.views.layer_list import draw_layers
from bntui.tui.views.layers import Channels, channels, chosen_channel, places, worst_gap
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import View
from bntui.tui.views.words import norm_layer

LEGEND_FROM = 13
"""Lines from which on one tells what the signs mean."""
_LEAST_AXIS = 6
_CHOSEN = {"dark": "#303030", "light": "#e4e4e4"}
"""Behind the chosen row."""
_MANY = 8
"""Means of which a few that lie far away are drawn at the edge of the axis."""


def draw_channels(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw the table of the chosen layer's channels, as many rows as fit around the chosen one."""
    read = channels(history, view)
    if read is None:
        told = ["channels of a normalization layer", "", _awaited(history, view)]
        return Drawing(_lines([Text(look.text(line)[:width], style="dim") for line in told[-height:]]))
    chosen = chosen_channel(history, view, read)
    arm = next(arm for arm in history.arms if arm.name == read.place.arm)
    scale = around_zero([gap for gap in read.gaps if math.isfinite(gap)], least=1.0)
    table = _Table(read, look, width, look.of(history.arms)[arm.name][1], scale)
    legends = [_legend(read, arm, scale, look, width)] if height >= LEGEND_FROM else []
    room = max(1, height - 2 - len(legends))
    place = list(read.order).index(chosen) if chosen is not None else 0
    # While a person has chosen none, the head of the table is of more interest than the channel that is read.
    start = 0 if view.unit is None else max(0, min(place - room // 2, len(read.order) - room))
    shown = read.order[start : start + room]
    title = _title(history, read, look, width, (start + 1, start + len(shown)))
    lines = [title, *legends, table.heading(), *(table.row(i, chosen=i == chosen) for i in shown)]
    return Drawing(_lines(lines[:height]), channels=(*[None] * (2 + len(legends)), *shown)[:height])


def _lines(lines: list[Text]) -> Text:
    text = Text("\n", no_wrap=True, overflow="crop", end="").join(lines)
    text.no_wrap, text.overflow, text.end = True, "crop", ""
    return text


def _awaited(history: History, view: View) -> str:
    if history.started is None:
        return "the layers appear after the first steps"
    if not any(arm.normalized for arm in history.arms):
        return "no arm has a normalization"
    if view.replay or history.status in ENDED:
        return "nothing was read of this layer"
    return f"{norm_word(history)} layers appear after the first steps"


def _title(history: History, read: Channels, look: Look, width: int, rows: tuple[int, int]) -> Text:
    """Write which layer it is, its worst gap, the order, and how to choose another, as far as there is room."""
    name = norm_layer(history, read.place.arm, read.place.index)
    gap, channel = worst_gap(read.gaps)
    parts = [f"worst gap {signed(gap)} σ at ch {channel}"] if math.isfinite(gap) else []
    short, _, direction = read.sorted_by.partition(",")
    parts.append(f"sorted by {short}")
    there = places(history)
    if len(there) > 1:
        parts.append(f"[ ] {there.index(read.place) + 1} of {len(there)} layers")
    parts.append(f"step {read.step:,}")
    if rows[1] - rows[0] + 1 < len(read.order):
        parts.append(f"rows {rows[0]:,}-{rows[1]:,} of {len(read.order):,}")
    rest = ""
    for part in parts:
        told = f"{rest} · {part}"
        if len(look.text(name + told)) <= width:
            rest = told
    fuller = rest.replace(f"sorted by {short}", f"sorted by {read.sorted_by}")
    if direction and len(look.text(name + fuller)) <= width:
        rest = fuller
    several = len({place.arm for place in there}) > 1
    colour = look.of(history.arms)[read.place.arm][1] if several else ""
    text = Text(look.text(name)[:width], style=f"bold {colour}".strip())
    return text.append(look.text(rest), style="not bold" + (" default" if colour else ""))


def _legend(read: Channels, arm: Arm, scale: Scale, look: Look, width: int) -> Text:
    running, batch, both = mean_signs(look)
    if not read.tracked:
        told = f"{arm.words} has no running statistics, so no gap"
        more = f"; {batch} mean of this batch, σ² its variance" if read.batch_known else ""
    elif not read.batch_known:
        told, more = "no batch's statistics are kept here, so no gap", f"; {running} running mean, σ² running variance"
    else:
        told = f"{running} running mean  {batch} batch mean  {both} both  gap in running σ"
        colours = legend(scale, look) if look.solid else Text()
        text = Text(look.text(told)[:width], style="dim")
        if colours.cell_len and text.cell_len + 2 + colours.cell_len <= width:
            text = Text(style="").append_text(text).append("  ").append_text(colours)
        return text
    told, both = look.text(told), look.text(told + more)
    return Text((both if len(both) <= width else told)[:width], style="dim")


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cells: int
    write: Callable[[int], str]
    least: int
    """Cells that it leaves to the axis: with fewer it is left out."""


class _Table:
    """Lays out the columns for a width, and draws rows one at a time."""

    def __init__(self, read: Channels, look: Look, width: int, colour: str, scale: Scale) -> None:
        self._read, self._look, self._scale = read, look, scale
        self._width, self._colour = width, colour
        self._chosen = f"bold on {_CHOSEN[look.theme]}" if look.solid else "bold"
        self._digits = max(2, len(str(len(read.order) - 1)))
        left = self._digits + 3
        self._columns, axis = [], width - left
        for column in self._wanted():
            if axis - column.cells - 1 >= column.least:
                axis -= column.cells + 1
                self._columns.append(column)
        order = {column.title: i for i, column in enumerate(self._all())}
        self._columns.sort(key=lambda column: order[column.title])
        self._low, self._high = _limits(read)
        self._axis = Axis(self._low, self._high, max(1, axis), 1)
        self._zero = self._cell(0.0) if self._low <= 0 <= self._high else None

    def _all(self) -> list[_Column]:
        """Return all columns, as they stand from left to right."""
        read, layer, look = self._read, self._read.statistics, self._look
        running, batch, _ = mean_signs(look)
        variance = layer.running_var if read.tracked else layer.batch_var
        columns = []
        if read.tracked and read.batch_known:
            columns.append(_Column("gap σ", 7, lambda i: signed(read.gaps[i]), _LEAST_AXIS))
        if read.drift.since:
            columns.append(_Column("drift σ", 7, lambda i: signed(read.drift.values[i]), 36))
        if read.tracked or read.batch_known:
            columns.append(_Column("σ²", 6, lambda i: number(variance[i]), 14))
        columns += [
            _Column("γ", 6, lambda i: number(layer.weight[i]), 16),
            _Column("β", 6, lambda i: number(layer.bias[i]), 16),
            _Column(f"{running} mean", 6, lambda i: number(layer.running_mean[i]), 56),
            _Column(f"{batch} mean", 6, lambda i: number(layer.batch_mean[i]), 56),
        ]
        return columns

    def _wanted(self) -> list[_Column]:
        """Return the columns, the most important one first: the gap, then the one by which the rows are sorted."""
        by = {"|gap|": "gap σ", "σ²": "σ²", "|γ|": "γ", "|drift|": "drift σ"}
        first = ("gap σ", by.get(self._read.sorted_by.partition(",")[0]))
        columns = [replace(c, least=_LEAST_AXIS) if c.title in first else c for c in self._all()]
        return sorted(columns, key=lambda column: (column.title not in first, column.least))

    def _cell(self, value: float) -> int:
        return max(0, min(self._axis.cells - 1, self._axis.cell(max(-LARGEST, min(LARGEST, value)))))

    def heading(self) -> Text:
        """Write the names of the columns, and the axis with its ends."""
        look, cells = self._look, self._axis.cells
        dash, cross = "-+" if look.ascii_only else "─┼"
        axis = [dash] * cells
        if self._zero is not None:
            axis[self._zero] = cross
        low, high = f"{brief(self._low)} ", f" {brief(self._high)}"
        if len(low) + len(high) + 4 <= cells:
            for start, end in ((0, low), (cells - len(high), high)):
                # An end at zero is the zero line.
                axis[start : start + len(end)] = end
            if self._low == 0 or self._high == 0:
                axis[0 if self._low == 0 else cells - 1] = "0"
        text = Text("ch".rjust(self._digits + 2) + " ", style="bold").append("".join(axis), style="not bold dim")
        for column in self._columns:
            text.append(" " + look.text(column.title).rjust(column.cells))
        return text

    def row(self, i: int, chosen: bool) -> Text:
        """Draw the row of a channel."""
        look, layer, cells = self._look, self._read.statistics, self._axis.cells
        mark = (">" if look.ascii_only else "▸") if chosen else " "
        text = Text(f"{mark} {i:>{self._digits}} ", style=self._chosen if chosen else "")
        bar, dash = "|-" if look.ascii_only else "│─"
        axis = [" "] * cells
        if self._zero is not None:
            axis[self._zero] = bar
        line, (running, batch, both) = "".join(axis), mean_signs(look)
        means = (layer.running_mean[i], running), (layer.batch_mean[i], batch)
        marks = sorted((self._cell(mean), sign) for mean, sign in means if math.isfinite(mean))
        if len(marks) == 2 and marks[0][0] == marks[1][0]:
            marks = [(marks[0][0], both)]
        at = 0
        for cell, sign in marks:
            if at:
                # The line between the two has the colour of the gap.
                text.append(dash * (cell - at), style=colour_of(self._read.gaps[i], self._scale, look) or "dim")
            else:
                text.append(line[:cell], style="dim")
            text.append(sign, style=self._colour)
            at = cell + 1
        text.append(line[at:], style="dim")
        for column in self._columns:
            text.append(" ")
            style = cell_style(self._read.gaps[i], self._scale, look) if column.title == "gap σ" else ""
            text.append(column.write(i).rjust(column.cells)[: column.cells], style=style)
        text.truncate(self._width)
        return text


def _limits(read: Channels) -> tuple[float, float]:
    """Return the ends of the axis of means: zero is on it if it is near, and a few means far away are not."""
    layer = read.statistics
    means = sorted(v for v in (*layer.running_mean, *layer.batch_mean) if abs(v) < LARGEST)
    if not means:
        return -1.0, 1.0
    low, high = means[0], means[-1]
    if len(means) >= _MANY:
        usual_low, usual_high = means[int(0.05 * (len(means) - 1))], means[math.ceil(0.95 * (len(means) - 1))]
        reach = 2 * (usual_high - usual_low)
        if reach > 0:
            low, high = max(low, usual_low - reach), min(high, usual_high + reach)
    near = 2 * (high - low)
    if 0 < low < near or low == high > 0:
        low = 0.0
    elif -near < high < 0 or low == high < 0:
        high = 0.0
    low, high, _ = y_limits(low, high, 4, False)
    return low, high


LAYERS = {
    "layers-group": [
        PanelKind("channels", draw_channels, (NormalizationRead, Started, Finished)),
        PanelKind("layer-list", draw_layers, (NormalizationRead, Started, Finished)),
        PanelKind("channel", draw_channel, (NormalizationRead, Explained, Started, Finished)),
    ]
}
