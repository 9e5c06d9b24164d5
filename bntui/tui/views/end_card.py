"""What is told when a run is over: the result in a sentence, where it lies, how to go on, and what to try next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from bntui.messages.arms import Arm
from bntui.messages.history import ENDED, History
from bntui.tui.theme import Look
from bntui.tui.views.status import duration

NEXT = (
    ("--lr 0.1", "which network stands a ten times larger learning rate?"),
    ("--preset vanishing", "eight layers of sigmoid units: does the gradient reach the first? (view 3)"),
    ("--arms batch,group:8,layer,none --batch-size 2 --lr 0.001", "which normalization copes with batches of two?"),
    ("--hidden 64x8 --lr 0.03", "a net of eight layers: which arm still trains?"),
)
"""Options of runs that show something else, and the question that each answers."""
MOST_NEXT = 3
_LABEL = 9


def card_lines(height: int) -> int:
    """Return how many lines the card takes on a screen of so many."""
    return next((lines for least, lines in ((40, 10), (28, 7), (22, 5), (18, 2)) if height >= least), 0)


def end_card(
    history: History, look: Look, width: int, lines: int, places: Sequence[str], folder: Path | None, live: bool = True
) -> Text:
    """Write the card of a run that is over, in so many lines at most.

    Parameters
    ----------
    history
        Of the run.
    look
        How it is drawn.
    width, lines
        Cells and lines there are.
    places
        Where the results lie.
    folder
        Of the run, if it has one.
    live
        Whether it was trained here, and so can be run again or gone on with by a key.
    """
    rows: list[tuple[int, str, str]] = []
    started = history.started
    if started is None or history.status not in ENDED or lines <= 0:
        return Text()
    command = str(started.config["command"])
    rows += [(2, "next", _fitting(question, width - _LABEL)) for question in _next(command)]
    if places:
        rows.append((3, "results", " and ".join(places)))
    if folder is not None:
        named, epochs = shlex.quote(str(folder)), int(started.config["epochs"])
        rows.append((4, "look", f"bntui open {named}"))
        rows.append((5, "go on", f"bntui --resume {named} --epochs {2 * epochs}"))
    rows.append((6, "repeat", command))
    # A command or a path that is cut would be another one.
    rows = [row for row in rows if len(row[2]) <= width - _LABEL]
    # The most important ones, in their own order.
    kept = sorted(sorted(range(len(rows)), key=lambda i: (rows[i][0], i))[: max(0, lines - 2)])
    kept.sort(key=lambda i: (rows[i][1] == "next", i))
    text = Text(no_wrap=True, overflow="crop")
    took = f", {duration(history.wall_seconds)}" if history.wall_seconds else ""
    long = f"{history.status} after {history.step:,} steps{took}"
    keys = look.text("r run again · k more epochs · 1-6 views · x export · q quit" if live else "1-6 views · q quit")
    text.append(long if len(long) + len(keys) + 3 <= width else history.status, style="bold")
    text.append(f"   {keys}\n", style="dim")
    text.append_text(next(form for form in (*_results(history, look), Text()) if len(form) <= width)).append("\n")
    before = ""
    for i in kept:
        _, label, told = rows[i]
        text.append(f"{label if label != before else '':<{_LABEL}}", style="dim")
        text.append(f"{told}\n")
        before = label
    text.rstrip()
    return text


def _results(history: History, look: Look) -> Iterator[Text]:
    """Yield how good each arm is, and whether one is ahead, in all lengths, the longest first."""
    if not history.epochs:
        yield Text("no epoch was evaluated")
        return
    last, accents = history.epochs[-1].validation, look.of(history.arms)
    ranked: list[Arm] = sorted(history.arms, key=lambda arm: -last[arm.name].accuracy)
    points = 100 * (last[ranked[0].name].accuracy - last[ranked[1].name].accuracy)
    ahead = f"{ranked[0].label} is ahead by {points:.1f} points" if points >= 0.05 else "there is no leader"
    longest = f"of the validation samples classified rightly: {ahead}, with one seed"
    brief = f"{ahead} (one seed)"
    for labelled, rest in ((True, longest), (True, brief), (True, ""), (False, brief), (False, "")):
        text = Text()
        for arm in ranked:
            glyph, colour = accents[arm.name]
            text.append(f"{glyph} {arm.label} " if labelled else f"{glyph} ", style=colour)
            text.append(f"{100 * last[arm.name].accuracy:.1f} %  ", style="bold")
        yield text.append(rest)


def _next(command: str) -> list[str]:
    """Return what to try next: the same with another seed, and runs that this one was not."""
    words = shlex.split(command)
    seed = int(words[words.index("--seed") + 1]) if "--seed" in words else 1
    data = [f"{flag} {shlex.quote(words[words.index(flag) + 1])}" for flag in ("--data", "--data-dir") if flag in words]
    found = [f"bntui {' '.join([*data, f'--seed {seed + 1}'])}   does it hold with another seed?"]
    for options, question in NEXT:
        if len(found) < MOST_NEXT and options not in command:
            found.append(f"bntui {' '.join([*data, options])}   {question}")
    return found


def _fitting(told: str, width: int) -> str:
    """Return a line that fits: of one that does not, what follows the command goes first."""
    return told if len(told) <= width else told.rpartition("   ")[0] or told
