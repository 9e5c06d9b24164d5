"""The only training loop: configuration in, events out, commands obeyed between two steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import torch
from torch import Tensor

from bntui.config.interventions import initial
from bntui.config.options import RunConfig
from bntui.data import resident
from bntui.data.source import Source
from bntui.errors import Interrupted, UsageError
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.alerts import Alerts
from bntui.messages.arms import build_arms
from bntui.models import mlp
from bntui.training import devices, within_epochs
from bntui.training.autosave import Autosave, Part
from bntui.training.batch_metrics import BatchMetrics
from bntui.training.checkpoint import Store
from bntui.training.commands import Commands, RestartRequest, StopRequest, UndoRequest
from bntui.training.engine import build_engine
from bntui.training.evaluation import Evaluator, estimating
from bntui.training.observer import Observer
from bntui.training.progress import Progress
from bntui.training.schedule import Schedule
from bntui.training.steering import Steering
from bntui.training.undo import Marks

EMIT_SECONDS = 0.1
"""How often the losses leave the device; they leave it for every step, so that no number depends on the clock."""
SAVE_SECONDS = 5.0
"""Least time between two checkpoints within an epoch."""


def run(config: RunConfig, emit: e.Emit, control: c.Control, store: Store | None = None) -> e.Finished:
    """Train the arms from the first step to the last; works from any thread.

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

        source = resident.load(config, device, report, lambda message: emit(e.Notice(message)))
        config = replace(config, data=source.name, device=str(device))
        with torch.inference_mode(False):
            session = Session(config, source, device, emit, control, store)
        if control.stopping:
            raise Interrupted
        if config.resume is None or store is None:
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
        told = f"{type(known).__name__}: {known}"
        emit(e.Finished("failed", session.progress.step, {}, session.progress.wall_seconds(), told))
        raise known from None
    progress = session.progress
    finished = e.Finished(status, progress.step, session.arms.hashes(), progress.wall_seconds())
    emit(finished)
    return finished


