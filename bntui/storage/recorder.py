"""Takes every event of a run, and has it written: to the journal, the log, the checkpoints and the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bntui.config.options import RunConfig
from bntui.errors import BntuiError, ExportError
from bntui.messages.events import Continued, Event, Intervened, Restarted, Started
from bntui.messages.history import History
from bntui.messages.series import MAX_POINTS, Series
from bntui.storage.files import check_writable, why
from bntui.storage.folder import RunFolder
from bntui.storage.journal import Journal, line_of, read_line
from bntui.storage.lines import Lines
from bntui.storage.memory import remember_export, remembered_export
from bntui.storage.narrator import Narrator
from bntui.storage.places import check_place
from bntui.storage.problems import Problems
from bntui.storage.reading import read_back
from bntui.storage.saving import save, save_anywhere, save_to_file, save_to_folder
from bntui.text import clean


class Recorder:
    """Takes every event of a run, keeps the history, and writes the journal, the log and the results.

    Whatever can't be written while the run goes on is told of in `problem` and tried again: training goes on.

    Parameters
    ----------
    config
        Of the run.
    history
        What it is kept in.
    live
        Whether somebody has keys to press, which is of use to who hears the run.

    Raises
    ------
    ExportError
        At once, if the folder, the export or the narration can't be written, so that nobody waits for results in vain.
    UsageError
        The folder already holds a run, or of one that is to go on: another process writes it.
    """

    def __init__(self, config: RunConfig, history: History, *, live: bool = False) -> None:
        self.history = history
        self.export = None if config.export is None else config.export if config.export == "-" else Path(config.export)
        if isinstance(self.export, Path):
            check_writable(self.export, "--export")
        self._folder: RunFolder | None = None
        self._problems = Problems(self._folder_is_gone)
        self._journal = Journal()
        self._log = Lines(lambda count: f"({count:,} lines could not be written here)", again=True)
        self._log_lock = threading.Lock()
        self._config: dict[str, Any] | None = None
        """What `config.json` does not hold yet."""
        self._restarts = 0
        self.restored: list[Event] = []
        """What a run that goes on has told before."""
        self._asked_for = None if config.run_dir is None else Path(config.run_dir)
        if config.resume is not None:
            self._folder = RunFolder.go_on(Path(config.resume))
            self._remember_export()
        elif self._asked_for is not None:
            RunFolder(self._asked_for).check_free()
        elif self.export is None:
            check_place()
        self._narrator = (
            None
            if config.narrate is None
            else Narrator(config.narrate, history, goes_on=config.resume is not None, live=live)
        )

    @property
    def problem(self) -> str:
        """What could not be written last, and why; empty while all is well."""
        return self._problems.latest

    @property
    def folder(self) -> Path | None:
        """The run folder, once there is one."""
        return None if self._folder is None else self._folder.path

    @property
    def places(self) -> list[str]:
        """Where the results lie once they are written, but for what is printed."""
        return [str(place) for place in (self.folder, self.export) if place not in (None, "-")]

    def take(self, event: Event) -> None:
        """Record one event, in the order they happen.

        Raises
        ------
        BntuiError
            The run begins, and the folder that was asked for can't be written.
        """
        guard = self._problems.guard
        if isinstance(event, Restarted):
            self._restarts += 1
            self._save_before_restart(f"results-before-restart-{self._restarts}.json")
        with guard("the history"):
            self.history.apply(event)
        if isinstance(event, Started | Continued):
            self._config = event.config
            if isinstance(event, Started):
                self._open(event)
            with guard("config.json"):
                self._write_config()
        with guard("journal.jsonl"):
            self._journal.write(event)
        if isinstance(event, Intervened) and event.action == "export":
            with guard("results"):
                if event.after is None:
                    save(self.history, self._folder, self.export, rescue=False)
                else:
                    save_to_file(self.history, Path(str(event.after)))
        if self._narrator is not None:
            with guard("the narration"):
                self._narrator.take(event, self.problem)

    def log(self, line: str) -> None:
        """Add a line to `log.txt`, or keep it until there is one. Works from any thread."""
        with self._log_lock, self._problems.guard("log.txt"):
            self._log.add(line)

    def close(self) -> None:
        """Close the journal and the log, and let go of the folder; nothing is recorded any more."""
        for what, file in (("journal.jsonl", self._journal), ("log.txt", self._log)):
            with self._problems.guard(what):
                file.close()
        if self._narrator is not None:
            self._narrator.close()
        if self._folder is not None:
            self._folder.close()

    def write_results(self) -> None:
        """Write `results.json` to the run folder and to what `--export` names, at the end of the run.

        Raises
        ------
        ExportError
            One of them could not be written, or there is no run folder and nothing else. Says where the results lie
            all the same: in the other one, or in a new folder among the temporary files.
        """
        if self.history.started is None:
            raise ExportError("stopped before training began: there is nothing to export")
        with self._problems.guard("config.json"):
            self._write_config()
        save(self.history, self._folder, self.export, rescue=True)
        self._problems.forget("results")
        if self._narrator is not None:
            with self._problems.guard("the narration"):
                self._narrator.saved(self.places)

    # Checkpoints: what `training.checkpoint.Store` asks for

    def checkpoints(self) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield name and contents of the checkpoints in the folder, the newest first, or why one can't be read."""
        return iter(()) if self._folder is None else self._folder.checkpoints()

    def checkpoint(self, pack: Callable[[dict[str, Any]], bytes]) -> None:
        """Write a checkpoint, and keep the one before; what can't be written is told of and tried again."""
        if self._folder is None:
            return
        with self._problems.guard("checkpoint"):
            self._write_config()
            self._folder.write_checkpoint(pack(self.state_dict()))

    def state_dict(self) -> dict[str, Any]:
        """Have the disk hold the journal so far, and return what is needed to go on from here. Raises OSError."""
        history = self.history
        return {
            "journal": self._journal.state_dict(),
            "series": history.steps.state_dict(),
            "recent": [[step, list(losses)] for step, losses in history.recent],
            "restarts": self._restarts,
            "started": None if history.started is None else line_of(history.started),
            "epoch": history.epoch,
        }

    def restore(self, state: dict[str, Any]) -> bool:
        """Go back to what was recorded when a checkpoint was written; `restored` are the events up to there.

        What a damaged journal has lost is told of in an alert.

        Returns
        -------
        bool
            Whether the journal had to be begun anew, so that no checkpoint before fits it.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError, OverflowError
            It is not what `state_dict` returned; nothing has changed.
        UsageError
            The journal has lost its beginning, or can't be read.
        ExportError
            The folder can't be written.
        """
        assert self._folder is not None
        length, restarts, epoch = int(state["journal"]["length"]), int(state["restarts"]), int(state["epoch"])
        began = read_line(str(state["started"]), clean)
        if length < 0 or not isinstance(began, Started):
            raise ValueError("not what a recorder keeps")
        names = [arm.name for arm in began.arms]
        recent = [(int(step), tuple(map(float, losses))) for step, losses in state["recent"]]
        series = Series(names)
        series.load_state_dict(state["series"])
        if any(len(losses) != len(names) for _, losses in recent):
            raise ValueError("losses of other arms")
        back = read_back(self._folder.journal, length, began, epoch, str(self._folder.path))
        history = History(notices=self.history.notices)
        for event in back.events:
            history.apply(event)
        history.steps = series
        history.recent.extend(recent[-MAX_POINTS:])
        self._journal.load_state_dict(state["journal"])
        try:
            if back.anew:
                self._folder.begin_journal_anew("".join(line_of(event) + "\n" for event in back.events))
            else:
                self._folder.cut_journal(length)
            self._journal.open(self._folder.journal, exists=True)
            for alert in back.alerts:
                history.apply(alert)
                self._journal.write(alert)
        except OSError as error:
            told = f"can't be written ({why(error)}); copy it to where it can"
            raise ExportError(f"--resume {self._folder.path}: {told}") from None
        self._folder.clear_litter()
        self.history.__dict__.update(history.__dict__)
        self.restored, self._restarts = [*back.events, *back.alerts], restarts
        self._open_log(self._folder)
        return back.anew

    # What goes where

    def _open(self, started: Started) -> None:
        """Make the run folder, and begin to write into it."""
        try:
            if self._asked_for is None:
                self._folder = RunFolder.begin_anywhere(str(started.dataset["name"]))
            else:
                self._folder = RunFolder.begin(self._asked_for)
                self._write_config()
        except (OSError, RuntimeError, BntuiError) as error:
            if self._asked_for is not None:
                # Nothing has been waited for yet.
                if self._folder is not None:
                    self._folder.remove_if_empty()
                    raise ExportError(
                        f"--run-dir {self._asked_for}: can't be written ({why(error)}); name another"
                    ) from None
                raise
            if self.export is None:
                raise ExportError(f"the run folder can't be made ({why(error)}); name one by --run-dir") from None
            self._problems.tell("the folder", f"the run folder can't be written ({why(error)})")
        if self._folder is not None:
            remember_export(self._folder.path, self.export)
            self._open_log(self._folder)
            with self._problems.guard("journal.jsonl"):
                self._journal.open(self._folder.journal)

    def _open_log(self, folder: RunFolder) -> None:
        with self._log_lock, self._problems.guard("log.txt"):
            self._log.open(folder.log)

    def _write_config(self) -> None:
        """Write `config.json` if it has not been written. Raises ExportError."""
        if self._config is not None and self._folder is not None:
            self._folder.write_config(self._config)
            self._config = None

    def _remember_export(self) -> None:
        """Have a run that goes on export to where it did before, unless another file is named."""
        assert self._folder is not None
        if self.export is not None:
            remember_export(self._folder.path, self.export)
            return
        self.export = remembered_export(self._folder.path)
        if self.export is not None:
            check_writable(self.export, "--export")

    def _save_before_restart(self, name: str) -> None:
        """Write the results that a restart leaves behind: after it, they are nowhere else."""
        with self._problems.guard(name):
            try:
                if self._folder is None:
                    raise ExportError("there is no run folder")
                save_to_folder(self.history, self._folder, name)
            except ExportError as error:
                path = save_anywhere(self.history, name, str(error))
                raise ExportError(f"{error}; they lie in {path}") from None

    def _folder_is_gone(self) -> tuple[str, str] | None:
        """Return what explains a failure to write: that somebody removed the run folder."""
        if self._folder is None or self._folder.path.is_dir():
            return None
        return "the folder", f"the run folder {self._folder.path} is gone; the results come into a new one"
