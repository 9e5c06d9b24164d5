"""The only training loop: configuration in, events out, commands obeyed between two steps."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import datetime, timezone

import torch

from bntui import alerts
from bntui import control as c
from bntui import events as e
from bntui.config import RunConfig
from bntui.errors import Interrupted
from bntui.training import data, devices, models, probes
from bntui.training.order import DataOrder, batches
from bntui.training.step import Trainer, evaluate, state_sha256
from bntui.training.stopwatch import Stopwatch
from bntui.values import MAX_LR, MIN_LR

EMIT_SECONDS = 0.1
"""How often the losses leave the device; they leave it for every step, so that no number depends on the clock."""

WATCH_SECONDS = 0.5
"""How often the BN layers are read within an epoch while somebody watches."""


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
        self.steps_per_epoch = len(dataset.train) // config.batch_size
        self.last_step = min(config.epochs * self.steps_per_epoch, config.max_steps or math.inf)
        self.paused = False
        self.bn_on, self.frozen, self.lr = True, False, config.lr
        self._begin()

    def _begin(self) -> None:
        """Set everything to where it is before the first step."""
        self.pair = models.build_pair(self.config, self.device)
        self.trainer = Trainer(self.pair, self.config)
        self.order = DataOrder(self.pair.generator)
        self.step, self.epoch = 0, 1
        self.losses: list[torch.Tensor] = []
        self.finite = {"bn": True, "plain": True}
        self.alerted: set[tuple[str, str]] = set()
        self.look_next = False
        self.watch = Stopwatch()
        self.emitted = self.watched = time.perf_counter()

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
            layers={f"bn{i}": width for i, width in enumerate(config.hidden, 1)},
            steps_per_epoch=self.steps_per_epoch,
            total_steps=int(self.last_step),
        )

    def train(self) -> str:
        """Train to the last step; return `completed` or `interrupted`."""
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
        last = min(self.last_step, self.epoch * self.steps_per_epoch)
        for x, y in batches(self.dataset.train, order, self.config.batch_size):
            self._obey_commands()
            looking = self.look_next or self.step + 1 == last
            if looking:
                self.trainer.look(True)
            self.losses += self.trainer.step(x, y)
            self.step += 1
            if looking:
                self._read_flow(live=self.step != last)
            if self.paused or time.perf_counter() - self.emitted >= EMIT_SECONDS:
                self._flush()
                if self.paused or self.emitted - self.watched >= WATCH_SECONDS:
                    self.watched = self.emitted
                    self.look_next = self.control.watching_flow
                    if self.control.watching:
                        self.emit(self._read_batch_norm(live=True))
            if self.step >= self.last_step:
                break
        self._flush()
        self.watch.stop()
        self._evaluate(self.watch.seconds() - train_seconds)
        if self.step % self.steps_per_epoch == 0:
            self.order.skip_evaluation()
            self.epoch += 1

    def _evaluate(self, train_seconds: float) -> None:
        begun = time.perf_counter()
        train = evaluate(self.pair, self.dataset.train, lambda: self.control.stopping)
        validation = evaluate(self.pair, self.dataset.validation, lambda: self.control.stopping)
        if train is None or validation is None:
            self._intervene("stop", None, None)
            raise _Stop
        seconds = time.perf_counter() - begun
        self.emit(e.EpochEnded(self.epoch, self.step, self.lr, train_seconds, seconds, train, validation))
        self.emit(self._read_batch_norm(live=False))

    def _read_flow(self, live: bool) -> None:
        self.look_next = False
        flows = {arm: probes.read_flow(layers) for arm, layers in self.trainer.layers.items()}
        self.trainer.look(False)
        self.emit(e.FlowRead(self.epoch, self.step, flows["bn"], flows["plain"], live))
        for arm, layers in flows.items():
            for kind, message in alerts.of_flow(arm, layers):
                if (arm, kind) not in self.alerted:
                    self.alerted.add((arm, kind))
                    self.emit(e.Alert(self.step, arm, kind, message))

    def _read_batch_norm(self, live: bool) -> e.BatchNormRead:
        layers = probes.read_batch_norm(self.trainer.batch_norm_layers)
        return e.BatchNormRead(self.epoch, self.step, layers, live)

    def _flush(self) -> None:
        """Read the losses since the last time from the device and emit them."""
        self.emitted = time.perf_counter()
        if not self.losses:
            return
        losses = dict(zip(("bn", "plain"), torch.stack(self.losses).view(-1, 2).t().tolist(), strict=True))
        self.losses = []
        self.emit(e.Stepped(self.step, 1, tuple(losses["bn"]), tuple(losses["plain"]), self.watch.seconds()))
        for arm, values in losses.items():
            # One sum instead of a look at each: it is finite only if all of them are.
            if self.finite[arm] and not math.isfinite(sum(values)):
                self.finite[arm] = False
                step = self.step - len(values) + 1 + next(i for i, v in enumerate(values) if not math.isfinite(v))
                message = f"the loss of {arm} is no longer a number: this arm has diverged; try a smaller --lr"
                self.emit(e.Alert(step, arm, "diverged", message))

    def _obey_commands(self) -> None:
        """Obey what was asked for and return when the next step may be taken: while paused, not before one is wanted.

        This is the only place that reads commands, always between two steps and never between a step and its
        evaluation: a recorded step number is all that a replay needs.
        """
        waiting = False
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
        elif isinstance(command, c.LearningRate):
            self._set_lr(command.value)
        elif isinstance(command, c.ScaleLearningRate):
            self._set_lr(self.lr * command.factor)
        elif isinstance(command, c.BatchNorm):
            on = not self.bn_on if command.on is None else command.on
            if on != self.bn_on:
                self._intervene("bn", self.bn_on, on)
                self.bn_on = on
                self.trainer.switch_batch_norm(on)
        elif isinstance(command, c.Freeze):
            on = not self.frozen if command.on is None else command.on
            if on != self.frozen:
                self._intervene("freeze", self.frozen, on)
                self.frozen = on
                self.trainer.freeze_batch_norm(on)
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

    def _set_lr(self, lr: float) -> None:
        if not (math.isfinite(lr) and MIN_LR <= lr <= MAX_LR):
            self.emit(e.Notice(f"learning rate {lr:g} is outside {MIN_LR:g} to {MAX_LR:g}; it stays at {self.lr:g}"))
        elif lr != self.lr:
            self._intervene("learning_rate", self.lr, lr)
            self.lr = self.trainer.optimizer.lr = lr

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
        if self.lr != self.config.lr:
            self._intervene("learning_rate", self.config.lr, self.lr)
            self.trainer.optimizer.lr = self.lr
        if not self.bn_on:
            self._intervene("bn", True, False)
            self.trainer.switch_batch_norm(False)
        if self.frozen:
            self._intervene("freeze", False, True)
            self.trainer.freeze_batch_norm(True)

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each arm's state_dict."""
        return {arm: state_sha256(model) for arm, model in self.pair.arms.items()}

    def wall_seconds(self) -> float:
        """Return the seconds since the run began, pauses included."""
        return time.perf_counter() - self.begun
