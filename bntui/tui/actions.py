"""What a person asks of a run: each action of the key table that the trainer answers, and the way out."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from bntui.config import parsers
from bntui.config.interventions import INTERVENTIONS, Scalar, initial
from bntui.errors import BntuiError, ExportError
from bntui.messages import control as c
from bntui.messages.history import ENDED, History
from bntui.messages.names import setting_word, value_word
from bntui.storage.files import check_writable
from bntui.storage.saving import save_to_file
from bntui.text import plain_text
from bntui.tui.sources.live import LiveRun
from bntui.tui.sources.playback import Playback
from bntui.tui.terminal.driver import Driver
from bntui.tui.terminal.textual_private import OpenApp
from bntui.tui.theme import Look
from bntui.tui.widgets.dialog import Answer, Dialog

ANSWER_SECONDS = 0.02
"""How long a command may take before the screen says that it is on its way: less would only flicker."""

PAUSING, RESUMING = "pausing…", "resuming…"
SAID_SECONDS = 3.0
"""How long the screen keeps what it says of a key."""
WRITING = "the results are being written"
MORE_EPOCHS = 3
"""How many epochs are offered to a run that has ended."""
NOTHING_TRAINS = "this run is only looked at: nothing trains here"


class CommandApp(OpenApp[int]):
    """An app whose actions go to a source's control; what they bring comes back as events, not from here."""

    def __init__(self, source: LiveRun | Playback, look: Look) -> None:
        super().__init__(driver_class=Driver)
        self.source = source
        self.look = look
        self.history = History()
        self._dialog = Dialog()
        self._waiting = ""
        """What is said of a command that was not obeyed yet."""
        self._said = ""
        """What is said of the last key: what it did, or why it can do nothing."""
        self._said_until = 0.0
        self._code: int | None = None
        """Exit code, once it is to be left."""
        self.left_alone = self.at_once = False
        """Whether the run goes on without a screen, or is not to be waited for."""

    def _wake(self) -> None:
        """Take in what happened, and tell of it in words, and of what is waited for."""
        raise NotImplementedError

    def _show_state(self) -> None:
        """Redraw the line that tells how the run stands."""
        raise NotImplementedError

    def _begin_again(self) -> None:
        """Show a source from its beginning, and start it."""
        raise NotImplementedError

    def _say(self, text: str) -> None:
        """Say what a key did, or why it can do nothing: at once, and for a while."""
        self._said = self.look.text(plain_text(text))
        self._said_until = time.monotonic() + SAID_SECONDS
        self._show_state()

    @property
    def _ended(self) -> bool:
        """Whether nothing trains any more; the results may still be being written."""
        return not self.source.running or self.history.status in ENDED

    def _trains(self) -> bool:
        """Whether there is a trainer that obeys; if not, say so, and what can be done."""
        if self._code is not None:
            self._say("saving, then leaving: nothing can be changed")
        elif isinstance(self.source, Playback):
            self._say(NOTHING_TRAINS)
        elif self._ended:
            status = self.history.status if self.history.status in ENDED else "failed"
            self._say(f"{status}: r runs again, k trains more epochs, q quits; nothing else to change")
        else:
            return True
        return False

    def _send(self, command: c.Command, waiting: str = "changing…") -> None:
        """Hand a command over, and say so if it is not obeyed at once: an evaluation is finished first."""
        if self._trains():
            self._waiting, self._said = waiting, ""
            self.source.control.send(command)
            self.set_timer(ANSWER_SECONDS, self._wake)

    def action_pause(self) -> None:
        """Pause or resume."""
        self._send(c.Pause(), RESUMING if self.history.status == "paused" else PAUSING)

    def action_step(self) -> None:
        """Do one step."""
        if not self._trains():
            return
        if self._waiting == PAUSING or (self.history.status == "paused" and self._waiting != RESUMING):
            self._send(c.Step())
        else:
            self._say("s steps only while paused; space pauses")

    def action_intervene(self, name: str) -> None:
        """Carry out an intervention: a switch goes over, what takes a value asks for one that a run takes."""
        row = INTERVENTIONS[name]
        if not row.prompt:
            self._send(c.Change(name))
        elif self._trains():
            if row.choices:
                self._choose_for(name)
            else:
                self._ask_for(name)

    def action_scale(self, name: str, factor: float) -> None:
        """Multiply a setting."""
        self._send(c.Scale(name, factor))

    def _choose_for(self, name: str) -> None:
        """Offer the values that an intervention takes, in a list."""
        row, now = INTERVENTIONS[name], self._setting_now(name)
        widest = max(len(value) for value, _ in row.choices)
        answers = [
            Answer(str(number), f"{value:<{widest}}  {says}", partial(self._change_to, name, value))
            for number, (value, says) in enumerate(row.choices, 1)
        ]
        if row.open_ended:
            answers.append(Answer("t", "another: type it", lambda: self._ask_for(name)))
        values = [value for value, _ in row.choices]
        answers.append(Answer("c", f"leave it at {now}"))
        self._dialog.ask(row.prompt, *answers, chosen=values.index(str(now)) if str(now) in values else None)

    def _ask_for(self, name: str) -> None:
        """Ask for a value that is typed."""
        row, now = INTERVENTIONS[name], self._setting_now(name)

        def check(text: str) -> str:
            try:
                value = row.parse(text)
            except ValueError as error:
                return f"takes {error}"
            self._change_to(name, value)
            return ""

        self._dialog.ask_value(row.prompt, f"{now:g}" if isinstance(now, float) else str(now), check)

    def _setting_now(self, name: str) -> Scalar:
        """Return a setting as it stands, or as it will at the first step."""
        known = self.history.settings
        if not self.history.started and isinstance(self.source, LiveRun):
            known = dict(initial(self.source.config.to_dict()))
        return known.get(name, "")

    def _change_to(self, name: str, value: Scalar) -> None:
        """Have a setting take a value, unless it has it."""
        # What is on its way may change it first.
        if self.history.started and value == self.history.settings.get(name) and not self._waiting:
            self._say(f"{setting_word(self.history, name)} is {value_word(name, value)} already")
        else:
            self._send(c.Change(name, value))

    def action_undo(self) -> None:
        """Go back to before the last intervention."""
        if not self._trains():
            return
        # One that is on its way can be taken back too.
        if self.history.undoable is None and not self._waiting:
            self._say("no intervention to undo")
        else:
            self._send(c.Undo(), "going back…")

    def action_more(self) -> None:
        """Once the run has ended, go on with it for a few more epochs."""
        if self._code is not None or isinstance(self.source, Playback):
            self._trains()
        elif not self._ended:
            self._say("k adds epochs once the run has ended")
        elif self.source.running:
            self._say(WRITING)
        else:
            self._dialog.ask_value("How many more epochs?", str(MORE_EPOCHS), self._train_on)

    def _train_on(self, text: str) -> str:
        """Go on for so many more epochs; return a complaint, or nothing."""
        assert isinstance(self.source, LiveRun)
        try:
            self.source = self.source.more(int(parsers.count(text)))
        except ValueError as error:
            return f"takes {error}"
        except BntuiError as error:
            return str(error)
        self._begin_again()
        return ""

    def action_restart(self) -> None:
        """Ask, then begin again, or with one arm; once the run has ended, with a new one."""
        if self._ended and self._code is None and not isinstance(self.source, Playback):
            self._ask_to_run_again()
            return
        if not self._trains():
            return
        self._dialog.ask(
            "Begin again from the first step?",
            Answer(
                "y", "yes; the results so far stay in the run folder", lambda: self._send(c.Restart(), "restarting…")
            ),
            *(
                Answer(str(number), f"only {arm.label}", partial(self._send, c.Change("restart_arm", arm.name)))
                for number, arm in enumerate(self.history.arms, 1)
            ),
            Answer("n", "no"),
            name="restart",
        )

    def _ask_to_run_again(self) -> None:
        self._dialog.ask(
            "The run has ended. Run again, with the same configuration?",
            Answer("y", "yes, in a folder of its own; this run's stays as it is", self._run_again),
            Answer("n", "no"),
        )

    def _run_again(self) -> None:
        """Begin a new run in the place of the one that has ended."""
        if self.source.running:
            self._say(WRITING)
        elif isinstance(self.source, LiveRun):
            try:
                self.source = self.source.again()
            except BntuiError as error:
                self.notify(plain_text(str(error)), markup=False)
                return
            self._begin_again()

    def _ask_again(self) -> None:
        """Put another question in the place of one that was asked while the run went on."""
        if self._dialog.shows("quit"):
            self._ask_to_leave()
        elif self._dialog.shows("restart"):
            self._ask_to_run_again()

    def action_export(self) -> None:
        """Write the results now; where something could not be written before, ask for another place."""
        if self._ended and self._code is None and isinstance(self.source, LiveRun):
            self._export_at_the_end(self.source)
            return
        if not self._trains():
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

    def _export_at_the_end(self, run: LiveRun) -> None:
        """Say where the results of a run that has ended lie; if they were not written as they should, ask where to."""
        if run.running:
            self._say(WRITING)
        elif run.saved:
            self.notify(f"the results are in {plain_text(' and '.join(run.recorder.places))}", markup=False)
        elif not run.recorder.history.step:
            self._say("no step was trained: there are no results")
        else:
            question = "The results could not be written. Write them to which file?"
            self._dialog.ask_value(question, str(Path.home() / "bntui-results.json"), self._save_to)

    def _save_to(self, text: str) -> str:
        """Write the results of a run that has ended to a file that was typed; return a complaint, or nothing."""
        assert isinstance(self.source, LiveRun)
        try:
            path = Path(text).expanduser().absolute()
            check_writable(path, "")
            save_to_file(self.source.recorder.history, path)
        except (ExportError, RuntimeError) as error:
            return str(error).strip()
        self.notify(f"the results are in {plain_text(str(path))}", markup=False)
        return ""

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
        elif self._code is not None:
            self._say("saving, then leaving; Ctrl+C leaves at once")
        elif self._ended:
            self._stop_and_leave(0)
            self._show_state()
        else:
            self._ask_to_leave()

    def _ask_to_leave(self) -> None:
        """Ask whether to leave, and what to save: what is said is what is the case."""

        def leave(discard: bool) -> None:
            self.source.discard = discard
            self._stop_and_leave(0)

        if self._ended:
            self._dialog.ask(
                f"The run has ended: {self.history.status}. Quit?",
                Answer("s", "quit; the results are kept", lambda: leave(discard=False)),
                Answer("c", "cancel"),
            )
            return
        self._dialog.ask(
            "Training goes on. Quit?",
            Answer("s", "stop, save and quit", lambda: leave(discard=False)),
            Answer("d", "quit without saving results", lambda: leave(discard=True)),
            Answer("c", "cancel"),
            name="quit",
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
