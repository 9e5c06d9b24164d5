"""The only training loop: configuration in, events out, commands obeyed between two steps."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace
from datetime import datetime, timezone

import torch

from bntui import alerts
from bntui import control as c
from bntui import events as e
from bntui.arms import ARMS
from bntui.config import RunConfig
from bntui.errors import Interrupted
from bntui.settings import SETTINGS, Scalar, initial
from bntui.training import data, devices, models
from bntui.training.evaluation import Evaluator, set_running_statistics
from bntui.training.observer import Observer
from bntui.training.order import DataOrder, batches
from bntui.training.step import Trainer, state_sha256
from bntui.training.stopwatch import Stopwatch

EMIT_SECONDS = 0.1
"""How often the losses leave the device; they leave it for every step, so that no number depends on the clock."""

RECENT = 100
"""Steps of which the mean loss in train mode is compared with that in eval mode."""


def run(config: RunConfig, emit: e.Emit, control: c.Control) -> e.Finished:
    """Train the pair from the first step to the last; works from any thread.

    Parameters
    ----------
    config
        What to train on what.
    emit
        Called in this thread with every event, in order.
    control
        Commands from other threads, obeyed between two steps.

    Returns
    -------
    Finished
        The last event, also emitted.

    Raises
    ------
    DataError, DeviceError, UsageError
        The run can't begin, or memory ran out. Once begun, a `Finished("failed", …)` is emitted first.
    Interrupted
        A stop was asked for before the first step.
    """
    device = devices.choose_device(config.device)
    try:
        threads = devices.choose_threads(config)
        torch.set_num_threads(threads)

        def report(what: str, done: int, total: int, unit: str) -> None:
            if control.stopping:
                raise Interrupted
            emit(e.Loading(what, done, total, unit))

        dataset = data.load(config, device, report, lambda message: emit(e.Notice(message)))
        config = replace(config, data=dataset.name, device=str(device), threads=threads)
        with torch.inference_mode(False):
            session = _Session(config, dataset, device, emit, control)
    except (RuntimeError, MemoryError) as error:
        raise devices.out_of_memory(error, config, device) or error from None
    emit(session.started())
    try:
        with torch.inference_mode():
            status = session.train()
    except Exception as error:
        known = devices.out_of_memory(error, config, device) or error
        emit(e.Finished("failed", session.step, {}, session.wall_seconds(), f"{type(known).__name__}: {known}"))
        raise known from None
    finished = e.Finished(status, session.step, session.hashes(), session.wall_seconds())
    emit(finished)
    return finished


class _Stop(Exception):
    """A Stop was obeyed."""


class _Restart(Exception):
    """A Restart was obeyed."""


class _Session:
    """The state of a run between two steps: running, paused or stopping."""

    def __init__(
        self, config: RunConfig, dataset: data.Dataset, device: torch.device, emit: e.Emit, control: c.Control
    ) -> None:
        self.config, self.dataset, self.device = config, dataset, device
        self.emit, self.control = emit, control
        self.begun = time.perf_counter()
        self.paused = False
        self.settings = initial(config.to_dict())
        self.evaluator = Evaluator(dataset, config.seed)
        self._begin()

    def _begin(self) -> None:
        """Set everything to where it is before the first step."""
        self.pair = models.build_pair(self.config, self.device)
        self.trainer = Trainer(self.pair, self.config)
        self.observer = Observer(self.config, self.control, self.emit, self.trainer, self.dataset.train)
        self.order = DataOrder(self.pair.generator)
        self.step, self.epoch, self.position = 0, 1, 0
        self.granted = False
        """Whether a step that was asked for while paused has still to be taken."""
        self.batch_size = self.config.batch_size
        self._plan()
        self.losses: list[torch.Tensor] = []
        self.recent: dict[str, deque[float]] = {arm: deque(maxlen=RECENT) for arm in ARMS}
        self.finite = dict.fromkeys(ARMS, True)
        self.alerted: set[tuple[str, str]] = set()
        self.raised: tuple[int, float, float] | None = None
        """Step at which the learning rate was last changed, before and after."""
        self.watch = Stopwatch()
        self.emitted = time.perf_counter()

    def _plan(self) -> None:
        """Work out with which step the epoch and the run end, from where they are and at the batch size there is."""
        samples = len(self.dataset.train)
        self.steps_per_epoch = samples // self.batch_size
        self.epoch_end = self.step + (samples - self.position) // self.batch_size
        rest = (self.config.epochs - self.epoch) * self.steps_per_epoch
        self.last_step = int(min(self.epoch_end + rest, self.config.max_steps or math.inf))

    def started(self) -> e.Started:
        """Return the event that opens the run."""
        config, dataset = self.config, self.dataset
        return e.Started(
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            config={**config.to_dict(), "command": config.to_command()},
            environment=devices.describe(self.device, config.threads or 1),
            dataset={
                "name": dataset.name,
                "source": dataset.source,
                "train_samples": len(dataset.train),
                "validation_samples": len(dataset.validation),
                "sha256": dataset.sha256,
            },
            layers={f"bn{i}": width for i, width in enumerate(config.hidden, 1)} if self.pair.normalized else {},
            steps_per_epoch=self.steps_per_epoch,
            total_steps=self.last_step,
        )

    def train(self) -> str:
        """Train to the last step; return `completed` or `interrupted`."""
        self._warn_of_batch_size()
        while True:
            try:
                while self.step < self.last_step:
                    self._train_epoch()
                return "completed"
            except _Stop:
                self._flush()
                return "interrupted"
            except _Restart:
                self._restart()
            finally:
                self.watch.stop()

    def _train_epoch(self) -> None:
        train_seconds = self.watch.seconds()
        self.watch.start()
        order = self.order.next_epoch(len(self.dataset.train))
        self.position = 0
        while self.step < min(self.epoch_end, self.last_step):
            self._train_on(order[self.position :])
        self._flush()
        self.watch.stop()
        self._evaluate(self.watch.seconds() - train_seconds)
        if self.step == self.epoch_end:
            self.order.skip_evaluation()
            self.epoch += 1
            self.position = 0
            self._plan()

    def _train_on(self, order: torch.Tensor) -> None:
        """Train on samples in that order, up to the end of the epoch or the run, or until the batch size changes."""
        batch_size = self.batch_size
        for x, y in batches(self.dataset.train, order, batch_size):
            self._obey_commands()
            if batch_size != self.batch_size:
                return
            last = self.step + 1 == min(self.epoch_end, self.last_step)
            observed = self.observer.before(x, y, self.step + 1, last, self.paused)
            self.losses += self.trainer.step(x, y)
            self.step += 1
            self.granted = False
            self.position += batch_size
            if observed:
                self._observe()
            if self.paused or time.perf_counter() - self.emitted >= EMIT_SECONDS:
                self._flush()
            if last:
                return

    def _observe(self) -> None:
        flow = self.observer.after(self.epoch, self.step, float(self.settings["learning_rate"]))
        if flow is not None:
            for arm in ARMS:
                for kind, message in alerts.of_flow(arm, getattr(flow, arm)):
                    self._warn(arm, kind, message)

    def _warn(self, arm: str, kind: str, message: str, step: int | None = None) -> None:
        """Emit an alert, unless there was one of the kind about the arm before."""
        if (arm, kind) not in self.alerted:
            self.alerted.add((arm, kind))
            self.emit(e.Alert(self.step if step is None else step, arm, kind, message))

    def _warn_of_batch_size(self) -> None:
        norms = {"bn": self.config.norm, "plain": self.config.versus}
        for warning in alerts.of_batch_size(self.batch_size, norms):
            self._warn(*warning)

    def _evaluate(self, train_seconds: float) -> None:
        begun = time.perf_counter()
        metrics = self.evaluator.evaluate(self.pair, self.settings, lambda: self.control.stopping)
        if metrics is None:
            self._intervene("stop", None, None)
            raise _Stop
        train, validation = metrics
        seconds = time.perf_counter() - begun
        lr = float(self.settings["learning_rate"])
        self.emit(e.EpochEnded(self.epoch, self.step, lr, train_seconds, seconds, train, validation))
        self.observer.read_norms(self.epoch, self.step, live=False)
        for arm, losses in self.recent.items():
            if len(losses) == RECENT:
                for kind, message in alerts.of_gap(arm, sum(losses) / RECENT, getattr(train, arm).loss):
                    self._warn(arm, kind, message)

    def _flush(self) -> None:
        """Read the losses since the last time from the device and emit them."""
        self.emitted = time.perf_counter()
        if not self.losses:
            return
        losses = dict(zip(ARMS, torch.stack(self.losses).view(-1, 2).t().tolist(), strict=True))
        self.losses = []
        self.emit(e.Stepped(self.step, 1, tuple(losses["bn"]), tuple(losses["plain"]), self.watch.seconds()))
        for arm, values in losses.items():
            self.recent[arm].extend(values)
            # One sum instead of a look at each: it is finite only if all of them are.
            if self.finite[arm] and not math.isfinite(sum(values)):
                self.finite[arm] = False
                step = self.step - len(values) + 1 + next(i for i, v in enumerate(values) if not math.isfinite(v))
                message = f"the loss of {arm} is no longer a number: this arm has diverged; try a smaller --lr"
                self._warn(arm, "diverged", message, step)
                if self.raised is not None:
                    at, before, after = self.raised
                    for kind, told in alerts.of_learning_rate(before, after, step - at):
                        self._warn(arm, kind, told, step)

    def _obey_commands(self) -> None:
        """Obey what was asked for and return when the next step may be taken: while paused, not before one is wanted.

        This is the only place that reads commands, always between two steps and never between a step and its
        evaluation: a recorded step number is all that a replay needs.
        """
        waiting = False
        if self.granted:
            return
        while True:
            command = self.control.poll(self.step)
            if command is None and self.paused:
                if not waiting:
                    waiting = True
                    self._flush()
                    self.watch.stop()
                    self.emit(e.Paused(self.step))
                command = self.control.wait()
            if command is None:
                break
            if not isinstance(command, c.Step):
                self._obey(command)
            elif self.paused:
                self._intervene("step", self.step, self.step + 1)
                self.granted = True
                break
        if waiting:
            self.watch.start()

    def _obey(self, command: c.Command) -> None:
        """Carry a command out; one that changes nothing leaves no trace."""
        if isinstance(command, c.Pause):
            on = not self.paused if command.on is None else command.on
            if on != self.paused:
                self._intervene("pause" if on else "resume", self.paused, on)
                self.paused = on
                if not on:
                    self.emit(e.Resumed(self.step))
        elif isinstance(command, c.ScaleLearningRate):
            self._change("learning_rate", float(self.settings["learning_rate"]) * command.factor)
        elif isinstance(command, c.Change):
            now = self.settings[command.setting]
            self._change(command.setting, not now if command.value is None else command.value)
        elif isinstance(command, c.PreciseBatchNorm):
            if self._has_effect("precise_bn"):
                self._intervene("precise_bn", None, None)
                set_running_statistics(self.pair, self.dataset.train)
        elif isinstance(command, c.RestartArm):
            self._intervene("restart_arm", None, command.arm)
            self.trainer.restart(command.arm)
            self.finite[command.arm] = True
            self.recent[command.arm].clear()
            self.alerted = {(arm, kind) for arm, kind in self.alerted if arm != command.arm}
        elif isinstance(command, c.Restart):
            raise _Restart
        elif isinstance(command, c.Stop):
            self._intervene("stop", None, None)
            raise _Stop
        elif isinstance(command, c.Export):
            self._hash()
            self._intervene("export", None, None)

    def _hash(self) -> None:
        self._flush()
        self.emit(e.Hashed(self.step, self.hashes(), self.wall_seconds()))

    def _change(self, name: str, value: Scalar) -> None:
        """Give a setting another value, and record it; a value that it does not take is told of."""
        now = self.settings[name]
        try:
            value = SETTINGS[name][1](str(value))
            if name == "batch_size" and int(value) > len(self.dataset.train):
                raise ValueError(f"at most the {len(self.dataset.train):,} training samples")
        except ValueError as error:
            told = name.replace("_", " ")
            self.emit(e.Notice(f"{told} takes {error}, not {value}; it stays at {now}"))
            return
        if value != now and self._has_effect(name):
            self._intervene(name, now, value)
            self._put_into_force(name, value)
            if name == "learning_rate":
                self.raised = (self.step, float(now), float(value))
            if name == "batch_size":
                self._warn_of_batch_size()

    def _has_effect(self, name: str) -> bool:
        """Whether there is anything that an intervention acts on; if not, say so."""
        missing = ""
        if name in ("bn", "bn_noise") and not self.pair.normalized:
            missing = "neither arm has a normalization"
        elif name in ("freeze", "bn_eval", "adapt_bn", "precise_bn") and not self.pair.batch_norms:
            missing = "neither arm has a normalization that keeps statistics"
        if missing:
            self.emit(e.Notice(f"{name.replace('_', ' ')}: {missing}"))
        return not missing

    def _put_into_force(self, name: str, value: Scalar) -> None:
        self.settings[name] = value
        if name == "learning_rate":
            self.trainer.optimizer.lr = float(value)
        elif name == "bn":
            self.trainer.switch_norm(bool(value))
        elif name == "freeze":
            for norm in self.pair.batch_norms:
                norm.frozen = bool(value)
        elif name == "bn_noise":
            for module in self.pair.norms:
                module.noise = float(value)
        elif name == "dropout":
            for dropout in self.pair.dropouts:
                dropout.p = float(value)
        elif name == "batch_size":
            epochs = self.epoch - 1 + self.position / len(self.dataset.train)
            self.batch_size = int(value)
            self._plan()
            self.emit(e.Planned(self.step, epochs, self.batch_size, self.steps_per_epoch, self.last_step))

    def _intervene(self, action: str, before: e.Scalar, after: e.Scalar) -> None:
        self._flush()
        self.emit(e.Intervened(self.step, self.epoch, action, before, after))

    def _restart(self) -> None:
        """Begin again, and record what differs from the configuration as interventions at step 0."""
        abandoned = self.step
        self._hash()
        self.emit(e.Restarted(abandoned))
        with torch.inference_mode(False):
            self._begin()
        self._intervene("restart", abandoned, 0)
        self._warn_of_batch_size()
        for name, before in initial(self.config.to_dict()).items():
            if self.settings[name] != before:
                self._intervene(name, before, self.settings[name])
                self._put_into_force(name, self.settings[name])

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each arm's state_dict."""
        return {arm: state_sha256(model) for arm, model in self.pair.arms.items()}

    def wall_seconds(self) -> float:
        """Return the seconds since the run began, pauses included."""
        return time.perf_counter() - self.begun
