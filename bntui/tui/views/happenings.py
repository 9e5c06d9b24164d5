"""What happened of late: alerts and what to press then, what a person did and took back, and epochs that ended."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.events import Alert, EpochEnded
from bntui.messages.history import ENDED, History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.advice import ADVICE, FIRST_TRIES, advice, tries
from bntui.tui.views.score import lead_word, leader_of
from bntui.tui.views.view import View
from bntui.tui.views.words import told

LOOKED_AT = 100
"""Newest interventions and epochs of which some may be shown."""
ALERT_SIGN, TRY = "⚠", "try "
LEAST_WIDTH = 24
"""Cells below which nothing is wrapped."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something that happened, as it is written."""

    step: int
    sign: str
    """A key, or what marks an alert."""
    lines: tuple[str, ...]
    """In words, all but the first indented under it."""
    style: str = ""


def draw_events(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Write the newest events, the newest at the bottom; other lines give way to alerts."""
    text = Text(no_wrap=True, overflow="crop").append("events\n", "bold")
    room, pressable = height - 1, not view.replay and history.status not in ENDED
    entries, left_out = _alerts(history, look, width, room, pressable)
    room -= sum(len(entry.lines) for entry in entries) + bool(left_out)
    for source in (_done(history, width), _epochs(history)):
        for entry in source:
            if room < len(entry.lines):
                break
            entries.append(entry)
            room -= len(entry.lines)
    if left_out:
        text.append(
            look.text(f"{left_out} earlier alert{'s' * (left_out > 1)}: see the log"[:width]) + "\n", look.warning
        )
    if not entries and not left_out:
        return Drawing(text.append_text(_nothing(look, width, pressable)))
    entries.sort(key=lambda entry: entry.step)
    digits = _digits(history)
    for entry in entries:
        for number, line in enumerate(entry.lines):
            text.append(f"{entry.step:>{digits},} " if not number else " " * (digits + 1), "dim")
            sign = look.text(entry.sign)
            style = "bold" if entry.sign == ALERT_SIGN and line.startswith(TRY) else entry.style
            text.append(f"{sign if not number else ' ':<1} {look.text(line)}\n", style)
    text.right_crop(1)
    return Drawing(text)


def _digits(history: History) -> int:
    """Return how many cells the number of a step takes."""
    return len(f"{history.step:,}")


def _wrapped(words: str, history: History, width: int) -> tuple[str, ...]:
    """Break a sentence where it stands behind the step and the sign."""
    cells = width - _digits(history) - 3
    return tuple(textwrap.wrap(words, cells)) if width >= LEAST_WIDTH else (words,)


def _alerts(history: History, look: Look, width: int, room: int, pressable: bool) -> tuple[list[_Entry], int]:
    """Return the alerts as they fit in so many lines, the newest in full, and how many do not fit."""
    entries: list[_Entry] = []
    for number, alert in enumerate(reversed(history.alerts)):
        # One line is kept for how many there are besides.
        spare = room - (number + 1 < len(history.alerts))
        lines, brief = _in_full(history, alert, width, pressable), _wrapped(_briefly(history, alert), history, width)
        if len(lines) > spare:
            lines = brief
        if len(lines) > spare and not number:
            lines = lines[: max(1, room)]
        elif len(lines) > spare:
            return entries, len(history.alerts) - number
        entries.append(_Entry(alert.step, ALERT_SIGN, lines, look.warning))
        room -= len(lines)
    return entries, 0


def _in_full(history: History, alert: Alert, width: int, pressable: bool) -> tuple[str, ...]:
    """Return an alert's message and what to press, as much of that as fits on a line."""
    lines = _wrapped(alert.message, history, width)
    press = advice(alert.kind) if pressable else []
    while len(press) > 1 and len(_wrapped(_try(press), history, width)) > 1:
        press.pop()
    return (*lines, *(_wrapped(_try(press), history, width) if press else ()))


def _try(press: Sequence[str]) -> str:
    return TRY + " · ".join(press)


def _briefly(history: History, alert: Alert) -> str:
    if alert.kind not in ADVICE:
        return alert.message
    arm = history.labels.get(alert.arm, "")
    return f"{arm}: {ADVICE[alert.kind].word}" if arm else ADVICE[alert.kind].word


def _done(history: History, width: int) -> Iterator[_Entry]:
    """Yield what a person changed and took back, the newest first."""
    rows = [
        _Entry(i.step, INTERVENTIONS[i.action].marker, _wrapped(told(history, i), history, width))
        for i in history.interventions[-LOOKED_AT:]
        if i.action in INTERVENTIONS
    ]
    for branch in history.branches:
        words = f"undone: {told(history, branch.undone)}, at step {branch.until:,}; its future is faint on the charts"
        rows.append(_Entry(branch.undone.step, "u", _wrapped(words, history, width), "dim"))
    yield from sorted(rows, key=lambda entry: -entry.step)


def _epochs(history: History) -> Iterator[_Entry]:
    """Yield what each epoch brought, the newest first."""
    rows: Sequence[EpochEnded] = history.epochs[-LOOKED_AT:]
    for i in range(len(rows) - 1, -1, -1):
        row, lead = rows[i], lead_word(history, rows[i].validation)
        leader = leader_of(row.validation)[0]
        if leader and i and leader_of(rows[i - 1].validation)[0] not in ("", leader):
            lead = f"{history.labels[leader]} takes the lead"
        yield _Entry(row.step, " ", (f"epoch {row.epoch}: {lead}" if lead else f"epoch {row.epoch} ends",), "dim")


def _nothing(look: Look, width: int, pressable: bool) -> Text:
    """Say what appears here, and what may be tried."""
    lines = textwrap.wrap("alerts and what you change appear here", max(LEAST_WIDTH, width))
    if pressable:
        lines += textwrap.wrap(TRY + " · ".join(tries(FIRST_TRIES)), max(LEAST_WIDTH, width), subsequent_indent="    ")
    return Text(look.text("\n".join(lines)), style="dim", no_wrap=True)
