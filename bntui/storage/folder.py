"""The folder of a run: made, held by one process, written and read."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bntui.errors import ExportError, UsageError
from bntui.storage import files
from bntui.storage.files import check_folder, make_folder, open_own, why, write_whole
from bntui.storage.places import make_run_folder
from bntui.storage.regular import open_regular, read_regular
from bntui.storage.version_1 import is_of_version_1

CONFIG, JOURNAL, LOG, LOCK, RESULTS = "config.json", "journal.jsonl", "log.txt", ".lock", "results.json"
CHECKPOINTS = ("checkpoint.pt", "checkpoint-before.pt")
"""The newest and the one before."""
CHECKPOINT_LIMIT = 32 << 30
"""Bytes a checkpoint may have."""
CONFIG_LIMIT = 1 << 20
"""Bytes a configuration may have."""


class RunFolder:
    """A run folder. Who writes it holds it: see `begin` and `go_on`; anybody may read.

    Parameters
    ----------
    path
        Of a folder that may hold a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal, self.log = path / JOURNAL, path / LOG
        self._lock: int | None = None
        self._newest_is_damaged = False
        """Whether the newest checkpoint there is could not be gone on from."""

    @staticmethod
    def begin(path: Path) -> RunFolder:
        """Make the folder that was asked for, for a new run, and hold it.

        Raises
        ------
        UsageError
            It holds a run, or another process writes it.
        ExportError
            It can't be written. What was made is removed again.
        """
        folder, made = RunFolder(path), not path.exists()
        try:
            make_folder(path)
            folder._hold()
            # Since it was looked at, another process may have begun a run here, and ended.
            folder.check_free(go_on=False)
            check_folder(path)
        except UsageError:
            folder.close()
            raise
        except (OSError, RuntimeError, ExportError) as error:
            folder.close()
            if made:
                folder.remove_if_empty()
            raise ExportError(f"--run-dir {path}: can't be written ({why(error)}); name another") from None
        return folder

    @staticmethod
    def begin_anywhere(dataset: str) -> RunFolder:
        """Make a folder for a new run among the user's, or else among the temporary files, and hold it.

        Raises
        ------
        OSError, ExportError
            Neither can be.
        """
        folder = RunFolder(make_run_folder(dataset))
        folder._hold()
        return folder

    @staticmethod
    def go_on(path: Path) -> RunFolder:
        """Hold the folder of a run that is to go on.

        Raises
        ------
        UsageError
            There is no such folder, another process writes it, or a file in it is one that no run makes.
        ExportError
            It can't be written.
        """
        folder = RunFolder(path)
        folder._check_files()
        folder._hold()
        try:
            check_folder(path)
        except OSError as error:
            folder.close()
            told = f"can't be written ({why(error)}); copy it to where it can"
            raise ExportError(f"--resume {path}: {told}") from None
        return folder

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove_if_empty(self) -> None:
        """Remove a folder that holds nothing but what was just begun in it; one that holds anything else stays."""
        with contextlib.suppress(OSError):
            for name in (LOCK, CONFIG):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    # Written

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the configuration. Raises ExportError."""
        write_whole(self.path / CONFIG, json.dumps(config, indent=1) + "\n", own=True)

    def write_results(self, text: str, name: str = RESULTS) -> Path:
        """Write results into the folder, which is made again if it is gone; return the path. Raises ExportError."""
        if not self.path.exists() and self.path.parent.is_dir():
            with contextlib.suppress(OSError):
                make_folder(self.path)
        write_whole(self.path / name, text, own=True)
        return self.path / name

    def write_checkpoint(self, data: bytes) -> None:
        """Write a checkpoint, and keep the one before. Raises ExportError."""
        newest, before = (self.path / name for name in CHECKPOINTS)
        # One that is damaged must not take the place of the one that the run goes on from.
        write_whole(newest, data, None if self._newest_is_damaged else before, own=True)
        self._newest_is_damaged = False

    def begin_journal_anew(self, text: str) -> None:
        """Put another journal in the place of one that is damaged, which is kept under another name.

        Raises ExportError.
        """
        names = ("journal-damaged.jsonl", *(f"journal-damaged-{i}.jsonl" for i in range(2, 1_000)))
        free = next((name for name in names if not os.path.lexists(self.path / name)), names[-1])
        write_whole(self.journal, text, self.path / free, own=True)

    def cut_journal(self, length: int) -> None:
        """Cut off what was written after a checkpoint. Raises OSError."""
        files.disk.truncate(self.journal, length)

    def clear_litter(self) -> None:
        """Remove what a process that was killed had begun to write; only who holds the folder may."""
        for litter in self.path.glob(".bntui-*.tmp"):
            with contextlib.suppress(OSError):
                litter.unlink()

    # Read

    def checkpoints(self) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield name and contents of the checkpoints, the newest first, or why one can't be read."""
        for name in CHECKPOINTS:
            self._newest_is_damaged = name != CHECKPOINTS[0]
            try:
                with os.fdopen(open_regular(self.path / name), "rb") as file:
                    if os.fstat(file.fileno()).st_size > CHECKPOINT_LIMIT:
                        raise OSError(errno.EFBIG, "it is larger than 32 GiB")
                    contents = file.read()
                yield name, contents
            except FileNotFoundError:
                continue
            except OSError as error:
                yield name, error

    def read_config(self) -> dict[str, Any] | None:
        """Return the configuration: that of `config.json` or, if it is gone, with which the journal begins.

        Returns
        -------
        dict or None
            The options by their names; None if they are damaged.

        Raises
        ------
        OSError
            It can't be read.
        """
        stored: object = None
        try:
            raw = read_regular(self.path / CONFIG, CONFIG_LIMIT)
            with contextlib.suppress(ValueError, RecursionError):
                stored = json.loads(raw) if len(raw) <= CONFIG_LIMIT else None
        except FileNotFoundError:
            with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
                first = read_regular(self.journal, CONFIG_LIMIT).partition(b"\n")[0]
                stored = json.loads(first).get("config")
            if stored is None:
                raise
        return stored if isinstance(stored, dict) else None

    def has_checkpoint(self) -> bool:
        """Whether there is anything that the run could go on from."""
        return any((self.path / name).is_file() for name in CHECKPOINTS)

    def is_interrupted(self) -> bool:
        """Whether it holds a run that can go on: one that was not completed, and rests. Raises OSError."""
        if not self.has_checkpoint() or is_of_version_1(self.read_config() or {}):
            return False
        with contextlib.suppress(FileNotFoundError), os.fdopen(open_regular(self.path / RESULTS), "rb") as file:
            # The status stands near the beginning, and the whole may be large.
            if b'"status": "completed"' in file.read(2_000) and self._ends_completed():
                return False
        lock = self.path / LOCK
        with contextlib.suppress(FileNotFoundError), os.fdopen(open_regular(lock, os.O_WRONLY), "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def check_free(self, go_on: bool = True) -> None:
        """Raise unless a run can begin here: better said before the data is loaded than after.

        With `go_on`, say how a run that is there goes on; not for who holds its lock.

        Raises
        ------
        UsageError
            It holds a run.
        ExportError
            It can't be written.
        """
        path = self.path
        try:
            if path.is_symlink() and not path.exists():
                raise ExportError(f"--run-dir {path}: is a link to nothing; name another")
            if any((path / name).exists() for name in (CONFIG, JOURNAL, RESULTS)):
                hint = f"; bntui --resume {shlex.quote(str(path))} goes on with it"
                hint = hint if go_on and self.is_interrupted() else ""
                raise UsageError(f"--run-dir {path}: already holds a run{hint}; name another folder")
            if path.exists() and not path.is_dir():
                raise UsageError(f"--run-dir {path}: is not a folder; name another")
            existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
            if not existing.is_dir():
                raise ExportError(f"--run-dir {path}: {existing} is not a folder; name another")
            check_folder(existing)
        except (OSError, RuntimeError) as error:
            raise ExportError(f"--run-dir {path}: can't be written ({why(error)}); name another") from None

    def _ends_completed(self) -> bool:
        """Whether the last line tells of the end: a run that was complete may have gone on to more, and been killed."""
        with contextlib.suppress(FileNotFoundError), os.fdopen(open_regular(self.journal), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4_000))
            last = file.read().rstrip().rpartition(b"\n")[2]
            return b'"event":"Finished"' in last and b'"status":"completed"' in last
        return True

    def _check_files(self) -> None:
        """Raise UsageError if a file is one that no run makes.

        A link: what goes on would write where that leads. A pipe, a folder or the like: it would wait, or lose the
        results.
        """
        written = (LOCK, CONFIG, JOURNAL, LOG, RESULTS)
        for path in (self.path / name for name in (*CHECKPOINTS, *written)):
            if path.is_symlink():
                told = f"its {path.name} is a link, which a run does not make; copy the file there"
                raise UsageError(f"--resume {self.path}: {told}")
            # Of a checkpoint that can't be read, the one before takes the place.
            if path.name in written and path.exists() and not path.is_file():
                raise UsageError(f"--resume {self.path}: its {path.name} is not a regular file; move it away")

    def _hold(self) -> None:
        """Keep other processes from writing; where the file system knows no locks, do without.

        Raises
        ------
        UsageError
            Another process writes the folder, or there is none.
        ExportError
            It can't be written.
        """
        path = self.path / LOCK
        try:
            self._lock = open_own(path, os.O_WRONLY | os.O_CREAT)
        except FileNotFoundError:
            raise UsageError(f"--resume {self.path}: there is no such folder; name that of a run") from None
        except OSError as error:
            raise ExportError(f"{self.path}: can't be written ({why(error)}); name another") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UsageError(f"{self.path}: another bntui writes this run; stop that one first") from None
        except OSError:
            pass
