"""Keeping the screen whole: whatever else writes to the terminal while the app shows becomes lines of a log."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import fcntl
import io
import os
import select
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TextIO

from bntui.errors import UsageError
from bntui.tui.terminal.abilities import locale_encoding, restore_terminal

LINE_LIMIT = 65_536
PIPE_SIZE = 1 << 20
PATIENCE = 1.0  # seconds that the end waits for processes that go on writing, and for a callback that is stuck

_NAMES = ("stdout", "stderr", "__stdout__", "__stderr__")


class Capture:
    """Keeps the terminal to the app, and makes lines of all that is written to file descriptors 1 and 2.

    While it lasts, `sys.__stdout__` and `sys.__stderr__`, where Textual measures and draws, are a private duplicate
    of the terminal; `sys.stdout` and `sys.stderr` are line-buffered streams on descriptors 1 and 2, which are a pipe.
    At its end all is as it was, and every byte written to the pipe until then has been delivered. Processes that
    outlive it and still write to the pipe then find it closed.

    Parameters
    ----------
    on_line
        Called from the reader thread with every line, without its newline. What it raises is ignored. It must not
        print, and must not wait for a thread that may be printing.
    encoding
        Of the drawing, where the locale's, the default, is not to be believed.

    Raises
    ------
    UsageError
        On entry, where there is no terminal.
    """

    def __init__(self, on_line: Callable[[str], None], *, encoding: str | None = None) -> None:
        self._on_line = on_line
        self._encoding = encoding
        self._delivered = 0
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Capture:
        with contextlib.ExitStack() as undo:
            self._screen = _Screen(_find_terminal(), self._encoding or locale_encoding())
            undo.callback(self._screen.close)
            self._attributes = termios.tcgetattr(self._screen.fileno())
            source, sink, stop, wake = map(_move, (*os.pipe(), *os.pipe()))
            with contextlib.suppress(OSError, AttributeError):
                # A C extension that writes while it holds the interpreter's lock keeps the reader from reading.
                fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
            reader = threading.Thread(target=self._read, args=(source, stop), name="bntui-capture", daemon=True)
            reader.start()
            undo.callback(self._finish, reader, wake)
            before = {name: getattr(sys, name) for name in _NAMES}
            _flush(*before.values())
            for fd in (1, 2):
                undo.callback(_put_back, fd, _duplicate(fd) if _is_open(fd) else None)
                os.dup2(sink, fd)
            os.close(sink)
            self._streams = _stream(1), _stream(2)
            own = dict(zip(_NAMES, (*self._streams, self._screen, self._screen), strict=True))
            # What the streams of either side still hold was written by then, so it belongs into the pipe.
            undo.callback(_flush, *before.values(), *self._streams)
            undo.callback(vars(sys).update, before)
            vars(sys).update(own)
            undo.callback(self.restore_screen)
            undo.callback(_flush, self._screen)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._undo.close()

    def streams(self) -> tuple[TextIO, TextIO]:
        """Return the streams on descriptors 1 and 2, for after a framework has redirected `sys.stdout` to itself."""
        return self._streams

    def restore_screen(self) -> None:
        """Give the terminal back as it was found, if an app drew on it; also for a handler of a deadly signal."""
        if self._screen.used:
            restore_terminal(self._screen.fileno(), self._attributes, force=self._screen.alternate)
            self._screen.alternate = False

    def _finish(self, reader: threading.Thread, wake: int) -> None:
        """Let the reader deliver what there is; give up on a callback that does not come back."""
        with contextlib.suppress(OSError):
            os.write(wake, b"\0")
        os.close(wake)
        seen = -1
        while reader.is_alive() and seen != self._delivered:
            seen = self._delivered
            reader.join(PATIENCE)

    def _read(self, source: int, stop: int) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        partial = ""
        for chunk in _chunks(source, stop):
            *lines, partial = (partial + decode(chunk)).split("\n")
            if len(partial) >= LINE_LIMIT:
                lines.append(partial)
                partial = ""
            for line in lines:
                self._deliver(line)
        if partial := partial + decode(b"", final=True):
            self._deliver(partial)

    def _deliver(self, line: str) -> None:
        with contextlib.suppress(BaseException):
            self._on_line(line)
        self._delivered += 1


class _Screen(io.TextIOWrapper):
    """The stream that the app draws on; it knows whether the alternate screen is shown."""

    def __init__(self, fd: int, encoding: str) -> None:
        buffer = io.BufferedWriter(_Terminal(fd, "wb"), LINE_LIMIT)
        super().__init__(buffer, encoding=encoding, errors="replace", newline="")
        self.used = self.alternate = False

    def write(self, text: str, /) -> int:
        if "\x1b[?1049" in text:
            self.used = True
            self.alternate = text.rfind("\x1b[?1049h") > text.rfind("\x1b[?1049l")
        return super().write(text)


class _Terminal(io.FileIO):
    """A terminal that takes all there is to write, even when it is gone.

    An error would end Textual's writer thread, and the app would wait for it for ever.
    """

    def write(self, data: Any, /) -> int:
        try:
            while (written := super().write(data)) is None:
                # Some other process that shares the terminal made it non-blocking.
                time.sleep(0.005)
        except OSError:
            return memoryview(data).nbytes
        return written


def _chunks(source: int, stop: int) -> Iterator[bytes]:
    """Yield what comes from a pipe until `stop` is readable and all that was written by then has been read."""
    pipe, either = select.poll(), select.poll()
    pipe.register(source, select.POLLIN)
    either.register(source, select.POLLIN)
    either.register(stop, select.POLLIN)
    try:
        while stop not in dict(either.poll()):
            if not (chunk := os.read(source, LINE_LIMIT)):
                return
            yield chunk
        owed = int.from_bytes(fcntl.ioctl(source, termios.FIONREAD, bytes(4)), sys.byteorder)
        end = time.monotonic() + PATIENCE
        while (owed > 0 or time.monotonic() < end) and pipe.poll(0) and (chunk := os.read(source, LINE_LIMIT)):
            owed -= len(chunk)
            yield chunk
    finally:
        os.close(source)
        os.close(stop)


def _find_terminal() -> int:
    """Return a new descriptor of the terminal; inside another capture, of that one's."""
    candidates = [2, 1]
    for stream in (sys.__stderr__, sys.__stdout__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            candidates.append(stream.fileno())  # type: ignore[union-attr]
    for fd in candidates:
        if os.isatty(fd):
            return _duplicate(fd)
    with contextlib.suppress(OSError):
        return _move(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    raise UsageError("there is no terminal to draw on; --headless runs without one")


def _duplicate(fd: int) -> int:
    """Return a duplicate that child processes do not get, above the three standard ones even if those are closed."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _move(fd: int) -> int:
    moved = _duplicate(fd)
    os.close(fd)
    return moved


def _is_open(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(os.fstat(fd))
    return False


def _put_back(fd: int, saved: int | None) -> None:
    if saved is None:
        os.close(fd)
    else:
        os.dup2(saved, fd)
        os.close(saved)


def _stream(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _flush(*streams: TextIO | None) -> None:
    """Flush streams, and the buffer that C code prints into."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
    with contextlib.suppress(Exception):
        library = ctypes.CDLL(None)
        library.fflush(ctypes.c_void_p.in_dll(library, "stdout"))
