"""The explain view: one channel of a BN layer, with the numbers of the batch that is trained on, forward and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

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
from bntui.messages.events import Explained, Finished, Intervened, Paused, Restarted, Resumed, Started, Undone
from bntui.messages.history import ENDED, History
from bntui.messages.names import layer_word
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.flow import STEP_FIRST
from bntui.tui.views.formulas import BLOCK, GAP, FormulaBlock, minus, ten_cells, written
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.samples import SampleTable, sample_table
from bntui.tui.views.view import View
from bntui.tui.views.words import norm_layer

if TYPE_CHECKING:
    from bntui.lab.transform import BatchNorm, Forward

HEAD = 2
"""Lines above every page."""
NOISE = "In this run noise follows y; it is left out here."


@dataclass(frozen=True)
class Book:
    """All that can be shown of a reading at a size, in pages."""

    columns: Sequence[Sequence[Text]]
    """Columns of formulas, in their order, each of at most so many lines as a page has."""
    across: int
    """How many columns stand side by side."""
    tables: Sequence[SampleTable]
    """Parts of the table; the first stands in the column after the formulas if there is one, the others alone."""

    @property
    def pages(self) -> int:
        """How many pages there are."""
        shared = len(self.columns) % self.across > 0
        return math.ceil(len(self.columns) / self.across) + len(self.tables) - shared

    def lines(self, page: int) -> list[Text]:
        """Return the lines of a page, counted from 0."""
        with_formulas = math.ceil(len(self.columns) / self.across)
        if page >= with_formulas:
            shared = len(self.columns) % self.across > 0
            return self.tables[page - with_formulas + shared].lines()
        columns = list(self.columns[page * self.across :][: self.across])
        if len(columns) < self.across:
            columns.append(self.tables[0].lines())
        lines = []
        for i in range(max(map(len, columns))):
            line = Text()
            for place, column in enumerate(columns):
                if i < len(column):
                    line.pad_right(place * (BLOCK + GAP) - line.cell_len)
                    line.append_text(column[i])
            lines.append(line)
        return lines


def explain_panel(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw a page of the newest reading, or why there is nothing to show."""
    return Drawing(_joined(_lines(history, view, look, width, height)[:height]))


def _lines(history: History, view: View, look: Look, width: int, height: int) -> list[Text]:
    read, told = history.explained, _why_nothing(history, view.replay)
    awaited = STEP_FIRST if history.status == "paused" else "appears with the next step"
    # A journal may hold what no run told.
    if told or read is None or len(read.x) != len(read.dy) or len(read.x) < 2:
        title = "the transform of one channel, in numbers"[:width]
        return [Text().append(title, "bold"), Text().append(look.text(told or awaited)[:width], style="dim")]
    book = explain_book(read, history, look, width, max(1, height - HEAD))
    page = view.page % book.pages
    head = [_title(read, history, look, page, book.pages, width), _values(read, history, look, width)]
    lines = [*head, *book.lines(page)]
    for line in lines:
        line.truncate(width)
    return lines


def _joined(lines: Sequence[Text]) -> Text:
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow, text.end = True, "crop", ""
    return text


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


