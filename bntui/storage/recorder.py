"""What a run leaves on disk: its folder, and the file that `--export` names."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bntui.config.options import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.run.events import Continued, Event, Intervened, Restarted, Started
from bntui.run.history import MAX_POINTS, History, Series
from bntui.storage import files
from bntui.storage.files import check_folder, check_writable, make_folder, why, write_whole
from bntui.storage.folder import CHECKPOINTS, check_files, check_free, check_place, lock, make_run_folder
from bntui.storage.journal import Journal, line_of, read_line
from bntui.storage.lines import Lines
from bntui.storage.memory import remember_export, remembered_export
from bntui.storage.reading import free_name, read_back
from bntui.storage.regular import open_regular
from bntui.storage.saving import save, save_anywhere, save_to_file, save_to_folder
from bntui.text import clean

CHECKPOINT_LIMIT = 32 << 30
"""Bytes a checkpoint may have."""


class Recorder:
    """Takes every event of a run, keeps the history, and writes the journal, the log and the results.

    Whatever can't be written while the run goes on is told of in `problem` and tried again: training goes on.

    Raises
    ------
    ExportError
        At once, if the folder or the export can't be written, so that nobody waits for results in vain.
    UsageError
        The folder already holds a run, or of one that is to go on: another process writes it.
    """

    def __init__(self, config: RunConfig, history: History) -> None:
        self.history = history
        self.export = None if config.export is None else config.export if config.export == "-" else Path(config.export)
        if isinstance(self.export, Path):
            check_writable(self.export, "--export")
        self.folder: Path | None = None
        self._problems: dict[str, str] = {}
        self._journal = Journal()
        self._log = Lines(lambda count: f"({count:,} lines could not be written here)", again=True)
        self._log_lock = threading.Lock()
        self._config: dict[str, Any] | None = None
        """What `config.json` does not hold yet."""
        self._restarts = 0
        self.restored: list[Event] = []
        """What a run that goes on has told before."""
        self._damaged = False
        """Whether the newest checkpoint there is could not be gone on from."""
        self._lock: int | None = None
        self._asked_for = None if config.run_dir is None else Path(config.run_dir)
        if config.resume is not None:
            self.folder = Path(config.resume)
            check_files(self.folder)
            self._lock = lock(self.folder)
            try:
                check_folder(self.folder)
            except OSError as error:
                self.close()
                told = f"can't be written ({why(error)}); copy it to where it can"
                raise ExportError(f"--resume {self.folder}: {told}") from None
            if self.export is None:
                self.export = remembered_export(self.folder)
                if self.export is not None:
                    check_writable(self.export, "--export")
            else:
                remember_export(self.folder, self.export)
        elif self._asked_for is not None:
            check_free(self._asked_for)
        elif self.export is None:
            check_place()

    @property
    def problem(self) -> str:
        """What could not be written last, and why; empty while all is well."""
        return "".join(list(self._problems.values())[-1:])

    def take(self, event: Event) -> None:
        """Record one event, in the order they happen.

        Raises
        ------
        BntuiError
            The run begins, and the folder that was asked for can't be written.
        """
        if isinstance(event, Restarted):
            self._restarts += 1
            self._save_before_restart(f"results-before-restart-{self._restarts}.json")
        with self._guarded("the history"):
            self.history.apply(event)
        if isinstance(event, Started | Continued):
            self._config = event.config
            if isinstance(event, Started):
                self._open(event)
            with self._guarded("config.json"):
                self._write_config()
        with self._guarded("journal.jsonl"):
            self._journal.write(event)
        if isinstance(event, Intervened) and event.action == "export":
            with self._guarded("results"):
                if event.after is None:
                    save(self.history, self.folder, self.export, rescue=False)
                else:
                    save_to_file(self.history, Path(str(event.after)))

    def log(self, line: str) -> None:
        """Add a line to `log.txt`, or keep it until there is one. Works from any thread."""
        with self._log_lock, self._guarded("log.txt"):
            self._log.add(line)

    def close(self) -> None:
        """Close the journal and the log, and let go of the folder; nothing is recorded any more."""
        for what, file in (("journal.jsonl", self._journal), ("log.txt", self._log)):
            with self._guarded(what):
                file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def checkpoints(self) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield name and contents of the checkpoints in the folder, the newest first, or why one can't be read."""
        for name in CHECKPOINTS:
            self._damaged = name != CHECKPOINTS[0]
            try:
                with os.fdopen(open_regular(Path(self.folder or "") / name), "rb") as file:
                    if os.fstat(file.fileno()).st_size > CHECKPOINT_LIMIT:
                        raise OSError(errno.EFBIG, "it is larger than 32 GiB")
                    contents = file.read()
                yield name, contents
            except FileNotFoundError:
                continue
            except OSError as error:
                yield name, error

    def checkpoint(self, pack: Callable[[dict[str, Any]], bytes]) -> None:
        """Write a checkpoint, and keep the one before; what can't be written is told of and tried again."""
        if self.folder is None:
            return
        newest, before = (self.folder / name for name in CHECKPOINTS)
        # One that is damaged must not take the place of the one that the run goes on from.
        previous = None if self._damaged else before
        with self._guarded("checkpoint"):
            self._write_config()
            history = self.history
            kept = {
                "journal": self._journal.state(),
                "series": history.steps.to_dict(),
                "recent": [list(row) for row in history.recent],
                "restarts": self._restarts,
                "started": None if history.started is None else line_of(history.started),
                "epoch": history.epoch,
            }
            write_whole(newest, pack(kept), previous, own=True)
            self._damaged = False

    def restore(self, kept: dict[str, Any]) -> bool:
        """Go back to what was recorded when a checkpoint was written; `restored` are the events up to there.

        What a damaged journal has lost is told of in an alert.

        Returns
        -------
        bool
            Whether the journal had to be begun anew, so that no checkpoint before fits it.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError, OverflowError
            It is not what `checkpoint` keeps; nothing has changed.
        UsageError
            The journal has lost its beginning, or can't be read.
        ExportError
            The folder can't be written.
        """
        assert self.folder is not None
        path = self.folder / "journal.jsonl"
        length, restarts = int(kept["journal"]["length"]), int(kept["restarts"])
        recent = [(int(step), float(bn), float(plain)) for step, bn, plain in kept["recent"]]
        started = kept.get("started")
        # A checkpoint of an older bntui does not keep it.
        read = None if started is None else read_line(str(started), clean)
        began = read if isinstance(read, Started) else None
        if length < 0 or (began is None) != (started is None):
            raise ValueError("not what a recorder keeps")
        history = History(notices=self.history.notices)
        series = Series.from_dict(kept["series"])
        back = read_back(path, length, began, int(kept.get("epoch", 0)), self.folder)
        for event in back.events:
            history.apply(event)
        history.steps = series
        history.recent.extend(recent[-MAX_POINTS:])
        self._journal.restore(kept["journal"])
        try:
            if back.anew:
                lines = "".join(line_of(event) + "\n" for event in back.events)
                write_whole(path, lines, free_name(self.folder), own=True)
            else:
                files.disk.truncate(path, length)
            self._journal.open(path, exists=True)
            for alert in back.alerts:
                history.apply(alert)
                self._journal.write(alert)
        except OSError as error:
            told = f"can't be written ({why(error)}); copy it to where it can"
            raise ExportError(f"--resume {self.folder}: {told}") from None
        # What a process that was killed had begun to write; only this one holds the lock.
        for litter in self.folder.glob(".bntui-*.tmp"):
            with contextlib.suppress(OSError):
                litter.unlink()
        self.history.__dict__.update(history.__dict__)
        self.restored, self._restarts = [*back.events, *back.alerts], restarts
        self._open_log(self.folder)
        return back.anew

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
        with self._guarded("config.json"):
            self._write_config()
        save(self.history, self.folder, self.export, rescue=True)
        self._problems.pop("results", None)

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Let nothing that goes wrong stop the training: tell of it, until the same goes well."""
        try:
            yield
        except (OSError, ExportError) as error:
            text = f"{what}: {error}" if isinstance(error, ExportError) else f"{what} can't be written ({why(error)})"
            if self.folder is not None and not self.folder.is_dir():
                what, text = "the folder", f"the run folder {self.folder} is gone; the results come into a new one"
            self._problems[what] = f"{text}; training goes on"
        except Exception as error:
            self._problems[what] = f"{what}: unexpected {type(error).__name__}: {error}; training goes on"
        else:
            self._problems.pop(what, None)

    def _save_before_restart(self, name: str) -> None:
        """Write the results that a restart leaves behind: after it, they are nowhere else."""
        with self._guarded(name):
            try:
                if self.folder is None:
                    raise ExportError("there is no run folder")
                save_to_folder(self.history, self.folder, name)
            except ExportError as error:
                path = save_anywhere(self.history, name, str(error))
                raise ExportError(f"{error}; they lie in {path}") from None

    def _write_config(self) -> None:
        """Write `config.json` if it has not been written. Raises ExportError."""
        if self._config is not None and self.folder is not None:
            write_whole(self.folder / "config.json", json.dumps(self._config, indent=1) + "\n", own=True)
            self._config = None

    def _open(self, started: Started) -> None:
        made = False
        try:
            if self._asked_for is None:
                self.folder = make_run_folder(str(started.dataset["name"]))
            else:
                self.folder = self._asked_for
                made = not self.folder.exists()
                make_folder(self.folder)
            self._lock = lock(self.folder)
            if self._asked_for is not None:
                # Since it was looked at, another process may have begun a run here, and ended.
                check_free(self.folder, go_on=False)
                self._write_config()
        except Exception as error:
            if self._asked_for is not None:
                # Nothing has been waited for yet.
                if made and not isinstance(error, UsageError):
                    _remove_made(self._asked_for)
                if isinstance(error, UsageError):
                    raise
                raise ExportError(
                    f"--run-dir {self._asked_for}: can't be written ({why(error)}); name another"
                ) from None
            if self.folder is None:
                if self.export is None:
                    raise ExportError(f"the run folder can't be made ({why(error)}); name one by --run-dir") from None
                self._problems["the folder"] = f"the run folder can't be written ({why(error)}); training goes on"
        if self.folder is not None:
            remember_export(self.folder, self.export)
            self._open_log(self.folder)
            with self._guarded("journal.jsonl"):
                self._journal.open(self.folder / "journal.jsonl")

    def _open_log(self, folder: Path) -> None:
        with self._log_lock, self._guarded("log.txt"):
            self._log.open(folder / "log.txt")


def _remove_made(folder: Path) -> None:
    """Remove a folder that holds nothing but what was just begun in it; one that holds anything else stays."""
    with contextlib.suppress(OSError):
        for name in (".lock", "config.json"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
