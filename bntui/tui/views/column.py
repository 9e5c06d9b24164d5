"""The column beside the charts: the channels over time, how good each arm is, and what happened of late."""

from __future__ import annotations

from rich.text import Text

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.history import History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.view import View
from bntui.tui.views.words import initials, told

LABEL = 17
"""Cells of an arm's label; of one that is longer, the initials stand there."""


def summary(history: History, look: Look, width: int) -> Text:
    """Write each arm's accuracy, and how much earlier the one that leads was where the next one got to."""
    if not history.epochs or width < 44:
        return Text("")
    last, short = history.epochs[-1], initials(history.arms)
    text = Text().append(f"{'accuracy, epoch ' + str(last.epoch):<19}{'train':>8}{'validation':>12}  best\n", "dim")
    for arm, (glyph, colour) in look.of(history.arms).items():
        best, label = history.best.get(arm), history.labels[arm]
        text.append(f"{glyph} {label if len(label) <= LABEL else short[arm]:<{LABEL}}", style=colour)
        numbers = f"{last.train[arm].accuracy:>8.4f}{last.validation[arm].accuracy:>12.4f}"
        text.append(numbers, style="bold")
        text.append(f"  {best.validation_accuracy:.4f} at epoch {best.epoch}\n" if best else "\n")
    text.append(_lead(history, short))
    return text


def _lead(history: History, short: dict[str, str]) -> str:
    """Say how much earlier the arm that leads was as good as the next one ever got, if it was."""
    ranked = sorted(history.best, key=lambda arm: -history.best[arm].validation_accuracy)
    if len(ranked) < 2:
        return ""
    names = history.labels if len(ranked) == 2 else short
    leader, other = ranked[:2]
    goal = history.best[other]
    if history.best[leader].validation_accuracy == goal.validation_accuracy:
        return ""
    for row in history.epochs:
        if row.epoch < goal.epoch and row.validation[leader].accuracy >= goal.validation_accuracy:
            return (
                f"reached {goal.validation_accuracy:.4f}: {names[leader]} at epoch {row.epoch}, "
                f"{names[other]} at epoch {goal.epoch}"
            )
    return ""


def latest(history: History, look: Look, height: int) -> Text:
    """Write the newest interventions that change the numbers, and alerts, as many as there are lines."""
    rows = [(i.step, told(history, i)) for i in history.interventions[-100:] if i.action in INTERVENTIONS]
    rows += [(alert.step, alert.message) for alert in history.alerts[-height:]]
    text = Text(no_wrap=True, overflow="crop")
    for step, what in sorted(rows, key=lambda row: row[0])[-height:]:
        text.append(f"step {step:>9,}  ", style="dim").append(f"{look.text(what)}\n")
    return text


def draw_heat_map(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw a quantity of the chosen layer's channels over time."""
    return Drawing(Text())


def draw_score(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Write each arm's accuracy, and which one is ahead."""
    return Drawing(summary(history, look, width))


def draw_events(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Write what happened of late."""
    return Drawing(latest(history, look, height))
