"""What the panels of the flow view have in common: the readings, the arms, the time axis and the title line."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bntui.messages.events import FlowRead, LayerFlow
from bntui.messages.history import History
from bntui.tui.plot.axes import Axis, round_ticks
from bntui.tui.plot.grid import Grid
from bntui.tui.plot.heat import spread
from bntui.tui.plot.strokes import GREY
from bntui.tui.theme import Look
from bntui.tui.views.view import StepAxis, View


@dataclass(frozen=True, slots=True)
class Drawn:
    """How an arm is drawn and called."""

    name: str
    glyph: str
    colour: str
    label: str


@dataclass(frozen=True)
class Scene:
    """What is shown: readings of what flowed through the layers, and how a person looks at them."""

    history: History
    view: View
    look: Look
    reads: Sequence[FlowRead]

    @cached_property
    def arms(self) -> list[Drawn]:
        """The arms in their order."""
        return [
            Drawn(name, glyph, colour, self.history.labels[name])
            for name, (glyph, colour) in self.look.of(self.history.arms).items()
        ]

    @property
    def grey(self) -> str:
        """Style of what stands behind."""
        return GREY if self.look.coloured else "dim"

    @cached_property
    def now(self) -> FlowRead:
        """The last reading up to the inspect cursor, or the newest."""
        cursor = self.view.cursor
        if cursor is None:
            return self.reads[-1]
        return self.reads[max(0, bisect_right(self.reads, cursor, key=lambda read: read.step) - 1)]

    @cached_property
    def layers(self) -> int:
        """How many layers with weights there are."""
        return max((len(layers) for layers in self.now.arms.values()), default=0)

    def layer(self, read: FlowRead, arm: str, index: int) -> LayerFlow | None:
        """Return what was read of a layer, if it was."""
        layers = read.arms.get(arm, ())
        return layers[index] if index < len(layers) else None

    def grid(self, width: int, height: int) -> Grid:
        """Return an empty rectangle for a panel."""
        return Grid(width, height, self.look.ascii_only)

    def write_title(self, grid: Grid, titles: Sequence[str], right: str = "") -> None:
        """Write the longest title that fits, and at the right what there is room for."""
        known = [grid.clean(title) for title in titles]
        right = grid.clean(right)
        title = next((title for title in known if len(title) <= grid.width), known[-1])
        grid.put(0, 0, title, "bold")
        if right and len(title) + 2 + len(right) <= grid.width:
            grid.put(0, grid.width - len(right), right, self.grey)


class Times:
    """The time axis, from the beginning of the run, or of the recent past, to now."""

    def __init__(self, scene: Scene) -> None:
        history, view = scene.history, scene.view
        at = StepAxis(history, view.x_axis).at
        self._x = [at(read.step) for read in scene.reads]
        self._kind = view.x_axis
        self.low = at(max(0, history.recent[0][0] - 1)) if view.recent and history.recent else 0.0
        self.high = max(at(history.step), *self._x[-1:])
        self.cursor = None if view.cursor is None else at(view.cursor)

    def columns(self, cells: int) -> list[int | None]:
        """Return which reading each column shows."""
        return spread(self._x, self.low, self.high, cells) if cells > 0 else []

    def axis(self, cells: int) -> Axis | None:
        """Return the axis, if it has a length."""
        return Axis(self.low, self.high, cells, 1) if self.high > self.low and cells > 0 else None

    def cursor_cell(self, cells: int) -> int | None:
        """Return the column of the inspect cursor, if it is on the axis."""
        if self.cursor is None or not self.low <= self.cursor <= self.high or self.high <= self.low:
            return None
        return min(cells - 1, int((self.cursor - self.low) / (self.high - self.low) * cells))

    def write(self, grid: Grid, row: int, left: int, cells: int, style: str) -> None:
        """Write the ticks below the columns, and at the right what they count."""
        if self.high <= self.low or cells < 4:
            return
        name = self._kind
        grid.put(row, left + cells - len(name), name, style)
        free = left
        count = max(1, cells // 12)
        if self._kind == "step":
            count = max(1, min(count, int(self.high - self.low)))
        for value, label in round_ticks(self.low, self.high, count, 1e9):
            cell = left + min(cells - 1, int((value - self.low) / (self.high - self.low) * cells))
            start = max(left, cell - len(label) // 2)
            if free <= start and start + len(label) < left + cells - len(name):
                grid.put(row, start, label, style)
                free = start + len(label) + 2


def thinned(count: int, slots: int) -> list[int]:
    """Return the indices of as many of `count` layers as there are slots: the first, the last, and some between."""
    if slots <= 0 or not count:
        return []
    if slots == 1:
        return [0]
    if count <= slots:
        return list(range(count))
    return [round(i * (count - 1) / (slots - 1)) for i in range(slots)]


def of_layers(shown: Sequence[int], count: int) -> str:
    """Say how many of the layers are shown, where that is not all."""
    return f", {len(shown)} of {count} layers" if len(shown) < count else ""


def log10(value: float) -> float:
    """Return the logarithm; minus infinity of 0, NaN of what has none."""
    if value > 0:
        return math.log10(value) if value < math.inf else math.inf
    return -math.inf if value == 0 else math.nan


def size_word(value: float) -> str:
    """Say what a size is that has no place on a logarithmic axis; nothing of one that has."""
    if math.isnan(value):
        return "not a number"
    return "exactly 0" if value == 0 else "infinite" if math.isinf(value) else ""
