"""The line of keys at the lower edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual import events

from bntui.tui.keys import Key, spell
from bntui.tui.theme import Look
from bntui.tui.widgets.picture import Picture


class Hints(Picture):
    """The line of keys, as many as fit; a click does what the key does."""

    def __init__(self) -> None:
        super().__init__(id="hints")
        self._places: list[tuple[int, int, str]] = []

    def show_keys(self, table: Sequence[Key], allowed: Callable[[Key], bool], look: Look, width: int) -> None:
        """Show the keys of a table; help and quit come last and always."""
        shown = [key for key in table if key.hint and key.keys and allowed(key)]
        words = {key.name: f" {spell(key, look.ascii_only).split()[0]} {look.text(key.word)} " for key in shown}
        room = width - sum(len(words.get(name, "")) for name in ("help", "quit"))
        text = Text(no_wrap=True, overflow="crop")
        self._places = []
        for key in shown:
            if key.name not in ("help", "quit"):
                room -= len(words[key.name])
                if room < 0:
                    continue
            start = len(text)
            label, _, word = words[key.name][1:].partition(" ")
            text.append(" ").append(label, style="bold").append(f" {word}", style="dim")
            self._places.append((start, len(text), key.action))
        self.show(text)

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the pointer does."""
        for start, end, action in self._places:
            if start <= event.x < end:
                await self.app.run_action(action)
