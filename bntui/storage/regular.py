"""Files of a run folder are opened here: a link, a pipe or a device that stands in the place of one is not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path


def open_regular(path: Path, flags: int = os.O_RDONLY, opener: Callable[[Path, int, int], int] = os.open) -> int:
    """Open a file for its owner alone, and return the descriptor. Never waits for anybody, as a FIFO would have it.

    Parameters
    ----------
    flags
        As of `os.open`.
    opener
        What opens it.

    Raises
    ------
    OSError
        It can't be opened, or is no regular file.
    """
    try:
        descriptor = opener(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        told = {errno.ELOOP: "it is a link", errno.ENXIO: "it is not a regular file",
                errno.EISDIR: "it is not a regular file"}.get(error.errno or 0)  # fmt: skip
        raise error if told is None else OSError(error.errno, told) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def read_regular(path: Path, limit: int) -> bytes:
    """Return what a file holds, of a larger one a byte more than the limit. Raises OSError as `open_regular`."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read(limit + 1)
