"""The charts view: loss and accuracy of all arms, and a column with what goes on inside of them."""

from __future__ import annotations

from functools import partial

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.plot.chart import draw
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.column import COLUMN
from bntui.tui.views.figures import TITLES, figure
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import View

_MARKERS = (e.Alert, e.Intervened, e.Undone, e.Restarted, e.Finished, e.Started)


def _draw_chart(name: str, history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    chart = figure(name, history, view, look)
    return draw(
        chart, width, height, colours=look.coloured, ascii_only=look.ascii_only, light=look.theme == "light",
        few_colours=look.few_colours,
    )  # fmt: skip


CHARTS = {
    "grid": [
        # Each is told of every step: one x range is on all of them.
        PanelKind(name, partial(_draw_chart, name), (e.Stepped, e.Evaluated, e.EpochEnded, *_MARKERS))
        for name in TITLES
    ],
    "column": COLUMN,
}
