"""The Textual app: shows what a source of events tells, and sends what a person asks for to its control."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.containers import Container, Horizontal
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Footer, RichLog, Static

from bntui import control as c
from bntui import events as e
from bntui.history import History
from bntui.tui import panels
from bntui.tui.chart import draw
from bntui.tui.figures import AXES, SMOOTHINGS, TITLES, Look, View, figure
from bntui.tui.keys import KEYS, LIVE_ACTIONS, bindings
from bntui.tui.live import LiveRun
from bntui.tui.playback import Playback
from bntui.tui.screens import HelpScreen, LearningRateScreen, Question
from bntui.tui.terminal import Capture, plain_text

TICK_SECONDS = 0.1
DRAW_SECONDS = 0.4
"""Least time between two redraws: each costs the trainer its duration, so one chart at a time and only when changed."""

VIEWS = ("charts", "batch-norm", "log")


class ChartView(Widget):
    """One of the four charts; keeps the picture until it is told to make another."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.chart = name
        self.dirty = True
        self.built = 0.0
        """When the picture was made, on the clock of `time.monotonic`."""
        self._strips: list[Strip] = []

    def rebuild(self, history: History, view: View, look: Look) -> None:
        """Draw anew from the history."""
        width, height = self.size
        self.dirty = False
        self.built = time.monotonic()
        if width and height:
            chart = figure(self.chart, history, view, look)
            text = draw(chart, width, height, colours=bool(look.colours[0]), ascii_only=look.marker == "ascii")
            # Strips, because Textual would take longer to lay a text out than it took to draw it.
            style = self.rich_style
            lines = text.split("\n", allow_blank=True)
            self._strips = [Strip(line.render(self.app.console, end=""), width).apply_style(style) for line in lines]
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return a line of the picture."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def on_resize(self) -> None:
        """Ask for a picture of the new size."""
        self.dirty = True


class Line(Static):
    """Text of a fixed place, sent to the terminal only when it is another."""

    def show(self, text: Text) -> None:
        """Show a text."""
        if text != self._shown or text.spans != self._shown.spans:
            self._shown = text
            self.update(text, layout=False)

    _shown = Text("")


