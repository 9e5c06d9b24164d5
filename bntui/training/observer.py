"""Decides when somebody gets to see the inside of a step, and lets the probes read it."""

from __future__ import annotations

import time

from torch import Tensor

from bntui.config.options import RunConfig
from bntui.config.parsers import PROBES
from bntui.data.resident import Samples
from bntui.probes.flow import explain, read_flow, read_norms
from bntui.probes.mechanism import Mechanism
from bntui.run.control import Control
from bntui.run.events import BatchNormRead, Emit, FlowRead, Notice
from bntui.training.fused.engine import Trainer

WATCH_SECONDS = 0.5
"""How often somebody who watches gets a reading within an epoch."""
COST_SHARE = 20
"""Live readings wait so many times as long as the last ones took."""


class Observer:
    """Looks into the steps of one trainer: at the end of epochs, every so often, and for who watches."""

    def __init__(self, config: RunConfig, control: Control, emit: Emit, trainer: Trainer, train: Samples) -> None:
        self._config, self._control, self._emit = config, control, emit
        self._trainer, self._train = trainer, train
        self._live: frozenset[str] = frozenset()
        self._next = time.perf_counter()
        self._flow = self._explain = self._last = self._exported = False
        self._failures: set[str] = set()
        """What has been said of readings that failed."""
        self._probes: Mechanism | None = None

    def before(self, x: Tensor, y: Tensor, step: int, last: bool, now: bool) -> bool:
        """Prepare for a step on a batch, and return whether there is something to be read after it.

        Parameters
        ----------
        x, y
            The batch: inputs, float32 [batch, 784], and labels, int64 [batch].
        step
            Number of the step that is to come.
        last
            Whether it is the last of its epoch.
        now
            Whether who watches is to see this very step.
        """
        try:
            return self._prepare(x, y, step, last, now)
        except Exception as error:
            self.fail(error)
            return False

    def _prepare(self, x: Tensor, y: Tensor, step: int, last: bool, now: bool) -> bool:
        if now or time.perf_counter() >= self._next:
            self._next = time.perf_counter() + WATCH_SECONDS
            self._live = self._control.watching
        config = self._config
        due = config.probe if step % config.probe_every == 0 else ()
        if not (last or due or self._live):
            return False
        self._last = last
        self._flow, self._explain = last or "flow" in self._live, last or "explain" in self._live
        if self._flow or self._explain:
            self._trainer.look(True)
        self._exported = bool(due)
        names = due or (PROBES if "probes" in self._live else ())
        if names:
            self._probes = Mechanism(self._trainer.pair, x, y, names)
        return True

    def after(self, epoch: int, step: int, lr: float) -> FlowRead | None:
        """Read and emit what was prepared for; return what flowed, if it was read."""
        begun = time.perf_counter()
        flow: FlowRead | None = None
        if self._flow:
            unit = self._config.unit if self._last else self._control.unit
            flow = read_flow(self._trainer.layers, epoch, step, unit, live=not self._last)
            self._emit(flow)
        if self._explain:
            watched = "explain" in self._control.watching
            layer, channel = (self._control.layer, self._control.unit) if watched else (0, self._config.unit)
            read = explain(self._trainer.norm_layers, layer, channel, step, live=not self._last)
            if read is not None:
                self._emit(read)
        if self._flow or self._explain:
            self._trainer.look(False)
        if self._probes is not None:
            self._emit(self._probes.probe(lr, self._train, epoch, step, not self._exported))
        if "batch_norm" in self._live:
            self.read_norms(epoch, step, live=True)
        if self._live:
            self._next = max(self._next, begun + COST_SHARE * (time.perf_counter() - begun))
        self._flow, self._explain, self._probes, self._live = False, False, None, frozenset()
        return flow

    def fail(self, error: Exception) -> None:
        """Say, once, that a reading failed, and be ready for the next: who looks must not stop what is looked at."""
        self._trainer.look(False)
        self._flow, self._explain, self._probes, self._live = False, False, None, frozenset()
        told = f"looking into the layers failed ({type(error).__name__}: {error})"
        if told not in self._failures:
            self._failures.add(told)
            self._emit(Notice(f"{told}; training goes on, and the next reading is tried"))

    def read_norms(self, epoch: int, step: int, live: bool) -> None:
        """Emit the state of the normalizations."""
        if not self._trainer.norm_layers:
            return
        try:
            read = read_norms(self._trainer.norm_layers)
        except Exception as error:
            self.fail(error)
        else:
            self._emit(BatchNormRead(epoch, step, read, live))
