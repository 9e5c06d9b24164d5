"""A program in a terminal of its own: what its screen shows, keys for it, and how it ended."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import pyte

TIMEOUT = float(os.environ.get("BNTUI_TEST_PATIENCE", "60"))
"""Seconds to wait for anything at all."""
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[ -/]*[0-~]|\r")


class Emulator:
    """What bytes written to a terminal of a size show on it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.feed = pyte.ByteStream(self.screen).feed

    @property
    def rows(self) -> list[str]:
        """The rows of the screen, without the blanks at their ends."""
        return [row.rstrip() for row in self.screen.display]

    @property
    def text(self) -> str:
        """The screen as one string."""
        return "\n".join(self.rows)


class TerminalSession:
    """Runs a command in a pseudo terminal of a size, and follows its screen.

    The environment is this process's, without what would change how a terminal is used, and with `env`; a value of
    None removes a name. With `emulate=False` only the bytes are kept, which costs the machine less.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (160, 48),
        env: Mapping[str, str | None] | None = None,
        emulate: bool = True,
        **options: Any,
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "COLORTERM")}
        environment |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        for name, value in (env or {}).items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        self.raw = bytearray()
        self.started = time.monotonic()
        self.emulate = emulate
        self._emulator = Emulator(*size)
        self._screen = self._emulator.screen
        # The other end stays open here: its settings are looked at when the program is gone.
        self._master, self._slave = os.openpty()
        self._set_size(*size)
        self.attributes_before = self.attributes()
        streams = {"stdin": self._slave, "stdout": self._slave, "stderr": self._slave, **options}
        self.process = subprocess.Popen(
            list(command),
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0),
            pass_fds=(self._slave,),
            **streams,
        )

    def __enter__(self) -> TerminalSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = -1

    # What it shows

    @property
    def rows(self) -> list[str]:
        """The rows of the screen, without the blanks at their ends."""
        return self._emulator.rows

    @property
    def text(self) -> str:
        """The screen as one string."""
        return self._emulator.text

    @property
    def cells(self) -> list[pyte.screens.Char]:
        """Every cell of the screen, with its colours."""
        return [self._screen.buffer[y][x] for y in range(self._screen.lines) for x in range(self._screen.columns)]

    def attributes(self) -> list[Any]:
        """The terminal's settings."""
        return termios.tcgetattr(self._slave)

    def lines_after_the_screen(self) -> list[str]:
        """The lines written since the alternate screen was left, or all if it was never shown."""
        _, _, after = bytes(self.raw).rpartition(b"\x1b[?1049l")
        return [line for line in _CONTROL.sub(b"", after).decode().split("\n") if line]

    # What it is made to do

    def pump(self, seconds: float) -> bool:
        """Take in what comes within a time; return at the first of it, and whether something came."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        chunk = os.read(self._master, 1 << 16)
        self.raw += chunk
        if self.emulate:
            self._emulator.feed(chunk)
        return True

    def wait(self, wanted: str | Callable[[str], Any], timeout: float = TIMEOUT) -> Any:
        """Wait for a pattern on the screen, or for what a function of its text returns to be true; return that."""
        end = time.monotonic() + timeout
        while True:
            found = re.search(wanted, self.text) if isinstance(wanted, str) else wanted(self.text)
            if found:
                return found
            gone = self.process.poll() is not None
            if time.monotonic() > end or (gone and not self.pump(0)):
                how = f"the program ended with {self.process.returncode}" if gone else f"not within {timeout:g} s"
                last = "\n".join(self.lines_after_the_screen()) if gone else self.text
                raise AssertionError(f"{wanted!r}: {how}\n{last}")
            self.pump(0.2)

    def send(self, keys: str | bytes) -> None:
        """Type keys."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def press(self, keys: str, wanted: str | Callable[[str], Any], timeout: float = TIMEOUT) -> Any:
        """Type keys and wait for what they bring to the screen."""
        self.send(keys)
        return self.wait(wanted, timeout)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal; the kernel tells the program. The screen is blank until it has drawn."""
        # What a busy program writes may never end.
        end = time.monotonic() + 1
        while time.monotonic() < end and self.pump(0):
            pass
        self._screen.resize(rows, columns)
        self._screen.erase_in_display(2)
        self._set_size(columns, rows)

    def finish(self, timeout: float = TIMEOUT) -> int:
        """Wait for the end; return the exit status, 128 and the signal's number for one that was killed."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"still running after {timeout:g} s\n{self.text}")
            self.pump(0.05)
        while self.pump(0):
            pass
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
