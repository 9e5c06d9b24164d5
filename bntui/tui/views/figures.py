"""What the four charts show: from the history and the view's settings to curves."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.history import History
from bntui.tui.plot.chart import Chart, Line
from bntui.tui.plot.curves import smooth
from bntui.tui.theme import Look
from bntui.tui.views.words import initials

TITLES = {
    "train-loss": "train loss, nats",
    "validation-loss": "validation loss, nats",
    "train-accuracy": "train accuracy",
    "validation-accuracy": "validation accuracy",
}
SMOOTHINGS = (0.0, 0.5, 0.8, 0.95)
AXES = ("step", "epoch", "seconds")

_LETTERS = {"pause": "p", "restart": "r", "stop": "q"}
"""What marks on the charts what else a person did: its key."""


@dataclass
class View:
    """How the charts are looked at; the same for all four."""

    log_y: bool = False
    smoothing: float = 0.95
    x_axis: str = "step"
    recent: bool = False
    cursor: int | None = None
    """Step under the inspect cursor."""
    layer: int = 0
    """Which layer the views of one layer show, counted over all arms, and on beyond the last."""
    unit: int | None = None
    """Which of its units; None for all together, where that can be shown."""
    replay: bool = False
    """Whether nothing trains that could be looked into."""


def figure(name: str, history: History, view: View, look: Look) -> Chart:
    """Return one of the charts in `TITLES`."""
    steps, values = _points(name, history, view.recent)
    axis = StepAxis(history, view.x_axis)
    x = [axis.at(step) for step in steps]
    lines, short = [], initials(history.arms)
    for arm in history.arms:
        glyph, colour = look.of(history.arms)[arm.name]
        shown = values[arm.name]
        if view.smoothing and name == "train-loss":
            lines.append(Line(x, shown, colour, look.marker, faint=True))
            # All of it, before drawing thins it out: the other way round gives another curve.
            shown = smooth(shown, view.smoothing)
        lines.append(Line(x, shown, colour, look.marker, arm.label, short[arm.name], points=name != "train-loss",
                          glyph=glyph))  # fmt: skip
    x_range = None
    if view.recent and history.recent:
        x_range = (axis.at(history.recent[0][0]), axis.at(history.recent[-1][0]))
    return Chart(
        title=TITLES[name],
        lines=tuple(lines),
        x_label=view.x_axis,
        verticals=tuple(
            (axis.at(i.step), letter) for i in history.interventions[-50:] if (letter := _letter(i.action))
        ),
        cursor=None if view.cursor is None else axis.at(view.cursor),
        log_y=view.log_y and name.endswith("loss"),
        robust=name == "train-loss",
        x_range=x_range,
        empty="appears with the first steps" if name == "train-loss" else f"{name.split('-')[0]} set: after epoch 1",
    )


def _letter(action: str) -> str:
    return INTERVENTIONS[action].marker if action in INTERVENTIONS else _LETTERS.get(action, "")


def _points(name: str, history: History, recent: bool) -> tuple[Sequence[int], dict[str, Sequence[float]]]:
    """Return the steps of a chart's points, and the values there by arm."""
    names = [arm.name for arm in history.arms]
    if name != "train-loss":
        split, metric = name.split("-")
        rows = history.epochs
        return [row.step for row in rows], {
            arm: [getattr(getattr(row, split)[arm], metric) for row in rows] for arm in names
        }
    if recent:
        losses = [values for _, values in history.recent]
        return [step for step, _ in history.recent], {arm: [row[i] for row in losses] for i, arm in enumerate(names)}
    steps, means = history.steps.points()
    return steps, dict(means)


class StepAxis:
    """Where a step lies on the x axis."""

    def __init__(self, history: History, kind: str) -> None:
        self._kind = kind
        self._epochs_at = history.epochs_at
        series = history.steps
        self._steps = [0, *(series.width * (i + 1) for i in range(len(series.seconds))), max(1, history.step)]
        self._seconds = [0.0, *series.seconds, history.train_seconds]

    def at(self, step: int) -> float:
        """Return the x of a step."""
        if self._kind == "step":
            return float(step)
        if self._kind == "epoch":
            return self._epochs_at(step)
        right = min(max(1, bisect.bisect_left(self._steps, step)), len(self._steps) - 1)
        left = right - 1
        width = self._steps[right] - self._steps[left]
        share = (step - self._steps[left]) / width if width else 1.0
        return self._seconds[left] + share * (self._seconds[right] - self._seconds[left])

    def step_at(self, x: float) -> int:
        """Return the step that lies nearest to an x."""
        if self._kind == "step":
            return round(x)
        # Epochs and seconds grow with the steps: the first step that does not lie before.
        return bisect.bisect_left(range(self._steps[-1] + 1), x, key=self.at)
