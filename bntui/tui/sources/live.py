"""A run in a thread of its own, as the app sees it: events to poll, a control, and how it ended."""

from __future__ import annotations

import gc
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bntui.config.options import RunConfig
from bntui.errors import Interrupted, UsageError
from bntui.messages.control import Control, Stop
from bntui.messages.events import Event, Finished, Intervened, Loading, Notice, Paused, Resumed, Undone
from bntui.messages.history import History
from bntui.storage.folder import RunFolder
from bntui.storage.recorder import Recorder
from bntui.storage.resume import is_output, notice_of_interrupted, resumed_config
from bntui.storage.schedule import scheduled
from bntui.training import import_run

JOIN_SECONDS = 0.05
"""How often who waits for the end of a run looks whether to wait on."""


class LiveRun:
    """Trains in a worker thread, records there, and hands every event on.

    Raises
    ------
    BntuiError
        At once, for what can be known without torch.
    """

    def __init__(self, config: RunConfig) -> None:
        self.control = Control(scheduled(config))
        self.config = self._asked = config
        self.recorder = Recorder(config, History(), live=True)
        self.checkpoints, self.checkpoint = self.recorder.checkpoints, self.recorder.checkpoint
        self.error: Exception | None = None
        self.discard = False
        """Set to leave the results unwritten."""
        self.saved = False
        """Whether the results were written."""
        self.unsaved = ""
        """Why the results of a run that failed could not be written, and where they lie instead."""
        self.wake: Callable[[], object] = lambda: None
        """Called from the worker when something has happened that a person waits for."""
        self._imported = False
        """Whether the worker has imported torch; if it was told to stop before, it ends there."""
        self.before: list[Path] = []
        """Folders of the runs whose place this one took."""
        self._events: deque[Event] = deque()
        if notice := notice_of_interrupted(config):
            self._events.append(Notice(notice))
        self._thread = threading.Thread(target=self._work, name="trainer", daemon=True)

    def again(self) -> LiveRun:
        """Let go of this run, which has ended, and return a new one of the same configuration in a folder of its own.

        Raises
        ------
        BntuiError
            There can't be one; this one stays as it is.
        """
        asked = self._asked
        folder = None if asked.resume is not None or asked.run_dir is None else _free(asked.run_dir)
        export = asked.export if asked.export in (None, "-") else _free(str(asked.export))
        run = LiveRun(replace(asked, resume=None, run_dir=folder, export=export))
        self.recorder.close()
        run._asked = asked
        run.before = [*self.before, *([self.recorder.folder] if self.recorder.folder is not None else [])]
        return run

    def more(self, epochs: int) -> LiveRun:
        """Let go of this run, which has ended, and return one that goes on with it, in its folder, for more epochs.

        They are counted from the last one that was evaluated. The limit of steps is lifted if it was what ended the
        run. All that had happened is told again.

        Raises
        ------
        BntuiError
            There is nothing to go on from.
        """
        folder, history, config = self.recorder.folder, self.recorder.history, self.config
        if self.running:
            raise UsageError("the run has not ended: there is nothing to go on from yet")
        if folder is None or not RunFolder(folder).has_checkpoint():
            where = "without a run folder" if folder is None else f"no checkpoint is left in {folder}"
            raise UsageError(f"the run can't go on: {where}; start it again")
        outputs = {option.name: getattr(config, option.name) for option in fields(config) if is_output(option.name)}
        ended_by_steps = config.max_steps is not None and history.step >= config.max_steps
        lifted = {"max_steps": None} if ended_by_steps else {}
        going_on = resumed_config({**outputs, **lifted, "resume": str(folder), "epochs": history.epoch + epochs})
        # Two can't hold the folder.
        self.recorder.close()
        run = LiveRun(going_on)
        run._asked, run.before = self._asked, self.before
        return run

    def log(self, line: str) -> None:
        """Add a line to the log of the run."""
        self.recorder.log(line)

    def start(self) -> None:
        """Begin to import torch and to train."""
        self._events.append(Loading("loading torch"))
        self._thread.start()

    def poll(self) -> list[Event]:
        """Return the events since the last call."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    @property
    def running(self) -> bool:
        """Whether the worker still trains or writes.

        One that was told to stop while it imports torch will do neither, and needs not be waited for.
        """
        return self._thread.is_alive() and (self._imported or not self.control.stopping)

    @property
    def problem(self) -> str:
        """What could not be written, and why; empty while all is well."""
        return self.recorder.problem

    def stop(self) -> None:
        """Ask for the end of the run; the results are written unless they are to be discarded."""
        self.control.send(Stop())

    def join(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until it no longer runs, or something else is the case."""
        while self.running and not unless():
            self._thread.join(JOIN_SECONDS)

    def _work(self) -> None:
        try:
            run = _import_run()
            self._imported = True
            if self.control.stopping:
                return
            run(self.config, self._take, self.control, self)
        except Interrupted:
            return
        except Exception as error:
            self.error = error
        try:
            history = self.recorder.history
            # As without a screen: of a run that failed at once, there is nothing that anybody waited for.
            if history.started is not None and (history.step or self.error is None) and not self.discard:
                self.recorder.write_results()
                self.saved = True
        except Exception as error:
            if self.error is None:
                self.error = error
            else:
                self.unsaved = str(error)

    def restore(self, kept: dict[str, Any]) -> bool:
        """Go back to a checkpoint, and tell what had happened up to there."""
        due = self.recorder.restore(kept)
        self._events.extend(self.recorder.restored)
        return due

    def _take(self, event: Event) -> None:
        self.recorder.take(event)
        self._events.append(event)
        if isinstance(event, Intervened | Undone | Paused | Resumed | Finished):
            self.wake()


def _free(path: str) -> str:
    """Return the first of `PATH-2`, `PATH-3`, … that is not there; `.json` stays at the end."""
    stem, suffix = (path[:-5], ".json") if path.endswith(".json") else (path.rstrip("/"), "")
    names = (f"{stem}-{number}{suffix}" for number in itertools.count(2))
    return next(name for name in names if not os.path.lexists(name))


def _import_run() -> Callable[..., Finished]:
    """Import torch, and take all that stays out of the garbage collector's sight.

    It would walk over half a million objects again and again, and the app would stand still for a tenth of a second.
    """
    gc.disable()
    try:
        return import_run()
    finally:
        gc.freeze()
        gc.enable()
