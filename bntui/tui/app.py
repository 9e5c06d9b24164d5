"""The Textual app: shows what a source of events tells, and sends what a person asks for to its control."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text
from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingsMap
from textual.geometry import Size
from textual.screen import Screen

from bntui.config.options import RunConfig
from bntui.run import events as e
from bntui.run.history import History
from bntui.text import plain_text, shortened
from bntui.tui.actions import NOTHING_TRAINS, CommandApp
from bntui.tui.keys import KEYS, Key, bindings, spell
from bntui.tui.widgets.palette import Palette
from bntui.tui.sources.live import LiveRun
from bntui.tui.sources.playback import Playback
from bntui.tui.terminal.capture import Capture
from bntui.tui.terminal.machine import Meter
from bntui.tui.theme import THEMES, Look
from bntui.tui.views import status
from bntui.tui.views.charts import ChartView
from bntui.tui.widgets.dialog import SCROLLING
from bntui.tui.views.figures import StepAxis
from bntui.tui.widgets.picture import Picture
from bntui.tui.views.switcher import WATCHED_BY, Views, use_ascii_scroll_bars
from bntui.tui.views.words import told

TICK_SECONDS = 0.1
DRAW_SECONDS = 0.4
"""Least time between two redraws: each costs the trainer its duration, so one chart at a time and only when changed."""

DURING_DIALOG = ("interrupt", "suspend_process", "repaint")
TOASTS_AT_ONCE = 3
"""Notices of one moment that are shown on top of the views; all of them are in the log."""


class BntuiApp(CommandApp):
    """The terminal app over a live run or a replay; its return value is the exit code."""

    CSS_PATH = "bntui.tcss"
    AUTO_FOCUS = None
    TITLE = "bntui"

    def __init__(
        self,
        source: LiveRun | Playback,
        look: Look | None = None,
        keys: Sequence[Key] = KEYS,
        lines: deque[str] | None = None,
        capture: Capture | None = None,
        config: RunConfig | None = None,
    ) -> None:
        super().__init__(source, look or Look())
        self._config = config or RunConfig()
        self._keys = tuple(keys)
        self._bindings = BindingsMap(bindings(self._keys))
        # Where Textual tells of an error in the app itself: the terminal, not what is captured.
        self.error_console = Console(file=sys.__stderr__, markup=False, highlight=False)
        self.animation_level = "none"
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self.look.theme].name
        self._lines = deque[str]() if lines is None else lines
        if capture is not None:
            # Where Textual redirects prints to; its own streams would lose them.
            self._capture_stdout, self._capture_stderr = capture.streams()  # type: ignore[assignment]
        self._problem = ""
        self._drawn = 0.0
        self._urgent = False
        self._changed = False
        self._rate = 0.0
        self._seen_rate = (0, 0.0)
        self._meter: Meter | None = None
        # Kept rather than looked up: the clock may strike while the screen is being taken down.
        self._header, self._state, self._tiny = (Picture(id=name) for name in ("header", "state", "tiny"))
        self._views = Views(self.history)
        self._views.view.replay = isinstance(source, Playback)
        self._hints = status.Hints()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped_by = 0
        """Signal that came before the app could act on it."""

    def compose(self) -> ComposeResult:
        """Lay the views out."""
        # First, so that the places of the others, which Textual counts from the last on, stay the same when it opens.
        yield self._dialog
        yield self._header
        yield self._views
        yield self._state
        yield self._hints
        yield self._tiny

    def on_mount(self) -> None:
        """Start the clock, and the run once the first screen has been painted."""
        self._loop = asyncio.get_running_loop()
        self.screen.set_class(self.look.ascii_only, "ascii")
        if self.look.ascii_only:
            self._views.use_ascii()
            use_ascii_scroll_bars(self._dialog)
        self._arrange(self.size)
        self.tick()
        self.set_interval(TICK_SECONDS, self.tick)
        if self._stopped_by:
            self._stop_and_leave(128 + self._stopped_by)
        else:
            self.call_after_refresh(self._start_source)

    # What a handler of a signal calls, at any moment

    def take_signal(self, number: int) -> None:
        """Stop, save and leave, as soon as may be; if that was asked for before, at once."""
        if self._loop is None:
            self._stopped_by = number
        elif not self._call_soon(self._stop_and_leave, 128 + number):
            # The screen is gone already, and what is left is waited for.
            self.at_once = True

    def take_hangup(self) -> None:
        """Leave the run to itself."""
        if self._loop is not None:
            self._call_soon(self._leave_alone)

    def _call_soon(self, function: Callable[..., None], *arguments: object) -> bool:
        """Have the event loop call a function; return whether there is one."""
        assert self._loop is not None
        try:
            # It waits for the terminal and would not look at its list before a key is pressed.
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # it is closed
            return False
        return True

    def on_unmount(self) -> None:
        """Stop what runs beside the app."""
        if self._meter is not None:
            self._meter.stop()

    async def on_key(self, event: events.Key) -> None:
        """Leave all keys to a dialog that is open, and those that scroll to the view."""
        if len(self.screen_stack) > 1:
            return
        if self._dialog.is_open:
            await self._dialog.take(event)
            return
        if self._said:
            self._said, self._changed = "", True
        bound = self._bindings.key_to_bindings.get(event.key, ())
        if not bound and event.key in SCROLLING:
            self._say_if(self._views.scroll(event.key))
        elif not bound:
            named = event.character if event.is_printable and event.character else event.key
            helping = next((key.keys[0] for key in self._keys if key.name == "help" and key.keys), "")
            self._say(f"{named} does nothing here" + (f"; {helping} lists the keys" if helping else ""))
        elif not any(self.check_action(binding.action.removeprefix("app.").partition("(")[0], ()) for binding in bound):
            self._say(NOTHING_TRAINS)

    def on_paste(self) -> None:
        """Say that what was pasted goes nowhere, as no text is asked for."""
        if len(self.screen_stack) == 1 and not self._dialog.is_open:
            self._say("pasted text is not typed here")

    def _say_if(self, text: str) -> None:
        if text:
            self._say(text)

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the size."""
        self._arrange(event.size)

    def on_chart_view_inspected(self, event: ChartView.Inspected) -> None:
        """Put the inspect cursor where somebody clicked."""
        self._look_at_charts("inspect", StepAxis(self.history, event.kind).step_at(event.x))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what only a trainer can do of a replay, and while a dialog is open what acts on what is below."""
        if action in ("focus_next", "focus_previous"):
            return False
        if (self._dialog.is_open or len(self.screen_stack) > 1) and action not in DURING_DIALOG:
            return False
        return not isinstance(self.source, Playback) or action not in _LIVE_ACTIONS

    def get_system_commands(self, screen: Screen[Any]) -> Any:
        """Offer the key table's actions in the command palette."""
        for key in self._keys:
            if self._allowed(key) and key.name != "palette":
                yield SystemCommand(key.name, self.look.text(key.help), self._runner(key.action))
        other = "light" if self.look.theme == "dark" else "dark"
        yield SystemCommand(f"{other} theme", f"colours for a {other} background", lambda: self._wear(other))

    def _allowed(self, key: Key) -> bool:
        if not key.live:
            return True
        return not isinstance(self.source, Playback) and (not self._ended or key.name in AT_THE_END)

    def _runner(self, action: str) -> Callable[[], Any]:
        async def run() -> None:
            await self.run_action(action)

        return run

    # What happened

    def tick(self) -> None:
        """Take in what happened since the last tick, and redraw what changed."""
        self._take_in()
        due = time.monotonic() - self._drawn >= DRAW_SECONDS or self._urgent
        if due or self._changed:
            self._draw_text()
        if due:
            self._draw_chart()

    def _wake(self) -> None:
        """Take in what a person waits for, and tell of it in words; the charts follow at the next tick."""
        self._take_in()
        if self._changed:
            self._draw_text()

    def _take_in(self) -> None:
        notices = []
        for event in self.source.poll():
            self.history.apply(event)
            self._react(event)
            if isinstance(event, e.Notice):
                notices.append(event.message)
        self._tell(*notices)
        while self._lines:
            self._views.say(self._lines.popleft())
        self._views.write_log()
        if self.source.problem != self._problem:
            self._problem = self.source.problem
            if self._problem:
                self._tell(self._problem)
        if self._said and time.monotonic() >= self._said_until:
            self._said, self._changed = "", True
        if not self.source.running and self._code is not None:
            self.exit(self._code)

    def _react(self, event: e.Event) -> None:
        self._views.mark_for(event)
        if isinstance(event, e.Started):
            self._changed = True
            if isinstance(self.source, LiveRun):
                environment = event.environment
                self._meter = Meter(str(environment["device"]), str(environment.get("device_uuid", "")))
        elif isinstance(event, e.Stepped):
            step, seconds = self._seen_rate
            if event.seconds - seconds >= 1 or step == 0:
                self._rate = (event.step - step) / max(1e-9, event.seconds - seconds)
                self._seen_rate = (event.step, event.seconds)
        elif isinstance(event, e.Paused | e.Resumed):
            self._changed = True
        elif isinstance(event, e.Intervened):
            self._changed = self._urgent = True
            self._waiting = ""
            self._views.say(self.look.text(f"step {event.step:,}: {told(self.history, event)}"))
        elif isinstance(event, e.Alert):
            self._views.say(f"step {event.step:,}: {event.message}")
        elif isinstance(event, e.Notice):
            self._waiting = ""
        elif isinstance(event, e.Restarted):
            self._seen_rate = (0, 0.0)
        elif isinstance(event, e.Finished):
            if self._waiting and self._code is None:
                self._say(f"{event.status} before that could be done; r runs again, q quits")
            self._waiting = ""
            self._changed = True
            self._views.say(f"{event.status} after step {event.step:,}")
            self._ask_again()

    def _tell(self, *texts: str) -> None:
        """Say something in the log and, for a while, on top of any view."""
        for text in texts:
            self._views.say(text)
        for text in texts[-TOASTS_AT_ONCE:]:
            self.notify(self.look.text(plain_text(text)), markup=False)

    def _begin_again(self) -> None:
        if self._meter is not None:
            self._meter.stop()
            self._meter = None
        before = self.source.before[-1:] if isinstance(self.source, LiveRun) else []
        self._views.say("".join(["a new run begins", *(f"; the last one stays in {folder}" for folder in before)]))
        # Everything that draws holds this one.
        self.history.__dict__.update(History().__dict__)
        self._problem = self._waiting = self._said = ""
        self._rate, self._seen_rate = 0.0, (0, 0.0)
        self._views.view.cursor = None
        self._views.choose(self.source.control)
        self._start_source()
        self._redraw_charts()
        self._draw_text()

    def _start_source(self) -> None:
        # What a person waits for is shown when it happens, not at the next tick.
        self.source.wake = lambda: self.call_later(self._wake)
        self.source.start()

    # What is on the screen

    def _arrange(self, size: Size) -> None:
        width, height = size
        screen = self.screen_stack[0]
        screen.set_class(width < 40 or height < 12, "tiny")
        screen.set_class(width < 140 or height < 24, "narrow")
        screen.set_class(width < 100 or height < 24, "small")
        screen.set_class(height < 18, "low")
        self._redraw_charts()

    def _wear(self, theme: str) -> None:
        """Take the colours of a dark or a light background."""
        self.look = replace(self.look, theme=theme)
        self.theme = THEMES[theme].name
        self._redraw_charts()

    def _redraw_charts(self) -> None:
        """Have every chart drawn anew as soon as may be."""
        self._views.mark_all()
        self._urgent = True

    def _draw_text(self) -> None:
        """Redraw what is told in words, and the BN layers: some two milliseconds in all."""
        self._changed = False
        self._show_state()
        if not self.screen_stack:
            return
        base = self.screen_stack[0]
        width = base.size.width
        if base.has_class("tiny"):
            return
        self._header.show(status.header(self.history, self.look, width, self._rate))
        self._hints.show_keys(self._hinted(), self._allowed, self.look, width)
        self.source.control.watching = frozenset(WATCHED_BY[self._views.shown])
        self._views.draw_text(self.look, width)

    def _show_state(self) -> None:
        """Redraw the line that tells how the run stands, or what is said of the last key."""
        if not self.screen_stack:  # the clock may strike while the screens are being taken down
            return
        base = self.screen_stack[0]
        if base.has_class("tiny"):
            width, height = base.size
            said = textwrap.wrap(self._said, max(1, width))
            lines = [status.one_line(self.history), *said]
            self._tiny.show(Text("\n".join(lines if height > 1 or not said else said)))
            return
        waiting = self._said or self._waiting
        if not waiting and self.source.error is not None:
            # The reason stands at the end, often behind a long path.
            waiting = shortened(f"failed: {plain_text(str(self.source.error))}", max(20, base.size.width - 2))
        usage = None if self._meter is None else self._meter.usage
        self._state.show(status.state(self.history, self.look, waiting, base.size.width, usage))

    def _hinted(self) -> Sequence[Key]:
        """Return the keys of which the line of hints shows some: at the end of a run other ones."""
        if not self._ended:
            return self._keys
        return [replace(key, hint=True, word="run again") if key.name == "restart" else key for key in self._keys]

    def _draw_chart(self) -> None:
        """Redraw one chart that changed: it costs the trainer, and a person's next key, as long as it takes."""
        self._drawn = time.monotonic()
        if not self.screen_stack:
            return
        self._urgent = not self.screen_stack[0].has_class("tiny") and self._views.draw_next(self.look)

    # How a person looks at it

    def action_view(self, name: str) -> None:
        """Show a view, its charts at first as they were."""
        if self._views.shown == name:
            self._say("this view is shown already")
            return
        self._views.current = name
        if self.screen_stack[0].has_class("tiny"):
            self._say("larger window needed")
        self._urgent = True
        self._draw_text()

    def action_flow(self) -> None:
        """Show what flows through the layers, and from there why."""
        self.action_view("mechanism" if self._views.shown == "flow" else "flow")

    def action_next_view(self) -> None:
        """Show the next view."""
        self.action_view(self._views.next())

    def action_layer(self, by: int) -> None:
        """Choose a BN layer."""
        self._choose(layer=by)

    def action_unit(self, by: int) -> None:
        """Choose a unit."""
        self._choose(unit=by)

    def _choose(self, layer: int = 0, unit: int = 0) -> None:
        self._say(self._views.choose(self.source.control, layer, unit))
        self._draw_text()
        self._draw_chart()

    def action_chart(self, name: str, *arguments: object) -> None:
        """Look at the charts in another way, and say so: a method of `Charts`."""
        self._say(self._look_at_charts(name, *arguments))

    def _look_at_charts(self, name: str, *arguments: object) -> str:
        said: str = getattr(self._views.charts, name)(*arguments)
        self._redraw_charts()
        self._draw_chart()
        return said

    def action_command_palette(self) -> None:
        """Search all actions."""
        self.push_screen(Palette(id="--command-palette"))

    def delay_update(self, delay: float = 0.05) -> None:
        """Draw on: Textual would stop for a moment, and for good if the timer that ends it is lost."""

    def action_repaint(self) -> None:
        """Draw the whole screen anew."""
        self._say("the screen was drawn anew")
        if self._driver is not None:
            self._driver.write("\x1b[2J")
        self.refresh(repaint=True, layout=True)
        self.screen.refresh(repaint=True, layout=True)

    def action_suspend_process(self) -> None:
        """Go to the shell, until `fg`; where there is none that could bring it back, stay."""
        parent = os.getppid()
        if parent <= 1 or os.getsid(parent) != os.getsid(0):
            self._say("no shell to go to: bntui was not started from one")
        else:
            super().action_suspend_process()

    def action_help(self) -> None:
        """Show the key table."""
        text = Text("Keys\n\n", style="bold")
        for key in self._keys:
            text.append(f"{spell(key, self.look.ascii_only):>12}  ", style="bold")
            text.append(f"{self.look.text(key.help)}\n", style="not bold")
        text.append("\nEscape closes this list.", style="dim not bold")
        self._dialog.tell(text, closing=("q", *next(key.keys for key in self._keys if key.name == "help")))


AT_THE_END = ("restart", "export")
"""Keys of a trainer that still do something when the run has ended."""
_LIVE_ACTIONS = frozenset(key.action.partition("(")[0] for key in KEYS if key.live)
