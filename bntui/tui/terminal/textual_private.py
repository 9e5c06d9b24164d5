"""Everything that the app needs of Textual and for which it has no public name: another release may break what is here.

Tried with Textual 8.0.0 and 8.2.8; pyproject.toml stays below the next major release.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, TextIO, TypeVar

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingsMap
from textual.command import CommandPalette
from textual.drivers.linux_driver import LinuxDriver
from textual.errors import NoWidget
from textual.events import Click
from textual.geometry import Offset
from textual.screen import Screen

__all__ = ["OpenApp", "OpenDriver", "Palette", "XTermParser"]
# XTermParser makes messages of what a terminal sends. It is the driver's; a driver of one's own that reads the terminal
# in another way has no other to turn to.

ReturnType = TypeVar("ReturnType")


class OpenApp(App[ReturnType]):
    """An app of which what Textual keeps to itself can be reached."""

    def use_keys(self, bindings: Sequence[Binding]) -> None:
        """Have these bindings and no other.

        `BINDINGS` belongs to the class, and `App.bind` adds to what is there; keys that somebody else chose have to
        take the place of Textual's own too.
        """
        self._bindings = BindingsMap(bindings)

    def bound_to(self, key: str) -> Sequence[Binding]:
        """Return the bindings of a key; Textual has no question for that, it only acts on them."""
        return self._bindings.key_to_bindings.get(key, ())

    def send_prints_to(self, stdout: TextIO, stderr: TextIO) -> None:
        """Have whatever is printed while the app runs go to these.

        Textual puts these two in the place of `sys.stdout` and `sys.stderr`, and what goes to its own is lost unless a
        widget asks for it line by line (`begin_capture_print`), which can't be said to be the log of a run.
        """
        self._capture_stdout, self._capture_stderr = stdout, stderr  # type: ignore[assignment]

    def clear_terminal(self) -> None:
        """Have the terminal forget what it shows; the driver is the only one that may write to it."""
        if self._driver is not None:
            self._driver.write("\x1b[2J")

    def put_cursor(self, place: Offset) -> None:
        """Have the terminal's cursor stand there, which is hidden but is what screen readers and magnifiers follow.

        Textual puts it at `cursor_position` with whatever it draws, and leaves it where it is while it draws nothing.
        """
        if place != self.cursor_position:
            self.cursor_position = place
            if self._driver is not None:
                self._driver.write(f"\x1b[{place.y + 1};{place.x + 1}H")
                self._driver.flush()

    def delay_update(self, delay: float = 0.05) -> None:
        """Draw on: Textual would stop for a moment, and for good if the timer that ends it is lost.

        It does so when an action was chosen in the command palette (Textual calls this method; nothing documents it).
        """


class OpenDriver(LinuxDriver):
    """A driver that can be told to have the terminal report nothing more."""

    def stop_reports(self) -> None:
        """Have the terminal report neither focus, nor pastes, nor sizes.

        Textual does so only after it has closed the input, and what comes until then would be left in it.
        """
        self.write("\x1b[?1004l")
        self._disable_bracketed_paste()
        self._disable_in_band_window_resize()


class Palette(CommandPalette):
    """Textual's list of all actions by their names, which fails of its own where it has no room, or is left twice."""

    def __init__(self) -> None:
        # By this name Textual knows that one is open, and opens no other.
        super().__init__(id="--command-palette")

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Go away, unless it has: a click may come after the Escape that closed it."""
        stack: list[Screen[Any]] = self.app.screen_stack
        return super().dismiss(result) if stack[-1] is self else AwaitComplete.nothing()  # type: ignore[no-untyped-call]

    def _on_click(self, event: Click) -> None:  # type: ignore[override]
        # It asks which widget lies under the pointer, and the terminal may have become smaller since.
        with contextlib.suppress(NoWidget):
            super()._on_click(event)

    def _action_command_list(self, action: str) -> None:
        # It moves on in a list that may have no lines yet.
        with contextlib.suppress(KeyError):
            super()._action_command_list(action)
