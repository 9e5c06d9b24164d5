"""The four charts on the screen, and how a person looks at them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from rich.text import Text
from textual import events
from textual.containers import Container
from textual.message import Message

from bntui.messages.history import History
from bntui.tui.plot.chart import MIN_HEIGHT, Chart, Drawing, draw
from bntui.tui.theme import Look
from bntui.tui.views.figures import AXES, SMOOTHINGS, View
from bntui.tui.widgets.picture import Picture

Figure: TypeAlias = Callable[[str, History, View, Look], Chart]
"""Makes the chart of a name from the history."""
Summary: TypeAlias = Callable[[History, Look, int], Text]
"""Writes lines of so many cells about the history."""


LEAST_LINES = 3
"""Of the text below charts, so that they keep their place when it comes."""


class ChartView(Picture):
    """One chart; keeps its picture until it is told to make another."""

    class Inspected(Message):
        """Somebody clicked at an `x` of an axis that counts `kind`."""

        def __init__(self, x: float, kind: str) -> None:
            super().__init__()
            self.x, self.kind = x, kind

    def __init__(self, name: str, figure: Figure) -> None:
        super().__init__(id=name)
        self.chart = name
        self._figure = figure
        self.dirty = True
        self.built = 0.0
        """When the picture was made, on the clock of `time.monotonic`."""
        self._drawing: Drawing | None = None
        self._x_axis = ""
        """What the x axis of the picture counts."""

    def rebuild(self, history: History, view: View, look: Look) -> None:
        """Draw anew from the history."""
        self.dirty = False
        self.built = time.monotonic()
        chart = self._figure(self.chart, history, view, look)
        self._x_axis = chart.x_label
        self._drawing = draw(
            chart, *self.size, colours=look.coloured, ascii_only=look.ascii_only, light=look.theme == "light"
        )
        self.show(self._drawing.text)

    def on_resize(self) -> None:
        """Ask for a picture of the new size."""
        super().on_resize()
        self.dirty = True

    def on_click(self, event: events.Click) -> None:
        """Tell where it was clicked at, if steps have a place there."""
        x = None if self._drawing is None else self._drawing.x_at(event.x)
        if x is not None and self._x_axis in AXES:
            self.post_message(self.Inspected(x, self._x_axis))


class ChartsView(Container):
    """A view of four charts and some lines of text below."""

    def __init__(
        self, name: str, titles: Iterable[str], figure: Figure, summary: Summary, history: History, view: View
    ) -> None:
        super().__init__(id=name, classes="charts-view")
        self.charts = Charts(f"{name}-grid", titles, figure, history, view)
        self._summary, self._history = summary, history
        self._text = Picture(classes="summary")

    def compose(self) -> Iterator[Charts | Picture]:
        """Lay out the charts and the text."""
        yield self.charts
        yield self._text

    def show_summary(self, look: Look, width: int) -> None:
        """Write the text anew; it has the lines that it needs for all arms."""
        text = self._summary(self._history, look, width)
        most = max(LEAST_LINES, self.size.height - 2 * MIN_HEIGHT)
        lines = min(most, max(LEAST_LINES, text.plain.count("\n") + 1))
        if self._text.styles.height is None or self._text.styles.height.value != lines:
            self._text.styles.height = lines
        self._text.show(text)


class Charts(Container):
    """Four charts, looked at in one way."""

    def __init__(self, name: str, titles: Iterable[str], figure: Figure, history: History, view: View) -> None:
        super().__init__(id=name, classes="grid")
        self.view = view
        self._history = history
        self._views = {title: ChartView(title, figure) for title in titles}

    def compose(self) -> Iterator[ChartView]:
        """Lay out the charts."""
        yield from self._views.values()

    def mark(self, *names: str, first: bool = False) -> None:
        """Have these charts, or all, drawn anew when their turn comes; `first` if a person waits for it."""
        for name in names or self._views:
            view = self._views[name]
            view.dirty = True
            if first:
                view.built = 0.0

    def draw_next(self, look: Look) -> bool:
        """Draw the chart with the oldest picture of those that changed; return whether a person waits for another.

        One takes some ten milliseconds, in which no key is answered and the trainer waits too.
        """
        waiting = [view for view in self._views.values() if view.dirty and view.display and all(view.size)]
        if waiting:
            min(waiting, key=lambda view: view.built).rebuild(self._history, self.view, look)
        return any(view.dirty and not view.built for view in waiting)

    # What a person asks for; each is an action of the key table, after which all charts are drawn anew

    def cycle(self) -> str:
        """Show one chart alone, the next, and after the last all of them."""
        views = list(self._views.values())
        alone = [i for i, view in enumerate(views) if view.display]
        chosen = (alone[0] if len(alone) == 1 else -1) + 1
        for i, view in enumerate(views):
            view.set_class(i == chosen, "chosen")
        self.set_class(chosen < len(views), "one")
        return f"{views[chosen].chart.replace('-', ' ')} alone" if chosen < len(views) else "all charts"

    def log_y(self) -> str:
        """Switch the losses' y axis."""
        self.view.log_y = not self.view.log_y
        return f"y axis of the losses: {'logarithmic' if self.view.log_y else 'linear'}"

    def smoothing(self) -> str:
        """Take the next smoothing."""
        self.view.smoothing = SMOOTHINGS[(SMOOTHINGS.index(self.view.smoothing) + 1) % len(SMOOTHINGS)]
        return f"smoothing {self.view.smoothing or 'off'}"

    def x_axis(self) -> str:
        """Take the next x axis."""
        self.view.x_axis = AXES[(AXES.index(self.view.x_axis) + 1) % len(AXES)]
        return f"x axis in {self.view.x_axis.rstrip('s')}s"

    def zoom(self) -> str:
        """Zoom to the recent past, or to everything."""
        self.view.recent = not self.view.recent
        return "zoomed to the recent past" if self.view.recent else "zoomed to everything"

    def cursor(self, by: int) -> str:
        """Move the inspect cursor by a fiftieth of what is shown."""
        recent = self._history.recent
        first, last = recent[0][0] if self.view.recent and recent else 1, self._history.step
        now = last if self.view.cursor is None else self.view.cursor
        return self.inspect(max(first, now + by * max(1, (last - first) // 50)))

    def inspect(self, step: int) -> str:
        """Put the inspect cursor on a step, of which there is none before the first."""
        if not self._history.step:
            return "no step to inspect yet"
        self.view.cursor = max(1, min(self._history.step, step))
        return f"inspecting step {self.view.cursor:,}"

    def no_cursor(self) -> str:
        """Take the inspect cursor away."""
        if self.view.cursor is None:
            return "no inspect cursor to take away"
        self.view.cursor = None
        return "the inspect cursor is gone"
