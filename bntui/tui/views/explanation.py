"""The explain view: one channel of a BN layer, with the numbers of the batch that is trained on, forward and back."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
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
    Step,
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
from bntui.tui.views.flows import STEP_FIRST
from bntui.tui.views.words import layer_word

if TYPE_CHECKING:
    from bntui.lab.transform import Array, Backward, BatchNorm, Forward

_BLOCK = 78
"""Cells of a block of steps; two of them stand side by side where there is room."""
_GAP = 2
"""Between two blocks; so many a scroll bar takes too."""
_LABEL, _SAMPLE, _CELL = 18, 6, 12


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
            cell = _gradient(value) if column.gradient else _number(value)
            text.append(f"{cell:>{_CELL}}", style=self.colour)
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
    return _page(read, history, look, width - _GAP)


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
    left, right = (_Block(look, colour, min(room, _BLOCK)) for _ in range(2))
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
    lines = [*_heading(read, history, look, colour, room), *_beside(left.lines, right.lines, room)]
    columns = _columns(passes if read.by_batch else passes[::-1], ("train", "eval")[:: 1 if read.by_batch else -1], dy)
    fitting = sorted(column.rank for column in columns)[: max(1, (room - _SAMPLE) // _CELL)]
    columns = [column for column in columns if column.rank in fitting]
    names = [_written(column.title, look) for column in columns]
    titles = "sample".rjust(_SAMPLE) + "".join(" " * (_CELL - cell_len(name)) + name for name in names)
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
    values = Text(_written("γ", look)).append(f" {_number(read.weight)}", style=colour)
    values.append(_written("   β", look)).append(f" {_number(read.bias)}", style=colour)
    values.append(_written(f"   ε {read.eps:g}   momentum {read.momentum:.4g}", look))
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
    std = _number(math.sqrt(squared) if squared >= 0 else math.nan)
    normalize, scale = f"= (x {_minus(mean)}) ÷ {std}", f"= {_number(weight)} · {X_HAT} {_minus(-bias)}"
    if not done.training:
        return {
            "normalize": normalize,
            "scale and shift": scale,
            "scaled, shifted": f"= {_number(weight)} · (x {_minus(mean)}) ÷ {std} {_minus(-bias)}",
            "backward": f"= ∂y · {_number(weight)} ÷ {std}",
        }
    return {
        "3 normalize": normalize,
        "4 scale and shift": scale,
        "running mean": f"= {keep} · {_number(mean_before)} + {take} · {_number(mean)}",
        "running variance": f"= {keep} · {_number(var_before)} + {take} · {_number(var)} · {m} ÷ {m - 1}",
    }


class _Block:
    """Lines of steps, each a label, a formula and, at the right, a number."""

    def __init__(self, look: Look, colour: str, width: int) -> None:
        self.lines: list[Text] = []
        self._look, self._colour, self._width = look, colour, width

    def title(self, text: str) -> None:
        self.lines.append(Text().append(_written(text, self._look), style="bold"))

    def tell(self, steps: Iterable[Step], filled: Mapping[str, str] | None = None, gradients: bool = False) -> None:
        """Add steps; those of a number a channel with it, and below it the formula with numbers in it if there is one.

        A remark stands beside the formula, or below the one with numbers.
        """
        for step in steps:
            value = float(step.values[0]) if step.values.ndim == 1 else None
            number = "" if value is None else _gradient(value) if gradients else _number(value)
            numbers = (filled or {}).get(step.label, "")
            beside = f"   {step.remark}" if step.remark and not numbers else ""
            self.step(step.label, step.formula + beside, "" if numbers else number)
            if numbers:
                self.step("", numbers, number, self._colour)
                if step.remark:
                    self.remark(step.remark, _LABEL)

    def step(self, label: str, formula: str, number: str = "", style: str = "") -> None:
        """Add a formula, on as many lines as it needs."""
        for line in self._wrap(formula, self._width - _LABEL):
            self.lines.append(Text(label.ljust(_LABEL)).append(line, style=style))
            label = ""
        if number:
            if self.lines[-1].cell_len > self._width - _CELL:
                self.lines.append(Text())
            self.lines[-1].pad_right(self._width - self.lines[-1].cell_len - len(number))
            self.lines[-1].append(number, style=self._colour)

    def remark(self, text: str, indent: int = 0) -> None:
        for line in self._wrap(text, self._width - indent):
            self.lines.append(Text(" " * indent).append(line, style="dim"))

    def end(self) -> None:
        self.lines.append(Text())

    def _wrap(self, text: str, width: int) -> list[str]:
        text = _written(text, self._look)
        if cell_len(text) <= width:
            return [text]
        # A number stays with the spaces that fill it up, and where there is room what is in parentheses together.
        text = re.sub(r"(?<= ) +", lambda padding: "\xa0" * len(padding[0]), text)
        if width > 30:
            text = re.sub(r"\([^()]*\)", lambda group: group[0].replace(" ", "\xa0"), text)
        lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
        return [line.replace("\xa0", " ") for line in lines]


def _beside(left: list[Text], right: list[Text], room: int) -> list[Text]:
    """Return two blocks side by side, or one below the other where there is no room."""
    if room < 2 * _BLOCK + _GAP:
        return [*left, *right]
    lines = []
    for one, other in itertools.zip_longest(left, right, fillvalue=Text()):
        line = one.copy()
        line.pad_right(_BLOCK + _GAP - one.cell_len)
        lines.append(line.append_text(other))
    return lines


def _written(text: str, look: Look) -> str:
    """Return a formula as it can be shown; in ASCII the dot is a product, not a dash."""
    return look.text(text.replace("·", "*") if look.ascii_only else text)


def _number(value: float) -> str:
    """Write a number in ten cells."""
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value + 0.0:>10.4f}" if plain else f"{value:>10.3e}"


def _gradient(value: float) -> str:
    """Write a number in ten cells, always as a power of ten: gradients are small, and their sizes lie far apart."""
    return f"{value + 0.0:>10.3e}"


def _minus(value: float) -> str:
    """Write that a number is taken away; of a negative one, that its size is added."""
    return f"{'+' if value < 0 else '−'} {_number(abs(value)).strip():>9}"


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
