"""What the terminal can show, how it is left, and text that is safe to show on it."""

from __future__ import annotations

import errno
import locale
import os
import pty
import subprocess
import sys
import termios
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import UsageError
from bntui.text import TEXT_LIMIT, plain_text
from bntui.tui.terminal.abilities import (
    check_terminal,
    choose_markers,
    choose_theme,
    has_few_colours,
    restore_terminal,
)


def open_terminal() -> tuple[int, int, list[Any]]:
    master, slave = pty.openpty()
    return master, slave, termios.tcgetattr(slave)


def test_restoring_twice_moves_no_cursor_unless_forced() -> None:
    master, slave, attributes = open_terminal()
    try:
        restore_terminal(slave, attributes)
        gentle = os.read(master, 4096)
        restore_terminal(slave, None, force=True)
        forced = os.read(master, 4096)
    finally:
        os.close(master)
        os.close(slave)
    assert b"1049" not in gentle and b"<u" not in gentle and gentle.endswith(b"\x1b[?25h\x1b[0m")
    assert forced.index(b"\x1b[<u") < forced.index(b"\x1b[?1049l") < forced.index(b"\x1b[?25h")
    screen = pyte.Screen(20, 5)
    pyte.ByteStream(screen).feed(b"one\r\ntwo" + gentle + b" three")
    assert [line.rstrip() for line in screen.display[:2]] == ["one", "two three"]


def test_restoring_a_terminal_that_is_gone_is_quiet() -> None:
    master, slave, attributes = open_terminal()
    os.close(master)
    restore_terminal(slave, attributes, force=True)
    os.close(slave)
    restore_terminal(slave, attributes, force=True)
    with pytest.raises(OSError) as caught:
        os.fstat(slave)
    assert caught.value.errno == errno.EBADF


