"""What the second page of the flow view shows: covariate shift, the loss along the gradient, the train/eval gap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from rich.text import Text

from bntui.messages.events import Finished, Gap, Paused, Probed, Probes, Started
from bntui.messages.history import History
from bntui.tui.plot.axes import number
from bntui.tui.plot.chart import Chart, Line, draw
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.flow import awaited, label_cells, merged
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import StepAxis, View

MECHANISM_TITLES = {
    "covariate-shift": "covariate shift |G − G'|, layer {}",
    "loss-range": "loss, ½ to 4 lr along gradient",
    "smoothness": "effective β along gradient",
    "gap": "train/eval gap, loss",
}
STATISTICS = {"batch": "batch", "running": "running", "precise": "re-estimated"}


def mechanism_figure(name: str, history: History, view: View, look: Look) -> Chart:
    """Return one of the charts in `MECHANISM_TITLES`."""
    reads = _reads(history)
    axis = StepAxis(history, view.x_axis)
    x = [axis.at(read.step) for read in reads]
    title = MECHANISM_TITLES[name]
    if name == "gap":
        having = [arm for arm in history.labels if any(read.arms[arm].gap for read in reads)]
        lines = _gap_lines(reads, x, look, having[0], look.of(history.arms)[having[0]][1]) if having else []
        title = f"{title}: {history.labels[having[0]]}" if len(having) > 1 else title
    else:
        # The first layer has none below it that could shift anything.
        layer = 1 + view.layer % max(1, shifted(history))
        title = title.format(layer + 1)
        lines = []
        for arm, (glyph, colour) in look.of(history.arms).items():
            curves = [[of(read.arms[arm], layer) for read in reads] for of in _CURVES[name]]
            for i, y in enumerate(curves):
                named = (history.labels[arm], history.labels[arm]) if i == len(curves) - 1 else ("", "")
                lines.append(Line(x, y, colour, look.marker, *named, glyph=glyph))
    cursor = None if view.cursor is None else axis.at(view.cursor)
    log_y = name in ("covariate-shift", "smoothness") or view.log_y
    empty = "no arm has batch norm" if name == "gap" and reads else awaited(history, view.replay)
    return Chart(title, tuple(lines), view.x_axis, cursor=cursor, log_y=log_y, empty=empty)


def shifted(history: History) -> int:
    """Return how many layers there are of which a covariate shift can be read, as far as is known."""
    if not history.probes_recent:
        return 0
    return max((len(of.covariate_shift) for of in history.probes_recent[-1].arms.values()), default=1) - 1


def _reads(history: History) -> list[Probed]:
    return merged(history.probes, history.probes_recent)


def _shift(probes: Probes, layer: int) -> float:
    shifts = probes.covariate_shift
    return shifts[layer].difference if layer < len(shifts) else math.nan


def _of_landscape(field: str) -> Callable[[Probes, int], float]:
    return lambda probes, _: math.nan if probes.landscape is None else getattr(probes.landscape, field)


_CURVES: dict[str, tuple[Callable[[Probes, int], float], ...]] = {
    "covariate-shift": (_shift,),
    "loss-range": (_of_landscape("lowest"), _of_landscape("highest")),
    "smoothness": (_of_landscape("smoothness"),),
}


def _gap_lines(reads: Sequence[Probed], x: Sequence[float], look: Look, arm: str, colour: str) -> list[Line]:
    """Return a line of an arm for each kind of statistics."""
    lines = []
    for glyph, (kind, label) in zip(look.glyphs, STATISTICS.items(), strict=False):
        gaps: list[Gap | None] = [read.arms[arm].gap for read in reads]
        y = [math.nan if gap is None else getattr(gap, kind).loss for gap in gaps]
        lines.append(Line(x, y, colour, look.marker, label, points=True, glyph=glyph))
    return lines


def mechanism_summary(history: History, look: Look, width: int) -> Text:
    """Write the newest numbers that have no chart, for each arm in a line, and what the probes cost."""
    text = Text(no_wrap=True, overflow="crop")
    reads = _reads(history)
    if not reads:
        return text
    last, wide, cells = reads[-1], width >= 100, label_cells(history)
    for arm, (glyph, colour) in look.of(history.arms).items():
        probes = last.arms[arm]
        told = []
        if probes.covariate_shift and wide:
            cosines = " ".join(f"{shift.cosine:.2f}" for shift in probes.covariate_shift)
            told.append(f" cosine of G and G' by layer: {cosines} ")
        if probes.landscape is not None and wide:
            told.append(f" gradient changes by {number(probes.landscape.gradient_change)} ")
        if probes.gap is not None:
            kinds = "  ".join(f"{label} {getattr(probes.gap, kind).accuracy:.3f}" for kind, label in STATISTICS.items())
            told.append(f" accuracy by {kinds}")
        if told or len(history.arms) <= 2:
            text.append(f"{glyph} {history.labels[arm]:<{cells}}", style=colour).append("".join(told)).append("\n")
    costs = ", ".join(f"{name} {value:.1f} ms" for name, value in last.milliseconds.items())
    text.append(f"the last reading took: {costs}", style="dim")
    return text


def _draw(name: str, history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    chart = mechanism_figure(name, history, view, look)
    return draw(chart, width, height, colours=look.coloured, ascii_only=look.ascii_only, light=look.theme == "light")


WHY = {
    "why-grid": [
        PanelKind(name, partial(_draw, name), (Probed, Started, Paused, Finished)) for name in MECHANISM_TITLES
    ]
}
