"""What a run leaves on disk: its folder, and the file that `--export` names."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TextIO

import platformdirs

from bntui.config import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.events import Event, Intervened, Notice, Restarted, Started
from bntui.history import History
from bntui.sinks import results
from bntui.sinks.files import check_folder, check_writable, write_whole
from bntui.sinks.journal import Journal


class Recorder:
    """Takes every event of a run, keeps the history, and writes the journal, the log and the results.

    A journal or log that can't be written any more is reported once and given up: training goes on.

    Raises
    ------
    ExportError
        At once, if the folder or the export can't be written, so that nobody waits for results in vain.
    UsageError
        The folder already holds a run.
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
        self._asked_for = None if config.run_dir is None else Path(config.run_dir)
        if self._asked_for is not None:
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
        """Close the journal and the log; nothing is recorded any more."""
        self._keep_nothing_more()

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
            write_whole(self.folder / "config.json", json.dumps(started.config, indent=1) + "\n")
            log = (self.folder / "log.txt").open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
            with self._lock:
                log.writelines(f"{line}\n" for line in self._early_lines)
                self._early_lines.clear()
                self._log = log
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


def _check_free(folder: Path) -> None:
    """Raise unless a run folder can be made at `folder`: better said before the data is loaded than after."""
    try:
        if folder.is_symlink() and not folder.exists():
            raise ExportError(f"--run-dir {folder}: is a link to nothing; name another")
        if any((folder / name).exists() for name in ("config.json", "journal.jsonl", "results.json")):
            raise UsageError(f"--run-dir {folder}: already holds a run; name another folder")
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
