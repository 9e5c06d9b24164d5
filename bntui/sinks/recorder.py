"""What a run leaves on disk: its folder, and the file that `--export` names."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import shutil
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import platformdirs

from bntui.config import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.events import Continued, Event, Intervened, Notice, Restarted, Started
from bntui.history import History, Series
from bntui.sinks import results
from bntui.sinks.files import check_folder, check_writable, write_whole
from bntui.sinks.journal import Journal, read_events

CHECKPOINTS = ("checkpoint.pt", "checkpoint-before.pt")
"""Names of the newest and the one before."""
CHECKPOINT_LIMIT = 32 << 30
"""Bytes a checkpoint may have."""


class Recorder:
    """Takes every event of a run, keeps the history, and writes the journal, the log and the results.

    A journal or log that can't be written any more is reported once and given up: training goes on.

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
        self.problem = ""
        """What could not be written, and why; empty while all is well."""
        self._journal: Journal | None = None
        self._log: TextIO | None = None
        self._early: list[Event] = []
        self._early_lines: deque[str] = deque(maxlen=10_000)
        self._lock = threading.Lock()
        self._restarts = 0
        self._checkpoint_problem = ""
        self._lock_file: BinaryIO | None = None
        self._asked_for = None if config.run_dir is None else Path(config.run_dir)
        if config.resume is not None:
            self.folder = Path(config.resume)
            self._lock_folder()
        elif self._asked_for is not None:
            _check_free(self._asked_for)

    def take(self, event: Event) -> None:
        """Record one event, in the order they happen."""
        if isinstance(event, Restarted):
            self._restarts += 1
            self._try_to_write(lambda: self._write_results(f"results-before-restart-{self._restarts}.json"))
        self.history.apply(event)
        if isinstance(event, Notice) and self.history.started is None:
            self._early.append(event)
        if isinstance(event, Started):
            self._open(event)
        if isinstance(event, Continued) and self.folder is not None:
            self._try_to_write(lambda: write_whole(Path(self.folder or "") / "config.json", _config_text(event.config)))
        self._keep(event)
        if isinstance(event, Intervened) and event.action == "export":
            self._try_to_write(self.write_results)

    def log(self, line: str) -> None:
        """Add a line to `log.txt`, or keep it until there is one. Works from any thread."""
        with self._lock:
            if self._log is None:
                self._early_lines.append(line)
                return
            try:
                self._log.write(line + "\n")
            except OSError as error:
                self._give_up("log.txt", error)

    def close(self) -> None:
        """Close the journal and the log, and let go of the folder; nothing is recorded any more."""
        self._keep_nothing_more()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def checkpoints(self) -> Iterator[tuple[str, bytes]]:
        """Return name and contents of the checkpoints in the folder, the newest first, but none of absurd size."""
        for name in CHECKPOINTS:
            with contextlib.suppress(OSError):
                path = Path(self.folder or "") / name
                if path.stat().st_size <= CHECKPOINT_LIMIT:
                    yield name, path.read_bytes()

    def checkpoint(self, pack: Callable[[dict[str, Any]], bytes]) -> None:
        """Write a checkpoint, and keep the one before; what can't be written is told of and tried again."""
        if self.folder is None or self._journal is None:
            return
        newest, before = (self.folder / name for name in CHECKPOINTS)
        try:
            history = self.history
            kept = {
                "journal": self._journal.state(),
                "series": history.steps.to_dict(),
                "recent": [list(row) for row in history.recent],
                "restarts": self._restarts,
            }
            write_whole(newest, pack(kept), previous=before)
        except (OSError, ExportError) as error:
            self._checkpoint_problem = self.problem = f"checkpoint: {_why(error)}; training goes on"
        else:
            if self._checkpoint_problem and self.problem == self._checkpoint_problem:
                self.problem = ""
            self._checkpoint_problem = ""

    def restore(self, kept: dict[str, Any]) -> list[Event]:
        """Go back to what was recorded when a checkpoint was written, and return the events up to there.

        Raises
        ------
        UsageError
            The folder's journal does not reach so far.
        ExportError
            The folder can't be written.
        """
        folder = self.folder
        assert folder is not None
        path = folder / "journal.jsonl"
        try:
            length = int(kept["journal"]["length"])
            if path.stat().st_size < length:
                raise ValueError("the journal is shorter than the checkpoint says")
            os.truncate(path, length)
            with path.open(encoding="utf-8", errors="replace") as file:
                events = list(read_events(file))
            for event in events:
                self.history.apply(event)
            self.history.steps = Series.from_dict(kept["series"])
            self.history.recent.clear()
            self.history.recent.extend((int(step), float(bn), float(plain)) for step, bn, plain in kept["recent"])
            self._restarts = int(kept["restarts"])
            self._journal = Journal(path, kept["journal"])
            self._open_log(folder)
        except OSError as error:
            raise ExportError(f"--resume {folder}: can't be written ({_why(error)}); copy it to where it can") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"--resume {folder}: its journal is damaged ({error}); start the run again") from None
        return events

    def write_results(self) -> None:
        """Write `results.json` to the run folder and to what `--export` names.

        Raises
        ------
        ExportError
            One of them could not be written; the other one was tried all the same.
        """
        if self.history.started is None:
            raise ExportError("stopped before training began: there is nothing to export")
        kept = failure = None
        try:
            kept = self._write_results("results.json")
        except ExportError as error:
            failure = error
        try:
            self._write_export()
        except ExportError as error:
            raise ExportError(f"{error}; the results lie in {kept}" if kept else str(error)) from None
        if failure is not None:
            raise failure

    def _try_to_write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except ExportError as error:
            self.problem = f"{error}; training goes on"

    def _write_results(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        path = self.folder / name
        write_whole(path, results.to_json(results.build(self.history, path)))
        return path

    def _write_export(self) -> None:
        if isinstance(self.export, Path):
            write_whole(self.export, results.to_json(results.build(self.history, self.export)))
        elif self.export is not None:
            folder_copy = None if self.folder is None else self.folder / "results.json"
            try:
                sys.stdout.write(results.to_json(results.build(self.history, folder_copy)))
                sys.stdout.flush()
            except OSError as error:
                raise ExportError(f"--export -: stdout can't be written ({error.strerror})") from None

    def _open(self, started: Started) -> None:
        made = False
        try:
            if self._asked_for is None:
                self.folder = _make_folder(str(started.dataset["name"]))
            else:
                self.folder = self._asked_for
                made = not self.folder.exists()
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_folder()
            write_whole(self.folder / "config.json", _config_text(started.config))
            self._open_log(self.folder)
            self._journal = Journal(self.folder / "journal.jsonl")
        except (OSError, ExportError) as error:
            if self._asked_for is not None:
                if made:
                    shutil.rmtree(self._asked_for, ignore_errors=True)
                why = getattr(error, "strerror", None) or error
                raise ExportError(f"--run-dir {self._asked_for}: can't be written ({why}); name another") from None
            self.folder = None
            self._give_up("the run folder", error)
        for event in self._early:
            self._keep(event)

    def _open_log(self, folder: Path) -> None:
        log = (folder / "log.txt").open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        with self._lock:
            log.writelines(f"{line}\n" for line in self._early_lines)
            self._early_lines.clear()
            self._log = log

    def _lock_folder(self) -> None:
        """Keep other processes from writing the folder, as long as this one lives. Raises UsageError if one does."""
        try:
            self._lock_file = (Path(self.folder or "") / ".lock").open("ab")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{self.folder}: another bntui writes this run; stop that one first") from None
        except FileNotFoundError:
            raise UsageError(f"--resume {self.folder}: there is no such folder; name that of a run") from None
        except OSError as error:
            # Some file systems know no locks; one that can't be written at all is told of when it is written to.
            if error.errno in (errno.EACCES, errno.EROFS, errno.ENOSPC):
                raise ExportError(f"{self.folder}: can't be written ({_why(error)}); name another") from None

    def _keep(self, event: Event) -> None:
        if self._journal is not None:
            try:
                self._journal.write(event)
            except OSError as error:
                self._give_up("journal.jsonl", error)

    def _give_up(self, what: str, error: Exception) -> None:
        self._keep_nothing_more()
        self.problem = f"{what} can't be written ({getattr(error, 'strerror', None) or error}); training goes on"

    def _keep_nothing_more(self) -> None:
        for file in (self._journal, self._log):
            if file is not None:
                try:
                    file.close()
                except OSError as error:
                    self.problem = f"the journal or log may be incomplete ({error.strerror})"
        self._journal = self._log = None


def _config_text(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=1) + "\n"


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def find_interrupted() -> Path | None:
    """Return the folder of the user's newest run if it can go on: it has a checkpoint, was not completed, and rests."""
    try:
        folder = max((platformdirs.user_state_path("bntui") / "runs").iterdir(), default=None)
        return folder if folder is not None and is_interrupted(folder) else None
    except (OSError, RuntimeError):
        return None


def is_interrupted(folder: Path) -> bool:
    """Whether a folder holds a run that can go on. Raises OSError if it can't be read."""
    if not any((folder / name).is_file() for name in CHECKPOINTS):
        return False
    with contextlib.suppress(FileNotFoundError), (folder / "results.json").open("rb") as file:
        # The status stands near the beginning, and the whole may be large.
        if b'"status": "completed"' in file.read(2_000):
            return False
    with (folder / ".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _check_free(folder: Path) -> None:
    """Raise unless a run folder can be made at `folder`: better said before the data is loaded than after."""
    try:
        if folder.is_symlink() and not folder.exists():
            raise ExportError(f"--run-dir {folder}: is a link to nothing; name another")
        if any((folder / name).exists() for name in ("config.json", "journal.jsonl", "results.json")):
            go_on = f"; bntui --resume {shlex.quote(str(folder))} goes on with it" if is_interrupted(folder) else ""
            raise UsageError(f"--run-dir {folder}: already holds a run{go_on}; name another folder")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--run-dir {folder}: is not a folder; name another")
        existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        if not existing.is_dir():
            raise ExportError(f"--run-dir {folder}: {existing} is not a folder; name another")
        check_folder(existing)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ExportError(f"--run-dir {folder}: can't be written ({why}); name another") from None


def _make_folder(dataset: str) -> Path:
    """Make a new folder for a run, among the user's others or, where that can't be, among the temporary files."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{dataset}-"
    try:
        runs = platformdirs.user_state_path("bntui") / "runs"
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=name, dir=runs))
    except (OSError, RuntimeError):
        return Path(tempfile.mkdtemp(prefix=f"bntui-{name}"))