def test_no_terminal_at_all_is_one_line_that_names_headless() -> None:
    code = """
from bntui.tui.terminal.capture import Capture
try:
    with Capture(print): pass
except Exception as error:
    print(repr(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
    )
    assert done.stdout.startswith("UsageError(") and "--headless" in done.stdout and done.stderr == ""


@pytest.mark.parametrize(
    ("terminals", "term", "said"),
    [
        ({0, 1, 2}, "xterm-256color", None),
        ({0, 2}, "xterm", None),
        ({0, 1}, "linux", None),
        ({1, 2}, "xterm", "standard input"),
        ({0}, "xterm", "standard output"),
        (set(), "xterm", "standard input"),
        ({0, 1, 2}, None, "TERM is not set"),
        ({0, 1, 2}, "", "TERM is not set"),
        ({0, 1, 2}, "dumb", "TERM is dumb"),
    ],
)
def test_check_terminal(
    monkeypatch: pytest.MonkeyPatch, terminals: set[int], term: str | None, said: str | None
) -> None:
    monkeypatch.setattr(os, "isatty", terminals.__contains__)
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    if said is None:
        check_terminal()
        return
    with pytest.raises(UsageError, match=said) as caught:
        check_terminal()
    assert "--headless" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "codeset", "name", "term", "markers"),
    [
        (None, "UTF-8", "", "xterm-256color", "braille"),
        (None, "UTF-8", "", "screen-256color", "braille"),
        (None, "UTF-8", "", "tmux-256color", "braille"),
        (None, "UTF-8", "", "", "braille"),
        (None, "UTF-8", "", "linux", "block"),
        (None, "UTF-8", "", "vt100", "block"),
        (None, "UTF-8", "", "vt220", "block"),
        (None, "UTF-8", "", "ansi", "block"),
        (None, "UTF-8", "", "cons25r", "block"),
        (None, "ANSI_X3.4-1968", "C", "xterm", "ascii"),
        (None, "ISO-8859-1", "de_DE", "xterm", "ascii"),
        (None, "ISO-8859-1", "", "linux", "ascii"),
        (None, "no such codeset", "", "xterm", "ascii"),
        (None, "ANSI_X3.4-1968", "xx_YY.UTF-8", "xterm", "braille"),
        (None, "ANSI_X3.4-1968", "xx_YY.utf8", "linux", "block"),
        ("block", "ANSI_X3.4-1968", "C", "xterm", "block"),
        ("ascii", "UTF-8", "", "xterm", "ascii"),
        ("braille", "UTF-8", "", "linux", "braille"),
    ],
)
def test_choose_markers(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, codeset: str, name: str, term: str, markers: str
) -> None:
    monkeypatch.setattr(locale, "nl_langinfo", lambda _: codeset)
    for variable in ("LC_CTYPE", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LC_ALL", name)
    monkeypatch.setenv("TERM", term)
    assert choose_markers(asked) == markers


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("as it is, [brackets] and é ⣧ 批 too", "as it is, [brackets] and é ⣧ 批 too"),
        ("\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3mrgb\x1b[m", "red rgb"),
        ("\x1b[?1049hhidden\x1b[2J\x1b[H\x1b[>25u", "hidden"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("\x1bP1$r0m\x1b\\a\x1b_Gf=24;AAAA\x1b\\b\x1b^x\x1b\\c\x1bXy\x1b\\d", "abcd"),
        ("\x9b31ma\x9d0;title\x9cb\x90q\x9cc\x84d", "abcd"),
        ("\x1b(Ba\x1b7b\x1bcc\x1b#8d\x1b=e\x1b", "abcde"),
        ("\x1b]0;never ended", ""),
        ("\x1b]0;never ended\nnext line", " next line"),
        ("\x1b\x1b[31mx\x1b[3", "x"),
        ("a\x00b\x07c\x08d\x7f", "a�b�c�d�"),
        ("a\tb", "a       b"),
        ("\x1b[31mab\tc", "ab      c"),
        ("two\nlines\r\nor three\n", "two lines or three"),
        (" 10%\r 50%\r100%\x1b[K\r\n", "100%"),
        (" 10%\r 50%\r", " 50%"),
        ("\ud800lone\udcff", "�lone�"),
        ("left\u202eright\u2066\ufeff", "leftright"),
        ("x" * TEXT_LIMIT, "x" * TEXT_LIMIT),
        ("x" * (TEXT_LIMIT + 1), "x" * (TEXT_LIMIT - 1) + "…"),
        ("\t" * TEXT_LIMIT, " " * (TEXT_LIMIT - 1) + "…"),
        ("", ""),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain


SEQUENCES = st.sampled_from(
    [
        "\x1b",
        "\x1b[",
        "\x1b]",
        "\x1bP",
        "\x1b\\",
        "\x07",
        "\x9b",
        "\x9c",
        "[31m",
        "0;a",
        "\r",
        "\n",
        "\t",
        "\ud800",
        "\x85",
    ]
)


@given(st.one_of(st.text(st.characters()), st.lists(st.one_of(SEQUENCES, st.text(max_size=3))).map("".join)))
def test_plain_text_of_anything_is_one_harmless_line(text: str) -> None:
    plain = plain_text(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in plain)
    assert len(plain) <= TEXT_LIMIT and len(plain.splitlines()) <= 1
    assert plain_text(plain) == plain


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=TEXT_LIMIT))
def test_plain_text_leaves_plain_text_alone(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("asked", "variable", "theme"),
    [("light", "15;0", "light"), (None, "15;0", "dark"), (None, "0;15", "light"), (None, "0;default;7", "light"),
     (None, "", "dark"), (None, "nonsense", "dark"), ("dark", "0;15", "dark")],
)  # fmt: skip
def test_choose_theme(asked: str | None, variable: str, theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", variable)
    assert choose_theme(asked) == theme


@pytest.mark.parametrize(
    ("term", "colorterm", "few"),
    [
        ("linux", None, True),
        ("xterm", None, True),
        ("xterm-color", None, True),
        ("xterm-16color", None, True),
        ("screen", None, True),
        ("vt100", None, True),
        ("vt220", None, True),
        ("ansi", None, True),
        ("rxvt", "", True),
        ("xterm-256color", None, False),
        ("screen-256color", None, False),
        ("tmux-256color", "", False),
        ("xterm", "truecolor", False),
        ("linux", "24bit", False),
        ("xterm-kitty", None, False),
    ],
)
def test_few_colours(monkeypatch: pytest.MonkeyPatch, term: str, colorterm: str | None, few: bool) -> None:
    for name in ("COLORTERM", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", term)
    if colorterm is not None:
        monkeypatch.setenv("COLORTERM", colorterm)
    assert has_few_colours() is few
    # What is asked for counts, as it does for Textual.
    monkeypatch.setenv("TEXTUAL_COLOR_SYSTEM", "truecolor" if few else "standard")
    assert has_few_colours() is not few
    monkeypatch.setenv("TEXTUAL_COLOR_SYSTEM", "nonsense")
    assert has_few_colours() is False
