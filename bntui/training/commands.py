"""Obeys what is asked for while a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from bntui.config.interventions import INTERVENTIONS, SETTINGS, Scalar
from bntui.messages import control as c
from bntui.messages import events as e

if TYPE_CHECKING:
    from bntui.training.session import Session


class StopRequest(Exception):
    """A Stop was obeyed."""


class RestartRequest(Exception):
    """A Restart was obeyed."""


class UndoRequest(Exception):
    """An Undo is to be obeyed, and there is something to take back."""


class Commands:
    """Reads the commands to a session, and carries them out between two steps."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.paused = False
        self.granted = False
        """Whether a step that was asked for while paused has still to be taken."""

    def obey(self) -> None:
        """Obey what was asked for and return when the next step may be taken: while paused, not before one is wanted.

        This is the only place that reads commands, always between two steps and never between a step and its
        evaluation: a recorded step number is all that a replay needs.
        """
        if self.granted:
            return
        session, control = self._session, self._session.control
        waiting = False
        while True:
            command = control.poll(session.progress.step)
            if command is None and self.paused:
                if not waiting:
                    waiting = True
                    session.flush()
                    session.progress.watch.stop()
                    session.emit(e.Paused(session.progress.step))
                session.autosave.save_if_due(0.0)
                command = control.wait()
            if command is None:
                break
            if not isinstance(command, c.Step):
                self._obey(command)
            elif self.paused:
                self.record("step", session.progress.step, session.progress.step + 1)
                self.granted = True
                break
        if waiting:
            session.progress.watch.start()

    def _obey(self, command: c.Command) -> None:
        """Carry a command out; one that changes nothing leaves no trace."""
        match command:
            case c.Pause(on):
                self._pause(not self.paused if on is None else on)
            case c.Change(name, value):
                self.change(name, value)
            case c.Scale(name, factor):
                now = self._session.steering.settings.get(name)
                if isinstance(now, int | float) and not isinstance(now, bool):
                    # In twelve digits, so that up and down again is where it was.
                    scaled = float(f"{now * factor:.12g}")
                    self.change(name, round(scaled) if isinstance(now, int) else scaled)
            case c.Undo():
                if not self._session.marks:
                    self._session.emit(e.Notice(self._session.marks.why_none))
                    return
                raise UndoRequest
            case c.Restart():
                self.granted = False
                raise RestartRequest
            case c.Stop():
                self.stop()
            case c.Export(path):
                self._session.hash()
                self.record("export", None, path)

    def _pause(self, on: bool) -> None:
        if on == self.paused:
            return
        self.record("pause" if on else "resume", self.paused, on)
        self.paused = on
        if not on:
            self._session.emit(e.Resumed(self._session.progress.step))

    def stop(self) -> NoReturn:
        """End the run here; what is recorded of that is no part of the checkpoint, from which it would go on."""
        session = self._session
        session.flush()
        # A stop that was planned must be known as obeyed, or the run that goes on would stop again.
        session.autosave.unsaved = True
        session.autosave.save()
        self.record("stop", None, None)
        raise StopRequest

    def change(self, name: str, value: Scalar | None) -> None:
        """Carry an intervention out, and record it; a value that it does not take is told of."""
        session, steering = self._session, self._session.steering
        row, now = INTERVENTIONS.get(name), steering.settings.get(name)
        told = name.replace("_", " ")
        try:
            value = steering.parse(name, value)
        except ValueError as error:
            stays = f"; it stays at {SETTINGS[name].written(now)}" if name in SETTINGS else ""
            session.emit(e.Notice(f"{told} takes {error}, not {value}{stays}"))
            return
        assert row is not None
        if row.is_setting and value == now:
            return
        if missing := steering.missing_for(row):
            session.emit(e.Notice(f"{told}: {missing}"))
            return
        # Before the state is kept, so that it knows all losses that were told before.
        session.flush()
        session.marks.keep(session.progress.step, name)
        self.record(name, now, value)
        steering.carry_out(name, value)
        match name:
            case "learning_rate":
                session.alerts.learning_rate(session.progress.step, float(now or 0), float(value or 0))
            case "batch_size":
                session.emit(session.progress.planned())
                session.alerts.batch_size(session.progress.step, session.progress.batch_size)
            case "restart_arm":
                session.alerts.forget(str(value))

    def record(self, action: str, before: e.Scalar, after: e.Scalar) -> None:
        """Tell of an intervention, in force from the next step on."""
        session = self._session
        session.flush()
        session.emit(e.Intervened(session.progress.step, session.progress.epoch, action, before, after))
        session.autosave.unsaved = True
