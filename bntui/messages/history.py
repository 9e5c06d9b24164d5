"""What a run has shown so far, in bounded memory, however long it goes on."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from bntui.config.interventions import Scalar, initial
from bntui.messages.arms import Arm
from bntui.messages.events import (
    Alert,
    Continued,
    EpochEnded,
    Event,
    Explained,
    Finished,
    FlowRead,
    Hashed,
    Intervened,
    Loading,
    NormalizationRead,
    Notice,
    Paused,
    Planned,
    Probed,
    Restarted,
    Resumed,
    Started,
    Stepped,
)
from bntui.messages.series import MAX_POINTS, Series, steps_of

ENDED = ("completed", "interrupted", "failed")
"""How a run stands that goes on no more."""
MAX_EPOCHS = 4_096
MAX_ALERTS = 1_000
MAX_NORMALIZATION_NUMBERS = 500_000
MAX_FLOW_NUMBERS = 100_000
MAX_FLOWS = 512
MAX_PROBES = 512


@dataclass
class Best:
    """The epoch in which an arm's validation accuracy was highest; the first of equals."""

    validation_accuracy: float
    validation_loss: float
    epoch: int
    step: int


@dataclass
class History:
    """Everything that `results.json` and the screen are made of. Belongs to one thread."""

    started: Started | None = None
    steps: Series = field(default_factory=Series)
    epochs: list[EpochEnded] = field(default_factory=list)
    """All epochs; beyond `MAX_EPOCHS`, every second, fourth, … and the last."""
    normalization: list[NormalizationRead] = field(default_factory=list)
    """Readings at evenly spaced epochs and the last, at most `MAX_NORMALIZATION_NUMBERS` numbers in all."""
    normalization_now: NormalizationRead | None = None
    flow: list[FlowRead] = field(default_factory=list)
    """As `normalization`, of what flowed through the layers."""
    flow_recent: deque[FlowRead] = field(default_factory=lambda: deque(maxlen=MAX_FLOWS))
    """The newest readings, those within epochs too."""
    probes: list[Probed] = field(default_factory=list)
    """Readings that are kept: all, then evenly spaced ones, at most `MAX_PROBES`."""
    probes_recent: deque[Probed] = field(default_factory=lambda: deque(maxlen=MAX_PROBES))
    """The newest, also those for who watches."""
    explained: Explained | None = None
    recent: deque[tuple[int, tuple[float, ...]]] = field(default_factory=lambda: deque(maxlen=MAX_POINTS))
    """The newest steps, each with its losses in the order of the arms."""
    best: dict[str, Best] = field(default_factory=dict)
    interventions: list[Intervened] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    loading: Loading | None = None
    step: int = 0
    epoch: int = 0
    settings: dict[str, Scalar] = field(default_factory=lambda: initial({}))
    """What can be changed while the run goes on, as it is now."""
    plans: list[Planned] = field(default_factory=list)
    """The first plan, and the one after each change of the batch size."""
    train_seconds: float = 0.0
    wall_seconds: float = 0.0
    diverged: dict[str, bool] = field(default_factory=dict)
    state_sha256: dict[str, str] = field(default_factory=dict)
    status: str = "loading"
    """`loading`, `running` or `paused`, then `completed`, `interrupted` or `failed`."""
    _best_before: dict[str, Best] = field(default_factory=dict)
    """The best before the newest epoch."""
    _epoch_stride: int = 1
    _normalization_stride: int = 1
    _flow_stride: int = 1
    _probes_stride: int = 1
    _probes_seen: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Stepped():
                self.steps.extend(event)
                self.recent.extend(steps_of(event))
                self.step, self.train_seconds = event.step, event.seconds
            case EpochEnded():
                self._add_epoch(event)
            case NormalizationRead():
                self._add_normalization(event)
            case FlowRead():
                self._add_flow(event)
            case Probed():
                self._add_probes(event)
            case Explained():
                self.explained = event
            case Started():
                self._start(event)
            case Continued():
                self.status, self.step = "running", event.step
                if self.started is not None:
                    self.started = replace(self.started, config=event.config)
            case Planned():
                self._add_plan(event)
            case Intervened():
                self._add_intervention(event)
            case Alert():
                if event.kind == "diverged" and event.arm in self.diverged:
                    self.diverged[event.arm] = True
                if len(self.alerts) < MAX_ALERTS:
                    self.alerts.append(event)
            case Notice():
                if len(self.notices) < MAX_ALERTS:
                    self.notices.append(event.message)
            case Loading():
                self.loading = event
            case Paused():
                self.status = "paused"
            case Resumed():
                self.status = "running"
            case Hashed() | Finished():
                self.state_sha256, self.wall_seconds = event.state_sha256, event.wall_seconds
                if isinstance(event, Finished):
                    self.status = event.status
            case Restarted():
                fresh = History(notices=self.notices)
                if self.started is not None:
                    fresh._start(self.started)
                fresh.status = self.status
                self.__dict__.update(fresh.__dict__)

    def _start(self, event: Started) -> None:
        self.started, self.status, self.loading = event, "running", None
        names = [arm.name for arm in event.arms]
        self.steps = Series(names)
        self.diverged = dict.fromkeys(names, False)
        self.settings = initial(event.config)
        batch_size = int(self.settings["batch_size"])
        self.plans = [Planned(0, 0.0, batch_size, event.steps_per_epoch, event.total_steps)]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of the run; none before it has begun."""
        return self.started.arms if self.started else ()

    @property
    def labels(self) -> dict[str, str]:
        """What each arm is called on the screen, by its name."""
        return {arm.name: arm.label for arm in self.arms}

    @property
    def lr(self) -> float:
        """The learning rate now."""
        return float(self.settings["learning_rate"])

    @property
    def total_steps(self) -> int:
        """The step with which the run will end."""
        return self.plans[-1].total_steps if self.plans else 0

    @property
    def samples(self) -> int:
        """Training samples seen so far."""
        ends = [*(plan.step for plan in self.plans[1:]), self.step]
        return sum((end - plan.step) * plan.batch_size for plan, end in zip(self.plans, ends, strict=True))

    def epochs_at(self, step: int) -> float:
        """Return how many epochs had passed after a step."""
        found = bisect_right(self.plans, step, key=lambda plan: plan.step)
        if not found:
            return 0.0
        plan = self.plans[found - 1]
        return plan.epochs + (step - plan.step) / max(1, plan.steps_per_epoch)

    def _add_plan(self, event: Planned) -> None:
        last = self.plans[-1] if self.plans else None
        if last is not None and (last.batch_size, last.steps_per_epoch) == (event.batch_size, event.steps_per_epoch):
            # A run that went on, perhaps to more epochs.
            self.plans[-1] = replace(last, total_steps=event.total_steps)
        else:
            self.plans.append(event)

    def _add_intervention(self, event: Intervened) -> None:
        self.interventions.append(event)
        if event.action in self.settings and event.after is not None:
            self.settings[event.action] = event.after
        if event.action == "restart_arm":
            self.diverged[str(event.after)] = False

    def _add_normalization(self, event: NormalizationRead) -> None:
        self.normalization_now = event
        if not event.live:
            numbers = sum(6 * len(layer.weight) for layers in event.arms.values() for layer in layers)
            limit = max(2, min(MAX_EPOCHS, MAX_NORMALIZATION_NUMBERS // max(1, numbers)))
            self._normalization_stride = _append_thinned(self.normalization, event, self._normalization_stride, limit)

    def _add_flow(self, event: FlowRead) -> None:
        self.flow_recent.append(event)
        if not event.live:
            numbers = 6 * sum(map(len, event.arms.values()))
            limit = max(2, min(MAX_EPOCHS, MAX_FLOW_NUMBERS // max(1, numbers)))
            self._flow_stride = _append_thinned(self.flow, event, self._flow_stride, limit)

    def _add_probes(self, event: Probed) -> None:
        self.probes_recent.append(event)
        if event.live:
            return
        if len(self.probes) >= MAX_PROBES:
            self.probes, self._probes_stride = self.probes[::2], 2 * self._probes_stride
        if self._probes_seen % self._probes_stride == 0:
            self.probes.append(event)
        self._probes_seen += 1

    def _add_epoch(self, event: EpochEnded) -> None:
        if self.epoch == event.epoch:
            # The run had ended within the epoch, and went on: what was evaluated there gives way.
            self.best = dict(self._best_before)
        self._best_before = dict(self.best)
        self.epoch, self.step = event.epoch, event.step
        self._epoch_stride = _append_thinned(self.epochs, event, self._epoch_stride, MAX_EPOCHS)
        for name, metrics in event.validation.items():
            if name not in self.best or metrics.accuracy > self.best[name].validation_accuracy:
                self.best[name] = Best(metrics.accuracy, metrics.loss, event.epoch, event.step)


def _append_thinned(rows: list[Any], row: Any, stride: int, limit: int) -> int:
    """Append the newest epoch's row, keeping rows at multiples of a stride, and return the stride.

    The newest row always stays; it gives way to the next one unless its epoch is a multiple. One of the same epoch,
    of a run that had ended within it and went on, gives way too.
    """
    if rows and rows[-1].epoch == row.epoch:
        rows.pop()
    if len(rows) >= limit:
        stride *= 2
        # Of a run there is no row beyond these; a journal may tell of one epoch again and again.
        rows[:] = [r for r in rows if r.epoch % stride == 0][: limit // 2 + 1]
    if rows and rows[-1].epoch % stride:
        rows.pop()
    rows.append(row)
    return stride
