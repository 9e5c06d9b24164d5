"""The line of keys at the lower edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual import events

from bntui.tui.keys import Key, spell
from bntui.tui.theme import Look
from bntui.tui.widgets.picture import Picture

NARROW = 60
"""Cells below which the views are told of as a range of keys."""


class Hints(Picture):
    """The line of keys, as many as fit; a click does what the key does."""

    def __init__(self) -> None:
        super().__init__(id="hints")
        self._places: list[tuple[int, int, str]] = []

    def show_keys(self, table: Sequence[Key], allowed: Callable[[Key], bool], look: Look, width: int) -> None:
        """Show the keys of a table: the views, help and quit always, of the others as many as fit."""
        shown = [key for key in table if key.hint and key.keys and allowed(key)]
        words = {key.name: (spell(key, look.ascii_only).split()[0], look.text(key.word)) for key in shown}
        views = [key for key in shown if key.action.startswith("view(")]
        # Where there is no room for their names, the views are one list of keys.
        full = sum(len(" ".join(words[key.name])) + 2 for key in shown)
        if full > width:
            for key in views:
                words[key.name] = words[key.name][0], "views" if key is views[-1] else ""
        if width < NARROW and len(views) > 2:
            first, *_, last = views
            words[last.name] = f"{words[first.name][0]}-{words[last.name][0]}", "views"
            shown = [key for key in shown if key not in views[:-1]]
            views = views[-1:]
        always = {key.name for key in (*views, *(key for key in shown if key.name in ("help", "quit")))}
        cells = {name: len(" ".join(filter(None, word))) + (2 if word[1] else 1) for name, word in words.items()}
        room = width - sum(cells[name] for name in always)
        text = Text(no_wrap=True, overflow="crop")
        self._places = []
        for key in shown:
            if key.name not in always:
                room -= cells[key.name]
                if room < 0:
                    continue
            start, (label, word) = len(text), words[key.name]
            text.append(" ").append(label, style="bold").append(f" {word} " if word else "", style="dim")
            self._places.append((start, len(text), key.action))
        self.show(text)

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the pointer does."""
        for start, end, action in self._places:
            if start <= event.x < end:
                await self.app.run_action(action)