class Session:
    """A run: its parts, and the loop that goes through them."""

    def __init__(
        self, config: RunConfig, source: Source, device: torch.device, emit: e.Emit, control: c.Control,
        store: Store | None = None,
    ) -> None:  # fmt: skip
        self.config, self.source, self.device = config, source, device
        self.emit, self.control = emit, control
        self.begun = time.perf_counter()
        self.schedule = Schedule(control)
        self.evaluator = Evaluator(source)
        self.chosen = within_epochs.chosen(source.train_samples, source.validation_samples)
        """How many samples are evaluated each time within an epoch."""
        self.autosave = Autosave(config, store, self.parts, source.sha256)
        self.commands = Commands(self)
        self.marks = Marks(self.parts)
        self.begin()

    def begin(self) -> None:
        """Be before the first step, with every setting as the configuration has it."""
        self.arms = mlp.build(self.config, self.device)
        self.engine = build_engine(self.config, self.arms)
        self.source.begin(self.arms.generator)
        self.progress = Progress(self.config, self.source, self.begun)
        self.steering = Steering(self.config, self.arms, self.engine, self.source, self.progress)
        self.alerts = Alerts(self.emit, build_arms(self.config.arms))
        self.observer = Observer(self.config, self.control, self.emit, self.arms, self.engine, self.source,
                                 self.progress, self.alerts.flow)  # fmt: skip
        self.metrics = BatchMetrics(self.engine.arms)
        self.emitted = time.perf_counter()

    def parts(self) -> Mapping[str, Part]:
        """Return what a checkpoint is made of, in the order in which it is restored."""
        return {
            "progress": self.progress, "source": self.source, "engine": self.engine, "arms": self.arms,
            "observer": self.observer, "alerts": self.alerts, "settings": self.steering, "schedule": self.schedule,
        }  # fmt: skip

    def train(self) -> str:
        """Train to the last step; return `completed` or `interrupted`."""
        while True:
            try:
                while not self.progress.over:
                    self._train_epoch()
                self.autosave.save()
                return "completed"
            except StopRequest:
                self.flush()
                return "interrupted"
            except RestartRequest:
                self._restart()
            except UndoRequest:
                self._undo()
            finally:
                self.progress.watch.stop()

    def _train_epoch(self) -> None:
        progress = self.progress
        progress.watch.start()
        batch_size, batches = progress.batch_size, self.source.epoch(progress.batch_size)
        while progress.step < progress.end:
            self.commands.obey()
            if batch_size != progress.batch_size:
                batch_size, batches = progress.batch_size, self.source.epoch(progress.batch_size)
                continue
            x, y = next(batches)
            if self.observer.wants(self.commands.paused):
                with self.observer.looking(x, y):
                    self._step(x, y)
            else:
                self._step(x, y)
            progress.step += 1
            self.commands.granted = False
            self.autosave.unsaved = True
            self._evaluate_within(len(y))
            if self.commands.paused or time.perf_counter() - self.emitted >= EMIT_SECONDS:
                self.flush()
                self.autosave.save_if_due(SAVE_SECONDS)
        self.flush()
        progress.watch.stop()
        self._evaluate()
        if progress.step == progress.epoch_end:
            self.source.end_epoch()
            progress.next_epoch()
            self.autosave.save_if_due(0.0)

    def _step(self, x: Tensor, y: Tensor) -> None:
        losses = self.engine.forward_backward(x, y)
        self.metrics.add(losses, self.engine.logits, y)
        self.engine.update()

    def _evaluate_within(self, trained: int) -> None:
        """Evaluate the arms on some samples if that is due after a step on so many; no number of the run changes by it.

        With the last step of an epoch or of the run it is never due: that one is evaluated whole.
        """
        progress, settings, source = self.progress, self.steering.settings, self.source
        places = within_epochs.places(progress.epoch, source.train_samples, self.chosen, estimating(settings))
        before, after = source.position - trained, source.position
        if progress.step == progress.end or not within_epochs.passed(places, before, after):
            return
        self.flush()
        progress.watch.stop()
        begun = time.perf_counter()
        validation = self.evaluator.evaluate_some(self.engine.arms, settings, self.chosen)
        seconds = time.perf_counter() - begun
        self.emit(e.Evaluated(progress.epoch, progress.step, self.chosen, seconds, validation))
        progress.watch.start()

    def _evaluate(self) -> None:
        progress, settings = self.progress, self.steering.settings
        train_seconds, begun = progress.watch.seconds() - progress.epoch_seconds, time.perf_counter()
        metrics = self.evaluator.evaluate(
            self.engine.arms, settings, lambda: self.control.stopping, self._tell_evaluating
        )
        if metrics is None:
            self.commands.stop()
        train, validation = metrics
        seconds = time.perf_counter() - begun
        lr = float(settings["learning_rate"])
        self.emit(e.EpochEnded(progress.epoch, progress.step, lr, train_seconds, seconds, train, validation))
        self.observer.evaluated(progress.epoch, progress.step)
        self.alerts.evaluated(progress.step, train)
        progress.evaluated = progress.step
        self.autosave.unsaved = True

    def _tell_evaluating(self, done: int, total: int) -> None:
        """Tell how far an evaluation is: every so often, and at its end."""
        now = time.perf_counter()
        if done == total or now - self.emitted >= EMIT_SECONDS:
            self.emitted = now
            self.emit(e.Evaluating(self.progress.step, done, total))

    def flush(self) -> None:
        """Read the losses and accuracies since the last time from the device and emit them."""
        self.emitted = time.perf_counter()
        taken = self.metrics.take()
        if taken is None:
            return
        losses, accuracies = taken
        self.emit(e.Stepped(self.progress.step, 1, losses, self.progress.watch.seconds(), accuracies))
        self.alerts.losses(self.progress.step, losses)

    def hash(self) -> None:
        """Tell what the arms are, as an export needs it."""
        self.flush()
        self.emit(e.Hashed(self.progress.step, self.arms.hashes(), self.progress.wall_seconds()))

    # How a run begins, goes on and begins again

    def open(self) -> None:
        """Do what a run does once, before its first step: a run that goes on has done it."""
        self.emit(
            e.Started(
                created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                config=self._told_config(),
                environment={**devices.describe(self.device, self.config.threads or 1), "engine": self.engine.name},
                dataset=self.source.describe(),
                arms=build_arms(self.config.arms),
                layers=self.arms.layers,
                steps_per_epoch=self.progress.steps_per_epoch,
                total_steps=self.progress.last_step,
            )
        )
        self.alerts.batch_size(0, self.progress.batch_size)
        self.autosave.save()

    def resume(self, store: Store) -> None:
        """Go on from the newest checkpoint that is whole. Raises as `Autosave.resume`."""

        def check() -> None:
            self.progress.plan()
            if self.progress.step > self.progress.last_step:
                done = f"that run has done {self.progress.step:,} steps already"
                raise UsageError(f"--resume {self.config.resume}: {done}; ask for no fewer --epochs or --max-steps")

        damaged = self.autosave.resume(store, self.begin, check)
        self.emit(e.Continued(self.progress.step, self._told_config()))
        self.emit(self.progress.planned())
        self.marks.forget("nothing to undo: what could be undone was kept in memory, and ended with the process")
        before = " (the one before is used)" if damaged else ""
        self.emit(e.Notice(f"{damaged}goes on after step {self.progress.step:,}{before}"))
        self.autosave.save()

    def _restart(self) -> None:
        """Begin again, and record what differs from the configuration as interventions at step 0."""
        abandoned, settings = self.progress.step, self.steering.settings
        self.hash()
        self.emit(e.Restarted(abandoned))
        with torch.inference_mode(False):
            self.begin()
        self.marks.forget()
        self.commands.record("restart", abandoned, 0)
        self.alerts.batch_size(0, self.progress.batch_size)
        for name in initial(self.config.to_dict()):
            self.commands.change(name, settings[name])

    def _undo(self) -> None:
        """Go on from the bits there were before the newest intervention."""
        self.flush()
        abandoned, planned = self.progress.step, self.progress.planned()
        try:
            mark = self.marks.go_back()
        except (RuntimeError, MemoryError) as error:
            if devices.out_of_memory(error, self.config, self.device) is None:
                raise
            self.emit(e.Notice("no memory to go back; training goes on as it was"))
            return
        finally:
            self.progress.plan()
        self.emit(e.Undone(abandoned, mark.step, mark.action))
        again = self.progress.planned()
        if (again.batch_size, again.total_steps) != (planned.batch_size, planned.total_steps):
            self.emit(again)
        # A run that is killed from here on goes on from here, and not in the future that was abandoned.
        self.autosave.unsaved = True
        self.autosave.save()

    def _told_config(self) -> dict[str, Any]:
        return {**self.config.to_dict(), "command": self.config.to_command()}
