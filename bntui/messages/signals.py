"""What the signals that end a program mean to a run: stop and save, at once, or go on without a terminal.

Only what starts quickly is imported here: signals are taken before anything else is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bntui.config.options import RunConfig

Handler = Callable[[int, FrameType | None], None]
T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NOTHING_LOST = b"bntui: stopped: no training was under way, so there is nothing to save\n"


def leave_when_stopped() -> None:
    """Have the process end at a signal, with a line that says so, as long as no run takes the signals itself."""
    for number in _ENDING:
        # One that is ignored already, as `nohup` has it of SIGHUP, stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, _: FrameType | None) -> None:
    """Say that nothing is lost and end: by system calls alone, whatever the interpreter was doing."""
    with contextlib.suppress(OSError):
        os.write(2, _NOTHING_LOST)
    os._exit(128 + number)


def interruptible(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises; a signal's handler never runs inside of it.

    Handlers run in the main thread. What one raises within the import of torch can end the process or leave half a
    module behind, so the work is done in a thread of its own, and only the waiting for it is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    done: list[T] = []
    failed: list[BaseException] = []

    def do() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    worker = threading.Thread(target=do, name="bntui-import", daemon=True)
    worker.start()
    worker.join()
    if failed:
        raise failed[0]
    return done[0]


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
def handling(
    config: RunConfig,
    stop: Callable[[int], None],
    again: Callable[[int], None] | None = None,
    hangup: Callable[[], None] = let_go_of_the_terminal,
) -> Iterator[list[int]]:
    """Hand the signals that stop a run to functions of their number; yield the list of those that were caught.

    Parameters
    ----------
    config
        Says which signals stop the run.
    stop
        Called at the first of them.
    again
        Called at every further one; by default the process ends at once.
    hangup
        Called where `--on-hangup continue` holds and the terminal is lost; by default it is let go of.
    """
    caught: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        caught.append(number)
        if len(caught) == 1:
            stop(number)
        else:
            (again or _end)(number)

    handlers: dict[int, Handler] = dict.fromkeys(stopping(config), handle)
    if config.on_hangup == "continue" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = lambda *_: hangup()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            # Who was asked to stop has said so by now: a further signal ends it without another word.
            signal.signal(number, signal.SIG_DFL if caught and handler is _leave else handler)


def _end(number: int) -> None:
    """End the process at once, by the signal."""
    with contextlib.suppress(OSError):
        if sys.stderr.isatty():  # the bar has hidden the cursor
            os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
