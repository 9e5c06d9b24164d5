"""What a person asks of a run: each action of the key table that the trainer answers, and the way out."""

from __future__ import annotations

from textual.app import App

from bntui import control as c
from bntui.errors import UsageError
from bntui.history import History
from bntui.tui.dialog import Answer, Dialog
from bntui.tui.driver import Driver
from bntui.tui.live import LiveRun
from bntui.tui.look import Look
from bntui.tui.playback import Playback
from bntui.tui.terminal import plain_text
from bntui.values import learning_rate

ANSWER_SECONDS = 0.02
"""How long a command may take before the screen says that it is on its way: less would only flicker."""


class CommandApp(App[int]):
    """An app whose actions go to a source's control; what they bring comes back as events, not from here."""

    def __init__(self, source: LiveRun | Playback, look: Look) -> None:
        super().__init__(driver_class=Driver)
        self.source = source
        self.look = look
        self.history = History()
        self._dialog = Dialog()
        self._waiting = ""
        """What is said of a command that was not obeyed yet."""
        self._code: int | None = None
        """Exit code, once it is to be left."""

    def _draw_text(self) -> None:
        """Redraw what is told in words."""
        raise NotImplementedError

    def _send(self, command: c.Command, waiting: str = "changing…") -> None:
        """Hand a command over, and say so if it is not obeyed at once: an evaluation is finished first."""
        if self.source.running:
            self._waiting = waiting
            self.source.control.send(command)
            self.set_timer(ANSWER_SECONDS, self._draw_text_if_waiting)

    def _draw_text_if_waiting(self) -> None:
        if self._waiting:
            self._draw_text()

    def action_pause(self) -> None:
        """Pause or resume."""
        self._send(c.Pause(), "resuming…" if self.history.status == "paused" else "pausing…")

    def action_step(self) -> None:
        """Do one step."""
        if self.history.status == "paused":
            self._send(c.Step())

    def action_batch_norm(self) -> None:
        """Switch BN off or on."""
        self._send(c.BatchNorm())

    def action_freeze(self) -> None:
        """Freeze the statistics or let them move."""
        self._send(c.Freeze())

    def action_scale_lr(self, factor: float) -> None:
        """Raise or lower the learning rate."""
        self._send(c.ScaleLearningRate(factor))

    def action_learning_rate(self) -> None:
        """Ask for a learning rate, and take only one that a run takes."""

        def check(text: str) -> str:
            try:
                rate = float(learning_rate(text))
            except (ValueError, UsageError) as error:
                return f"takes {error}"
            if rate != self.history.lr:
                self._send(c.LearningRate(rate))
            return ""

        known = self.source.config.lr if isinstance(self.source, LiveRun) else 0.01
        now = self.history.lr if self.history.started else known
        self._dialog.ask_value("Learning rate", f"{now:g}", check)

    def action_restart(self) -> None:
        """Ask, then begin again."""
        self._dialog.ask(
            "Begin again from the first step?",
            Answer(
                "y", "yes; the results so far stay in the run folder", lambda: self._send(c.Restart(), "restarting…")
            ),
            Answer("n", "no"),
        )

    def action_export(self) -> None:
        """Write the results now."""
        self._send(c.Export(), "saving…")
        if not isinstance(self.source, LiveRun) or not self.source.running:
            return
        where = self.source.recorder.export or self.source.recorder.folder
        if where is not None:
            self.notify(f"writing {plain_text(str(where))}", markup=False)

    async def action_quit(self) -> None:
        """Quit; while training, ask what to save."""
        if not self.source.running:
            self.exit(0)
            return

        def leave(discard: bool) -> None:
            self.source.discard = discard
            self._stop_and_leave(0)

        self._dialog.ask(
            "Training goes on. Quit?",
            Answer("s", "stop, save and quit", lambda: leave(discard=False)),
            Answer("d", "quit without saving results", lambda: leave(discard=True)),
            Answer("c", "cancel"),
        )

    def action_interrupt(self) -> None:
        """Stop, save and leave with the code of an interrupted program."""
        self._stop_and_leave(130)

    def _stop_and_leave(self, code: int) -> None:
        self._code = code
        self._waiting = "saving…"
        self.source.stop()
