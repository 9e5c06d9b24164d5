"""All the views, one of which is shown, and the way they are looked at."""

from __future__ import annotations

import math
from collections import deque

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import ContentSwitcher, RichLog

from bntui.messages import events as e
from bntui.messages.control import Control
from bntui.messages.history import History
from bntui.text import plain_text
from bntui.tui.theme import AsciiScrollBar, Look
from bntui.tui.views.channels import LAYERS
from bntui.tui.views.charts import CHARTS
from bntui.tui.views.explanation import EXPLAIN
from bntui.tui.views.flow import FLOW, activations
from bntui.tui.views.layers import chosen_channel, next_channel, places
from bntui.tui.views.panel import PanelView
from bntui.tui.views.score import score_height
from bntui.tui.views.view import View
from bntui.tui.views.why import WHY, chosen_gap, shifted
from bntui.tui.views.words import norm_layer, weight_layer
from bntui.tui.widgets.dialog import scroll

VIEWS = ("charts", "layers", "flow", "why", "explain", "log")
WATCHED_BY = {
    "charts": ("normalization",), "layers": ("normalization", "explain"), "flow": ("flow",), "why": ("probes",),
    "explain": ("explain",), "log": (),
}  # fmt: skip
"""What is read for who looks at a view."""
LOG_LINES = 2_000


class Views(ContentSwitcher):
    """The views; the panels in them are drawn one at a time, when they are told to."""

    def __init__(self, history: History) -> None:
        super().__init__(initial="charts", id="views")
        self._history = history
        self.view = View()
        # Kept rather than looked up: the clock may strike while the screen is being taken down.
        self._panelled = {
            name: PanelView(name, groups, history, self.view)
            for name, groups in (
                ("charts", CHARTS), ("layers", LAYERS), ("flow", FLOW), ("why", WHY), ("explain", EXPLAIN),
            )
        }  # fmt: skip
        self._log = RichLog(id="log", max_lines=LOG_LINES, wrap=True, markup=False)
        self._log.write("nothing has been told yet")
        self._log_is_empty = True
        self._unwritten: deque[str] = deque(maxlen=LOG_LINES)
        """Lines for the log that nobody has seen."""
        # The app scrolls; a widget with the focus, as after a click, would scroll a second time.
        self._log.can_focus = False

    def compose(self) -> ComposeResult:
        """Lay the views out."""
        yield from self._panelled.values()
        yield self._log

    @property
    def shown(self) -> str:
        """Name of the view that is shown."""
        return str(self.current)

    @property
    def panels(self) -> PanelView | None:
        """The view that is shown, if it is one of panels."""
        return self._panelled.get(self.shown)

    def use_ascii(self) -> None:
        """Draw scroll bars without signs that a terminal may lack."""
        use_ascii_scroll_bars(self._log)

    def scroll(self, key: str, look: Look) -> str:
        """Scroll what is shown by a key of `SCROLLING`; return why that can't be, or nothing."""
        match self.shown:
            case "log":
                return scroll(self._log, key)
            case "explain":
                panels = self._panelled["explain"]
                before = [panel.plain for panel in panels.shown]
                self.view.turn(key)
                panels.mark(first=True)
                while panels.draw_next(look, math.inf):
                    continue
                same = before == [panel.plain for panel in panels.shown]
                return "nothing to scroll: this page is shown already" if same else ""
        return "nothing to scroll in this view"

    def say(self, text: str) -> None:
        """Add a line to the log, which has the newest `LOG_LINES`."""
        self._unwritten.append(text)

    def write_log(self) -> None:
        """Write the new lines to the log, all at once, if somebody looks at it: each write takes a while."""
        if self._unwritten and self.shown == "log":
            if self._log_is_empty:
                self._log.clear()
                self._log_is_empty = False
            self._log.write(Text("\n".join(map(plain_text, self._unwritten))))
            self._unwritten.clear()

    # Panels

    def write(self, look: Look) -> None:
        """Write what the view that is shown tells in words."""
        self.write_log()
        if self.panels is not None:
            self.panels.write(look)

    def mark_all(self) -> None:
        """Have every panel drawn anew as soon as may be."""
        for view in self._panelled.values():
            view.mark(first=True)

    def mark_for(self, event: e.Event) -> None:
        """Have the panels drawn anew that show what an event tells."""
        if isinstance(event, e.Started):
            self._panelled["charts"].panels["score"].styles.height = score_height(self._history)
        for view in self._panelled.values():
            view.mark_for(event)

    def draw_next(self, look: Look, since: float) -> bool:
        """Draw one panel of the view that is shown, if its picture is older; return whether there is another one."""
        return self.panels is not None and self.panels.draw_next(look, since)

    # What is looked at

    def choose(self, control: Control, layer: int = 0, unit: int = 0) -> str:
        """Go on by so many layers and units, have them read, and say which; before the first unit are all of them."""
        view = self.view
        view.layer += layer
        if unit:
            now = -1 if view.unit is None else view.unit
            view.unit = now + unit if now + unit >= 0 else None
        self.have_read(control)
        self.mark_all()
        if unit and self.shown == "why":
            arm = chosen_gap(self._history, view)
            return f"train/eval gap of {arm.label}" if arm else "no arm has batch norm"
        if unit:
            word = "unit" if self.shown == "flow" else "channel"
            return f"all {word}s" if view.unit is None else f"{word} {view.unit}"
        return self._chosen_layer()

    def choose_row(self, control: Control, by: int) -> str:
        """Choose the channel so many rows further in the table of the layers view, have it read, and say which."""
        channel = next_channel(self._history, self.view, by)
        if channel is None:
            return "no channel to choose" if self._history.started else "no channel to choose yet"
        self.view.unit = channel
        self.have_read(control)
        self.mark_all()
        return f"channel {channel}"

    def have_read(self, control: Control) -> None:
        """Have read what the view that is shown shows."""
        view = self.view
        control.watching = frozenset(WATCHED_BY[self.shown])
        unit = view.unit
        if unit is None and self.shown == "layers":
            # The row that is first when somebody comes here stays chosen while others take its place.
            unit = view.unit = chosen_channel(self._history, view)
        control.layer, control.unit = view.layer, unit or 0

    def _chosen_layer(self) -> str:
        """Say which layer was chosen, as the view that is shown counts them."""
        history, number = self._history, self.view.layer
        match self.shown:
            case "flow" if history.flow_recent:
                words = [f"layer {i}" for i in range(1, activations(history) + 1)]
            case "why" if history.probes_recent:
                # The first layer has none below it that could shift anything.
                words = [weight_layer(i) for i in range(1, shifted(history) + 1)]
            case _:
                there = places(history)
                if self.shown == "explain":
                    explained = {arm.name for arm in history.arms if arm.norm == "batch"}
                    there = [place for place in there if place.arm in explained]
                words = [norm_layer(history, place.arm, place.index) for place in there]
        if not words:
            return "no layer to choose" if history.started else "no layer to choose yet"
        return words[number % len(words)] if len(words) > 1 else "no other layer to choose"


def use_ascii_scroll_bars(widget: Widget) -> None:
    """Have a widget's scroll bars drawn in ASCII."""
    widget.vertical_scrollbar.renderer = widget.horizontal_scrollbar.renderer = AsciiScrollBar  # type: ignore[misc]
