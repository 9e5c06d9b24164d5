"""The terminal's cursor stands where the focus is, for screen readers and magnifiers."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from terminal_session import TerminalSession

RUN = [sys.executable, "-m", "bntui", "--data", "synthetic", "--train-samples", "2000", "--epochs", "100000"]
TAB, BACK_TAB, ESCAPE, CTRL_P = "\t", "\x1b[Z", "\x1b", "\x10"


def at_cursor(session: TerminalSession, wanted: str, column: int | None = None) -> Callable[[str], bool]:
    """Return whether what stands at the cursor, or in another column of its line, begins with a text."""

    def look(_: str) -> bool:
        cursor = session._screen.cursor
        return session.rows[cursor.y][cursor.x if column is None else column :].lstrip(" │").startswith(wanted)

    return look


@pytest.mark.parametrize("size", [(160, 48), (80, 24)])
def test_the_cursor_follows_the_focus(size: tuple[int, int]) -> None:
    with TerminalSession(RUN, size=size) as s:
        s.wait(at_cursor(s, "running"))
        s.press(TAB, at_cursor(s, "train loss"))
        s.press(TAB, at_cursor(s, "validation"))
        s.press(BACK_TAB, at_cursor(s, "train loss"))
        # It stays there while the curves are drawn.
        for _ in range(10):
            s.pump(0.1)
        s.wait(at_cursor(s, "train loss"))
        s.press("l", "Learning rate")
        s.wait(lambda _: at_cursor(s, "0.01", column=0)("") or "0.01" in s.rows[s._screen.cursor.y])
        s.press("0.025", lambda _: s.rows[s._screen.cursor.y][: s._screen.cursor.x].endswith("0.025"))
        s.press(ESCAPE, at_cursor(s, "train loss"))
        s.press("q", "Quit")
        s.wait(at_cursor(s, "c  cancel"))
        s.press(ESCAPE, at_cursor(s, "train loss"))
        s.press("?", at_cursor(s, "Keys"))
        s.press(ESCAPE, at_cursor(s, "train loss"))
        s.press(CTRL_P, lambda _: s._screen.cursor.y == 1 and s._screen.cursor.x > 0)
        s.press(ESCAPE, at_cursor(s, "train loss"))
        s.send("q")
        s.wait("Quit")
        s.send("s")
        assert s.finish() == 0
