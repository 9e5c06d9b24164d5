"""What the four charts show: from the history and the view's settings to curves."""

from __future__ import annotations

from collections.abc import Sequence

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.history import History
from bntui.tui.plot.chart import Chart, Line
from bntui.tui.plot.curves import smooth
from bntui.tui.theme import Look
from bntui.tui.views.view import StepAxis, View

TITLES = {
    "train-loss": "train loss, nats",
    "validation-loss": "validation loss, nats",
    "train-accuracy": "train accuracy",
    "validation-accuracy": "validation accuracy",
}
_LETTERS = {"pause": "p", "restart": "r", "stop": "q"}
"""What marks on the charts what else a person did: its key."""


def figure(name: str, history: History, view: View, look: Look) -> Chart:
    """Return one of the charts in `TITLES`."""
    steps, values = _points(name, history, view.recent)
    axis = StepAxis(history, view.x_axis)
    x = [axis.at(step) for step in steps]
    lines = []
    for arm in history.arms:
        glyph, colour = look.of(history.arms)[arm.name]
        shown = values[arm.name]
        if view.smoothing and name == "train-loss":
            lines.append(Line(x, shown, colour, look.marker, faint=True))
            # All of it, before drawing thins it out: the other way round gives another curve.
            shown = smooth(shown, view.smoothing)
        lines.append(Line(x, shown, colour, look.marker, arm.label, arm.label, points=name != "train-loss",
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
