"""The only training loop: configuration in, events out, commands obeyed between two steps."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, NoReturn

import torch

from bntui.config.interventions import Scalar, initial
from bntui.config.options import RunConfig
from bntui.data import resident
from bntui.data.order import batches
from bntui.errors import Interrupted, UsageError
from bntui.run import control as c
from bntui.run import events as e
from bntui.run.alarms import Alarms
from bntui.run.arms import ARMS
from bntui.storage import resume
from bntui.training import checkpoint, devices
from bntui.training.checkpoint import Store
from bntui.training.evaluation import Evaluator, set_running_statistics
from bntui.training.observer import Observer
from bntui.training.state import State

EMIT_SECONDS = 0.1
"""How often the losses leave the device; they leave it for every step, so that no number depends on the clock."""

SAVE_SECONDS = 5.0
"""Least time between two checkpoints within an epoch."""
SAVE_SHARE = 60
"""A checkpoint is only made so many times as long after the last as that took."""


def run(config: RunConfig, emit: e.Emit, control: c.Control, store: Store | None = None) -> e.Finished:
    """Train the pair from the first step to the last; works from any thread.

    Parameters
    ----------
    config
        What to train on what.
    emit
        Called in this thread with every event, in order.
    control
        Commands from other threads, obeyed between two steps.
    store
        Where checkpoints are kept; with `config.resume`, also where the run goes on from.

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
    threads_before = torch.get_num_threads()
    threads = devices.choose_threads(config)
    torch.set_num_threads(threads)
    try:
        return _run(replace(config, threads=threads), device, emit, control, store)
    finally:
        torch.set_num_threads(threads_before)


def _run(config: RunConfig, device: torch.device, emit: e.Emit, control: c.Control, store: Store | None) -> e.Finished:
    try:

        def report(what: str, done: int, total: int, unit: str) -> None:
            if control.stopping:
                raise Interrupted
            emit(e.Loading(what, done, total, unit))

        dataset = resident.load(config, device, report, lambda message: emit(e.Notice(message)))
        config = replace(config, data=dataset.name, device=str(device))
        with torch.inference_mode(False):
            session = Session(config, dataset, device, emit, control, store)
        if control.stopping:
            raise Interrupted
        if config.resume is None or store is None:
            emit(session.started())
            session.open()
        else:
            session.resume(store)
    except (RuntimeError, MemoryError) as error:
        raise devices.out_of_memory(error, config, device) or error from None
    try:
        with torch.inference_mode():
            status = session.train()
    except Exception as error:
        known = devices.out_of_memory(error, config, device) or error
        with contextlib.suppress(Exception):  # what was trained until then, if the device still tells it
            session.flush()
        emit(e.Finished("failed", session.step, {}, session.wall_seconds(), f"{type(known).__name__}: {known}"))
        raise known from None
    finished = e.Finished(status, session.step, session.hashes(), session.wall_seconds())
    emit(finished)
    return finished


class _Stop(Exception):
    """A Stop was obeyed."""


class _Restart(Exception):
    """A Restart was obeyed."""


