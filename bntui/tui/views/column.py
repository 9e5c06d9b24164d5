"""The column beside the charts: the channels over time, how good each arm is, and what happened of late."""

from __future__ import annotations

from bntui.messages import events as e
from bntui.tui.views.happenings import draw_events
from bntui.tui.views.heat_map import draw_heat_map
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.score import draw_score

_TURNS = (e.Intervened, e.Undone, e.Restarted, e.Finished, e.Started)

COLUMN = [
    PanelKind("heat-map", draw_heat_map, (e.NormalizationRead, *_TURNS)),
    PanelKind("score", draw_score, (e.Stepped, e.Evaluated, e.EpochEnded, *_TURNS), of_words=True),
    PanelKind("events", draw_events, (e.Alert, e.EpochEnded, *_TURNS), of_words=True),
]
