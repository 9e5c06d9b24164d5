"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from bntui.errors import ExportError


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


def write_whole(path: Path, contents: str | bytes, previous: Path | None = None) -> None:
    """Write a file by way of a temporary one beside it; a device, pipe or socket is written to directly.

    What stood there is kept as `previous`, if that is named, and lost if not.

    Raises
    ------
    ExportError
        The file could not be written; what stood there before still does.
    """
    data = contents.encode() if isinstance(contents, str) else contents
    try:
        # Renaming onto a link would replace the link, and onto a device the device.
        path = path.resolve()
        if path.exists() and not path.is_file():
            _write(path, os.O_TRUNC, data, sync=False)
            return
        temporary = path.with_name(f".bntui-{os.getpid()}.tmp")
        try:
            _write(temporary, os.O_TRUNC | os.O_CREAT, data, sync=True)
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


def _write(path: Path, flags: int, data: bytes, sync: bool) -> None:
    descriptor = disk.open(path, os.O_WRONLY | flags, 0o666)
    try:
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
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".bntui-"):
        pass


def _below_a_file(path: Path) -> bool:
    return any(p.exists() and not p.is_dir() for p in (path, *path.parents))


def why(error: BaseException) -> str:
    """Return what an error says, without its number and the file."""
    return getattr(error, "strerror", None) or str(error)
