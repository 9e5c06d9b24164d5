"""Textual's driver of a terminal, quicker with the Escape key."""

from __future__ import annotations

import codecs
import os
import select

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

IDLE_SECONDS = 0.1
"""How often the thread looks whether it is to end; the app waits for that."""


class Driver(LinuxDriver):
    """Tells of a lone Escape when Textual's `ESCAPE_DELAY` has passed.

    The driver that it comes from looks only every 100 ms whether it has, and a dialog that closes so late feels slow.
    """

    def run_input_thread(self) -> None:
        """Read keys until the app ends."""
        parser = XTermParser(self._debug)
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
                messages = [*parser.feed(text)]
            else:
                seconds = IDLE_SECONDS
                messages = []
            for message in (*messages, *parser.tick()):
                self.process_message(message)
