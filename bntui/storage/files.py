"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from bntui.errors import ExportError
from bntui.storage.regular import open_regular


class Disk:
    """The calls that change what is on disk, in one place, so that a test can have any of them fail."""

    open = staticmethod(os.open)
    write = staticmethod(os.write)
    fsync = staticmethod(os.fsync)
    replace = staticmethod(os.replace)
    truncate = staticmethod(os.truncate)
    mkdir = staticmethod(os.mkdir)


disk = Disk()


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and those it lies in, unless they are there. Raises OSError."""
    if not folder.is_dir():
        if not folder.parent.is_dir():
            make_folder(folder.parent)
        disk.mkdir(folder, 0o700)


def open_own(path: Path, flags: int) -> int:
    """Open a file of a run folder to write it, as `open_regular`."""
    return open_regular(path, flags, disk.open)


def write_whole(path: Path, contents: str | bytes, previous: Path | None = None, own: bool = False) -> None:
    """Write a file by way of a temporary one beside it.

    Parameters
    ----------
    previous
        What stood there is kept under this name; without one it is lost.
    own
        Whether it is a file of a run folder: for its owner alone, and in the place of whatever stands there. Any other
        has the mode that other programs' files have, or that of the file it replaces; a link is followed; and a device,
        pipe or socket is written to directly.

    Raises
    ------
    ExportError
        The file could not be written; what stood there before still does.
    """
    data = contents.encode() if isinstance(contents, str) else contents
    try:
        mode = None
        if not own:
            # Renaming onto a link would replace the link, and onto a device the device.
            path = path.resolve()
            if path.exists():
                if not path.is_file():
                    _write(disk.open(path, os.O_WRONLY | os.O_TRUNC), data, sync=False)
                    return
                mode = stat.S_IMODE(path.stat().st_mode) & 0o777
        temporary, descriptor = _make_temporary(path.parent, 0o600 if own else 0o666 if mode is None else mode)
        try:
            _write(descriptor, data, sync=True, mode=mode)
            if previous is not None and path.exists():
                disk.replace(path, previous)
            disk.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        raise ExportError(f"{path}: could not be written ({why(error)})") from None


def _make_temporary(folder: Path, mode: int, opener: Callable[..., int] | None = None) -> tuple[Path, int]:
    """Make a file of a name that nobody can foresee, and return its path and its descriptor. Raises OSError."""
    while True:
        path = folder / f".bntui-{secrets.token_hex(8)}.tmp"
        with contextlib.suppress(FileExistsError):
            return path, (opener or disk.open)(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)


def _write(descriptor: int, data: bytes, sync: bool, mode: int | None = None) -> None:
    """Write all of it and close the descriptor; a mode is given to the file whatever the umask is."""
    try:
        if mode is not None:
            with contextlib.suppress(OSError):  # some file systems know no modes
                os.fchmod(descriptor, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[disk.write(descriptor, rest) :]
        if sync:
            disk.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder, where that can be asked for."""
    with contextlib.suppress(OSError):
        descriptor = disk.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            disk.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(path: Path, option: str) -> None:
    """Raise ExportError unless a file can be made at `path`: better said before a training than after."""
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # tells of a loop of links, of which exists() and, from Python 3.13 on, resolve() say nothing
        if path.is_dir():
            raise ExportError(f"{option} {path}: is a folder; name a file in it")
        if path.exists() and not path.is_file():
            return
        parent = path.resolve().parent
        if not parent.is_dir():
            what = "does not exist; make it first" if not _below_a_file(parent) else "is not one; name another"
            raise ExportError(f"{option} {path}: the folder {parent} {what}")
        if path.exists() and not os.access(path, os.W_OK):
            raise ExportError(f"{option} {path}: the file is read-only; choose another")
        check_folder(parent)
    except (OSError, RuntimeError) as error:
        raise ExportError(f"{option} {path}: can't be written ({why(error)}); choose another") from None


def check_folder(folder: Path) -> None:
    """Raise OSError unless a file can be made in `folder`; leaves none behind."""
    # Not by the disk of a test, of which this is no part: nothing is lost if it fails.
    path, descriptor = _make_temporary(folder, 0o600, Disk.open)
    os.close(descriptor)
    path.unlink()


def _below_a_file(path: Path) -> bool:
    return any(p.exists() and not p.is_dir() for p in (path, *path.parents))


def why(error: BaseException) -> str:
    """Return what an error says, without its number and the file."""
    return getattr(error, "strerror", None) or str(error)
