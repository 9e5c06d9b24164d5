"""What the second page of the flow view shows: covariate shift, the loss along the gradient, the train/eval gap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.text import Text

from bntui.run.arms import ARMS
from bntui.run.events import Gap, Probed, Probes
from bntui.run.history import History
from bntui.tui.plot.axes import number
from bntui.tui.plot.chart import Chart, Line
from bntui.tui.theme import ASCII_GLYPHS, GLYPHS, Look
from bntui.tui.views.figures import StepAxis, View
from bntui.tui.views.flows import awaited, merged

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
        lines = _gap_lines(reads, x, look)
    else:
        # The first layer has none below it that could shift anything.
        layer = 1 + view.layer % max(1, len(reads[-1].bn.covariate_shift) - 1) if reads else 1
        title = title.format(layer + 1)
        lines = []
        for arm, colour, glyph in zip(ARMS, look.colours, look.glyphs, strict=True):
            curves = [[of(getattr(read, arm), layer) for read in reads] for of in _CURVES[name]]
            for i, y in enumerate(curves):
                label = history.labels[arm] if i == len(curves) - 1 else ""
                lines.append(Line(x, y, colour, look.marker, label, glyph=glyph))
    cursor = None if view.cursor is None else axis.at(view.cursor)
    log_y = name in ("covariate-shift", "smoothness") or view.log_y
    empty = "no arm has batch norm" if name == "gap" and reads else awaited(history, view.replay)
    return Chart(title, tuple(lines), view.x_axis, cursor=cursor, log_y=log_y, empty=empty)


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


def _gap_lines(reads: Sequence[Probed], x: Sequence[float], look: Look) -> list[Line]:
    """Return a line for each kind of statistics, of the first arm that has any."""
    found = next((arm for arm in ARMS for read in reads if getattr(read, arm).gap), None)
    if found is None:
        return []
    colour = look.colours[ARMS.index(found)]
    glyphs = ASCII_GLYPHS if look.ascii_only else GLYPHS
    lines = []
    for glyph, (kind, label) in zip(glyphs, STATISTICS.items(), strict=False):
        gaps: list[Gap | None] = [getattr(read, found).gap for read in reads]
        y = [math.nan if gap is None else getattr(gap, kind).loss for gap in gaps]
        lines.append(Line(x, y, colour, look.marker, label, points=True, glyph=glyph))
    return lines


def mechanism_summary(history: History, look: Look, width: int) -> Text:
    """Write the newest numbers that have no chart, for each arm in a line, and what the probes cost."""
    text = Text(no_wrap=True, overflow="crop")
    reads = _reads(history)
    if not reads:
        return text
    last = reads[-1]
    for arm, glyph, colour in zip(ARMS, look.glyphs, look.colours, strict=True):
        probes: Probes = getattr(last, arm)
        text.append(f"{glyph} {history.labels[arm]:<13}", style=colour)
        if probes.covariate_shift and width >= 100:
            cosines = " ".join(f"{shift.cosine:.2f}" for shift in probes.covariate_shift)
            text.append(f" cosine of G and G' by layer: {cosines} ")
        if probes.landscape is not None and width >= 100:
            text.append(f" gradient changes by {number(probes.landscape.gradient_change)} ")
        if probes.gap is not None:
            kinds = "  ".join(f"{label} {getattr(probes.gap, kind).accuracy:.3f}" for kind, label in STATISTICS.items())
            text.append(f" accuracy by {kinds}")
        text.append("\n")
    costs = ", ".join(f"{name} {value:.1f} ms" for name, value in last.milliseconds.items())
    text.append(f"the last reading took: {costs}", style="dim")
    return text
