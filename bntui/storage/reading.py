"""The journal of a run that goes on, as far as it can be read, and what it has lost."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bntui.config.interventions import INTERVENTIONS
from bntui.errors import UsageError
from bntui.messages.events import Alert, EpochEnded, Event, Intervened, Restarted, Started, Undone
from bntui.storage.files import why
from bntui.storage.fit import Fit
from bntui.storage.journal import read_lines
from bntui.storage.regular import open_regular
from bntui.text import clean


@dataclass(frozen=True)
class Back:
    """What was read back."""

    events: list[Event]
    alerts: list[Alert]
    """What is missing among them, if it has not been told of before."""
    anew: bool
    """Whether the journal has to be begun anew, with these events."""


def read_back(path: Path, length: int, began: Started | None, epochs: int, folder: str) -> Back:
    """Read the events in the first bytes of a journal.

    Parameters
    ----------
    path, length
        Of the journal, and how many bytes of it there were when the checkpoint was written.
    began
        With what the journal began, as the checkpoint knows it.
    epochs
        The newest epoch that had been evaluated.
    folder
        For what is said.

    Raises
    ------
    UsageError
        The journal can't be read, or the beginning is missing and the checkpoint does not know it either.
    """
    lost = ""
    read: list[Event | None] = []
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            if os.fstat(file.fileno()).st_size < length:
                lost = "the journal has lost its end"
            read = list(read_lines(file, length, clean))
    except FileNotFoundError:
        lost = "the journal is gone"
    except OSError as error:
        told = f"its journal.jsonl can't be read ({why(error)}); copy the folder to where it can"
        raise UsageError(f"--resume {folder}: {told}") from None
    fit = Fit()
    events = [event for event in read if event is not None and fit.takes(event)]
    begun = any(isinstance(event, Started) for event in events)
    if not begun:
        fit = Fit()
        if began is None or not fit.takes(began):
            told = "its journal is damaged at the beginning; start the run again"
            raise UsageError(f"--resume {folder}: {told}")
        events = [began, *(event for event in read if event is not None and fit.takes(event))]
    damaged = len(read) - len(events) + (not begun)
    if not lost and damaged:
        lost = f"{damaged:,} of the journal's lines {'is' if damaged == 1 else 'are'} damaged or of no such run"
    alerts = []
    if lost:
        message = f"{lost}: what it told is missing from the results{_missing(events, epochs)}"
        step = max((event.step for event in events if isinstance(event, EpochEnded)), default=0)
        if not any(isinstance(event, Alert) and event.message == message for event in events):
            alerts.append(Alert(step, "", "journal", message))
    return Back(events, alerts, anew=not begun or lost.startswith("the journal"))


def _missing(events: list[Event], epochs: int) -> str:
    """Say which epochs, up to one, were evaluated though no event tells of it."""
    seen: list[int] = []
    marks: list[int] = []
    """How many were seen before each intervention."""
    for event in events:
        match event:
            case Restarted():
                seen.clear()
                marks.clear()
            case EpochEnded():
                seen.append(event.epoch)
            case Intervened() if event.action in INTERVENTIONS:
                marks.append(len(seen))
            case Undone(branch=None) if marks:
                del seen[marks.pop() :]
    missing = sorted(set(range(1, min(epochs, 100_000) + 1)) - set(seen))
    if not missing:
        return ""
    shown = ", ".join(map(str, missing[:10])) + (" and more" if len(missing) > 10 else "")
    return f", such as {'epoch' if len(missing) == 1 else 'epochs'} {shown}"