class Session(State):
    """A run: its loop, what it tells, the commands it obeys, and when it is saved."""

    def __init__(
        self,
        config: RunConfig,
        dataset: resident.Dataset,
        device: torch.device,
        emit: e.Emit,
        control: c.Control,
        store: Store | None = None,
    ) -> None:
        self.emit, self.control, self.store = emit, control, store
        self.begun = self.saved = time.perf_counter()
        self.save_cost = 0.0
        self.unsaved = True
        """Whether something has happened since the last checkpoint."""
        self.paused = False
        self.evaluator = Evaluator(dataset, config.seed)
        super().__init__(config, dataset, device)

    def begin(self) -> None:
        """As `State.begin`."""
        super().begin()
        self.observer = Observer(self.config, self.control, self.emit, self.trainer, self.dataset.train)
        self.alarms = Alarms(self.emit)
        self.granted = False
        """Whether a step that was asked for while paused has still to be taken."""
        self.losses: list[torch.Tensor] = []
        self.emitted = time.perf_counter()

    def started(self) -> e.Started:
        """Return the event that opens the run."""
        config, dataset = self.config, self.dataset
        return e.Started(
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            config=self._told_config(),
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

    def open(self) -> None:
        """Do what a run does once, before its first step: a run that goes on has done it."""
        self._look_at_batch_size()
        self._save()

    def train(self) -> str:
        """Train to the last step; return `completed` or `interrupted`."""
        while True:
            try:
                while self.step < self.last_step or self.evaluated < self.step:
                    self._train_epoch()
                self._save()
                return "completed"
            except _Stop:
                self.flush()
                return "interrupted"
            except _Restart:
                self._restart()
            finally:
                self.watch.stop()

    def _train_epoch(self) -> None:
        self.watch.start()
        order = self.order.next_epoch(len(self.dataset.train))
        while self.step < min(self.epoch_end, self.last_step):
            self._train_on(order[self.position :])
        self.flush()
        self.watch.stop()
        self._evaluate(self.watch.seconds() - self.epoch_seconds)
        if self.step == self.epoch_end:
            self.order.skip_evaluation()
            self.epoch += 1
            self.begin_epoch()
            self._save_if_due(0.0)

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
            self.unsaved = True
            if self.paused or time.perf_counter() - self.emitted >= EMIT_SECONDS:
                self.flush()
                self._save_if_due(SAVE_SECONDS)
            if last:
                return

    def _observe(self) -> None:
        try:
            flow = self.observer.after(self.epoch, self.step, float(self.settings["learning_rate"]))
        except Exception as error:
            self.observer.fail(error)
            return
        if flow is not None:
            self.alarms.flow(flow)

    def _look_at_batch_size(self) -> None:
        self.alarms.batch_size(self.step, self.batch_size, {"bn": self.config.norm, "plain": self.config.versus})

    def _evaluate(self, train_seconds: float) -> None:
        begun = time.perf_counter()
        metrics = self.evaluator.evaluate(self.pair, self.settings, lambda: self.control.stopping)
        if metrics is None:
            self._stop()
        train, validation = metrics
        seconds = time.perf_counter() - begun
        lr = float(self.settings["learning_rate"])
        self.emit(e.EpochEnded(self.epoch, self.step, lr, train_seconds, seconds, train, validation))
        self.observer.read_norms(self.epoch, self.step, live=False)
        self.alarms.evaluated(self.step, train)
        self.evaluated = self.step
        self.unsaved = True

    def flush(self) -> None:
        """Read the losses since the last time from the device and emit them."""
        self.emitted = time.perf_counter()
        if not self.losses:
            return
        losses = dict(zip(ARMS, torch.stack(self.losses).view(-1, 2).t().tolist(), strict=True))
        self.losses = []
        self.emit(e.Stepped(self.step, 1, tuple(losses["bn"]), tuple(losses["plain"]), self.watch.seconds()))
        self.alarms.losses(self.step, losses)

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
                    self.flush()
                    self.watch.stop()
                    self.emit(e.Paused(self.step))
                self._save_if_due(0.0)
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
            # In twelve digits, so that up and down again is where it was.
            scaled = float(self.settings["learning_rate"]) * command.factor
            self._change("learning_rate", float(f"{scaled:.12g}"))
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
            self.alarms.forget(command.arm)
        elif isinstance(command, c.Restart):
            raise _Restart
        elif isinstance(command, c.Stop):
            self._stop()
        elif isinstance(command, c.Export):
            self._hash()
            self._intervene("export", None, command.path)

    def _stop(self) -> NoReturn:
        """End the run here; what is recorded of that is no part of the checkpoint, from which it would go on."""
        self.flush()
        # A stop that was planned must be known as obeyed, or the run that goes on would stop again.
        self.unsaved = True
        self._save()
        self._intervene("stop", None, None)
        raise _Stop

    def _save_if_due(self, seconds: float) -> None:
        """Save a checkpoint if the last one is old enough, by its age and for what it takes to make one."""
        wanted = self.config.checkpoint_seconds
        seconds = max(seconds, SAVE_SHARE * self.save_cost) if wanted is None else float(wanted)
        if self.unsaved and time.perf_counter() - self.saved >= seconds:
            self._save()

    def _save(self) -> None:
        """Save a checkpoint, if there is a place for it and something happened since the last."""
        if self.store is None or not self.unsaved:
            return
        begun = time.perf_counter()
        state = checkpoint.gather(self)
        self.store.checkpoint(lambda kept: checkpoint.pack(state, kept))
        self.saved = time.perf_counter()
        self.save_cost, self.unsaved = self.saved - begun, False

    def resume(self, store: Store) -> None:
        """Go on from the newest checkpoint that is whole.

        Raises
        ------
        UsageError
            There is none, or it is of another run.
        """
        damaged = ""
        for name, contents in store.checkpoints():
            if isinstance(contents, OSError):
                damaged += f"{name} can't be read ({contents.strerror or contents}); "
                continue
            try:
                state, kept = checkpoint.unpack(contents)
                resume.check_same(self.config, state.get("config"))
                with torch.inference_mode(False):
                    checkpoint.restore(self, state)
                self.plan()
                if self.step > self.last_step:
                    done = f"that run has done {self.step:,} steps already"
                    raise UsageError(f"--resume {self.config.resume}: {done}; ask for no fewer --epochs or --max-steps")
                try:
                    due = store.restore(kept)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    raise checkpoint.DamagedError(f"it does not fit that run ({type(error).__name__})") from None
            except checkpoint.DamagedError as error:
                damaged += f"{name} is damaged: {error}; "
                with torch.inference_mode(False):
                    self.settings = initial(self.config.to_dict())
                    self.begin()
                continue
            self.unsaved = due
            self.emit(e.Continued(self.step, self._told_config()))
            self.emit(self.planned())
            before = " (the one before is used)" if damaged else ""
            self.emit(e.Notice(f"{damaged}goes on after step {self.step:,}{before}"))
            self._save()
            return
        raise UsageError(f"--resume {self.config.resume}: {damaged or 'holds no checkpoint; '}start the run again")

    def _told_config(self) -> dict[str, Any]:
        return {**self.config.to_dict(), "command": self.config.to_command()}

    def _hash(self) -> None:
        self.flush()
        self.emit(e.Hashed(self.step, self.hashes(), self.wall_seconds()))

    def _change(self, name: str, value: Scalar) -> None:
        """Give a setting another value, and record it; a value that it does not take is told of."""
        now = self.settings[name]
        try:
            value = self.parse(name, value)
        except ValueError as error:
            told = name.replace("_", " ")
            self.emit(e.Notice(f"{told} takes {error}, not {value}; it stays at {now}"))
            return
        if value != now and self._has_effect(name):
            self._intervene(name, now, value)
            self.put_into_force(name, value)
            if name == "learning_rate":
                self.alarms.learning_rate(self.step, float(now), float(value))
            if name == "batch_size":
                self.emit(self.planned())
                self._look_at_batch_size()

    def _has_effect(self, action: str) -> bool:
        """Whether there is anything that an intervention acts on; if not, say so."""
        missing = self.missing_for(action)
        if missing:
            self.emit(e.Notice(f"{action.replace('_', ' ')}: {missing}"))
        return not missing

    def _intervene(self, action: str, before: e.Scalar, after: e.Scalar) -> None:
        self.flush()
        self.emit(e.Intervened(self.step, self.epoch, action, before, after))
        self.unsaved = True

    def _restart(self) -> None:
        """Begin again, and record what differs from the configuration as interventions at step 0."""
        abandoned = self.step
        self._hash()
        self.emit(e.Restarted(abandoned))
        with torch.inference_mode(False):
            self.begin()
        self._intervene("restart", abandoned, 0)
        self._look_at_batch_size()
        for name, before in initial(self.config.to_dict()).items():
            if self.settings[name] != before:
                self._intervene(name, before, self.settings[name])
                self.put_into_force(name, self.settings[name])
        if self.batch_size != self.config.batch_size:
            self.emit(self.planned())

    def wall_seconds(self) -> float:
        """Return the seconds since the run began, pauses included."""
        return time.perf_counter() - self.begun
