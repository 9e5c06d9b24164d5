"""How good each arm is by the newest evaluation, and which one is ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from bntui.messages.events import EpochEnded, Evaluated, Metrics
from bntui.messages.history import History
from bntui.tui.plot.curves import smooth
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.view import View

MANY_SAMPLES = 5_000
"""Samples from which on a fourth decimal of an accuracy means something."""
SMOOTHED_POINTS = 200
"""Points of the training batches' accuracy that its newest average is made of; what is older has no weight left."""


def newest_evaluation(history: History) -> Evaluated | EpochEnded | None:
    """Return the newest evaluation, within an epoch or at the end of one."""
    rows: list[Evaluated | EpochEnded] = [*history.evaluations[-1:], *history.epochs[-1:]]
    return max(rows, key=lambda row: row.step, default=None)


def all_samples(history: History) -> int:
    """Return how many validation samples there are."""
    return int(history.started.dataset.get("validation_samples", 0)) if history.started else 0


def samples_of(history: History, row: Evaluated | EpochEnded) -> int:
    """Return on how many validation samples an evaluation was made."""
    return row.samples if isinstance(row, Evaluated) else all_samples(history)


def accuracy_word(value: float, samples: int, decimals: int = 0) -> str:
    """Write an accuracy as .9621, with as many decimals as so many samples are good for, in equally many cells."""
    decimals = decimals or (4 if samples >= MANY_SAMPLES else 3)
    if not math.isfinite(value):
        return "-".rjust(decimals + 1)
    return f"{value:.{decimals}f}".removeprefix("0") if value < 1 - 0.5 * 10**-decimals else f"{1:.{decimals - 1}f}"


def leader_of(values: Mapping[str, Metrics]) -> tuple[str, float]:
    """Return which arm is ahead, and by how many points of accuracy; no arm where it can't be told."""
    known = sorted((arm for arm in values if math.isfinite(values[arm].accuracy)), key=lambda a: -values[a].accuracy)
    if len(known) < 2:
        return "", 0.0
    points = 100 * (values[known[0]].accuracy - values[known[1]].accuracy)
    return (known[0], points) if f"{points:.1f}" != "0.0" else ("", 0.0)


def lead_word(history: History, values: Mapping[str, Metrics]) -> str:
    """Say which arm is ahead, and by how much; nothing of one arm alone."""
    arm, points = leader_of(values)
    if arm:
        return f"{history.labels[arm]} ahead by {points:.1f} points"
    return "no leader" if len(values) > 1 else ""


def reached(history: History, look: Look, width: int) -> str:
    """Say how much earlier the arm that leads was as good as the next one ever got, if it was."""
    ranked = sorted(history.best, key=lambda arm: -history.best[arm].validation_accuracy)
    if len(ranked) < 2:
        return ""
    leader, other = ranked[:2]
    goal = history.best[other]
    if history.best[leader].validation_accuracy == goal.validation_accuracy:
        return ""
    earlier = (row for row in history.epochs if row.epoch < goal.epoch)
    row = next((row for row in earlier if row.validation[leader].accuracy >= goal.validation_accuracy), None)
    if row is None:
        return ""
    glyphs = {arm: glyph for arm, (glyph, _) in look.of(history.arms).items()}
    value = accuracy_word(goal.validation_accuracy, all_samples(history))
    forms = [
        f"reached {value}: {names[leader]} at epoch {row.epoch}, {names[other]} at epoch {goal.epoch}"
        for names in (history.labels, glyphs)
    ]
    forms.append(f"reached {value}: {glyphs[leader]} epoch {row.epoch}, {glyphs[other]} epoch {goal.epoch}")
    return next((form for form in forms if len(form) <= width), forms[-1])


def train_accuracies(history: History, view: View) -> tuple[dict[str, float], bool]:
    """Return each arm's accuracy on the training batches of late, smoothed as the chart is; whether it is of these.

    Of a run that does not tell it, that on the whole training set after the newest epoch.
    """
    _, values = history.steps.points("accuracy")
    if any(math.isfinite(value) for known in values.values() for value in known[-1:]):
        return {arm: smooth(known[-SMOOTHED_POINTS:], view.smoothing)[-1] for arm, known in values.items()}, True
    return {arm: metrics.accuracy for row in history.epochs[-1:] for arm, metrics in row.train.items()}, False


def score_height(history: History) -> int:
    """Return how many lines the score takes: a line of its own for which evaluation, who leads and who was first."""
    return len(history.arms) + (4 if len(history.arms) > 1 else 2)


