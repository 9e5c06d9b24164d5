"""What the four charts show: from the history and the view's settings to curves."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.events import Branch, EpochEnded, Evaluated, Intervened
from bntui.messages.history import ENDED, History
from bntui.tui.plot.axes import nice_end
from bntui.tui.plot.chart import Chart, Line
from bntui.tui.plot.curves import smooth, smooth_on
from bntui.tui.plot.marks import ALERT, Mark
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
MOST_MARKS = 50
MOST_CLOUDS = 3
"""Arms of which the single steps can be told apart behind the curves; of more they are left out."""
MOST_GHOSTS = 24
"""Curves of abandoned futures on a chart, the newest ones: each takes time to draw."""


@dataclass(frozen=True)
class _Curves:
    """What a chart is made of, by step."""

    steps: Sequence[int]
    values: Mapping[str, Sequence[float]]
    """By arm, what is drawn as a line."""
    raw_steps: Sequence[int] = ()
    raw: Mapping[str, Sequence[float]] | None = None
    """What stands behind it as faint dots."""
    whole_steps: Sequence[int] = ()
    whole: Mapping[str, Sequence[float]] | None = None
    """What was found on the whole set after epochs, drawn as glyphs."""
    detail: str = ""
    """What the line is."""


def figure(name: str, history: History, view: View, look: Look) -> Chart:
    """Return one of the charts in `TITLES`."""
    axis = StepAxis(history, view.x_axis)
    of, metric = name.split("-")
    curves = _trained(metric, history, view) if of == "train" else _validated(metric, history)
    x, raw_x, whole_x = (
        [axis.at(step) for step in steps] for steps in (curves.steps, curves.raw_steps, curves.whole_steps)
    )
    whole = any(row.step in curves.whole_steps for row in history.epochs) and curves.detail != ""
    lines = _ghosts(metric, of == "train", history, view, look, axis, curves)
    for arm, (glyph, colour) in look.of(history.arms).items():
        if curves.raw is not None and len(history.arms) <= MOST_CLOUDS:
            lines.append(Line(raw_x, curves.raw[arm], colour, look.marker, faint=True))
        lines.append(
            Line(x, curves.values[arm], colour, look.marker, history.labels[arm], glyph=glyph,
                 points=not curves.detail, marked=not (whole and look.coloured))
        )  # fmt: skip
        if curves.whole is not None and curves.detail:
            lines.append(Line(whole_x, curves.whole[arm], colour, look.marker, glyph=glyph, points=True, joined=False))
    glyph = look.glyphs[0]
    # Where curves are made of glyphs, or have them along their length, these do not tell what is of the whole set.
    told = f"{curves.detail}, {glyph} whole set" if whole and look.coloured and not look.ascii_only else curves.detail
    return Chart(
        title=TITLES[name],
        lines=tuple(lines),
        x_label=view.x_axis,
        marks=_marks(history, axis),
        cursor=None if view.cursor is None else axis.at(view.cursor),
        log_y=view.log_y and metric == "loss",
        robust=True,
        x_range=x_range(history, view, axis),
        shares=metric == "accuracy",
        detail=told,
        empty="appears with the first steps" if of == "train" else "appears with the first evaluation",
    )


def x_range(history: History, view: View, axis: StepAxis) -> tuple[float, float] | None:
    """Return the part of the x axis that all charts show: the recent past, or all from 0 to a round number.

    That grows in strides, so that the picture does not move at each step; a third of it is empty at most.
    """
    if not history.step:
        return None
    if view.recent and history.recent:
        return axis.at(history.recent[0][0]), axis.at(history.recent[-1][0])
    newest = max([history.step, *(branch.until for branch in history.branches)])
    now = axis.at(newest)
    if view.replay or history.status in ENDED:
        return 0.0, now
    ends = [nice_end(now)]
    if view.x_axis != "seconds":
        plan = history.plans[0]
        known = [axis.at(step) for step in (plan.steps_per_epoch, history.total_steps)]
        ends += [end for end in known if now <= end <= 1.5 * now]
    return 0.0, min(ends)


def _marks(history: History, axis: StepAxis) -> tuple[Mark, ...]:
    """Return what happened, for the line under the charts: what was done, what was taken back, and alerts."""
    undone = [event for branch in history.branches for event in (branch.undone, *branch.interventions)]

    def of(events: Sequence[Intervened], kind: str) -> list[Mark]:
        return [Mark(axis.at(i.step), sign, kind) for i in events[-MOST_MARKS:] if (sign := _letter(i.action))]

    alerts = [Mark(axis.at(alert.step), ALERT, "alert") for alert in history.alerts[-MOST_MARKS:]]
    return (*of(history.interventions, "done"), *of(undone, "undone"), *alerts)


def _letter(action: str) -> str:
    return INTERVENTIONS[action].marker if action in INTERVENTIONS else _LETTERS.get(action, "")


def _trained(metric: str, history: History, view: View) -> _Curves:
    """Return a metric of the training batches; of a run that tells no accuracies of them, that of its epochs."""
    steps, raw = history.steps.points(metric)
    whole_steps, whole = [row.step for row in history.epochs], _of_epochs("train", metric, history.epochs, history)
    if metric == "accuracy" and not any(math.isfinite(value) for values in raw.values() for value in values):
        return _Curves(whole_steps, whole, whole_steps=whole_steps, whole=whole)
    # Smoothed over all of it, before it is cut to what is shown: one step has one value, zoomed or not.
    values = {arm: smooth(of, view.smoothing) for arm, of in raw.items()}
    raw_steps: Sequence[int] = steps
    behind: Mapping[str, Sequence[float]] | None = raw if view.smoothing else None
    if view.recent and metric == "loss" and (view.smoothing or history.steps.width > 1):
        raw_steps = [step for step, _ in history.recent]
        behind = {arm: [row[i] for _, row in history.recent] for i, arm in enumerate(raw)}
    detail = "batches" if metric == "accuracy" else f"smoothed {view.smoothing:g}" if view.smoothing else "batches"
    if metric == "loss":
        return _Curves(steps, values, raw_steps, behind, detail=detail)
    return _Curves(steps, values, raw_steps, behind, whole_steps, whole, detail)


def _validated(metric: str, history: History) -> _Curves:
    """Return a metric of the validation set, within epochs on some of its samples, as one curve."""
    whole_steps = [row.step for row in history.epochs]
    whole = _of_epochs("validation", metric, history.epochs, history)
    if not history.evaluations:
        return _Curves(whole_steps, whole, whole_steps=whole_steps, whole=whole)
    rows = _merged(history.evaluations, history.epochs)
    detail = f"{history.evaluations[-1].samples:,} samples"
    values = _of_epochs("validation", metric, rows, history)
    return _Curves([row.step for row in rows], values, whole_steps=whole_steps, whole=whole, detail=detail)


def _merged(evaluations: Sequence[Evaluated], epochs: Sequence[EpochEnded]) -> list[Evaluated | EpochEnded]:
    """Return evaluations within epochs and after them in the order of steps; of one step that of the whole set."""
    by_step: dict[int, Evaluated | EpochEnded] = {row.step: row for row in evaluations}
    by_step.update((row.step, row) for row in epochs)
    return [by_step[step] for step in sorted(by_step)]


def _of_epochs(
    split: str, metric: str, rows: Sequence[Evaluated | EpochEnded], history: History
) -> dict[str, list[float]]:
    return {arm: [getattr(getattr(row, split)[arm], metric) for row in rows] for arm in history.labels}


def _ghosts(
    metric: str, trained: bool, history: History, view: View, look: Look, axis: StepAxis, curves: _Curves
) -> list[Line]:
    """Return the curves of the newest futures that were abandoned; each begins on the arm's curve where it left it."""
    lines = []
    most = MOST_GHOSTS // max(1, len(history.arms))
    for branch in history.branches[-most:]:
        fork = bisect_right(curves.steps, branch.undone.step) - 1
        steps = list(branch.steps) if trained else [row.step for row in _merged(branch.evaluations, branch.epochs)]
        start = [curves.steps[fork]] if fork >= 0 else []
        x = [axis.at(step) for step in (*start, *steps)]
        for arm, (_, colour) in look.of(history.arms).items():
            before = [curves.values[arm][fork]] if fork >= 0 else []
            if trained:
                after = _branch_values(branch, metric, arm, history, view, before)
            else:
                after = _of_epochs("validation", metric, _merged(branch.evaluations, branch.epochs), history)[arm]
            if len(after) == len(steps):
                lines.append(Line(x, [*before, *after], colour, look.marker, ghost=True))
    return lines


def _branch_values(
    branch: Branch, metric: str, arm: str, history: History, view: View, before: Sequence[float]
) -> Sequence[float]:
    """Return a metric of the training batches after an intervention that was taken back, smoothed as the curve is."""
    of = branch.losses if metric == "loss" else branch.accuracies
    values = of.get(arm, ())
    if len(branch.steps) < 2 or not view.smoothing:
        return values
    # Its points lie farther apart than those of the curve, so that less of the past counts in each.
    apart = (branch.steps[-1] - branch.steps[0]) / (len(branch.steps) - 1) / history.steps.width
    return smooth_on(before[0] if before else math.nan, values, view.smoothing ** max(1.0, apart))
