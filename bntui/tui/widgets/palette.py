"""The list of all actions, by their names."""

from __future__ import annotations

import contextlib
from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.events import Click
from textual.geometry import Offset
from textual.screen import Screen


class Palette(CommandPalette):
    """Textual's command palette, which fails of its own where it has no room, or is left twice."""

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Go away, unless it has: a click may come after the Escape that closed it."""
        stack: list[Screen[Any]] = self.app.screen_stack
        return super().dismiss(result) if stack[-1] is self else AwaitComplete.nothing()  # type: ignore[no-untyped-call]

    def _on_click(self, event: Click) -> None:  # type: ignore[override]
        # The terminal may have become smaller since.
        if self.region.contains_point(Offset(event.screen_x, event.screen_y)):
            super()._on_click(event)

    def _action_command_list(self, action: str) -> None:
        # The list has no lines yet.
        with contextlib.suppress(KeyError):
            super()._action_command_list(action)
