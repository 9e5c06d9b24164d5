"""The terminal around the app: whether it can show one and what, and how it is left."""

from __future__ import annotations

import codecs
import contextlib
import io
import locale
import os
import re
import termios
from typing import Any

from bntui.errors import UsageError

# All that Textual switches on, 1016 included, which it leaves on: harmless if it is off already.
_MODES_OFF = "".join(f"\x1b[?{mode}l" for mode in (2026, 1000, 1002, 1003, 1006, 1015, 1016, 1004, 2004, 2048))
_CURSOR_AND_COLOURS = "\x1b[?7h\x1b[?25h\x1b[0m"
# The key protocol keeps a stack for each screen, so it is popped before the alternate one is left.
_LEAVE = "\x1b[<u\x1b[?1049l"

_PLAIN_TERMINALS = re.compile(r"linux|vt\d|ansi|pcansi|cons\d|sun")


def check_terminal() -> None:
    """Raise UsageError unless there is a terminal to read keys from and one to draw on."""
    advice = "--headless runs without one"
    if not os.isatty(0):
        raise UsageError(f"standard input is not a terminal, and the app reads its keys there; {advice}")
    if not (os.isatty(1) or os.isatty(2)):
        raise UsageError(f"neither standard output nor standard error is a terminal to draw on; {advice}")
    if (term := os.environ.get("TERM", "")) in ("", "dumb", "unknown"):
        seen = f"TERM is {term}, which" if term else "TERM is not set, and a terminal without a name"
        raise UsageError(f"{seen} cannot show the app; set it, as to xterm-256color, or use --headless")


def locale_encoding() -> str:
    """Return the codec of the terminal's encoding, as the locale tells it.

    A locale that is asked for but not installed, as SSH forwards them, counts by its name; Python's own UTF-8 mode
    says nothing about the terminal.
    """
    name = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    if "utf8" in name.lower().replace("-", ""):
        return "utf-8"
    try:
        return codecs.lookup(locale.nl_langinfo(locale.CODESET)).name
    except LookupError:
        return "ascii"


def choose_markers(asked: str | None) -> str:
    """Return 'braille', 'block' or 'ascii': what was asked for, or the finest that the terminal can be trusted with."""
    if asked:
        return asked
    if locale_encoding() != "utf-8":
        return "ascii"
    return "block" if _PLAIN_TERMINALS.match(os.environ.get("TERM", "")) else "braille"


def choose_theme(asked: str | None) -> str:
    """Return 'dark' or 'light': what was asked for, or what COLORFGBG tells of the background, or 'dark'.

    The variable ends in the number of the background's colour; rxvt and Konsole set it, SSH does not pass it on.
    """
    if asked:
        return asked
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def has_few_colours() -> bool:
    """Return whether the terminal has no more than sixteen colours, as the library that writes to it will find."""
    # Here, as what is said before there is a screen needs none of it.
    from rich.console import Console

    system: Any = os.environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    try:
        console = Console(color_system=system, force_terminal=True, legacy_windows=False, file=io.StringIO())
    except KeyError:  # an unknown word in the variable, of which the app itself will complain
        return False
    return console.color_system == "standard"


def restore_terminal(fd: int, attributes: list[Any] | None, *, force: bool = False) -> None:
    """Switch off what a full-screen app switched on, and set the terminal's attributes as they were.

    Only system calls, so a signal handler may call it; a terminal that is gone is left alone.

    Parameters
    ----------
    fd
        The terminal.
    attributes
        From ``termios.tcgetattr``, or None to leave them.
    force
        Leave the alternate screen too. Only if it is shown: otherwise xterm and tmux would move the cursor back to
        where it was before the app, on top of what was printed since, and the shell's key protocol would be popped.
    """
    with contextlib.suppress(OSError):
        os.write(fd, (_MODES_OFF + _LEAVE * force + _CURSOR_AND_COLOURS).encode())
    with contextlib.suppress(OSError, termios.error):
        # A job in the background would be stopped for setting them, and the shell's own are in force.
        if attributes and termios.tcgetattr(fd) != attributes and os.tcgetpgrp(fd) == os.getpgrp():
            # The app still had the terminal: what is in its input are reports of the mouse and keys for the app.
            termios.tcflush(fd, termios.TCIFLUSH)
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
