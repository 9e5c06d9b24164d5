"""Where a run is, and with which step its epoch and the run itself end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from bntui.config.options import RunConfig
from bntui.data.source import Source
from bntui.messages.events import Planned
from bntui.training.stopwatch import Stopwatch

_MOST = 10**15
"""Steps, epochs or seconds."""


class Progress:
    """The steps and epochs of a run, and its clocks.

    Attributes
    ----------
    step, epoch
        Steps done, and the epoch under way, from 1 on.
    evaluated
        Step of the last evaluation: the run is over when its last step is evaluated, not when it is done.
    batch_size
        Samples of the next step.
    epoch_end, last_step
        With which step the epoch and the run end, at the batch size there is.
    end
        The first of the two.
    watch, epoch_seconds
        Training seconds, and how many of them lie before the epoch.
    """

    def __init__(self, config: RunConfig, source: Source, begun: float) -> None:
        self._config, self._source, self._begun = config, source, begun
        self.step, self.epoch, self.evaluated = 0, 1, 0
        self.batch_size = config.batch_size
        self.watch = Stopwatch()
        self.epoch_seconds = 0.0
        self.plan()

    def plan(self) -> None:
        """Work out with which step the epoch and the run end, from where they are and at the batch size there is."""
        samples = self._source.train_samples
        self.steps_per_epoch = samples // self.batch_size
        self.epoch_end = self.step + (samples - self._source.position) // self.batch_size
        rest = (self._config.epochs - self.epoch) * self.steps_per_epoch
        self.last_step = int(min(self.epoch_end + rest, self._config.max_steps or math.inf))
        self.end = min(self.epoch_end, self.last_step)

    def next_epoch(self) -> None:
        """Be before the first step of the next epoch, as the source is."""
        self.epoch += 1
        self.epoch_seconds = self.watch.seconds()
        self.plan()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.last_step and self.evaluated >= self.step

    def planned(self) -> Planned:
        """Return the event that tells of the plan."""
        epochs = self.epoch - 1 + self._source.position / self._source.train_samples
        return Planned(self.step, epochs, self.batch_size, self.steps_per_epoch, self.last_step)

    def wall_seconds(self) -> float:
        """Return the seconds since the run began, pauses included."""
        return time.perf_counter() - self._begun

    def state_dict(self) -> dict[str, Any]:
        """Return the counts and clocks; the batch size is a setting."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "evaluated": self.evaluated,
            "train_seconds": self.watch.seconds(),
            "epoch_seconds": self.epoch_seconds,
            "wall_seconds": self.wall_seconds(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises KeyError, TypeError or ValueError if it did not."""
        step, epoch, evaluated = (int(state[name]) for name in ("step", "epoch", "evaluated"))
        train, before, wall = (float(state[f"{name}_seconds"]) for name in ("train", "epoch", "wall"))
        if not (0 <= evaluated <= step <= _MOST and 1 <= epoch <= _MOST):
            raise ValueError("no place in a run")
        if not all(0 <= seconds < _MOST for seconds in (train, before, wall)):
            raise ValueError("no time of a run")
        self.step, self.epoch, self.evaluated = step, epoch, evaluated
        self.watch = Stopwatch()
        self.watch.add(train)
        self.epoch_seconds = before
        self._begun = time.perf_counter() - wall
