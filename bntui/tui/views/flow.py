"""What the flow view shows: gradients, activations and updates, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from bntui.messages.events import Finished, FlowRead, Paused, Probed, Resumed, Started
from bntui.messages.history import ENDED, History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.activations import draw_activations
from bntui.tui.views.gradients import draw_gradients
from bntui.tui.views.over_time import draw_gradient_heat
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.scene import Scene
from bntui.tui.views.updates import draw_updates
from bntui.tui.views.view import View

STEP_FIRST = "press s for a step, or space to go on"
"""What is to be done while paused for something to be read; all empty views fit 40 cells."""

Read = TypeVar("Read", FlowRead, Probed)


def awaited(history: History, replay: bool) -> str:
    """Say what brings a reading of what is only read while somebody looks."""
    if history.status in ENDED or replay:
        return "read only while a run is watched live"
    if history.status == "paused":
        return STEP_FIRST
    return "appears within a second of training" if history.started else "appears once training has begun"


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


def _draw(
    drawn: Callable[[Scene, int, int], Drawing], title: str,
    history: History, view: View, look: Look, width: int, height: int,
) -> Drawing:  # fmt: skip
    """Draw a panel, or say what it waits for."""
    scene = Scene(history, view, look, merged(history.flow, history.flow_recent))
    if scene.reads and scene.arms:
        return drawn(scene, width, height)
    grid = scene.grid(width, height)
    scene.write_title(grid, [title])
    message = awaited(history, view.replay)
    grid.put(height // 2, max(0, (width - len(message)) // 2), message, scene.grey)
    return Drawing(grid.text())


_PANELS: dict[str, tuple[Callable[[Scene, int, int], Drawing], str]] = {
    "gradients": (draw_gradients, "gradient by the weights of each layer: L2 norm"),
    "gradient-heat": (draw_gradient_heat, "gradient by the weights over time: L2 norm"),
    "activations": (draw_activations, "input to an activation over time: density"),
    "updates": (draw_updates, "update ÷ weights of each layer: L2 norms"),
}
"""Who draws each panel, and its title while there is nothing to draw."""
FLOW = {
    "flow-grid": [
        PanelKind(name, partial(_draw, *how), (FlowRead, Started, Paused, Resumed, Finished))
        for name, how in _PANELS.items()
    ]
}
