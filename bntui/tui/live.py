"""A run in a thread of its own, as the app sees it: events to poll, a control, and how it ended."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from bntui.config import RunConfig
from bntui.control import Control, Stop
from bntui.errors import Interrupted
from bntui.events import Emit, Event, Finished, Intervened, Loading, Notice, Paused, Resumed
from bntui.history import History
from bntui.replay import scheduled
from bntui.sinks.folder import notice_of_interrupted
from bntui.sinks.recorder import Recorder


class LiveRun:
    """Trains in a worker thread, records there, and hands every event on.

    Raises
    ------
    BntuiError
        At once, for what can be known without torch.
    """

    def __init__(self, config: RunConfig) -> None:
        self.control = Control(scheduled(config))
        self.config = config
        self.recorder = Recorder(config, History())
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
        self._events: deque[Event] = deque()
        if notice := notice_of_interrupted(config):
            self._events.append(Notice(notice))
        self._thread = threading.Thread(target=self._work, name="trainer", daemon=True)

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
        """Whether the worker still trains or writes."""
        return self._thread.is_alive()

    @property
    def problem(self) -> str:
        """What could not be written, and why; empty while all is well."""
        return self.recorder.problem

    def stop(self) -> None:
        """Ask for the end of the run; the results are written unless they are to be discarded."""
        self.control.send(Stop())

    def join(self) -> None:
        """Wait for the end of the worker."""
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            run = _import_trainer()
            run(self.config, self._take, self.control, self)
        except Interrupted:
            return
        except Exception as error:
            self.error = error
        try:
            if self.recorder.history.step and not self.discard:
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
        if isinstance(event, Intervened | Paused | Resumed | Finished):
            self.wake()


def _import_trainer() -> Callable[[RunConfig, Emit, Control, LiveRun], Finished]:
    """Import torch, and take all that stays out of the garbage collector's sight.

    It would walk over half a million objects again and again, and the app would stand still for a tenth of a second.
    """
    gc.disable()
    try:
        from bntui.training.session import run
    finally:
        gc.freeze()
        gc.enable()
    return run
