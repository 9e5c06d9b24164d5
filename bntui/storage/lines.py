"""A file that grows by whole lines, and takes what it could not be given as soon as it can."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bntui.storage import files

WAITING_LIMIT = 16 << 20
"""Bytes of lines that wait until they can be written; of more, the oldest are lost."""


class Lines:
    """Hands every line to the operating system at once; those that it does not take are tried again with the next.

    Parameters
    ----------
    gap
        Makes a line that says that so many are missing before the next.
    again
        Whether the file is made again if somebody removes it.
    """

    def __init__(self, gap: Callable[[int], str], again: bool) -> None:
        self._gap, self._again = gap, again
        self._path: Path | None = None
        self._descriptor: int | None = None
        self._make = True
        self._torn = False
        """Whether the end of the file may be half a line."""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0

    def open(self, path: Path, exists: bool = False) -> None:
        """Name the file, and write the lines that wait to it. Raises OSError if they have to wait longer."""
        self._path, self._make = path, not exists
        self.flush()

    def add(self, line: str) -> None:
        """Append a line. Raises OSError if it has to wait."""
        data = line.encode(errors="backslashreplace") + b"\n"
        self._waiting.append(data)
        self._bytes += len(data)
        try:
            self.flush()
        except OSError as error:
            lost = ", and the oldest lines that wait for it are lost" if self._lost else ""
            raise OSError(error.errno, f"{files.why(error)}{lost}") from None
        finally:
            while self._bytes > WAITING_LIMIT:
                self._bytes -= len(self._waiting.popleft())
                self._lost += 1

    def flush(self) -> None:
        """Write the lines that wait, if there is a file to write to. Raises OSError."""
        if self._path is None:
            return
        # A file that has been removed takes all that is written to it, and keeps nothing.
        if self._descriptor is not None and not os.fstat(self._descriptor).st_nlink:
            self._close()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | (os.O_CREAT if self._make or self._again else 0)
            self._descriptor = files.open_own(self._path, flags)
            self._make = False
        if self._lost:
            self._write(self._descriptor, self._gap(self._lost).encode() + b"\n")
            self._lost = 0
        while self._waiting:
            self._write(self._descriptor, self._waiting[0])
            self._bytes -= len(self._waiting.popleft())

    def sync(self) -> int:
        """Have the disk hold all lines so far, and return the length of the file. Raises OSError."""
        self.flush()
        assert self._descriptor is not None
        files.disk.fsync(self._descriptor)
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close the file, after a last try to write what waits. Raises OSError."""
        try:
            if self._waiting or self._lost:
                self.flush()
        finally:
            self._path = None
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _write(self, descriptor: int, line: bytes) -> None:
        rest = memoryview(b"\n" + line if self._torn else line)
        self._torn = True
        while rest:
            rest = rest[files.disk.write(descriptor, rest) :]
        self._torn = False