def explain_book(read: Explained, history: History, look: Look, width: int, height: int) -> Book:
    """Return what is shown of a reading, in pages of so many cells and lines."""
    # Here, as numpy takes long to import and the app starts without it.
    import numpy as np

    from bntui.lab.transform import BatchNorm, backward, forward, track

    weight, bias, mean, var = (
        np.array([value]) for value in (read.weight, read.bias, read.running_mean, read.running_var)
    )
    layer = BatchNorm(weight, bias, mean, var, read.eps, read.momentum)
    x, dy = (np.array([values], dtype=np.float64).T for values in (read.x, read.dy))
    colour, m = look.of(history.arms)[read.arm][1], len(read.x)
    # An arm that diverges has numbers here too large to be squared.
    with np.errstate(all="ignore"):
        by_batch = forward(layer, x, training=True)
        after = track(layer, by_batch) if read.by_batch else layer
        by_running = forward(after, x, training=False)
        back, back_by_running = backward(layer, by_batch, dy), backward(after, by_running, dy)

    def block(title: str) -> FormulaBlock:
        return FormulaBlock(title, look, colour, min(width, BLOCK))

    steps = forward_steps(layer, by_batch, after)
    if read.by_batch:
        ahead, statistics, behind = block("Forward, train mode"), block("Statistics"), block("Backward, train mode")
        ahead.tell(steps[:4], m, _filled(layer, by_batch))
        statistics.tell(steps[4:], m, _filled(layer, by_batch))
        behind.tell(backward_steps(dy, back), m, gradients=True)
        other = block("Eval mode, after this batch")
        other.tell(eval_steps(by_running, back_by_running), m, _filled(after, by_running))
    else:
        ahead, statistics = block("Forward, eval mode: the statistics are frozen"), block("Statistics")
        behind, other = block("Backward, eval mode"), block("Train mode, were they not frozen")
        ahead.tell(frozen_forward_steps(by_running), m, _filled(layer, by_running))
        statistics.remark(FROZEN)
        behind.tell(frozen_backward_steps(dy, back_by_running), m, gradients=True)
        other.tell(steps[:2], m)
    for sentence in (*SENTENCES, *([NOISE] if _noise(read, history) else [])):
        statistics.remark(sentence)
    columns = _columns([part.lines for part in (ahead, statistics, behind, other)], height)
    across = max(1, (width + GAP) // (BLOCK + GAP))
    passes = [(by_batch, back), (by_running, back_by_running)][:: 1 if read.by_batch else -1]
    config = history.started.config if history.started else {}
    # Noise comes between y and the ReLU.
    relu = config.get("activation", "relu") == "relu" and not _noise(read, history)
    table = sample_table(passes, dy, look, colour, width=width, relu=relu)
    shared = len(columns) % across
    narrow = table.within(width - shared * (BLOCK + GAP))
    first = narrow if shared else table
    rows = max(1, height - len(first.lines_around))
    parts = [first.part(0, rows)]
    rows = max(1, height - len(table.lines_around))
    parts += [table.part(start, rows) for start in range(parts[0].samples, m, rows)]
    return Book(columns, across, parts)


def _columns(sections: Sequence[list[Text]], height: int) -> list[list[Text]]:
    """Return the sections one below the other in columns; one that fits no column is cut, any other stays together."""
    columns: list[list[Text]] = [[]]
    for section in sections:
        if columns[-1] and len(columns[-1]) + 1 + len(section) <= height:
            columns[-1] += [Text(), *section]
            continue
        for start in range(0, len(section), height):
            columns.append(section[start : start + height])
    return [column for column in columns if column]


def _noise(read: Explained, history: History) -> bool:
    """Whether noise follows the layer."""
    switched = first_normalized(history.arms)
    return bool(history.settings["bn_noise"]) and switched is not None and switched.name == read.arm


def _title(read: Explained, history: History, look: Look, page: int, pages: int, width: int) -> Text:
    """Say where that is, and which page of it is shown; the longest form there is room for."""
    arrows = "up down" if look.ascii_only else "↑ ↓"
    forms = [look.text(form) for form in _titles(read, history, arrows, page, pages)]
    return Text().append(next((form for form in forms if cell_len(form) <= width), forms[-1]), style="bold")


def _titles(read: Explained, history: History, arrows: str, page: int, pages: int) -> Iterator[str]:
    layers = history.started.layers.get(read.arm, {}) if history.started else {}
    known = read.layer in layers
    where = norm_layer(history, read.arm, list(layers).index(read.layer)) if known else layer_word(history, read.arm)
    channel = f"{where}, channel {read.channel}"
    of = f" of {layers[read.layer]}" if known else ""
    turning = f" · page {page + 1} of {pages} · {arrows}" if pages > 1 else ""
    short = f" · {page + 1}/{pages} {arrows}" if pages > 1 else ""
    step = f"step {read.step:,}"
    yield f"{channel}{of}, {step}, batch of m = {len(read.x)} samples{turning}"
    yield f"{channel}{of}, {step}{turning}"
    yield f"{where}, ch {read.channel}, {step}{short}"
    yield f"{where}, ch {read.channel}{short}"
    yield f"ch {read.channel}{short}"


def _values(read: Explained, history: History, look: Look, width: int) -> Text:
    """Write what the layer learned, and at the right, where there is room, which keys choose another channel."""
    colour = look.of(history.arms)[read.arm][1]
    text = Text(written("γ", look)).append(f" {ten_cells(read.weight).strip()}", style=colour)
    text.append(written("  β", look)).append(f" {ten_cells(read.bias).strip()}", style=colour)
    for told in (f"  ε {read.eps:g}", f"  momentum {read.momentum:.4g}"):
        # A number that is cut would be another one.
        if text.cell_len + cell_len(written(told, look)) <= width:
            text.append(written(told, look))
    hint = "" if history.status in ENDED else "[ ] layer, { } channel"
    if hint and history.status == "paused":
        hint += ": shown from the next step on"
    if text.cell_len + GAP + len(hint) <= width:
        text.append(hint.rjust(width - text.cell_len), style="dim")
    return text


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


TELLING = (Explained, Started, Paused, Resumed, Restarted, Intervened, Undone, Finished)
EXPLAIN = {"explain-group": [PanelKind("explanation", explain_panel, TELLING)]}
