"""A finished or still growing run, read back from disk, as the app sees a live one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from bntui.errors import UsageError
from bntui.messages.control import Control
from bntui.messages.events import Event, Started
from bntui.messages.history import History
from bntui.storage.files import why
from bntui.storage.fit import Fit
from bntui.storage.folder import JOURNAL, RESULTS, RunFolder
from bntui.storage.journal import LINE_LIMIT, LineReader
from bntui.storage.narrator import Narrator
from bntui.storage.regular import open_regular
from bntui.storage.results_file import events_of, read_results
from bntui.storage.version_1 import is_of_version_1
from bntui.text import clean

LINES_AT_ONCE = 2_000
"""Journal lines read in one poll, so that the app stays quick over a long journal."""
CHARACTERS_AT_ONCE = 4 << 20
"""The same for lines that are long."""
MISFIT = "the journal is damaged: lines that do not fit its run are passed over"
NO_BEGINNING = "the journal is damaged at its beginning: open the results.json beside it, if there is one"


class Playback:
    """Hands out the events of a journal, and what is appended to it, or those that results stand for.

    Parameters
    ----------
    path
        Of a run folder or a results file.
    narrate
        Where the run is told in sentences, if anywhere.

    Raises
    ------
    UsageError
        There is no journal and no results file at the path, or it is not one.
    ExportError
        What happens can't be told where it is asked for.
    """

    def __init__(self, path: str, narrate: str | None = None) -> None:
        self.control = Control()
        self.error: Exception | None = None
        self.discard = False
        self.problem = ""
        self.wake: Callable[[], object] = lambda: None
        self._journal: TextIO | None = None
        self._events: list[Event] = []
        self._lines = LineReader(clean)
        self._begun = False
        self._fit = Fit()
        self._told = History()
        """What the narrator knows; nothing where nobody listens."""
        place = Path(path)
        named = f"open {path}"
        try:
            if place.is_dir():
                if not (place / JOURNAL).exists():
                    there = (place / RESULTS).is_file()
                    hint = f"its results.json can still be opened: name {place / RESULTS}" if there else ""
                    raise UsageError(f"{named}: the folder holds no journal.jsonl; {hint or 'name a run folder'}")
                with contextlib.suppress(OSError):
                    if is_of_version_1(RunFolder(place).read_config() or {}):
                        raise UsageError(f"{named}: made by an older bntui; open its {RESULTS}: {place / RESULTS}")
                self._journal = os.fdopen(open_regular(place / JOURNAL), encoding="utf-8", errors="replace")
            else:
                self._events = events_of(read_results(path, named), named)
        except OSError as error:
            raise UsageError(f"{named}: can't be read ({error.strerror or error}); name a run folder") from None
        self._narrator = None if narrate is None else Narrator(narrate, self._told)

    @property
    def running(self) -> bool:
        """Nothing trains here."""
        return False

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def join(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Nothing to wait for."""

    def log(self, line: str) -> None:
        """Nothing is recorded."""

    def poll(self) -> list[Event]:
        """Return the next events; a line that is damaged, does not fit, or is not whole yet, is passed over."""
        events = self._read()
        if self._narrator is not None:
            for event in events:
                self._told.apply(event)
                try:
                    self._narrator.take(event)
                except OSError as error:
                    self.problem = f"the narration can't be written ({why(error)})"
        return events

    def _read(self) -> list[Event]:
        events, self._events = self._events, []
        if self._journal is None:
            return events
        read = 0
        for _ in range(LINES_AT_ONCE):
            piece = self._journal.readline(LINE_LIMIT)
            read += len(piece)
            for event in self._lines.feed(piece):
                fits = event is not None and self._fit.takes(event)
                self._begun = self._begun or (fits and isinstance(event, Started))
                if self.problem or not fits:
                    self.problem = MISFIT if self._begun else NO_BEGINNING
                if fits and event is not None:
                    events.append(event)
            if not piece.endswith("\n") or read > CHARACTERS_AT_ONCE:
                break
        return events
