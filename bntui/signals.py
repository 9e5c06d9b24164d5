"""What the signals that end a program mean to a run: stop and save, at once, or go on without a terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from bntui.config import RunConfig


def stopping(config: RunConfig) -> list[signal.Signals]:
    """Return the signals at which a run stops and saves.

    One that is ignored already, as `nohup` has it of SIGHUP, stays so.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if config.on_hangup == "save":
        numbers.append(signal.SIGHUP)
    if config.stop_signal is not None:
        numbers.append(signal.Signals[f"SIG{config.stop_signal}"])
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def let_go_of_the_terminal() -> None:
    """Have all that is still read from or written to a terminal that is gone go nowhere, and never fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        # One that is gone is no terminal any more, but none of a file or pipe either: it can't be asked for its size.
        with contextlib.suppress(OSError):
            if _was_terminal(stream):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def _was_terminal(descriptor: int) -> bool:
    return stat.S_ISCHR(os.fstat(descriptor).st_mode) and os.fstat(descriptor).st_rdev != os.stat(os.devnull).st_rdev


@contextlib.contextmanager
def handling(config: RunConfig, stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` at the first signal to stop, and end the process at the second; yield the list of those caught.

    With `--on-hangup continue` a lost terminal is let go of.
    """
    caught: list[int] = []

    def stop_or_end(number: int, _: FrameType | None) -> None:
        if caught:
            with contextlib.suppress(OSError):
                if sys.stderr.isatty():  # the bar has hidden the cursor
                    os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        caught.append(number)
        stop()

    handlers: dict[int, Callable[[int, FrameType | None], None]] = dict.fromkeys(stopping(config), stop_or_end)
    if config.on_hangup == "continue" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = lambda *_: let_go_of_the_terminal()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
