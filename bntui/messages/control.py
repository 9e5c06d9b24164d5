"""What a person asks for while a run goes on, and the channel that carries it to the trainer."""

from __future__ import annotations

import queue
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from bntui.config.interventions import Scalar


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause (`on`), resume (`not on`), or whichever is not the case now (`None`)."""

    on: bool | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Do one training step and stay paused; without effect while running."""


@dataclass(frozen=True, slots=True)
class Change:
    """Carry out an intervention of the table in `config.interventions`; of a switch, None toggles."""

    name: str
    value: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply a setting that is a number."""

    name: str
    factor: float


@dataclass(frozen=True, slots=True)
class Undo:
    """Take the newest intervention back: go on from the bits there were before it."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin again from the first step, keeping the learning rate and the switches as they stand."""


@dataclass(frozen=True, slots=True)
class Export:
    """Write the results as they are now: to where they belong, or to a file that is named."""

    path: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish the step under way and end the run."""


Command: TypeAlias = Pause | Step | Change | Scale | Undo | Restart | Export | Stop


WATCHED = ("normalization", "flow", "probes", "explain")


class Control:
    """Carries commands from any thread, or a signal handler, to the one thread that trains.

    Parameters
    ----------
    schedule
        `(step, command)` pairs to be obeyed once that many steps are done, as when interventions are replayed.
    """

    def __init__(self, schedule: Iterable[tuple[int, Command]] = ()) -> None:
        # SimpleQueue, because its put is reentrant: a signal handler may interrupt another put.
        self._queue: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.go_on(schedule, 0)
        self.stopping = False
        """True once a Stop was sent: long work outside the training steps looks at it and gives up."""
        self.watching: frozenset[str] = frozenset()
        """What somebody looks at, and is then read within epochs too: of `WATCHED`; changes no number."""
        self.layer = 0
        """Which normalization layer is looked at, counted over all arms and on beyond the last."""
        self.unit = 0
        """Which of its units, counted on beyond the last."""

    def send(self, command: Command) -> None:
        """Hand a command over; returns at once."""
        if isinstance(command, Stop):
            self.stopping = True
        self._queue.put(command)

    def poll(self, step: int) -> Command | None:
        """Return the next command that is due after `step` steps, or None. Never blocks."""
        if self._schedule and self._schedule[-1][0] <= step:
            self.obeyed += 1
            return self._schedule.pop()[1]
        if self._queue.empty():
            return None
        return self._queue.get()

    @property
    def planned(self) -> list[tuple[int, Command]]:
        """The whole schedule, what was obeyed of it too."""
        return self._planned[::-1]

    def go_on(self, schedule: Iterable[tuple[int, Command]], obeyed: int) -> None:
        """Take over the schedule of a run that goes on, and leave out how many of its commands were obeyed."""
        self._planned = sorted(schedule, key=lambda item: item[0])[::-1]  # the next one last; equals keep their order
        self.obeyed: int = min(obeyed, len(self._planned))
        """How many commands of the schedule were handed out."""
        self._schedule = self._planned[: len(self._planned) - self.obeyed]

    def wait(self) -> Command:
        """Block until a command is sent."""
        return self._queue.get()
