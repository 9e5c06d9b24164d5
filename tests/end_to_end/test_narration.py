"""A run that is heard while it is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from terminal_session import TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
SMALL = ["--data", "synthetic", "--train-samples", "2000", "--validation-samples", "200", "--device", "cpu"]


def test_what_keys_do_is_told_beside_the_app_and_a_replay_tells_it_again(tmp_path: Path) -> None:
    said, again, folder = tmp_path / "said.txt", tmp_path / "again.txt", tmp_path / "run"
    options = ["--epochs", "100000", "--run-dir", str(folder), "--narrate", str(said)]
    with TerminalSession([*BNTUI, *SMALL, *options]) as s:
        s.wait("running")
        s.press(" ", "paused")
        s.press("b", r"BN +off")
        s.press(" ", "running")
        s.press("q", "Quit")
        s.send("s")
        assert s.finish() == 0
    lines = said.read_text().splitlines()
    assert lines[0].startswith("A run begins: With BN and Without BN train on synthetic, 2,000 samples, for 100,000 ")
    assert any(line.startswith("The run is paused after step ") for line in lines)
    assert any(line.endswith(" BN was switched off.") for line in lines)
    assert "The run goes on." in lines
    assert lines[-1] == f"The results are in {folder}."
    assert lines[-2].startswith("The run was stopped after ")
    with TerminalSession([*BNTUI, "open", str(folder), "--narrate", str(again)]) as s:
        s.wait("interrupted")
        s.press("q", lambda _: True)
        assert s.finish() == 0
    told = again.read_text().splitlines()
    # A replay is told without what keys could do about it.
    assert [line for line in told if not line.startswith("Try ")] == [
        line for line in lines[:-1] if not line.startswith("Press ")
    ]


def test_a_fifo_is_heard_while_the_app_runs_and_nobody_has_to_listen(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with TerminalSession([*BNTUI, *SMALL, "--epochs", "2", "--narrate", str(fifo)]) as s:
        s.wait("completed")
        with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE, text=True) as cat:
            assert cat.stdout is not None
            assert cat.stdout.readline().startswith("A run begins: ")
            s.press("q", lambda _: True)
            assert s.finish() == 0
            assert cat.stdout.read().splitlines()[-1].startswith("The results are in ")


def test_the_screen_of_the_app_is_no_place_to_narrate() -> None:
    for name in ("-", "/dev/tty"):
        for command in (["open", "."], SMALL):
            with TerminalSession([*BNTUI, *command, "--narrate", name]) as s:
                assert s.finish() == 2
                assert s.text.startswith(f"bntui: error: --narrate {name}: the app draws on ")
                assert len(s.lines_after_the_screen()) == 1
