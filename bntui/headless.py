"""The front end without a screen: a run, its lines, and a progress bar where there is a terminal to show it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from bntui import __version__
from bntui.config.options import RunConfig
from bntui.errors import Interrupted
from bntui.messages.control import Control, Stop
from bntui.messages.events import (
    Alert,
    EpochEnded,
    Evaluating,
    Event,
    Finished,
    Loading,
    Metrics,
    Notice,
    Started,
    Stepped,
)
from bntui.messages.history import History
from bntui.messages.signals import handling, interruptible
from bntui.stdout import give_up
from bntui.storage.recorder import Recorder
from bntui.storage.resume import notice_of_interrupted
from bntui.storage.schedule import scheduled
from bntui.text import one_line
from bntui.training import import_run

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def run_headless(config: RunConfig, recorder: Recorder | None = None, *, lines: bool = True) -> int:
    """Run a configuration to its end, or to a signal, and return the exit code.

    Parameters
    ----------
    config
        What to train on what.
    recorder
        Of this configuration, for who wants its history afterwards; a new one by default.
    lines
        Print a line for each epoch, and the end; the progress bar and what goes wrong are shown all the same.

    Raises
    ------
    BntuiError
        Whatever keeps the run from beginning, or its results from being written.
    """
    control = Control(scheduled(config))
    recorder = recorder or Recorder(config, History())
    history = recorder.history

    def stop(_: int) -> None:
        control.send(Stop())
        if history.started is None:
            raise Interrupted

    with Screen(config, recorder, lines) as screen, handling(config, stop) as caught:

        def emit(event: Event) -> None:
            recorder.take(event)
            screen.show(event)

        store = _Store(recorder, screen)
        if notice := notice_of_interrupted(config):
            screen.error(notice, "notice")
        try:
            # Torch takes seconds to import: only now, when all that could be wrong without it has been looked at.
            screen.show(Loading("loading torch"))
            run = interruptible(import_run)
            run(config, emit, control, store)
        except Interrupted:
            screen.error("stopped before training began: there is nothing to save")
            return 128 + caught[0]
        except Exception:
            # Not if the first step was never made: then there is nothing that anybody waited for.
            if history.step:
                try:
                    recorder.write_results()
                except Exception as error:
                    # Beside what ended the run: it says where the results lie instead.
                    screen.error(str(error))
            raise
        try:
            recorder.write_results()
            screen.close()
        finally:
            recorder.close()
    return 128 + caught[0] if caught else 0


class _Store:
    """Checkpoints as the recorder keeps them; of a run that goes on, the screen shows where it was."""

    def __init__(self, recorder: Recorder, screen: Screen) -> None:
        self._screen = screen
        self._recorder = recorder
        self.checkpoints, self.checkpoint = recorder.checkpoints, recorder.checkpoint

    def restore(self, kept: dict[str, Any]) -> bool:
        due = self._recorder.restore(kept)
        for event in self._recorder.restored:
            # Of the alerts, that the journal has lost something.
            if isinstance(event, Started | EpochEnded) or (isinstance(event, Alert) and event.kind == "journal"):
                self._screen.show(event)
        return due


class Screen:
    """Lines on stdout (stderr where stdout carries something else), and a progress bar on a terminal."""

    def __init__(self, config: RunConfig, recorder: Recorder, lines: bool) -> None:
        self._recorder = recorder
        self._quiet = config.quiet
        self._lines: TextIO | None = (
            (sys.stderr if "-" in (config.export, config.narrate) else sys.stdout) if lines else None
        )
        self._problem = ""
        self._epochs = config.epochs
        self._width = max(5, 2 * len(str(config.epochs)) + 1)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        # What is narrated goes to stdout beside the bar, which would be drawn over it where both are one terminal.
        spoken_here = config.narrate == "-" and sys.stdout.isatty()
        if not config.quiet and not spoken_here and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._bar = _make_bar()

    def __enter__(self) -> Screen:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self._bar.stop()
        self._bar = None

    def show(self, event: Event) -> None:
        """Show what an event means to somebody who waits."""
        match event:
            case Loading():
                self._progress(event.what, event.done, event.total, event.unit)
            case Notice():
                self.error(event.message, "notice")
            case Started():
                self._started(event)
            case Stepped():
                history = self._recorder.history
                text = f"epoch {min(history.epoch + 1, self._epochs)}/{self._epochs}"
                means = {name: sum(values) / len(values) for name, values in event.losses.items()}
                self._progress(text, event.step, history.total_steps, "steps", means)
            case Evaluating():
                if self._bar is not None and self._task is not None:
                    self._bar.update(self._task, description=f"evaluating {event.done / event.total:.0%}")
            case EpochEnded():
                self._epoch("train", event, event.train)
                self._epoch("validation", event, event.validation)
            case Alert():
                self.error(f"step {event.step:,}: {event.message}", "alert")
            case Finished(status="interrupted"):
                self.line(f"stopped after step {event.step:,} of {self._recorder.history.total_steps:,}")
        if self._recorder.problem != self._problem:
            self._problem = self._recorder.problem
            if self._problem:
                self.error(self._problem, "warning")

    def close(self) -> None:
        """Say how the run ended and where its results are."""
        history, recorder = self._recorder.history, self._recorder
        if history.epochs:
            last, best = history.epochs[-1].validation, history.best
            told = ", ".join(
                f"{name} {metrics.accuracy:.4f} (best {best[name].validation_accuracy:.4f}, epoch {best[name].epoch})"
                for name, metrics in last.items()
            )
            leader, next_one = sorted(last, key=lambda name: -last[name].accuracy)[:2]
            points = 100 * (last[leader].accuracy - last[next_one].accuracy)
            lead = f"{leader} is {points:.1f} points ahead of {next_one}" if points > 0 else "there is no leader"
            self.line(f"validation accuracy: {told}; {lead}")
        if history.train_seconds > 0:
            self.line(f"{history.step / history.train_seconds:,.0f} steps/s, {history.wall_seconds:.1f} s in all")
        if recorder.folder is not None:
            self.line(f"run folder: {recorder.folder}")
        if recorder.export not in (None, "-"):
            self.line(f"results: {recorder.export}")

    def line(self, text: str) -> None:
        """Print a line, above the bar if there is one, and keep it in the log."""
        text = one_line(text)
        self._recorder.log(text)
        self._print(text, self._lines)

    def error(self, text: str, kind: str = "error") -> None:
        """Print a line on stderr: notices and alerts only where lines are wanted, errors always."""
        text = one_line(text)
        self._recorder.log(f"{kind}: {text}")
        if kind == "error" or not self._quiet:
            self._print(f"bntui: {kind}: {text}", sys.stderr, always=True)

    def _print(self, text: str, to: TextIO | None, always: bool = False) -> None:
        if to is None or (self._quiet and not always):
            return
        try:
            if self._bar is not None and to.isatty():
                self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=to, flush=True)
        except OSError:
            # Whoever read the lines is gone (`| head`); the run and its results go on.
            self._lines = None
            if to is sys.stdout:
                give_up(sys.stdout)

    def _started(self, event: Started) -> None:
        data, environment = event.dataset, event.environment
        self.line(
            f"bntui {__version__}: {data['name']} {data['train_samples']:,}/{data['validation_samples']:,}, "
            f"{environment['device']} ({environment['device_name']}), seed {event.config['seed']}, "
            f"{event.total_steps:,} steps of {event.config['batch_size']} samples"
        )
        columns = [f"{f'{arm.name} loss':>{self._cells(arm.name)}}  accuracy" for arm in event.arms]
        self.line("  ".join([f"{'epoch':>{self._width}}", f"{'set':<10}", *columns]))

    def _epoch(self, split: str, event: EpochEnded, metrics: Mapping[str, Metrics]) -> None:
        columns = [f"{of.loss:>{self._cells(name)}.5f}  {of.accuracy:>8.4f}" for name, of in metrics.items()]
        self.line("  ".join([f"{f'{event.epoch}/{self._epochs}':>{self._width}}", f"{split:<10}", *columns]))

    @staticmethod
    def _cells(name: str) -> int:
        """Return how wide the column of an arm's loss is."""
        return max(9, len(name) + len(" loss"))

    def _progress(self, what: str, done: int, total: int, unit: str, losses: Mapping[str, float] | None = None) -> None:
        if self._bar is None:
            return
        loss = " ".join(["loss", *(f"{name} {value:.3f}" for name, value in losses.items())]) if losses else ""
        size = "" if unit == "bytes" or not total else f"{done:,}/{total:,} {unit}"
        fields: dict[str, Any] = {"description": what, "loss": loss, "size": size}
        if self._task is None or self._bar.tasks[0].fields["what"] != what.split()[0]:
            # Another kind of work: a new task, so that speed and remaining time begin anew.
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(total=total or None, what=what.split()[0], **fields)
        self._bar.update(self._task, completed=done, total=total or None, **fields)


def _make_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[size]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}", markup=False),
        console=Console(stderr=True),
        refresh_per_second=4,
        transient=True,
        expand=True,
        redirect_stdout=sys.stdout.isatty(),
    )