class BntuiApp(App[int]):
    """The terminal app over a live run or a replay; its return value is the exit code."""

    CSS_PATH = "bntui.tcss"
    TITLE = "bntui"
    BINDINGS = [*bindings()]

    def __init__(
        self, source: LiveRun | Playback, look: Look, lines: deque[str] | None = None, capture: Capture | None = None
    ) -> None:
        super().__init__()
        # Where Textual tells of an error in the app itself: the terminal, not what is captured.
        self.error_console = Console(file=sys.__stderr__, markup=False, highlight=False)
        self.source = source
        self.look = look
        self.history = History()
        self.view = View()
        self.layer = 0
        self._lines = deque[str]() if lines is None else lines
        if capture is not None:
            # Where Textual redirects prints to; its own streams would lose them.
            self._capture_stdout, self._capture_stderr = capture.streams()  # type: ignore[assignment]
        self._waiting = ""
        self._code: int | None = None
        self._drawn = 0.0
        self._urgent = False
        self._changed = False
        self._rate = 0.0
        self._seen_rate = (0, 0.0)
        # Kept rather than looked up: the clock may strike while the screen is being taken down.
        self._header_line, self._state_line, self._tiny_line, self._layer_panel = (
            Line("", id=name) for name in ("header", "state", "tiny", "panel")
        )
        self._switcher = ContentSwitcher(initial="charts", id="views")
        self._chart_views = [ChartView(name) for name in TITLES]
        self._channel_table = panels.ChannelTable(look)
        self._log_view = RichLog(id="log", max_lines=2_000, wrap=True, markup=False)

    def compose(self) -> ComposeResult:
        """Lay the views out."""
        yield self._header_line
        with self._switcher:
            with Horizontal(id="charts"):
                with Container(id="grid"):
                    yield from self._chart_views
                yield self._layer_panel
            with Container(id="batch-norm"):
                yield self._channel_table
            yield self._log_view
        yield self._state_line
        yield self._tiny_line
        yield Footer()

    def on_mount(self) -> None:
        """Start the clock, and the run once the first screen has been painted."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread, as in tests
                loop.add_signal_handler(number, self._stop_and_leave, 128 + number)
        self._arrange(self.size)
        self.tick()
        self.set_interval(TICK_SECONDS, self.tick)
        # What a person waits for is shown when it happens, not at the next tick.
        self.source.wake = lambda: self.call_later(self.tick)
        self.call_after_refresh(self.source.start)

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the size."""
        self._arrange(event.size)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out of a replay what only a trainer can do."""
        return not (isinstance(self.source, Playback) and action in LIVE_ACTIONS)

    def get_system_commands(self, screen: Screen[Any]) -> Any:
        """Offer the key table's actions in the command palette."""
        for key in KEYS:
            if not self.check_action(key.action, ()):
                continue
            yield SystemCommand(key.word, key.help, self._runner(key.action))

    def _runner(self, action: str) -> Callable[[], Any]:
        async def run() -> None:
            await self.run_action(action)

        return run

    # What happened

    def tick(self) -> None:
        """Take in what happened since the last tick, and redraw what changed."""
        for event in self.source.poll():
            self.history.apply(event)
            self._react(event)
        while self._lines:
            self._log_view.write(Text(plain_text(self._lines.popleft())))
        if not self.source.running and self._code is not None:
            self.exit(self._code)
            return
        self._draw()

    def _react(self, event: e.Event) -> None:
        if isinstance(event, e.Stepped):
            self._dirty("train-loss")
            step, seconds = self._seen_rate
            if event.seconds - seconds >= 1 or step == 0:
                self._rate = (event.step - step) / max(1e-9, event.seconds - seconds)
                self._seen_rate = (event.step, event.seconds)
        elif isinstance(event, e.EpochEnded):
            self._dirty(*(name for name in TITLES if name != "train-loss"))
        elif isinstance(event, e.Paused | e.Resumed):
            self._changed = True
        elif isinstance(event, e.Intervened):
            self._changed = True
            self._dirty(*TITLES)
            self._waiting = ""
            self._say(f"step {event.step:,}: {event.action} {event.before} -> {event.after}")
        elif isinstance(event, e.Alert):
            self._say(f"step {event.step:,}: {event.message}")
        elif isinstance(event, e.Notice):
            self._say(event.message)
            self.notify(event.message, markup=False)
        elif isinstance(event, e.Restarted):
            self._seen_rate = (0, 0.0)
            self._dirty(*TITLES)
        elif isinstance(event, e.Finished):
            self._waiting = ""
            self._dirty(*TITLES)
            self._say(f"{event.status} after step {event.step:,}")

    def _say(self, text: str) -> None:
        self._log_view.write(Text(plain_text(text)))

    # What is on the screen

    def _arrange(self, size: Size) -> None:
        width, height = size
        screen = self.screen_stack[0]
        screen.set_class(width < 40 or height < 12, "tiny")
        screen.set_class(width < 120 or height < 24, "small")
        self._urgent = True
        self._dirty(*TITLES)

    def _dirty(self, *names: str) -> None:
        for name in names:
            self._chart_views[list(TITLES).index(name)].dirty = True

    def _draw(self) -> None:
        """Redraw the text now and then, and at most one chart: each costs the trainer as long as it takes."""
        now = time.monotonic()
        due = now - self._drawn >= DRAW_SECONDS or self._urgent
        if not (due or self._changed):
            return
        self._changed = False
        if due:
            self._drawn = now
        base = self.screen_stack[0]
        width = base.size.width
        if base.has_class("tiny"):
            self._tiny_line.show(Text(panels.one_line(self.history)[:width]))
            return
        self._header_line.show(panels.header(self.history, self.look, width, self._rate))
        waiting = self._waiting
        if self.source.error is not None:
            waiting = f"failed: {plain_text(str(self.source.error))}"
        self._state_line.show(panels.state(self.history, self.look, waiting, width))
        current = self._switcher.current
        self.source.control.watching = current in ("charts", "batch-norm")
        if current == "charts" and due:
            columns, rows = self._layer_panel.size.width, self._switcher.size.height
            if columns:
                self._layer_panel.show(panels.layer_panel(self.history, self.layer, self.look, columns, rows))
            charts = [chart for chart in self._chart_views if chart.dirty and chart.size.width and chart.display]
            if charts:
                # What a person asked for from the first chart on; else the one whose picture is the oldest.
                chart = charts[0] if self._urgent else min(charts, key=lambda chart: chart.built)
                chart.rebuild(self.history, self.view, self.look)
            self._urgent = self._urgent and len(charts) > 1
        elif current != "charts":
            self._urgent = False
            if current == "batch-norm":
                self._channel_table.show(self.history, self.layer)

    def _show_now(self) -> None:
        """Redraw what is shown without waiting for the next time."""
        self._urgent = True
        self._dirty(*TITLES)
        self._draw()

    # What a person asks for

    def _send(self, command: c.Command, waiting: str = "") -> None:
        if self.source.running:
            self._waiting = waiting
            self.source.control.send(command)
            self._changed = True
            self._draw()

    def action_pause(self) -> None:
        """Pause or resume."""
        self._send(c.Pause(), "resuming…" if self.history.status == "paused" else "pausing…")

    def action_step(self) -> None:
        """Do one step."""
        self._send(c.Step())

    def action_batch_norm(self) -> None:
        """Switch BN off or on."""
        self._send(c.BatchNorm())

    def action_freeze(self) -> None:
        """Freeze the statistics or let them move."""
        self._send(c.Freeze())

    def action_faster(self) -> None:
        """Raise the learning rate."""
        self._send(c.ScaleLearningRate(1.5))

    def action_slower(self) -> None:
        """Lower the learning rate."""
        self._send(c.ScaleLearningRate(1 / 1.5))

    def action_learning_rate(self) -> None:
        """Ask for a learning rate."""

        def answer(rate: float | None) -> None:
            if rate is not None:
                self._send(c.LearningRate(rate))

        known = (
            self.history.lr if self.history.started or not isinstance(self.source, LiveRun) else self.source.config.lr
        )
        self.push_screen(LearningRateScreen(known), answer)

    def action_restart(self) -> None:
        """Ask, then begin again."""

        def answer(chosen: str | None) -> None:
            if chosen == "restart":
                self._send(c.Restart(), "restarting…")

        answers = (("y", "restart", "yes; the results so far stay in the run folder"), ("n", "no", "no"))
        self.push_screen(Question("Begin again from the first step?", answers), answer)

    def action_export(self) -> None:
        """Write the results now."""
        self._send(c.Export())
        if not isinstance(self.source, LiveRun) or not self.source.running:
            return
        where = self.source.recorder.export or self.source.recorder.folder
        if where is not None:
            self.notify(f"writing {plain_text(str(where))}", markup=False)

    def action_quit(self) -> Any:
        """Quit; while training, ask what to save."""
        if not self.source.running:
            self.exit(0)
            return

        def answer(chosen: str | None) -> None:
            if chosen in ("save", "discard"):
                self.source.discard = chosen == "discard"
                self._stop_and_leave(0)

        answers = (
            ("s", "save", "stop, save and quit"),
            ("d", "discard", "quit without saving results"),
            ("c", "cancel", "cancel"),
        )
        if not isinstance(self.screen, Question):
            self.push_screen(Question("Training goes on. Quit?", answers), answer)

    def action_interrupt(self) -> None:
        """Stop, save and leave with the code of an interrupted program."""
        self._stop_and_leave(130)

    def _stop_and_leave(self, code: int) -> None:
        self._code = code
        self._waiting = "saving…"
        self.source.stop()

    def action_view(self, name: str) -> None:
        """Show a view."""
        self._switcher.current = name
        self._show_now()

    def action_next_view(self) -> None:
        """Show the next view."""
        self.action_view(VIEWS[(VIEWS.index(str(self._switcher.current)) + 1) % len(VIEWS)])

    def action_layer(self, by: int) -> None:
        """Choose a BN layer."""
        self.layer += by
        self._show_now()

    def action_cycle(self) -> None:
        """Show one chart alone, the next, and after the last all of them."""
        base = self.screen_stack[0]
        chosen = next((i for i, chart in enumerate(self._chart_views) if chart.has_class("chosen")), -1)
        for i, chart in enumerate(self._chart_views):
            chart.set_class(i == chosen + 1, "chosen")
        base.set_class(chosen + 1 < len(self._chart_views), "one")
        self._show_now()

    def action_log_y(self) -> None:
        """Switch the losses' y axis."""
        self.view.log_y = not self.view.log_y
        self._show_now()

    def action_smoothing(self) -> None:
        """Take the next smoothing."""
        self.view.smoothing = SMOOTHINGS[(SMOOTHINGS.index(self.view.smoothing) + 1) % len(SMOOTHINGS)]
        self._show_now()
        self.notify(f"smoothing {self.view.smoothing or 'off'}", timeout=1.5)

    def action_x_axis(self) -> None:
        """Take the next x axis."""
        self.view.x_axis = AXES[(AXES.index(self.view.x_axis) + 1) % len(AXES)]
        self._show_now()

    def action_zoom(self) -> None:
        """Zoom to the recent past, or to everything."""
        self.view.recent = not self.view.recent
        self._show_now()

    def action_cursor(self, by: int) -> None:
        """Move the inspect cursor by a fiftieth of what is shown; nothing happens before the first step."""
        first = self.history.recent[0][0] if self.view.recent and self.history.recent else 1
        last = self.history.step
        if last < 1:
            return
        now = last if self.view.cursor is None else self.view.cursor
        self.view.cursor = min(last, max(first, now + by * max(1, (last - first) // 50)))
        self._show_now()

    def action_repaint(self) -> None:
        """Draw the whole screen anew."""
        if self._driver is not None:
            self._driver.write("\x1b[2J")
        self.refresh(repaint=True, layout=True)
        self.screen.refresh(repaint=True, layout=True)

    def action_suspend(self) -> None:
        """Go to the shell, until `fg`."""
        self.action_suspend_process()

    def action_help(self) -> Any:
        """Show the key table."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())
