"""Textual's driver of a terminal, quicker with the Escape key."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import time

from textual import constants
from textual.message import Message

from bntui.tui.terminal.textual_private import OpenDriver, XTermParser

IDLE_SECONDS = 0.1
"""How often the thread looks whether it is to end; the app waits for that."""


PASTE, PASTE_END = "\x1b[200~", "\x1b[201~"
PASTE_ROUNDS = 20
"""Of `IDLE_SECONDS`, after which a paste that was not ended is taken to be over."""
DRAIN_SECONDS, QUIET_SECONDS = 0.4, 0.1
"""Most time that what the terminal still reports is waited for, and how long it is to be quiet."""


def drain(fd: int) -> None:
    """Take in, and drop, what a terminal still sends after it was told to report nothing more.

    Over SSH its reports of the mouse may still be on their way; left alone, they would be typed into the shell.
    """
    end = time.monotonic() + DRAIN_SECONDS
    while (left := end - time.monotonic()) > 0 and select.select([fd], [], [], min(QUIET_SECONDS, left))[0]:
        if not os.read(fd, 4096):
            break


class Keyboard:
    """Makes messages of what a terminal sends; whatever it sends, the next key is understood again.

    Textual's parser fails for some numbers that are no key's, and it takes a sequence apart that is not read to its end
    in time, even if the rest is there: the end of a paste then becomes a part of it, and so does all that follows.
    """

    def __init__(self) -> None:
        self._parser = XTermParser()
        self._last = ""
        self._pasting = False
        self._idle = 0

    def feed(self, text: str) -> list[Message]:
        """Return what a text that was read means."""
        self._idle = 0
        known = self._last + text
        start, end = known.rfind(PASTE), known.rfind(PASTE_END)
        if start != end:
            self._pasting = start > end
        self._last = known[1 - len(PASTE) :]
        messages: list[Message] = []
        try:
            messages.extend(self._parser.feed(text))
        except (ValueError, OverflowError, IndexError, KeyError, StopIteration, RuntimeError):
            self._parser, self._pasting = XTermParser(), False
        return messages

    def idle(self) -> list[Message]:
        """Return what was read means, if nothing follows: only now is a lone Escape known to be one."""
        if not self._pasting:
            return [*self._parser.tick()]
        self._idle += 1
        return self.feed(PASTE_END) if self._idle >= PASTE_ROUNDS else []


class Driver(OpenDriver):
    """Tells of a lone Escape when Textual's `ESCAPE_DELAY` has passed.

    The driver that it comes from looks only every 100 ms whether it has, and a dialog that closes so late feels slow.
    """

    _drained = False
    """Whether the terminal was waited for since the app took it."""

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._drained = False
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def disable_input(self) -> None:
        """Read keys no more, nor let anybody else read what was sent to the app."""
        if not self._drained:
            self._drained = True
            self.stop_reports()
            super().disable_input()
            with contextlib.suppress(OSError, ValueError):
                drain(self.fileno)

    def run_input_thread(self) -> None:
        """Read keys until the app ends."""
        keyboard = Keyboard()
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        seconds = IDLE_SECONDS
        while not self.exit_event.is_set():
            if select.select([self.fileno], [], [], seconds)[0]:
                text = decode(os.read(self.fileno, 4096))
                if not text:
                    # The terminal is gone; SIGHUP says so too.
                    self.exit_event.wait(IDLE_SECONDS)
                    continue
                seconds = constants.ESCAPE_DELAY if text.endswith("\x1b") else IDLE_SECONDS
                messages = keyboard.feed(text)
            else:
                seconds = IDLE_SECONDS
                messages = keyboard.idle()
            for message in messages:
                self.process_message(message)
