"""The explain view: one channel of a BN layer, with the numbers of the batch that is trained on, forward and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bntui.lab.batch_norm import (
    FROZEN,
    SENTENCES,
    X_HAT,
    backward_steps,
    eval_steps,
    forward_steps,
    frozen_backward_steps,
    frozen_forward_steps,
)
from bntui.messages.arms import first_normalized
from bntui.messages.events import Explained
from bntui.messages.history import ENDED, History
from bntui.tui.theme import Look
from bntui.tui.views.flow import STEP_FIRST
from bntui.tui.views.formulas import BLOCK, CELL, GAP, FormulaBlock, beside, gradient_cells, minus, ten_cells, written
from bntui.tui.views.words import layer_word

if TYPE_CHECKING:
    from bntui.lab.transform import Array, Backward, BatchNorm, Forward

_SAMPLE = 6
"""Cells of the number of a sample."""


@dataclass(frozen=True)
class _Column:
    """One of the table's, a number a sample; where there is no room, those that rank highest are left out."""

    title: str
    values: Array
    rank: int
    gradient: bool = False


@dataclass(frozen=True)
class Page:
    """What the view shows: lines, then a table of which a row is only made when it is asked for."""

    lines: tuple[Text, ...]
    columns: tuple[_Column, ...] = ()
    samples: int = 0
    colour: str = ""

    @property
    def height(self) -> int:
        """Number of lines in all."""
        return len(self.lines) + self.samples

    def line(self, index: int) -> Text:
        """Return a line; an empty one beyond the last."""
        if index < len(self.lines):
            return self.lines[index]
        sample = index - len(self.lines)
        if sample >= self.samples:
            return Text()
        text = Text().append(f"{sample + 1:>{_SAMPLE}}", style="dim")
        for column in self.columns:
            value = float(column.values[sample, 0])
            cell = gradient_cells(value) if column.gradient else ten_cells(value)
            text.append(f"{cell:>{CELL}}", style=self.colour)
        return text


def explain_page(history: History, look: Look, width: int, replay: bool = False) -> Page:
    """Return what the view shows of the newest reading, or why there is nothing to show.

    Parameters
    ----------
    history
        `explained` is what is shown.
    look
        How it is drawn.
    width
        Cells there are, those of a scroll bar among them.
    replay
        Whether nothing trains that could be looked into.
    """
    read, told = history.explained, _why_nothing(history, replay)
    awaited = STEP_FIRST if history.status == "paused" else "appears with the next step"
    # A journal may hold what no run told.
    if told or read is None or len(read.x) != len(read.dy) or len(read.x) < 2:
        return Page((Text().append(look.text(told or awaited), style="dim"),))
    return _page(read, history, look, width - GAP)


def _why_nothing(history: History, replay: bool) -> str:
    arms = history.arms
    explained = [arm for arm in arms if arm.norm == "batch"]
    if arms and not explained:
        return f"this view explains batch norm; here is {' and '.join(dict.fromkeys(arm.words for arm in arms))}"
    switched, read = first_normalized(arms), history.explained
    if not history.settings["bn"] and switched in explained and (read is None or read.arm == switched.name):
        return "batch norm is switched off: what comes in goes out as it is"
    if history.explained is None and (replay or history.status in ENDED):
        return "needs a run that goes on: explains the batch being trained on"
    return ""


