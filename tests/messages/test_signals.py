"""Signals at moments that are hard to hit: while modules are imported, and while what was stopped cleans up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bntui.config.options import RunConfig
from bntui.messages.signals import handling, interruptible
from terminal_session import TerminalSession

STRIKE = str(Path(__file__).parents[1] / "strike.py")
SMALL = ["--data", "synthetic", "--train-samples", "1000", "--validation-samples", "200", "--epochs", "1"]
SAID = r"bntui: (error: )?stopped(: no training was under way, so| before training began:) there is nothing to save"


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.parametrize("module", ["bntui.cli", "bntui.config.options", "bntui.storage.recorder", "torch", "torch.nn"])
def test_a_signal_while_a_module_is_imported_ends_in_one_line(
    tmp_path: Path, module: str, number: signal.Signals, times: int
) -> None:
    command = [sys.executable, STRIKE, module, number.name, str(times), "--headless", *SMALL]
    done = subprocess.run([*command, "--run-dir", str(tmp_path / "run")], capture_output=True, text=True, timeout=300)
    # The second of two ends a run at once, before or after the first had its word.
    assert done.returncode in ((128 + number,) if times == 1 else (128 + number, -number))
    assert re.fullmatch(f"({SAID}\n)" + ("?" if times == 2 else ""), done.stderr), done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.parametrize("module", ["bntui.tui.launch", "textual", "bntui.tui.app", "torch", "torch.nn"])
def test_a_signal_while_the_app_starts_ends_in_one_line(tmp_path: Path, module: str, number: signal.Signals) -> None:
    command = [sys.executable, STRIKE, module, number.name, "1", *SMALL, "--run-dir", str(tmp_path / "run")]
    with TerminalSession(command) as s:
        assert s.finish() == 128 + number
        lines = s.lines_after_the_screen()
        assert len(lines) == 1 and re.fullmatch(SAID, lines[0]), lines
        assert s.attributes() == s.attributes_before
    assert not (tmp_path / "run").exists()


def test_what_is_interruptible_never_has_a_handler_run_inside_of_it() -> None:
    seen: list[str] = []
    finished = threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        seen.append("went on")
        finished.set()

    def raise_stopped(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, raise_stopped)
    try:
        with pytest.raises(InterruptedError):
            interruptible(work)
            finished.wait()  # it was done before the handler had its turn
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert finished.wait(60)
    assert seen == ["went on"]


def test_what_interruptible_work_returns_and_raises_comes_out() -> None:
    assert interruptible(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)


def test_the_second_signal_is_handed_on_where_somebody_takes_it() -> None:
    taken: list[tuple[str, int]] = []
    config = RunConfig(on_hangup="continue")
    first = signal.getsignal(signal.SIGTERM)
    with handling(
        config,
        lambda number: taken.append(("stop", number)),
        lambda number: taken.append(("again", number)),
        lambda: taken.append(("hangup", 0)),
    ) as caught:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert taken == [("hangup", 0), ("stop", 15), ("again", 2), ("again", 15)]
    assert caught == [15, 2, 15]
    assert signal.getsignal(signal.SIGTERM) is first
