"""What the flow view shows: gradients and activations, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.text import Text

from bntui.run.alerts import gradient_ratio, verdict
from bntui.run.arms import ARMS
from bntui.run.events import FlowRead, LayerFlow, Probed
from bntui.run.history import ENDED, History
from bntui.tui.plot.axes import number
from bntui.tui.plot.chart import Chart, Line
from bntui.tui.theme import Look
from bntui.tui.views.figures import StepAxis, View

FLOW_TITLES = {
    "weight-gradient": "gradient by the weights, L2 norm by layer",
    "input-gradient": "gradient by the input, L2 norm by layer",
    "gradient-ratio": "weight gradient, first layer / last",
    "activations": "input of activation {}, 15-50-85 %",
}
BY_LAYER = ("weight-gradient", "input-gradient")


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
    if name == "gradient-ratio":
        title, log_y = FLOW_TITLES[name], True
        curves = [[[gradient_ratio(getattr(read, arm)) for read in reads]] for arm in ARMS]
    else:
        layer = view.layer % max(1, len(reads[-1].bn) - 1) if reads else 0
        of_unit = "" if view.unit is None else f", unit {view.unit}"
        title, log_y = FLOW_TITLES[name].format(f"{layer + 1}{of_unit}"), False
        curves = [[_percentile(reads, arm, layer, view.unit, i) for i in range(3)] for arm in ARMS]
    lines = []
    for arm, colour, own in zip(ARMS, look.colours, curves, strict=True):
        for i, y in enumerate(own):
            # The middle one carries the name.
            lines.append(Line(x, y, colour, look.marker, history.labels[arm] if i == len(own) // 2 else "",
                              glyph=look.glyphs[ARMS.index(arm)]))  # fmt: skip
    cursor = None if view.cursor is None else axis.at(view.cursor)
    return Chart(title, tuple(lines), view.x_axis, cursor=cursor, log_y=log_y, empty=awaited(history, view.replay))


Read = TypeVar("Read", FlowRead, Probed)


def merged(kept: Sequence[Read], recent: Iterable[Read]) -> list[Read]:
    """Return the readings that are kept for good and, from where they begin, the newest ones, in order."""
    newest = list(recent)
    first = newest[0].step if newest else math.inf
    return [read for read in kept if read.step < first] + newest


def _reads(history: History) -> list[FlowRead]:
    return merged(history.flow, history.flow_recent)


def _by_layer(name: str, history: History, reads: Sequence[FlowRead], view: View, look: Look) -> Chart:
    field = name.replace("-", "_")
    lines = []
    for arm, colour in zip(ARMS, look.colours, strict=True):
        layers: Sequence[LayerFlow] = getattr(reads[-1], arm) if reads else ()
        y = [getattr(layer, field) for layer in layers]
        lines.append(Line(range(1, len(y) + 1), y, colour, look.marker, history.labels[arm], points=True))
    return Chart(FLOW_TITLES[name], tuple(lines), "layer", log_y=True, empty=awaited(history, view.replay))


def _percentile(reads: Sequence[FlowRead], arm: str, layer: int, unit: int | None, which: int) -> list[float]:
    """Return one percentile over time: of all units, or of one as far as it was looked at."""
    values = []
    for read in reads:
        flow = getattr(read, arm)[layer]
        known = flow.percentiles if unit is None else flow.unit_percentiles if read.unit == unit else ()
        values.append(known[which] if known else math.nan)
    return values


def flow_summary(history: History, look: Look, width: int) -> Text:
    """Write for each arm the ratio of its gradients and the units that do nothing, and what it took to read them."""
    text = Text(no_wrap=True, overflow="crop")
    reads = _reads(history)
    if not reads:
        return text
    for arm, glyph, colour in zip(ARMS, look.glyphs, look.colours, strict=True):
        layers: Sequence[LayerFlow] = getattr(reads[-1], arm)
        ratio = gradient_ratio(tuple(layers))
        shares = " ".join(f"{100 * layer.inactive:.0f}" for layer in layers if math.isfinite(layer.inactive))
        first, rest = (
            ("first / last gradient", "dead or saturated, % by layer:") if width >= 100 else ("1st/last", "dead %:")
        )
        text.append(f"{glyph} {history.labels[arm]:<13}", style=colour)
        text.append(f" {first} {number(ratio)} {verdict(ratio):<10}", style="bold" if verdict(ratio) else "")
        text.append(f" {rest} {shares or '-'}\n")
    more = "; 3 again: covariate shift, loss landscape, train/eval gap" if width >= 100 else ""
    text.append(f"the last reading took {reads[-1].milliseconds:.1f} ms{more}", style="dim")
    return text
