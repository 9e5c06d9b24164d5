"""The folder of a run: made, locked, and found again."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import platformdirs

from bntui.config.options import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.storage import files
from bntui.storage.files import check_folder, make_folder, open_own, why
from bntui.storage.memory import was_told
from bntui.storage.regular import open_regular

CHECKPOINTS = ("checkpoint.pt", "checkpoint-before.pt")
"""Names of the newest and the one before."""


def lock(folder: Path) -> int | None:
    """Keep other processes from writing a folder, and return the descriptor that holds the lock; None without locks.

    Raises
    ------
    UsageError
        Another process writes it, or there is no such folder.
    ExportError
        It can't be written.
    """
    descriptor = None
    try:
        descriptor = open_own(folder / ".lock", os.O_WRONLY | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if descriptor is not None:
            os.close(descriptor)
        raise UsageError(f"{folder}: another bntui writes this run; stop that one first") from None
    except FileNotFoundError:
        raise UsageError(f"--resume {folder}: there is no such folder; name that of a run") from None
    except OSError as error:
        # Some file systems know no locks; one that can't be written at all is told of when it is written to.
        if error.errno in (
            errno.EACCES,
            errno.EROFS,
            errno.ENOSPC,
            errno.EINVAL,
            errno.ELOOP,
            errno.ENXIO,
            errno.EISDIR,
        ):
            raise ExportError(f"{folder}: can't be written ({why(error)}); name another") from None
    return descriptor


def _runs() -> Path:
    return platformdirs.user_state_path("bntui") / "runs"


def find_interrupted() -> Path | None:
    """Return the folder of the user's newest run if it can go on: it has a checkpoint, was not completed, and rests."""
    try:
        folder = max(_runs().iterdir(), default=None)
        return folder if folder is not None and is_interrupted(folder) else None
    except (OSError, RuntimeError):
        return None


def notice_of_interrupted(config: RunConfig) -> str:
    """Return a sentence about the user's newest run if it can go on and this one begins anew beside it.

    Once for each such run, else nothing.
    """
    folder = find_interrupted() if config.run_dir is None and config.resume is None else None
    return (
        ""
        if folder is None or was_told(folder)
        else f"the last run stopped early; bntui --resume {shlex.quote(str(folder))} goes on"
    )


def is_interrupted(folder: Path) -> bool:
    """Whether a folder holds a run that can go on. Raises OSError if it can't be read."""
    if not any((folder / name).is_file() for name in CHECKPOINTS):
        return False
    with contextlib.suppress(FileNotFoundError), os.fdopen(open_regular(folder / "results.json"), "rb") as file:
        # The status stands near the beginning, and the whole may be large.
        if b'"status": "completed"' in file.read(2_000) and _ends_completed(folder / "journal.jsonl"):
            return False
    with contextlib.suppress(FileNotFoundError), os.fdopen(open_regular(folder / ".lock", os.O_WRONLY), "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _ends_completed(journal: Path) -> bool:
    """Whether the last line tells of the end: a run that was complete may have gone on to more, and been killed."""
    with contextlib.suppress(FileNotFoundError), os.fdopen(open_regular(journal), "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4_000))
        last = file.read().rstrip().rpartition(b"\n")[2]
        return b'"event":"Finished"' in last and b'"status":"completed"' in last
    return True


def check_files(folder: Path) -> None:
    """Raise UsageError if a file of a run folder is one that no run makes.

    A link: what goes on would write where that leads. A pipe, a folder or the like: it would wait, or lose the results.
    """
    written = (".lock", "config.json", "journal.jsonl", "log.txt", "results.json")
    for path in (folder / name for name in (*CHECKPOINTS, *written)):
        if path.is_symlink():
            told = f"its {path.name} is a link, which a run does not make; copy the file there"
            raise UsageError(f"--resume {folder}: {told}")
        # Of a checkpoint that can't be read, the one before takes the place.
        if path.name in written and path.exists() and not path.is_file():
            raise UsageError(f"--resume {folder}: its {path.name} is not a regular file; move it away")


def check_free(folder: Path, go_on: bool = True) -> None:
    """Raise unless a run folder can be made at `folder`: better said before the data is loaded than after.

    With `go_on`, say how a run that is there goes on; not for who holds its lock.
    """
    try:
        if folder.is_symlink() and not folder.exists():
            raise ExportError(f"--run-dir {folder}: is a link to nothing; name another")
        if any((folder / name).exists() for name in ("config.json", "journal.jsonl", "results.json")):
            hint = f"; bntui --resume {shlex.quote(str(folder))} goes on with it"
            hint = hint if go_on and is_interrupted(folder) else ""
            raise UsageError(f"--run-dir {folder}: already holds a run{hint}; name another folder")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--run-dir {folder}: is not a folder; name another")
        existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        if not existing.is_dir():
            raise ExportError(f"--run-dir {folder}: {existing} is not a folder; name another")
        check_folder(existing)
    except (OSError, RuntimeError) as error:
        raise ExportError(f"--run-dir {folder}: can't be written ({why(error)}); name another") from None


def check_place() -> None:
    """Raise ExportError unless a run folder can be made somewhere: there is nothing else that takes the results."""
    failure = ""
    places: tuple[Callable[[], Path], ...] = (_runs, lambda: Path(tempfile.gettempdir()))
    for place in places:
        try:
            folder = place()
            check_folder(next(path for path in (folder, *folder.parents) if path.exists()))
            return
        except (OSError, RuntimeError) as error:
            failure = why(error)
    told = "neither in the user state folder nor among the temporary files"
    raise ExportError(f"no run folder can be made, {told} ({failure}); name one by --run-dir, or a file by --export")


def make_run_folder(dataset: str) -> Path:
    """Make a new folder for a run, among the user's others or, where that can't be, among the temporary files.

    Raises
    ------
    OSError
        Neither can be.
    """
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{dataset}-"
    try:
        make_folder(_runs())
        return make_temporary(name, _runs())
    except (OSError, RuntimeError):
        return make_temporary(f"bntui-{name}")


def make_temporary(prefix: str, place: Path | None = None) -> Path:
    """Make a folder of a name that nothing has, for its owner alone. Raises OSError."""
    # As tempfile.mkdtemp, by the calls that a test can have fail.
    while True:
        folder = (place or Path(tempfile.gettempdir())) / f"{prefix}{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError):
            files.disk.mkdir(folder, 0o700)
            return folder
