"""The parts of a view: each shows one picture, and can have the focus or be shown alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rich.text import Text
from textual import events
from textual.containers import Container
from textual.geometry import Offset
from textual.message import Message

from bntui.messages.events import Event
from bntui.messages.history import History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.view import AXES, View
from bntui.tui.widgets.picture import Picture

Draw: TypeAlias = Callable[[History, View, Look, int, int], Drawing]
"""Draws a panel of so many cells and lines. The first line is its title, which says what it shows and in which unit."""


@dataclass(frozen=True)
class PanelKind:
    """What a panel is."""

    name: str
    """Its id in the style sheet, and by words what it is called."""
    draw: Draw
    told_by: tuple[type[Event], ...]
    """Events after which it is drawn anew."""
    of_words: bool = False
    """Whether it costs little, and is drawn along with the other words on the screen, that it agrees with them."""


class Panel(Picture):
    """One panel; keeps its picture until it is told to make another."""

    class Inspected(Message):
        """Somebody clicked at an `x` of an axis that counts `kind`."""

        def __init__(self, x: float, kind: str) -> None:
            super().__init__()
            self.x, self.kind = x, kind

    class Chosen(Message):
        """Somebody clicked at a channel."""

        def __init__(self, channel: int) -> None:
            super().__init__()
            self.channel = channel

    class Clicked(Message):
        """Somebody clicked at a panel, which is to have the focus."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.panel = name

    def __init__(self, kind: PanelKind) -> None:
        super().__init__(id=kind.name)
        self.kind = kind
        self.dirty = True
        self.built = 0.0
        """When the picture was made, on the clock of `time.monotonic`."""
        self.focused_here = False
        """Whether it has the focus of its view, which is none of Textual's."""
        self._drawing = Drawing(Text())
        self._x_axis = ""

    @property
    def plain(self) -> str:
        """What it shows, without colours."""
        return self._drawing.text.plain

    @property
    def title_place(self) -> Offset:
        """Where its title begins on the screen."""
        return self.region.offset

    def rebuild(self, history: History, view: View, look: Look) -> None:
        """Draw anew from the history."""
        self.dirty = False
        self.built = time.monotonic()
        self._x_axis = view.x_axis
        self._drawing = self.kind.draw(history, view, look, *self.size)
        text = self._drawing.text
        if self.focused_here:
            text = text.copy()
            text.stylize("reverse", 0, len(text.plain.partition("\n")[0].rstrip()))
        self.show(text)

    def on_resize(self) -> None:
        """Ask for a picture of the new size."""
        super().on_resize()
        self.dirty = True

    def on_click(self, event: events.Click) -> None:
        """Take the focus, and tell what was clicked at."""
        self.post_message(self.Clicked(self.kind.name))
        x = self._drawing.x_at(event.x)
        if x is not None and self._x_axis in AXES:
            self.post_message(self.Inspected(x, self._x_axis))
        channels = self._drawing.channels
        channel = channels[event.y] if 0 <= event.y < len(channels) else None
        if channel is not None:
            self.post_message(self.Chosen(channel))


class PanelView(Container):
    """A view of panels, laid out in groups by the style sheet, and drawn one at a time.

    Parameters
    ----------
    name
        Of the view.
    groups
        The panels of each group, by its id in the style sheet; in the order in which the focus goes through them.
    history, view
        What is shown, and how.
    """

    def __init__(self, name: str, groups: Mapping[str, Sequence[PanelKind]], history: History, view: View) -> None:
        super().__init__(id=name, classes="panel-view")
        self._history, self._view = history, view
        self._groups = {group: [Panel(kind) for kind in kinds] for group, kinds in groups.items()}
        self.panels = {panel.kind.name: panel for panels in self._groups.values() for panel in panels}
        self.alone = ""
        """The panel that is shown alone."""

    def compose(self) -> Iterator[Container]:
        """Lay out the groups."""
        for name, panels in self._groups.items():
            yield Container(*panels, id=name, classes="group")

    def mark(self, *names: str, first: bool = False) -> None:
        """Have these panels, or all, drawn anew when their turn comes; `first` if a person waits for it."""
        for name in names or self.panels:
            panel = self.panels[name]
            panel.dirty = True
            if first:
                panel.built = 0.0

    def mark_for(self, event: Event) -> bool:
        """Have the panels drawn anew that show what an event tells; return whether there are any."""
        names = [name for name, panel in self.panels.items() if isinstance(event, panel.kind.told_by)]
        if names:
            self.mark(*names)
        return bool(names)

    def draw_next(self, look: Look, since: float) -> bool:
        """Draw the panel with the oldest picture of those that changed; return whether there are more of them.

        One takes some ten milliseconds, in which no key is answered and the trainer waits too.

        Parameters
        ----------
        look
            How it is drawn.
        since
            A picture that was made later, on the clock of `time.monotonic`, is not made anew.
        """
        waiting = [panel for panel in self.shown if panel.dirty and panel.built < since and all(panel.size)]
        if waiting:
            min(waiting, key=lambda panel: panel.built).rebuild(self._history, self._view, look)
        return len(waiting) > 1

    def write(self, look: Look) -> None:
        """Draw the panels of words that changed."""
        for panel in self.shown:
            if panel.kind.of_words and panel.dirty and all(panel.size):
                panel.rebuild(self._history, self._view, look)

    @property
    def shown(self) -> list[Panel]:
        """The panels that are on the screen, in their order."""
        return [panel for panel in self.panels.values() if panel.display and panel.parent and panel.parent.display]

    @property
    def focused(self) -> Panel | None:
        """The panel that has the focus, if it is on the screen."""
        return next((panel for panel in self.shown if panel.focused_here), None)

    def focus_panel(self, name: str) -> None:
        """Give a panel the focus, or with an empty name none."""
        for panel in self.panels.values():
            wanted = panel.kind.name == name
            if panel.focused_here != wanted:
                panel.focused_here = wanted
                self.mark(panel.kind.name, first=True)

    def focus_next(self, by: int) -> str:
        """Give the focus to the next panel, or the one before; return what it is called.

        One that there is no room for is shown alone, and so is each while one is.
        """
        names = list(self.panels)
        here = [panel.kind.name for panel in self.shown]
        now = self.focused
        place = (names.index(now.kind.name) + by) % len(names) if now else 0 if by > 0 else len(names) - 1
        name = names[place]
        self.focus_panel(name)
        if self.alone or name not in here:
            self._show_alone(name)
        return name.replace("-", " ")

    def maximise(self) -> str:
        """Show the panel with the focus alone, or all again; return what is shown."""
        name = "" if self.alone else (self.focused or self.shown[0]).kind.name
        self._show_alone(name)
        return f"{name.replace('-', ' ')} alone; c shows all" if name else "all panels"

    def _show_alone(self, name: str) -> None:
        """Show a panel alone, or with an empty name all of them."""
        self.alone = name
        for group, panels in self._groups.items():
            has = any(panel.kind.name == name for panel in panels)
            self.query_one(f"#{group}").set_class(bool(name) and not has, "away")
            for panel in panels:
                panel.set_class(bool(name) and panel.kind.name != name, "away")
        self.set_class(bool(name), "one")
        self.mark(first=True)
