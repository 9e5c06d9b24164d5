"""Decides when somebody gets to see the inside of a step, and lets the probes read it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from bntui.config.options import RunConfig
from bntui.config.parsers import PROBES
from bntui.data.source import Source
from bntui.messages.control import Control
from bntui.messages.events import Emit, FlowRead, NormalizationRead, Notice
from bntui.models.arms import Arms
from bntui.probes.explain import explain
from bntui.probes.flow import read_flow
from bntui.probes.mechanism import Mechanism
from bntui.probes.statistics import Inputs, inputs_of, read_normalizations
from bntui.probes.taps import Taps
from bntui.training.engine import Engine
from bntui.training.progress import Progress

WATCH_SECONDS = 0.5
"""How often somebody who watches gets a reading within an epoch."""
COST_SHARE = 20
"""Live readings wait so many times as long as the last ones took."""


class Observer:
    """Looks into the steps of one run: at the end of epochs, every so often, and for who watches.

    Who looks must not stop what is looked at: a reading that fails is told of once, and the next is tried.
    """

    def __init__(
        self, config: RunConfig, control: Control, emit: Emit, arms: Arms, engine: Engine, source: Source,
        progress: Progress, flowed: Callable[[FlowRead], None],
    ) -> None:  # fmt: skip
        self._config, self._control, self._emit, self._flowed = config, control, emit, flowed
        self._arms, self._engine, self._source, self._progress = arms, engine, source, progress
        self._live: frozenset[str] = frozenset()
        self._next = time.perf_counter()
        self._last = False
        self._due: tuple[str, ...] = ()
        self._inputs: Inputs = {}
        """Of the last step of the epoch, which the reading after its evaluation tells of."""
        self._failures: set[str] = set()
        """What has been said of readings that failed."""

    def wants(self, now: bool) -> bool:
        """Whether something is to be read of the next step.

        Parameters
        ----------
        now
            Whether who watches is to see this very step.
        """
        if now or time.perf_counter() >= self._next:
            self._next = time.perf_counter() + WATCH_SECONDS
            self._live = self._control.watching
        step = self._progress.step + 1
        self._last = step == self._progress.end
        self._due = self._config.probe if step % self._config.probe_every == 0 else ()
        return bool(self._last or self._due or self._live)

    @contextlib.contextmanager
    def looking(self, x: Tensor, y: Tensor) -> Iterator[None]:
        """Look into the step on a batch, float32 [batch, …] and int64 [batch], that is made meanwhile."""
        names = self._due or (PROBES if "probes" in self._live else ())
        with contextlib.ExitStack() as stack:
            taps: Taps = {}
            mechanism: Mechanism | None = None
            with self._guard():
                if self._last or self._live & {"flow", "explain", "normalization"}:
                    taps = stack.enter_context(self._engine.taps())
                mechanism = Mechanism(self._arms.by_name, x, y, names) if names else None
            yield
            begun = time.perf_counter()
            with self._guard():
                self._read(taps, mechanism)
            if self._live:
                self._next = max(self._next, begun + COST_SHARE * (time.perf_counter() - begun))
                self._live = frozenset()

    def _read(self, taps: Taps, mechanism: Mechanism | None) -> None:
        """Read and emit what was prepared for."""
        control, last, live = self._control, self._last, self._live
        # The step that was just made is not counted yet.
        epoch, step = self._progress.epoch, self._progress.step + 1
        inputs = inputs_of(taps)
        self._inputs = inputs if last else {}
        if taps and (last or "flow" in live):
            flow = read_flow(taps, epoch, step, self._config.unit if last else control.unit, live=not last)
            self._emit(flow)
            self._flowed(flow)
        if taps and (last or "explain" in live):
            watched = "explain" in control.watching
            layer, channel = (control.layer, control.unit) if watched else (0, self._config.unit)
            explained = explain(taps, layer, channel, step, live=not last)
            if explained is not None:
                self._emit(explained)
        if mechanism is not None:
            lr = self._engine.learning_rate
            self._emit(mechanism.probe(lr, self._source, epoch, step, live=not self._due))
        if "normalization" in live:
            self._emit_normalizations(epoch, step, inputs, live=True)

    def evaluated(self, epoch: int, step: int) -> None:
        """Emit the state of the normalizations at the end of an epoch."""
        with self._guard():
            self._emit_normalizations(epoch, step, self._inputs, live=False)
        self._inputs = {}

    def _emit_normalizations(self, epoch: int, step: int, inputs: Inputs, live: bool) -> None:
        arms = read_normalizations(self._arms.by_name, inputs)
        if arms:
            self._emit(NormalizationRead(epoch, step, arms, live))

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Say, once, that a reading failed, and go on."""
        try:
            yield
        except Exception as error:
            told = f"looking into the layers failed ({type(error).__name__}: {error})"
            if told not in self._failures:
                self._failures.add(told)
                self._emit(Notice(f"{told}; training goes on, and the next reading is tried"))

    def state_dict(self) -> dict[str, Any]:
        """Return what a reading that is still to come needs."""
        return {arm: {name: x.cpu().clone() for name, x in layers.items()} for arm, layers in self._inputs.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises KeyError, ValueError or AttributeError if it did not."""
        inputs: Inputs = {}
        for arm, layers in state.items():
            features = self._arms.layers[arm]
            device = next(self._arms.by_name[arm].parameters()).device
            for name, x in layers.items():
                if x.dim() < 2 or x.shape[1] != features[name] or x.dtype != torch.float32:
                    raise ValueError("the input of another layer")
                inputs.setdefault(arm, {})[name] = x.to(device)
        self._inputs = inputs
