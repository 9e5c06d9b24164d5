"""What a person asks of a run: each action of the key table that the trainer answers, and the way out."""

from __future__ import annotations

from pathlib import Path

from textual.app import App

from bntui import control as c
from bntui.errors import ExportError
from bntui.history import History
from bntui.plain import plain_text
from bntui.settings import SETTINGS
from bntui.sinks.files import check_writable
from bntui.tui.dialog import Answer, Dialog
from bntui.tui.driver import Driver
from bntui.tui.live import LiveRun
from bntui.tui.look import Look
from bntui.tui.playback import Playback

ANSWER_SECONDS = 0.02
"""How long a command may take before the screen says that it is on its way: less would only flicker."""

PROMPTS = {
    "learning_rate": "Learning rate",
    "batch_size": "Batch size, from 2",
    "dropout": "Dropout: share of the units, from 0 up to, not including, 1",
    "bn_noise": "Noise after the normalization: 0 is none, 0.5 is Santurkar's",
    "bn_eval": "Evaluate BN by which statistics: running, batch, single or precise",
    "shift": "Validation images: none, rotation:30, brightness:0.5, contrast:-0.7, noise:0.5 or inversion:1",
}
"""What is asked for a setting that is typed."""


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
        self.left_alone = self.at_once = False
        """Whether the run goes on without a screen, or is not to be waited for."""

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

    def action_switch(self, setting: str) -> None:
        """Switch something off or on."""
        self._send(c.Change(setting))

    def action_precise_bn(self) -> None:
        """Estimate BN's statistics anew."""
        self._send(c.PreciseBatchNorm())

    def action_scale_lr(self, factor: float) -> None:
        """Raise or lower the learning rate."""
        self._send(c.ScaleLearningRate(factor))

    def action_change(self, setting: str) -> None:
        """Ask for the value of a setting, and take only one that a run takes."""
        option, parse, _ = SETTINGS[setting]

        def check(text: str) -> str:
            try:
                value = parse(text)
            except ValueError as error:
                return f"takes {error}"
            if value != self.history.settings[setting]:
                self._send(c.Change(setting, value))
            return ""

        known = getattr(self.source.config, option) if isinstance(self.source, LiveRun) else ""
        now = self.history.settings[setting] if self.history.started else known
        self._dialog.ask_value(PROMPTS[setting], f"{now:g}" if isinstance(now, float) else str(now), check)

    def action_restart(self) -> None:
        """Ask, then begin again, or with one arm."""
        first, second = self.history.labels.values()
        self._dialog.ask(
            "Begin again from the first step?",
            Answer(
                "y", "yes; the results so far stay in the run folder", lambda: self._send(c.Restart(), "restarting…")
            ),
            Answer("1", f"only the first arm: {first}", lambda: self._send(c.RestartArm("bn"))),
            Answer("2", f"only the second arm: {second}", lambda: self._send(c.RestartArm("plain"))),
            Answer("n", "no"),
        )

    def action_export(self) -> None:
        """Write the results now; where something could not be written before, ask for another place."""
        if not self.source.running:
            return
        if self.source.problem:
            question = "Not all could be written. Write the results to which file?"
            self._dialog.ask_value(question, str(Path.home() / "bntui-results.json"), self._export_to)
            return
        self._send(c.Export(), "saving…")
        if not isinstance(self.source, LiveRun):
            return
        where = self.source.recorder.export or self.source.recorder.folder
        if where is not None:
            self.notify(f"writing {plain_text(str(where))}", markup=False)

    def _export_to(self, text: str) -> str:
        """Write the results to a file that was typed; return a complaint about it, or nothing."""
        try:
            path = Path(text).expanduser().absolute()
            check_writable(path, "")
        except (ExportError, RuntimeError) as error:
            return str(error).strip()
        self._send(c.Export(str(path)), "saving…")
        self.notify(f"writing {plain_text(str(path))}", markup=False)
        return ""

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

    def _leave_alone(self) -> None:
        """Leave a run to itself: the terminal is gone, and it goes on without."""
        self.left_alone = True
        self.exit(0)

    def _stop_and_leave(self, code: int) -> None:
        """Leave once all is saved; asked for a second time, at once."""
        if self._code is not None:
            self.at_once = True
            self.exit(code)
        self._code = code
        self._waiting = "saving…"
        self.source.stop()
