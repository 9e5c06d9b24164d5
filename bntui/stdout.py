"""What is printed for a person or a pipe, and what it means when nobody can take it."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from bntui.errors import ExportError, ReaderGone


def put(text: str, end: str = "\n") -> None:
    """Print to stdout.

    Raises
    ------
    ReaderGone
        Whoever read it has left, as `head` does.
    ExportError
        It can't be written.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        give_up(sys.stdout)
        raise ReaderGone from None
    except OSError as error:
        give_up(sys.stdout)
        raise ExportError(f"stdout can't be written ({error.strerror or error})") from None


def give_up(stream: TextIO) -> None:
    """Point a stream that can't be written to nothing: Python would fail to flush it once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
