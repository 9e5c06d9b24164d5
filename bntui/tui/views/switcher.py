"""All the views, one of which is shown, and the way they are looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.widget import Widget
from textual.widgets import ContentSwitcher, RichLog

from bntui.messages import events as e
from bntui.messages.control import Control
from bntui.messages.history import History
from bntui.text import plain_text
from bntui.tui.theme import AsciiScrollBar, Look
from bntui.tui.views.charts import Charts, ChartsView
from bntui.tui.views.explanation import Explanation
from bntui.tui.views.figures import TITLES, View, figure
from bntui.tui.views.flows import FLOW_TITLES, activations, flow_figure, flow_summary
from bntui.tui.views.layers import ChannelTable, layer_panel, place_word, places
from bntui.tui.views.mechanism import MECHANISM_TITLES, mechanism_figure, mechanism_summary, shifted
from bntui.tui.views.summary import latest, summary
from bntui.tui.widgets.dialog import scroll
from bntui.tui.widgets.picture import Picture

VIEWS = ("charts", "batch-norm", "flow", "mechanism", "explain", "log")
WATCHED_BY = {
    "charts": ("normalization",), "batch-norm": ("normalization",), "flow": ("flow",), "mechanism": ("probes",),
    "explain": ("explain",), "log": (),
}  # fmt: skip
"""What is read for who looks at a view."""
LATEST_LINES = 8
TWO_LAYERS = 17
"""Lines of the panel."""
LOG_LINES = 2_000


class Views(ContentSwitcher):
    """The views; the charts in them are drawn one at a time, when they are told to."""

    def __init__(self, history: History) -> None:
        super().__init__(initial="charts", id="views")
        self._history = history
        self.view = View()
        # Kept rather than looked up: the clock may strike while the screen is being taken down.
        self._panel = Picture(id="panel")
        self._charts = Charts("grid", TITLES, figure, history, self.view)
        self._with_charts = {
            "flow": ChartsView("flow", FLOW_TITLES, flow_figure, flow_summary, history, self.view),
            "mechanism": ChartsView(
                "mechanism", MECHANISM_TITLES, mechanism_figure, mechanism_summary, history, self.view
            ),
        }
        self._table, self._explanation = ChannelTable(), Explanation()
        self._log = RichLog(id="log", max_lines=LOG_LINES, wrap=True, markup=False)
        self._log.write("nothing has been told yet")
        self._log_is_empty = True
        self._unwritten: deque[str] = deque(maxlen=LOG_LINES)
        """Lines for the log that nobody has seen."""
        self._scrolled: dict[str, Widget] = {
            "log": self._log, "batch-norm": self._table, "explain": self._explanation
        }  # fmt: skip
        for widget in self._scrolled.values():
            # The app scrolls; a widget with the focus, as after a click, would scroll a second time.
            widget.can_focus = False

    def compose(self) -> ComposeResult:
        """Lay the views out."""
        with Horizontal(id="charts"):
            yield self._charts
            yield self._panel
        with Container(id="batch-norm"):
            yield self._table
        yield from self._with_charts.values()
        with Container(id="explain"):
            yield self._explanation
        yield self._log

    @property
    def shown(self) -> str:
        """Name of the view that is shown."""
        return str(self.current)

    @property
    def charts(self) -> Charts:
        """The four charts that are shown, or were before a view without charts."""
        shown = self._with_charts.get(self.shown)
        return self._charts if shown is None else shown.charts

    def use_ascii(self) -> None:
        """Draw scroll bars without signs that a terminal may lack."""
        for widget in self._scrolled.values():
            use_ascii_scroll_bars(widget)

    def scroll(self, key: str) -> str:
        """Scroll what is shown by a key of `SCROLLING`; return why that can't be, or nothing."""
        if self.shown in self._scrolled:
            return scroll(self._scrolled[self.shown], key)
        return "nothing to scroll in this view"

    def next(self) -> str:
        """Return the name of the view after the one that is shown."""
        return VIEWS[(VIEWS.index(self.shown) + 1) % len(VIEWS)]

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

    # Charts

    def mark_all(self) -> None:
        """Have every chart drawn anew as soon as may be."""
        for charts in self._all_charts():
            charts.mark(first=True)

    def mark_for(self, event: e.Event) -> None:
        """Have the charts drawn anew that show what an event tells."""
        match event:
            case e.Stepped():
                self._charts.mark("train-loss")
            case e.EpochEnded():
                self._charts.mark("validation-loss", "train-accuracy", "validation-accuracy")
            case e.FlowRead():
                self._with_charts["flow"].charts.mark()
            case e.Probed():
                self._with_charts["mechanism"].charts.mark()
            case e.Intervened() | e.Restarted() | e.Finished():
                self._charts.mark(first=True)

    def draw_next(self, look: Look) -> bool:
        """Draw one chart of the view that is shown; return whether a person waits for another."""
        return (self.shown == "charts" or self.shown in self._with_charts) and self.charts.draw_next(look)

    def _all_charts(self) -> Iterator[Charts]:
        yield self._charts
        yield from (view.charts for view in self._with_charts.values())

    # Text

    def draw_text(self, look: Look, width: int) -> None:
        """Redraw what the view that is shown tells in words and numbers."""
        match self.shown:
            case "charts":
                self._show_panel(look)
            case "batch-norm":
                self._table.show(self._history, self.view.layer, look)
            case "log":
                self.write_log()
            case "explain":
                self._explanation.show(self._history, look, width, self.view.replay)
            case name if name in self._with_charts:
                self._with_charts[name].show_summary(look, width)

    def _show_panel(self, look: Look) -> None:
        """Show the BN layers at the right of the charts and, where there is room below, who is ahead and the latest."""
        width, height = self._panel.size.width, self.size.height
        if width <= 0:
            return
        told = summary(self._history, look, width)
        # The layers leave room for who is ahead and what happened, if there is enough for two of them.
        for_layers = height - told.plain.count("\n") - LATEST_LINES
        text = layer_panel(
            self._history, self.view.layer, look, width, for_layers if for_layers >= TWO_LAYERS else height
        )

        def room() -> int:
            return height - text.plain.count("\n") - 2

        if told and told.plain.count("\n") < room():
            text.append("\n\n").append_text(told)
        if room() > 1:
            text.append("\n\n").append_text(latest(self._history, look, min(room() - 1, LATEST_LINES)))
        self._panel.show(text)

    # What is looked at

    def choose(self, control: Control, layer: int = 0, unit: int = 0) -> str:
        """Go on by so many layers and units, have them read, and say which; before the first unit are all of them."""
        view = self.view
        view.layer += layer
        if unit:
            now = -1 if view.unit is None else view.unit
            view.unit = now + unit if now + unit >= 0 else None
        control.layer, control.unit = view.layer, view.unit or 0
        self._with_charts["flow"].charts.mark("activations", first=True)
        self._with_charts["mechanism"].charts.mark("covariate-shift", first=True)
        if unit:
            return "all units" if view.unit is None else f"unit {view.unit}"
        return self._chosen_layer()

    def _chosen_layer(self) -> str:
        """Say which layer was chosen, as the view that is shown counts them."""
        history, number = self._history, self.view.layer
        match self.shown:
            case "flow" if history.flow_recent:
                words = [f"layer {i}" for i in range(1, activations(history) + 1)]
            case "mechanism" if history.probes_recent:
                # The first layer has none below it that could shift anything.
                words = [f"layer {i}" for i in range(2, shifted(history) + 2)]
            case _:
                there = places(history)
                if self.shown == "explain":
                    explained = {arm.name for arm in history.arms if arm.norm == "batch"}
                    there = [place for place in there if place.arm in explained]
                several = len({place.arm for place in there}) > 1
                words = [place_word(history, p) if several else f"layer {p.index + 1}" for p in there]
        if not words:
            return "no layer to choose" if history.started else "no layer to choose yet"
        return words[number % len(words)] if len(words) > 1 else "no other layer to choose"


def use_ascii_scroll_bars(widget: Widget) -> None:
    """Have a widget's scroll bars drawn in ASCII."""
    widget.vertical_scrollbar.renderer = widget.horizontal_scrollbar.renderer = AsciiScrollBar  # type: ignore[misc]
