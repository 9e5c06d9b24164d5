"""What a run has shown so far, in bounded memory, however long it goes on."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from bntui.config.interventions import Scalar, initial
from bntui.run.arms import ARMS, labels
from bntui.run.events import (
    Alert,
    BatchNormRead,
    Continued,
    EpochEnded,
    Event,
    Explained,
    Finished,
    FlowRead,
    Hashed,
    Intervened,
    Loading,
    Notice,
    Paused,
    Planned,
    Probed,
    Restarted,
    Resumed,
    Started,
    Stepped,
)

ENDED = ("completed", "interrupted", "failed")
"""How a run stands that goes on no more."""
MAX_POINTS = 2_000
MAX_EPOCHS = 4_096
MAX_ALERTS = 1_000
MAX_BATCH_NORM_NUMBERS = 500_000
MAX_FLOW_NUMBERS = 100_000
MAX_FLOWS = 512
MAX_PROBES = 512


class Series:
    """Loss of both arms by step, as at most `MAX_POINTS` means over buckets of equally many steps.

    When the buckets run out, neighbours are merged and the width doubles. Only the step numbers decide where a bucket
    ends, so the same losses give the same points however they arrive.
    """

    def __init__(self) -> None:
        self.width = 1
        self._means = {arm: array("d") for arm in ARMS}
        self._sums = [0.0, 0.0]
        self._pending = 0
        self._last = 0
        self.seconds = array("d")
        """Training seconds up to each whole bucket's end; at the resolution of the events that brought the losses."""

    def extend(self, event: Stepped) -> None:
        """Add the losses of an event."""
        step = event.step - event.width * (len(event.bn) - 1)
        for bn, plain in zip(event.bn, event.plain, strict=True):
            self._sums[0] += bn * event.width
            self._sums[1] += plain * event.width
            self._pending += event.width
            self._last = step
            if step % self.width == 0:
                self.seconds.append(event.seconds)
                self._close()
            step += event.width

    def points(self) -> dict[str, list[Any]]:
        """Return `step`, `bn_loss` and `plain_loss`; a point stands at the last step of its bucket."""
        steps = [self.width * (i + 1) for i in range(len(self._means["bn"]))]
        losses = [list(self._means[arm]) for arm in ARMS]
        if self._pending:
            steps.append(self._last)
            for values, total in zip(losses, self._sums, strict=True):
                values.append(total / self._pending)
        return {"step": steps, "bn_loss": losses[0], "plain_loss": losses[1]}

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain lists and numbers."""
        return {
            "width": self.width,
            "means": {arm: list(means) for arm, means in self._means.items()},
            "sums": list(self._sums),
            "pending": self._pending,
            "last": self._last,
            "seconds": list(self.seconds),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Series:
        """Return what `to_dict` made. Raises KeyError, TypeError, ValueError or OverflowError for anything else."""
        series = Series()
        series.width, series._pending, series._last = (int(data[name]) for name in ("width", "pending", "last"))
        series._means = {arm: array("d", data["means"][arm]) for arm in ARMS}
        series._sums = [float(total) for total in data["sums"]]
        series.seconds = array("d", data["seconds"])
        lengths = {len(values) for values in (*series._means.values(), series.seconds)}
        if series.width < 1 or series._pending < 0 or len(series._sums) != 2 or len(lengths) != 1:
            raise ValueError("not a series")
        return series

    def _close(self) -> None:
        for arm, total in zip(ARMS, self._sums, strict=True):
            self._means[arm].append(total / self._pending)
        self._sums, self._pending = [0.0, 0.0], 0
        if len(self._means["bn"]) == MAX_POINTS:
            for arm, means in self._means.items():
                self._means[arm] = array("d", [(a + b) / 2 for a, b in zip(means[::2], means[1::2], strict=True)])
            self.seconds = self.seconds[1::2]
            self.width *= 2


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
    batch_norm: list[BatchNormRead] = field(default_factory=list)
    """Readings at evenly spaced epochs and the last, at most `MAX_BATCH_NORM_NUMBERS` numbers in all."""
    batch_norm_now: BatchNormRead | None = None
    flow: list[FlowRead] = field(default_factory=list)
    """As `batch_norm`, of what flowed through the layers."""
    flow_recent: deque[FlowRead] = field(default_factory=lambda: deque(maxlen=MAX_FLOWS))
    """The newest readings, those within epochs too."""
    probes: list[Probed] = field(default_factory=list)
    """Readings that are kept: all, then evenly spaced ones, at most `MAX_PROBES`."""
    probes_recent: deque[Probed] = field(default_factory=lambda: deque(maxlen=MAX_PROBES))
    """The newest, also those for who watches."""
    explained: Explained | None = None
    recent: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=MAX_POINTS))
    """The newest steps, each with its loss in `bn` and `plain`."""
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
    diverged: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(ARMS, False))
    state_sha256: dict[str, str] = field(default_factory=dict)
    status: str = "loading"
    """`loading`, `running` or `paused`, then `completed`, `interrupted` or `failed`."""
    _best_before: dict[str, Best] = field(default_factory=dict)
    """The best before the newest epoch."""
    _epoch_stride: int = 1
    _batch_norm_stride: int = 1
    _flow_stride: int = 1
    _probes_stride: int = 1
    _probes_seen: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in."""
        if isinstance(event, Stepped):
            self.steps.extend(event)
            first = event.step - event.width * (len(event.bn) - 1)
            steps = range(first, event.step + 1, event.width)
            self.recent.extend(zip(steps, event.bn, event.plain, strict=True))
            self.step, self.train_seconds = event.step, event.seconds
        elif isinstance(event, EpochEnded):
            self._add_epoch(event)
        elif isinstance(event, BatchNormRead):
            self.batch_norm_now = event
            if event.live:
                return
            numbers = sum(6 * len(layer.weight) for layer in event.layers)
            limit = max(2, min(MAX_EPOCHS, MAX_BATCH_NORM_NUMBERS // max(1, numbers)))
            self._batch_norm_stride = _append_thinned(self.batch_norm, event, self._batch_norm_stride, limit)
        elif isinstance(event, FlowRead):
            self.flow_recent.append(event)
            if not event.live:
                numbers = 6 * (len(event.bn) + len(event.plain))
                limit = max(2, min(MAX_EPOCHS, MAX_FLOW_NUMBERS // max(1, numbers)))
                self._flow_stride = _append_thinned(self.flow, event, self._flow_stride, limit)
        elif isinstance(event, Probed):
            self.probes_recent.append(event)
            if not event.live:
                self._add_probes(event)
        elif isinstance(event, Explained):
            self.explained = event
        elif isinstance(event, Continued):
            self.status, self.step = "running", event.step
            if self.started is not None:
                self.started = replace(self.started, config=event.config)
        elif isinstance(event, Planned):
            last = self.plans[-1] if self.plans else None
            if last is not None and (last.batch_size, last.steps_per_epoch) == (
                event.batch_size,
                event.steps_per_epoch,
            ):
                # A run that went on, perhaps to more epochs.
                self.plans[-1] = replace(last, total_steps=event.total_steps)
            else:
                self.plans.append(event)
        elif isinstance(event, Intervened):
            self.interventions.append(event)
            if event.action in self.settings and event.after is not None:
                self.settings[event.action] = event.after
            if event.action == "restart_arm":
                self.diverged[str(event.after)] = False
        elif isinstance(event, Alert):
            if event.kind == "diverged" and event.arm in self.diverged:
                self.diverged[event.arm] = True
            if len(self.alerts) < MAX_ALERTS:
                self.alerts.append(event)
        elif isinstance(event, Notice):
            if len(self.notices) < MAX_ALERTS:
                self.notices.append(event.message)
        elif isinstance(event, Loading):
            self.loading = event
        elif isinstance(event, Started):
            self.started, self.status, self.loading = event, "running", None
            self._plan_from(event)
        elif isinstance(event, Paused):
            self.status = "paused"
        elif isinstance(event, Resumed):
            self.status = "running"
        elif isinstance(event, Hashed | Finished):
            self.state_sha256, self.wall_seconds = event.state_sha256, event.wall_seconds
            if isinstance(event, Finished):
                self.status = event.status
        elif isinstance(event, Restarted):
            fresh = History(started=self.started, notices=self.notices, status=self.status)
            if self.started is not None:
                fresh._plan_from(self.started)
            self.__dict__.update(fresh.__dict__)

    def _plan_from(self, started: Started) -> None:
        self.settings = initial(started.config)
        batch_size = int(self.settings["batch_size"])
        self.plans = [Planned(0, 0.0, batch_size, started.steps_per_epoch, started.total_steps)]

    @property
    def labels(self) -> dict[str, str]:
        """What each arm is called on the screen."""
        return labels(self.started.config if self.started else {})

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

    def _add_probes(self, event: Probed) -> None:
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
        for arm in ARMS:
            metrics = getattr(event.validation, arm)
            if arm not in self.best or metrics.accuracy > self.best[arm].validation_accuracy:
                self.best[arm] = Best(metrics.accuracy, metrics.loss, event.epoch, event.step)


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
