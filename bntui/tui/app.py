"""The Textual app: shows what a source of events tells, and sends what a person asks for to its control."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.notifications import SeverityLevel

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.text import plain_text, shortened
from bntui.tui.keys import KEYS, Key
from bntui.tui.looking import LookingApp
from bntui.tui.sources.live import LiveRun
from bntui.tui.sources.playback import Playback
from bntui.tui.terminal.capture import Capture
from bntui.tui.terminal.machine import Meter
from bntui.tui.theme import Look
from bntui.tui.views import status
from bntui.tui.views.end_card import card_lines, end_card
from bntui.tui.views.guide import guide
from bntui.tui.views.switcher import use_ascii_scroll_bars
from bntui.tui.views.words import told
from bntui.tui.widgets.hints import Hints
from bntui.tui.widgets.picture import Picture

TICK_SECONDS = 0.1
WORDS_SECONDS, DRAW_SECONDS = 0.5, 2.5
"""Least time between two redraws of what is told in words, and of the panels that changed: each costs the trainer its
duration. The panels of a view are drawn one right after the other, so that they show the same moment."""

GUIDED_FROM = 18
"""Lines of a screen from which on one of them says what one sees."""

TOASTS_AT_ONCE = 3
"""Notices of one moment that are shown on top of the views; all of them are in the log."""


class BntuiApp(LookingApp):
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
    ) -> None:
        super().__init__(source, look or Look(), keys)
        # Where Textual tells of an error in the app itself: the terminal, not what is captured.
        self.error_console = Console(file=sys.__stderr__, markup=False, highlight=False)
        self.animation_level = "none"
        self._lines = deque[str]() if lines is None else lines
        if capture is not None:
            self.send_prints_to(*capture.streams())
        self._problem = ""
        self._worded = self._drawn = 0.0
        """When the words were drawn, and when the panels began to be."""
        self._rate = 0.0
        self._seen_rate = (0, 0.0)
        self._meter: Meter | None = None
        # Kept rather than looked up: the clock may strike while the screen is being taken down.
        self._header, self._state, self._tiny = (Picture(id=name) for name in ("header", "state", "tiny"))
        self._hints = Hints()
        self._guide, self._card = Picture(id="guide"), Picture(id="card")
        self._guided = True
        """Whether the line that says what one sees is shown, and at the end what comes next."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped_by = 0
        """Signal that came before the app could act on it."""

    def compose(self) -> ComposeResult:
        """Lay the views out."""
        # First, so that the places of the others, which Textual counts from the last on, stay the same when it opens.
        yield self._dialog
        yield self._header
        yield self._views
        yield self._card
        yield self._guide
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
        # What the shell wrote in the meantime is not to shine through what has not changed.
        self.app_resume_signal.subscribe(self, lambda _: self.call_later(self._repaint))
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

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the size."""
        self._arrange(event.size)

    # What happened

    def tick(self) -> None:
        """Take in what happened since the last tick, and redraw what changed."""
        if not self.screen_stack:  # the clock may strike while the screens are being taken down
            return
        self._take_in()
        now = time.monotonic()
        due = now - self._drawn >= DRAW_SECONDS or self._urgent
        if due or self._changed or now - self._worded >= WORDS_SECONDS:
            self._draw_text()
        if due:
            self._draw_panels()
        self._put_cursor()

    def _wake(self) -> None:
        """Take in what a person waits for, and tell of it in words; the charts follow at the next tick."""
        if not self.screen_stack:  # as in `tick`
            return
        self._take_in()
        if self._changed or self._waiting:
            self._draw_text()

    def _take_in(self) -> None:
        notices, alerts = [], []
        for event in self.source.poll():
            self.history.apply(event)
            self._react(event)
            match event:
                case e.Notice():
                    notices.append(event.message)
                case e.Alert():
                    alerts.append(event.message)
        self._tell(*notices)
        # A column beside the charts tells of them too.
        if isinstance(self.source, LiveRun) and (
            self._views.shown != "charts" or self.screen_stack[0].has_class("small")
        ):
            for message in alerts[-TOASTS_AT_ONCE:]:
                self._toast(message, "warning")
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
        match event:
            case e.Started():
                self._changed = True
                if isinstance(self.source, LiveRun):
                    environment = event.environment
                    self._meter = Meter(str(environment["device"]), str(environment.get("device_uuid", "")))
            case e.Stepped():
                step, seconds = self._seen_rate
                if event.seconds - seconds >= 1 or step == 0:
                    self._rate = (event.step - step) / max(1e-9, event.seconds - seconds)
                    self._seen_rate = (event.step, event.seconds)
            case e.EpochEnded():
                # What is drawn of it on several panels is to be of the same moment.
                # Short epochs wait for their turn.
                self._urgent |= time.monotonic() - self._drawn >= 0.8 * DRAW_SECONDS
                self._changed = True
            case e.Paused() | e.Resumed() | e.Evaluating():
                self._changed = True
            case e.Intervened():
                self._changed = self._urgent = True
                self._waiting = ""
                self._views.say(self.look.text(f"step {event.step:,}: {told(self.history, event)}"))
            case e.Undone():
                self._changed = self._urgent = True
                self._waiting = ""
                self._views.say(self.look.text(f"step {event.step:,}: undone, back to step {event.to:,}"))
            case e.Alert():
                self._views.say(f"step {event.step:,}: {event.message}")
            case e.Notice():
                self._waiting = ""
            case e.Restarted():
                self._seen_rate = (0, 0.0)
            case e.Finished():
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
            self._toast(text, "information")

    def _toast(self, text: str, severity: SeverityLevel) -> None:
        """Say something on top of any view; where that would hide most of it, on the line of the state."""
        width, height = self.screen_stack[0].size
        if width < 60 or height < GUIDED_FROM:
            self._say(text)
        else:
            self.notify(self.look.text(plain_text(text)), severity=severity, markup=False)

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
        self._redraw_panels()
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
        self._redraw_panels()

    def _draw_text(self) -> None:
        """Redraw what is told in words: some two milliseconds in all."""
        self._changed, self._worded = False, time.monotonic()
        self._show_state()
        base = self.screen_stack[0]
        width = base.size.width
        if base.has_class("tiny"):
            return
        self._header.show(status.header(self.history, self.look, width, self._rate))
        self._hints.show_keys(self._hinted(), self._allowed, self.look, width)
        self._show_guide(width, base.size.height)
        self._views.have_read(self.source.control)
        self._views.write(self.look)

    def _show_state(self) -> None:
        """Redraw the line that tells how the run stands, or what is said of the last key."""
        base = self.screen_stack[0]
        if base.has_class("tiny"):
            width, height = base.size
            said = textwrap.wrap(self._said, max(1, width))
            lines = [*status.tiny(self.history, self.look, width, height - len(said)), *said]
            self._tiny.show(Text("\n".join(lines if height > 1 or not said else said)))
            return
        waiting = self._said or self._waiting
        if not waiting and self.source.error is not None:
            # The reason stands at the end, often behind a long path.
            waiting = shortened(f"failed: {plain_text(str(self.source.error))}", max(20, base.size.width - 2))
        usage = None if self._meter is None else self._meter.usage
        ways = status.ways_on(self._hinted(), self._allowed) if self._ended else []
        self._state.show(status.state(self.history, self.look, waiting, base.size.width, usage, ways))

    def _show_guide(self, width: int, height: int) -> None:
        """Redraw the line that says what one sees, what to look for and what to try; at the end of a run its card."""
        shown = self._views.shown
        lines = card_lines(height) if self._guided and self._ended and shown == "charts" and self.history.step else 0
        self._guide.display = self._guided and height >= GUIDED_FROM
        if self._guide.display:
            replay = isinstance(self.source, Playback)
            self._guide.show(guide(self.history, shown, self.look, width, replay))
        if self._card.display != (lines > 0):
            self._card.display = lines > 0
            self._redraw_panels()
        if lines:
            places, folder = [], None
            if isinstance(self.source, LiveRun):
                places, folder = self.source.recorder.places, self.source.recorder.folder
            live = not isinstance(self.source, Playback)
            text = end_card(self.history, self.look, width - 2, lines, places, folder, live)
            self._card.styles.height = min(lines, text.plain.count("\n") + 1)
            text.plain = self.look.text(text.plain) if self.look.ascii_only else text.plain
            self._card.show(text)

    def action_guide(self) -> None:
        """Hide the line that says what one sees, or show it again."""
        self._guided = not self._guided
        self._say("the guide is shown" if self._guided else "the guide is hidden; i shows it")
        self._draw_text()

    def _put_cursor(self) -> None:
        """Have the terminal's cursor stand where the focus is, or else where it is told how the run stands."""
        if len(self.screen_stack) != 1:
            return  # the list of actions has an input, of which Textual takes care
        panels = self._views.panels
        focused = None if panels is None else panels.focused
        if self._dialog.is_open:
            place = self._dialog.place
        elif self.screen.has_class("tiny"):
            place = self._tiny.region.offset
        else:
            place = self._state.region.offset + (1, 0) if focused is None else focused.title_place
        self.put_cursor(self.screen.outer_size.clamp_offset(place))

    def _draw_panels(self) -> None:
        """Redraw the panels that changed, the first at once: each costs the trainer, and a person's next key, some."""
        self._drawn = time.monotonic()
        self._urgent = False
        self._draw_next()

    def _draw_next(self) -> None:
        """Redraw a panel that changed before this round began, then what was pressed meanwhile, then the next one."""
        if not self.screen_stack or self.screen_stack[0].has_class("tiny"):
            return
        if self._views.draw_next(self.look, self._drawn):
            self.call_later(self._draw_next)
