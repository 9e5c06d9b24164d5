"""What happened of late: alerts and what to press then, what a person did and took back, and epochs that ended."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.events import Alert, EpochEnded
from bntui.messages.history import ENDED, History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.advice import ADVICE, FIRST_TRIES, LOG, advice, tries
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
    brief: tuple[str, ...] = ()
    """The same in fewer words, where there is no room for all; nothing if there are none."""


def draw_events(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Write the newest events, the newest at the bottom; other lines give way to alerts."""
    text = Text(no_wrap=True, overflow="crop").append("events\n", "bold")
    room, pressable = max(1, height - 1), not view.replay and history.status not in ENDED
    others = [source(history, width) for source in (_done, _epochs)]
    entries, left_out = _alerts(history, look, width, room, spared=1, pressable=pressable)
    room -= sum(len(entry.lines) for entry in entries) + bool(left_out)
    for source in others:
        for entry in source:
            if room < len(entry.lines) and entry.brief:
                entry = replace(entry, lines=entry.brief)
            if room < len(entry.lines):
                break
            entries.append(entry)
            room -= len(entry.lines)
    if left_out:
        text.append(
            look.text(f"{left_out} earlier alert{'s' * (left_out > 1)}: {' '.join(tries(LOG))}"[:width]) + "\n",
            look.warning,
        )
    if height < 2:
        return Drawing(Text("events", "bold"))
    if not entries and not left_out:
        told = text.append_text(_nothing(look, width, pressable)).split("\n")[:height]
        return Drawing(Text("\n", no_wrap=True, overflow="crop").join(told))
    entries = sorted(reversed(entries), key=lambda entry: entry.step)
    digits = _digits(history)
    for entry in entries:
        for number, line in enumerate(entry.lines):
            text.append(f"{entry.step:>{digits},} " if not number else " " * (digits + 1), "dim")
            sign = look.text(entry.sign)
            style = "bold" if entry.sign == ALERT_SIGN and line.startswith(TRY) else entry.style
            text.append(f"{sign if not number else ' ':<1} {look.text(line)}\n", style)
    text.right_crop(1)
    if text.plain.count("\n") >= height:
        text = Text("\n", no_wrap=True, overflow="crop").join(text.split("\n")[: max(1, height)])
    return Drawing(text)


def _digits(history: History) -> int:
    """Return how many cells the number of a step takes."""
    return len(f"{history.step:,}")


def _wrapped(words: str, history: History, width: int) -> tuple[str, ...]:
    """Break a sentence where it stands behind the step and the sign."""
    cells = width - _digits(history) - 3
    return tuple(textwrap.wrap(words, cells)) if width >= LEAST_WIDTH else (words,)


def _alerts(
    history: History, look: Look, width: int, room: int, spared: int, pressable: bool
) -> tuple[list[_Entry], int]:
    """Return the alerts as they fit in so many lines, the newest first, and how many do not fit.

    All are told of in a few words before any is told of in full, and that leaves `spared` lines for other things.
    """
    alerts = history.alerts[: -room - 1 : -1]
    told_of = [_wrapped(_briefly(history, alert), history, width) for alert in alerts]
    while len(told_of) > 1 and sum(map(len, told_of)) + (len(told_of) < len(history.alerts)) > room:
        told_of.pop()
    left_out = len(history.alerts) - len(told_of)
    if sum(map(len, told_of)) + bool(left_out) > room:
        # The newest one takes all there is.
        told_of, left_out = [told_of[0][:room]], 0
    spare = room - sum(map(len, told_of)) - bool(left_out) - spared
    for i, (alert, brief) in enumerate(zip(alerts, tuple(told_of), strict=False)):
        press = _press(history, alert, width) if pressable else ()
        for form in ((*_wrapped(alert.message, history, width), *press), (*brief, *press)):
            if 0 < len(form) - len(brief) <= spare:
                told_of[i] = form
                spare -= len(form) - len(brief)
                break
    return [
        _Entry(alert.step, ALERT_SIGN, lines, look.warning) for alert, lines in zip(alerts, told_of, strict=False)
    ], left_out


def _press(history: History, alert: Alert, width: int) -> tuple[str, ...]:
    """Return what to press after an alert, as much of that as fits on a line."""
    press = advice(alert.kind)
    while len(press) > 1 and len(_wrapped(_try(press), history, width)) > 1:
        press.pop()
    return _wrapped(_try(press), history, width) if press else ()


def _try(press: Sequence[str]) -> str:
    return TRY + ", ".join(press)


def _briefly(history: History, alert: Alert) -> str:
    if alert.kind not in ADVICE:
        return alert.message
    arm = history.labels.get(alert.arm, "")
    return f"{arm}: {ADVICE[alert.kind].word}" if arm else ADVICE[alert.kind].word


def _done(history: History, width: int) -> Iterator[_Entry]:
    """Yield what a person changed and took back, the newest first."""
    rows = []
    for branch in history.branches:
        undone = f"undone: {told(history, branch.undone)}"
        words = f"{undone}, at step {branch.until:,}; its future is faint on the charts"
        in_full, brief = (_wrapped(text, history, width) for text in (words, undone))
        rows.append(_Entry(branch.undone.step, "u", in_full, "dim", brief))
    for event in history.interventions[-LOOKED_AT:]:
        if event.action in INTERVENTIONS:
            lines = _wrapped(told(history, event), history, width)
            rows.append(_Entry(event.step, INTERVENTIONS[event.action].marker, lines))
    yield from reversed(sorted(rows, key=lambda entry: entry.step))


def _epochs(history: History, width: int) -> Iterator[_Entry]:
    """Yield what each epoch brought, the newest first."""
    rows: Sequence[EpochEnded] = history.epochs[-LOOKED_AT:]
    for i in range(len(rows) - 1, -1, -1):
        row = rows[i]
        leader, points = leader_of(row.validation)
        forms = [f"epoch {row.epoch}: {lead_word(history, row.validation)}"]
        if leader:
            forms.append(f"epoch {row.epoch}: {history.labels[leader]} +{points:.1f}")
            if i and leader_of(rows[i - 1].validation)[0] not in ("", leader):
                forms[0] = f"epoch {row.epoch}: {history.labels[leader]} takes the lead"
        words = next((form for form in forms if len(_wrapped(form, history, width)) == 1), forms[-1])
        yield _Entry(row.step, " ", (words,), "dim")


def _nothing(look: Look, width: int, pressable: bool) -> Text:
    """Say what appears here, and what may be tried."""
    lines = textwrap.wrap("alerts and what you change appear here", max(LEAST_WIDTH, width))
    if pressable:
        lines += textwrap.wrap(TRY + ", ".join(tries(FIRST_TRIES)), max(LEAST_WIDTH, width), subsequent_indent="    ")
    return Text(look.text("\n".join(lines)), style="dim", no_wrap=True)