def _page(read: Explained, history: History, look: Look, room: int) -> Page:
    # Here, as numpy takes long to import and the app starts without it.
    import numpy as np

    from bntui.lab.transform import BatchNorm, backward, forward, track

    weight, bias, mean, var = (
        np.array([value]) for value in (read.weight, read.bias, read.running_mean, read.running_var)
    )
    layer = BatchNorm(weight, bias, mean, var, read.eps, read.momentum)
    x, dy = (np.array([values], dtype=np.float64).T for values in (read.x, read.dy))
    colour = look.of(history.arms)[read.arm][1]
    # An arm that diverges has numbers here too large to be squared.
    with np.errstate(all="ignore"):
        by_batch = forward(layer, x, training=True)
        after = track(layer, by_batch) if read.by_batch else layer
        by_running = forward(after, x, training=False)
        passes = [(by_batch, backward(layer, by_batch, dy)), (by_running, backward(after, by_running, dy))]
    left, right = (FormulaBlock(look, colour, min(room, BLOCK)) for _ in range(2))
    steps = forward_steps(layer, by_batch, after)
    if read.by_batch:
        left.title("Forward, train mode")
        left.tell(steps, _filled(layer, by_batch))
        right.title("Backward, train mode")
        right.tell(backward_steps(dy, passes[0][1]), gradients=True)
        right.end()
        right.title("Eval mode, after this batch")
        right.tell(eval_steps(*passes[1]), _filled(after, by_running))
    else:
        left.title("Forward, eval mode: the statistics are frozen")
        left.remark(FROZEN)
        left.tell(frozen_forward_steps(by_running), _filled(layer, by_running))
        right.title("Backward, eval mode")
        right.tell(frozen_backward_steps(dy, passes[1][1]), gradients=True)
        right.end()
        right.title("Train mode, were they not frozen")
        right.tell(steps[:2])
    for sentence in SENTENCES:
        left.remark(sentence)
    left.end()
    right.end()
    lines = [*_heading(read, history, look, colour, room), *beside(left.lines, right.lines, room)]
    columns = _columns(passes if read.by_batch else passes[::-1], ("train", "eval")[:: 1 if read.by_batch else -1], dy)
    fitting = sorted(column.rank for column in columns)[: max(1, (room - _SAMPLE) // CELL)]
    columns = [column for column in columns if column.rank in fitting]
    names = [written(column.title, look) for column in columns]
    titles = "sample".rjust(_SAMPLE) + "".join(" " * (CELL - cell_len(name)) + name for name in names)
    return Page((*lines, Text().append(titles, style="bold")), tuple(columns), len(read.x), colour)


def _columns(passes: list[tuple[Forward, Backward]], modes: tuple[str, ...], dy: Array) -> list[_Column]:
    """Return the table's columns, given first what happened and then what would have in the other mode."""
    (done, back), (other, other_back) = passes
    mode, other_mode = modes
    return [
        _Column("x", done.x, 0),
        _Column(f"{X_HAT} {mode}", done.x_hat, 3),
        _Column(f"y {mode}", done.y, 1),
        _Column(f"y {other_mode}", other.y, 5),
        _Column("∂y", dy, 4, gradient=True),
        _Column(f"∂{X_HAT}", back.x_hat, 7, gradient=True),
        _Column(f"∂x {mode}", back.x, 2, gradient=True),
        _Column(f"∂x {other_mode}", other_back.x, 6, gradient=True),
    ]


def _heading(read: Explained, history: History, look: Look, colour: str, room: int) -> list[Text]:
    layers = history.started.layers.get(read.arm, {}) if history.started else {}
    place = f"{list(layers).index(read.layer) + 1} of {len(layers)}" if read.layer in layers else "?"
    of_channels = f" (0 to {layers[read.layer] - 1})" if read.layer in layers else ""
    where = f"{layer_word(history, read.arm)} layer {place}, channel {read.channel}{of_channels}"
    title = f"{where}, step {read.step:,}, batch of m = {len(read.x)} samples"
    hint = "[ ] layer, { } channel" if history.status not in ENDED else ""
    if history.status == "paused":
        hint += ": shown from the next step on"
    switched = first_normalized(history.arms)
    if history.settings["bn_noise"] and switched is not None and switched.name == read.arm:
        hint += "; noise follows y, and is left out here" if hint else "noise follows y, and is left out here"
    values = Text(written("γ", look)).append(f" {ten_cells(read.weight)}", style=colour)
    values.append(written("   β", look)).append(f" {ten_cells(read.bias)}", style=colour)
    values.append(written(f"   ε {read.eps:g}   momentum {read.momentum:.4g}", look))
    return [
        Text().append(title[:room], style="bold"), Text().append(hint[:room], style="dim"), values, Text()
    ]  # fmt: skip


def _filled(layer: BatchNorm, done: Forward) -> dict[str, str]:
    """Return the formulas with the numbers of a pass in them, by the label of their step."""
    m, keep, take = len(done.x), f"{1 - layer.momentum:.4g}", f"{layer.momentum:.4g}"
    mean, var, weight, bias, mean_before, var_before = (
        float(values[0])
        for values in (done.mean, done.var, layer.weight, layer.bias, layer.running_mean, layer.running_var)
    )
    squared = var + layer.eps
    std = ten_cells(math.sqrt(squared) if squared >= 0 else math.nan)
    normalize, scale = f"= (x {minus(mean)}) ÷ {std}", f"= {ten_cells(weight)} · {X_HAT} {minus(-bias)}"
    if not done.training:
        return {
            "normalize": normalize,
            "scale and shift": scale,
            "scaled, shifted": f"= {ten_cells(weight)} · (x {minus(mean)}) ÷ {std} {minus(-bias)}",
            "backward": f"= ∂y · {ten_cells(weight)} ÷ {std}",
        }
    return {
        "3 normalize": normalize,
        "4 scale and shift": scale,
        "running mean": f"= {keep} · {ten_cells(mean_before)} + {take} · {ten_cells(mean)}",
        "running variance": f"= {keep} · {ten_cells(var_before)} + {take} · {ten_cells(var)} · {m} ÷ {m - 1}",
    }


class Explanation(ScrollView):
    """The explain view; only the lines on the screen are made, and they stay where they are while numbers change."""

    def __init__(self) -> None:
        super().__init__(id="explanation")
        self._page = Page(())
        self._state: tuple[object, ...] = ()

    def show(self, history: History, look: Look, width: int, replay: bool = False) -> None:
        """Show the newest reading in so many cells; does nothing if that is what is shown."""
        state = (
            history.explained,
            _why_nothing(history, replay),
            history.status,
            history.settings["bn_noise"],
            look,
            width,
        )
        if state == self._state:
            return
        self._state, self._page = state, explain_page(history, look, width, replay)
        widest = max(line.cell_len for line in self._page.lines)
        self.virtual_size = Size(widest, self._page.height)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the visible part; the table's titles stay when they would be scrolled away."""
        x, top = self.scroll_offset
        index = top + y
        if y == 0 and self._page.samples:
            index = min(index, len(self._page.lines) - 1)
        strip = Strip(self._page.line(index).render(self.app.console, end="")).apply_style(self.rich_style)
        return strip.crop_extend(x, x + self.size.width, self.rich_style).apply_style(self.rich_style)
