"""What a run has shown so far, in bounded memory, however long it goes on."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from bntui.config.interventions import INTERVENTIONS, Scalar, initial
from bntui.messages.arms import Arm
from bntui.messages.events import (
    MOST_BRANCH_POINTS,
    Alert,
    Branch,
    Continued,
    EpochEnded,
    Evaluated,
    Evaluating,
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
    Undone,
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
MAX_EVALUATIONS = 1_024
MAX_READINGS, MAX_READING_NUMBERS = 256, 1_000_000
MAX_MARKS = 64
"""Interventions that can be taken back one after another."""
MAX_BRANCHES = 16


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
    readings: list[NormalizationRead] = field(default_factory=list)
    """Readings over the whole run, those within epochs too: at most `MAX_READINGS`, thinned evenly, and the newest."""
    evaluations: list[Evaluated] = field(default_factory=list)
    """Evaluations within epochs: at most `MAX_EVALUATIONS`, thinned evenly."""
    evaluating: Evaluating | None = None
    """The evaluation that goes on, if there is one."""
    branches: list[Branch] = field(default_factory=list)
    """The newest futures that were abandoned by taking an intervention back."""
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
    _readings_stride: int = 1
    _readings_seen: int = 0
    _evaluations_stride: int = 1
    _evaluations_seen: int = 0
    _marks: deque[tuple[Intervened, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=MAX_MARKS))
    """The newest interventions, each with all that was known before it."""

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Stepped():
                self.steps.extend(event)
                self.recent.extend(steps_of(event))
                self.step, self.train_seconds = event.step, event.seconds
            case Evaluating():
                self.evaluating = None if event.done >= event.total else event
            case Evaluated():
                self._evaluations_seen, self._evaluations_stride = _append_evenly(
                    self.evaluations, event, self._evaluations_seen, self._evaluations_stride, MAX_EVALUATIONS
                )
            case EpochEnded():
                self.evaluating = None
                self._add_epoch(event)
            case Undone():
                self._undo(event)
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
                    self.status, self.evaluating = event.status, None
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

    @property
    def undoable(self) -> Intervened | None:
        """The intervention that would be taken back next."""
        return self._marks[-1][0] if self._marks else None

    def _mark(self, event: Intervened) -> None:
        """Keep all that is known before an intervention."""
        kept = {
            name: value.copied() if isinstance(value, Series) else copy.copy(value)
            for name, value in self.__dict__.items()
            if name not in ("branches", "notices", "_marks")
        }
        self._marks.append((event, kept))

    def _undo(self, event: Undone) -> None:
        """Go back to before the newest intervention, and keep what came after as a branch."""
        branch = event.branch
        if branch is None and self._marks:
            undone, kept = self._marks.pop()
            branch = self._branch(undone, kept, event.step)
            status = self.status
            self.__dict__.update(kept)
            self.status = status
        if branch is not None:
            self.branches = [*self.branches, branch][-MAX_BRANCHES:]

    def _branch(self, undone: Intervened, kept: dict[str, Any], until: int) -> Branch:
        """Return what came after an intervention, before which this was known."""
        steps, losses = self.steps.points()
        accuracies = self.steps.points("accuracy")[1]
        after = range(bisect_right(steps, undone.step), len(steps))
        after = after[:: max(1, math.ceil(len(after) / MOST_BRANCH_POINTS))]
        return Branch(
            undone,
            until,
            tuple(steps[i] for i in after),
            {name: tuple(values[i] for i in after) for name, values in losses.items()},
            {name: tuple(values[i] for i in after) for name, values in accuracies.items()},
            tuple(_after(undone.step, self.evaluations, kept["evaluations"])),
            tuple(_after(undone.step, self.epochs, kept["epochs"])),
            tuple(self.interventions[len(kept["interventions"]) + 1 :][-MOST_BRANCH_POINTS:]),
        )

    def _add_intervention(self, event: Intervened) -> None:
        if event.action in INTERVENTIONS:
            self._mark(event)
        self.interventions.append(event)
        if event.action in self.settings and event.after is not None:
            self.settings[event.action] = event.after
        if event.action == "restart_arm":
            self.diverged[str(event.after)] = False

    def _add_normalization(self, event: NormalizationRead) -> None:
        self.normalization_now = event
        numbers = sum(6 * len(layer.weight) for layers in event.arms.values() for layer in layers)
        most = max(2, min(MAX_READINGS, MAX_READING_NUMBERS // max(1, numbers)))
        self._readings_seen, self._readings_stride = _append_evenly(
            self.readings, event, self._readings_seen, self._readings_stride, most
        )
        if not event.live:
            limit = max(2, min(MAX_EPOCHS, MAX_NORMALIZATION_NUMBERS // max(1, numbers)))
            self._normalization_stride = _append_thinned(self.normalization, event, self._normalization_stride, limit)

    def _add_flow(self, event: FlowRead) -> None:
        self.flow_recent.append(event)
        if not event.live:
            numbers = sum(7 + len(layer.quantiles) for layers in event.arms.values() for layer in layers)
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


def _after(step: int, rows: list[Any], kept: list[Any]) -> list[Any]:
    """Return the newest rows that came after those kept; one of the same step may have come before or after."""
    return [row for row in rows if row.step >= step and row not in kept[-1:]][-MOST_BRANCH_POINTS:]


def _append_evenly(rows: list[Any], row: Any, seen: int, stride: int, limit: int) -> tuple[int, int]:
    """Append the newest of `seen` + 1 rows to every `stride`-th of those before; return both numbers.

    The newest one stays until the next one comes.
    """
    if rows and (seen - 1) % stride:
        rows.pop()
    rows.append(row)
    if len(rows) > limit:
        rows[:] = [*rows[:-1:2], row]
        stride *= 2
    return seen + 1, stride


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
