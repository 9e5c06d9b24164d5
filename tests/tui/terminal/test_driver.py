"""What a terminal still sends when the app lets go of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import sys
import termios
import tty
from typing import Any

import pytest

from bntui.tui.terminal import driver
from bntui.tui.terminal.abilities import restore_terminal

REPORT = b"\x1b[<35;20;10M"


def waiting(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_reports_that_come_while_the_app_leaves_are_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    late = [REPORT] * 3
    select_now = select.select

    def wait(read: list[int], *others: Any) -> Any:
        # What comes while there is waited, instead of the waiting.
        if late:
            os.write(master, late.pop())
            return select_now(read, [], [])
        return select_now(read, [], [], 0)

    monkeypatch.setattr(driver.select, "select", wait)
    try:
        tty.setraw(slave)
        os.write(master, REPORT * 2)
        select_now([slave], [], [])
        driver.drain(slave)
        assert late == [] and waiting(slave) == 0
    finally:
        os.close(master)
        os.close(slave)


def test_a_terminal_that_the_app_still_has_is_flushed_and_another_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    # As if this were the job that has the terminal.
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    try:
        before = termios.tcgetattr(slave)
        os.write(master, b"typed ahead\n")
        select.select([slave], [], [])
        restore_terminal(slave, before)
        assert waiting(slave) == len("typed ahead\n")
        tty.setraw(slave)
        os.write(master, REPORT)
        select.select([slave], [], [])
        restore_terminal(slave, before, force=True)
        assert waiting(slave) == 0
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def keys(*texts: str) -> list[str]:
    """The keys that texts mean which are read one after the other, and the pasted texts."""
    keyboard = driver.Keyboard()
    messages = [message for text in texts for message in (keyboard.feed(text) if text else keyboard.idle())]
    return [str(getattr(message, "key", getattr(message, "text", ""))) for message in messages]


def test_a_number_that_is_no_keys_does_no_harm() -> None:
    assert keys("\x1b[999999999u", "a")[-1] == "a"


def test_a_paste_ends_wherever_it_is_cut() -> None:
    whole = "\x1b[200~ab\x1b[201~"
    for cut in range(1, len(whole)):
        # Between the two nothing comes for a while.
        assert keys(whole[:cut], *[""] * (cut > 6), whole[cut:], "c")[-1] == "c", cut
    for cut in range(6, len(whole)):
        assert keys(whole[:cut], "", whole[cut:], "c") == ["ab", "c"], cut


def test_a_paste_that_is_never_ended_ends_by_itself() -> None:
    assert keys("\x1b[200~ab", *[""] * driver.PASTE_ROUNDS, "c") == ["ab", "c"]