_TABLES = (
    ("label", "train", "valid", "best", "epoch"),
    ("label", "train", "valid", "best", "ep"),
    ("label", "train", "valid", "best"),
    ("label", "train", "valid"),
    ("glyph", "train", "valid", "best"),
    ("glyph", "train", "valid"),
    ("glyph", "valid"),
)
"""Which columns there are, as many as fit; validation is what is cut last."""
WIDEST_GAP = 3


def draw_score(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Write each arm's accuracy in a row, then which arm is ahead, which evaluation this is, and who was first."""
    text = Text(no_wrap=True, overflow="crop")
    if history.started is None:
        return Drawing(text.append("accuracy\n", "bold").append("appears with the first steps"[:width], "dim"))
    row = newest_evaluation(history)
    cells = _cells(history, view, look, row)
    tables = ([cells[column] for column in columns] for columns in _TABLES)
    table = next((t for t in tables if _length(t) <= width), [cells[column] for column in _TABLES[-1]])
    gap = min(WIDEST_GAP, 1 + max(0, width - _length(table)) // max(1, len(table) - 1))
    sizes = [max(map(len, column)) for column in table]
    colours = [colour for _, colour in look.of(history.arms).values()]
    for number, (name, *numbers) in enumerate(zip(*table, strict=True)):
        text.append(name.ljust(sizes[0]), colours[number - 1] if number else "bold")
        line = "".join(" " * gap + cell.rjust(size) for cell, size in zip(numbers, sizes[1:], strict=True))
        text.append(f"{line}\n", "bold" if number else "dim")
    if row is not None and (lead := lead_word(history, row.validation)):
        leader, points = leader_of(row.validation)
        if len(lead) > width:
            lead = f"{look.of(history.arms)[leader][0]} +{points:.1f}" if leader else lead
        text.append(f"{lead}\n", look.of(history.arms)[leader][1] if leader else "")
    below = (_which(history, view, row, width), reached(history, look, width))
    text.append("\n".join(look.text(line) for line in below if line), "dim")
    lines = text.split("\n", allow_blank=True)[:height]
    return Drawing(Text("\n", no_wrap=True).join(line[:width] for line in lines))


def _length(table: Sequence[Sequence[str]]) -> int:
    """Return how many cells a table takes at least."""
    return sum(max(map(len, column)) for column in table) + len(table) - 1


def _cells(history: History, view: View, look: Look, row: Evaluated | EpochEnded | None) -> dict[str, list[str]]:
    """Return what stands in each column that there may be, its heading first."""
    arms, many = look.of(history.arms), all_samples(history)
    train, of_batches = train_accuracies(history, view)
    valid = {} if row is None else {arm: metrics.accuracy for arm, metrics in row.validation.items()}
    best = history.best
    digits = 0 if row is None else samples_of(history, row)
    epochs = [str(best[arm].epoch) if arm in best else "" for arm in arms]
    # A few batches are few samples.
    trained_on = 0 if of_batches else many
    return {
        "label": ["accuracy", *(f"{glyph} {history.labels[arm]}" for arm, (glyph, _) in arms.items())],
        "glyph": ["", *(glyph for glyph, _ in arms.values())],
        "train": ["train", *(accuracy_word(train.get(arm, math.nan), trained_on) for arm in arms)],
        "valid": ["valid", *(accuracy_word(valid.get(arm, math.nan), digits) for arm in arms)],
        "best": ["best", *(accuracy_word(best[arm].validation_accuracy, many) if arm in best else "" for arm in arms)],
        "epoch": ["epoch", *epochs],
        "ep": ["ep", *epochs],
    }


def _which(history: History, view: View, row: Evaluated | EpochEnded | None, width: int) -> str:
    """Say which evaluation is told of, and what the accuracy on the training set is of."""
    of_batches, everything = train_accuracies(history, view)[1], all_samples(history)
    match row:
        case None:
            forms = ["train: batches of late; valid: soon"] if of_batches else ["appears within the first epoch"]
        case EpochEnded():
            forms = [f"end of epoch {row.epoch} · all {everything:,} samples", f"end of epoch {row.epoch}"]
        case Evaluated():
            forms = [f"step {row.step:,} · {row.samples:,} {of}samples" for of in (f"of {everything:,} ", "")]
    if row is not None and of_batches:
        forms.insert(0, f"{forms[0]} · train: batches of late")
    return next((form for form in forms if len(form) <= width), forms[-1])[:width]
