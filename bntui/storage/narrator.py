"""Writes a run in sentences to where somebody hears them: a file, a FIFO, another terminal, or stdout."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
from pathlib import Path

from bntui.errors import ExportError, UsageError
from bntui.messages.events import Event
from bntui.messages.history import History
from bntui.messages.narration import Narration, spoken
from bntui.storage import files

WAITING_LIMIT = 16 << 10
"""Bytes of sentences that wait for a reader who is slow; what comes then is left out, and that is said."""


class Narrator:
    """Hands every sentence over at once, and never waits for whoever reads it.

    Parameters
    ----------
    target
        A path, or `-` for stdout.
    history
        Of the run; it has taken in each event before that is told of.
    goes_on
        Whether a file goes on; otherwise the first sentence takes the place of what it holds.
    live
        Whether there are keys to press.

    Raises
    ------
    ExportError
        It can't be written.
    """

    def __init__(self, target: str, history: History, *, goes_on: bool = False, live: bool = False) -> None:
        self._narration = Narration(history, live=live)
        self._descriptor: int | None = _open(target)
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._empty_first = self._regular and target != "-" and not goes_on
        self._waiting = bytearray()
        """Begins with the rest of a line where only a part of it was taken."""
        self._left_out = 0
        self._problem = ""

    def take(self, event: Event, problem: str = "") -> None:
        """Tell of an event, and of what can't be written elsewhere. Raises OSError if this can't be told."""
        sentences = self._narration.of(event)
        if problem != self._problem:
            self._problem = problem
            if problem:
                sentences.append(f"Warning: {spoken(problem)}.")
        self._say(sentences)

    def saved(self, places: list[str]) -> None:
        """Tell where the results are. Raises OSError."""
        if places:
            self._say([f"The results are in {' and in '.join(' '.join(place.split()) for place in places)}."])

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self._flush(descriptor)
            os.close(descriptor)

    def _say(self, sentences: list[str]) -> None:
        if self._descriptor is None or not (sentences or self._waiting):
            return
        lines = [line.encode(errors="backslashreplace") + b"\n" for line in sentences]
        if self._left_out and lines:
            lines.insert(0, f"Sentences left out here: {self._left_out:,}.\n".encode())
        if len(self._waiting) + sum(map(len, lines)) > WAITING_LIMIT:
            with contextlib.suppress(OSError):  # it is tried once more, and told, below
                self._flush(self._descriptor)
        if len(self._waiting) + sum(map(len, lines)) > WAITING_LIMIT:
            self._left_out += len(sentences)
        elif lines:
            self._left_out = 0
            self._waiting += b"".join(lines)
        self._flush(self._descriptor)

    def _flush(self, descriptor: int) -> None:
        """Write what waits, as far as it is taken now. Raises OSError."""
        if self._empty_first and self._waiting:
            os.ftruncate(descriptor, 0)
            self._empty_first = False
        while self._waiting and _takes(descriptor):
            try:
                # No more than a pipe with room takes whole.
                written = files.disk.write(descriptor, self._waiting[: select.PIPE_BUF])
            except BlockingIOError:
                return
            del self._waiting[:written]


def check_not_the_screen(target: str | None) -> None:
    """Raise UsageError if sentences would go to the terminal that the app is drawn on."""
    advice = "name a file, a FIFO, or another terminal, such as --narrate /dev/pts/3"
    if target == "-":
        raise UsageError(f"--narrate -: the app draws on stdout; {advice}")
    if target is None:
        return
    with contextlib.suppress(OSError):
        named = Path(target).stat()
        for stream in (0, 1, 2):
            with contextlib.suppress(OSError):
                own = os.fstat(stream)
                # /dev/tty is a device of another number than the terminal it stands for.
                is_own = named.st_rdev == own.st_rdev or os.path.realpath(target) == "/dev/tty"
                if stat.S_ISCHR(named.st_mode) and os.isatty(stream) and is_own:
                    raise UsageError(f"--narrate {target}: the app draws on that terminal; {advice}")


def _takes(descriptor: int) -> bool:
    """Return whether a write would be taken at once; one that would fail is."""
    poll = select.poll()
    try:
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0))
    except OSError:
        return True


def _open(target: str) -> int:
    """Return a descriptor that can be written without waiting for a reader. Raises ExportError."""
    if target == "-":
        if sys.__stdout__ is None:
            raise ExportError("--narrate -: stdout is closed; name a file")
        # Not without waiting: that would hold for all who have this stdout. It is asked before each write.
        return os.dup(1)
    files.check_writable(Path(target), "--narrate")
    flags = os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        try:
            fifo = stat.S_ISFIFO(os.stat(target).st_mode)
        except FileNotFoundError:
            fifo = False
        if fifo:
            # Both ways, so that it opens without a reader and stays open between two; what is said waits in it.
            return files.disk.open(target, flags | os.O_RDWR)
        return files.disk.open(target, flags | os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError as error:
        told = "nobody listens there" if error.errno == errno.ENXIO else files.why(error)
        raise ExportError(f"--narrate {target}: can't be written ({told}); name another") from None
