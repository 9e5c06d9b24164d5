"""What the flow view shows: gradients and activations, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar

from rich.text import Text

from bntui.messages.alerts import gradient_ratio, verdict
from bntui.messages.events import Finished, FlowRead, Paused, Probed, Started
from bntui.messages.history import ENDED, History
from bntui.tui.plot.axes import number
from bntui.tui.plot.chart import Chart, Line, draw
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import StepAxis, View

FLOW_TITLES = {
    "weight-gradient": "gradient by the weights, L2 norm by layer",
    "input-gradient": "gradient by the input, L2 norm by layer",
    "gradient-ratio": "weight gradient, first layer / last",
    "activations": "input of activation {}, {} %",
}
BY_LAYER = ("weight-gradient", "input-gradient")
PERCENTILES = (15, 50, 85)
"""Of an activation's input, in the order in which they are read."""
SUMMARY_CELLS = 30
"""Width of what is told of an arm where there is less room than arms."""
MOST_BANDS = 3
"""Arms of which all percentiles can be told apart in one chart; of more only the middle one is drawn."""

STEP_FIRST = "press s for a step, or space to go on"
"""What is to be done while paused for something to be read; all empty views fit 40 cells."""


def awaited(history: History, replay: bool) -> str:
    """Say what brings a reading of what is only read while somebody looks."""
    if history.status in ENDED or replay:
        return "read only while a run is watched live"
    if history.status == "paused":
        return STEP_FIRST
    return "appears within a second of training" if history.started else "appears once training has begun"


def flow_figure(name: str, history: History, view: View, look: Look) -> Chart:
    """Return one of the charts in `FLOW_TITLES`."""
    reads = _reads(history)
    if name in BY_LAYER:
        return _by_layer(name, history, reads, view, look)
    axis = StepAxis(history, view.x_axis)
    x = [axis.at(read.step) for read in reads]
    curves: dict[str, list[list[float]]]
    if name == "gradient-ratio":
        title, log_y = FLOW_TITLES[name], True
        curves = {arm.name: [[gradient_ratio(read.arms[arm.name]) for read in reads]] for arm in history.arms}
    else:
        layer = view.layer % max(1, activations(history))
        which = (0, 1, 2) if len(history.arms) <= MOST_BANDS else (1,)
        of_unit = "" if view.unit is None else f", unit {view.unit}"
        shares = "-".join(str(PERCENTILES[i]) for i in which)
        title, log_y = FLOW_TITLES[name].format(f"{layer + 1}{of_unit}", shares), False
        curves = {arm.name: [_percentile(reads, arm.name, layer, view.unit, i) for i in which] for arm in history.arms}
    lines = []
    for arm, (glyph, colour) in look.of(history.arms).items():
        for i, y in enumerate(curves[arm]):
            # The middle one carries the name.
            named = (history.labels[arm], history.labels[arm]) if i == len(curves[arm]) // 2 else ("", "")
            lines.append(Line(x, y, colour, look.marker, *named, glyph=glyph))
    cursor = None if view.cursor is None else axis.at(view.cursor)
    return Chart(title, tuple(lines), view.x_axis, cursor=cursor, log_y=log_y, empty=awaited(history, view.replay))


Read = TypeVar("Read", FlowRead, Probed)


def merged(kept: Sequence[Read], recent: Iterable[Read]) -> list[Read]:
    """Return the readings that are kept for good and, from where they begin, the newest ones, in order."""
    newest = list(recent)
    first = newest[0].step if newest else math.inf
    return [read for read in kept if read.step < first] + newest


def activations(history: History) -> int:
    """Return how many layers there are with an activation after them, as far as is known."""
    if not history.flow_recent:
        return 0
    return max((len(layers) for layers in history.flow_recent[-1].arms.values()), default=1) - 1


def _reads(history: History) -> list[FlowRead]:
    return merged(history.flow, history.flow_recent)


def _by_layer(name: str, history: History, reads: Sequence[FlowRead], view: View, look: Look) -> Chart:
    field = name.replace("-", "_")
    lines = []
    for arm, (glyph, colour) in look.of(history.arms).items():
        y = [getattr(layer, field) for layer in reads[-1].arms[arm]] if reads else []
        label = history.labels[arm]
        lines.append(Line(range(1, len(y) + 1), y, colour, look.marker, label, label, points=True, glyph=glyph))
    return Chart(FLOW_TITLES[name], tuple(lines), "layer", log_y=True, empty=awaited(history, view.replay))


def _percentile(reads: Sequence[FlowRead], arm: str, layer: int, unit: int | None, which: int) -> list[float]:
    """Return one percentile over time: of all units, or of one as far as it was looked at."""
    values = []
    for read in reads:
        flow = read.arms[arm][layer]
        known = flow.percentiles if unit is None else flow.unit_percentiles if read.unit == unit else ()
        values.append(known[which] if known else math.nan)
    return values


def flow_summary(history: History, look: Look, width: int) -> Text:
    """Write for each arm the ratio of its gradients and the units that do nothing, and what it took to read them."""
    text = Text(no_wrap=True, overflow="crop")
    reads = _reads(history)
    if not reads:
        return text
    wide, cells = width >= 100, label_cells(history)
    first, rest = ("first / last gradient", "dead or saturated, % by layer:") if wide else ("1st/last", "dead %:")
    blocks = []
    for arm, (glyph, colour) in look.of(history.arms).items():
        layers = reads[-1].arms[arm]
        ratio = gradient_ratio(layers)
        shares = [f"{100 * layer.inactive:.0f}" for layer in layers if math.isfinite(layer.inactive)]
        block = Text()
        if not wide and len(history.arms) > 2:
            # Two of them stand side by side, with the worst layer in place of all.
            worst = max((int(share) for share in shares), default=0)
            block.append(f"{glyph} ", style=colour)
            block.append(f" {number(ratio)} {verdict(ratio):<9}", style="bold" if verdict(ratio) else "")
            block.append(f"{worst:>4}%")
        else:
            block.append(f"{glyph} {history.labels[arm]:<{cells}}", style=colour)
            block.append(f" {first} {number(ratio)} {verdict(ratio):<10}", style="bold" if verdict(ratio) else "")
            block.append(f" {rest} {' '.join(shares) or '-'}")
        blocks.append(block)
    across = max(1, width // SUMMARY_CELLS) if not wide and len(history.arms) > 2 else 1
    for row in range(0, len(blocks), across):
        for block in blocks[row : row + across]:
            block.pad_right(SUMMARY_CELLS * (across > 1) - block.cell_len)
            text.append_text(block)
        text.append("\n")
    before = "" if wide or len(history.arms) <= 2 else "1st/last gradient, dead units; "
    more = "; 3 again: covariate shift, loss landscape, train/eval gap" if wide else ""
    text.append(f"{before}the last reading took {reads[-1].milliseconds:.1f} ms{more}", style="dim")
    return text


def label_cells(history: History) -> int:
    """Return how many cells the labels of the arms take, one below the other."""
    return max(13, *map(len, history.labels.values()))


def _draw(name: str, history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    chart = flow_figure(name, history, view, look)
    return draw(chart, width, height, colours=look.coloured, ascii_only=look.ascii_only, light=look.theme == "light")


FLOW = {
    "flow-grid": [PanelKind(name, partial(_draw, name), (FlowRead, Started, Paused, Finished)) for name in FLOW_TITLES]
}
