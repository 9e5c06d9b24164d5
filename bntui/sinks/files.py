"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from bntui.errors import ExportError


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
            with path.open("wb") as file:
                file.write(data)
            return
        temporary = path.with_name(f".bntui-{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                os.replace(path, previous)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        raise ExportError(f"{path}: could not be written ({_reason(error)})") from None


def _sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder, where that can be asked for."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
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
        raise ExportError(f"{option} {path}: can't be written ({_reason(error)}); choose another") from None


def check_folder(folder: Path) -> None:
    """Raise OSError unless a file can be made in `folder`; leaves none behind."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".bntui-"):
        pass


def _below_a_file(path: Path) -> bool:
    return any(p.exists() and not p.is_dir() for p in (path, *path.parents))


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
