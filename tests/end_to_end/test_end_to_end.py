"""The app as people use it: a real terminal, keys, signals, sizes. Every test waits for what the screen shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bntui.storage import results
from terminal_session import TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
SMALL = ["--data", "synthetic", "--train-samples", "2000", "--validation-samples", "200", "--epochs", "100000"]
ENDLESS_LOADING = ["--data", "synthetic", "--train-samples", "3000000"]
CTRL_C, ESCAPE, LEFT, RIGHT = "\x03", "\x1b", "\x1b[D", "\x1b[C"
GOODBYE = (
    r"bntui: (interrupted|completed) after step [\d,]+: validation accuracy With BN \d\.\d{4}, Without BN \d\.\d{4}"
    r"( \(on [\d,]+ samples\))?"
    r"|bntui: results in .+"
    r"|bntui: (stopped|interrupted) before training began.*"
)
MODES = (1049, 1000, 1002, 1003, 1004, 1006, 1015, 1016, 2004, 2048)


def app(*arguments: str, **options: Any) -> TerminalSession:
    return TerminalSession([*BNTUI, *arguments], **options)


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(loaded, results.schema())
    return loaded


def step_shown(text: str) -> int:
    """The step number in the status strip or the header; 0 without one."""
    rows = [row for row in text.split("\n") if row.strip()]
    found = [re.search(r"\bstep ([\d,]+)", row) for row in (*rows[:1], *rows[-2:])]
    return next((int(match[1].replace(",", "")) for match in found if match), 0)


def rate_shown(text: str) -> float:
    found = re.search(r"lr (\d\S*)", text)
    return float(found[1]) if found else 0.0


def changed(of: Callable[[str], Any], session: TerminalSession) -> Callable[[str], bool]:
    """Return a predicate: a function of the screen returns something else than now."""
    before = of(session.text)
    return lambda text: of(text) != before


def assert_restored(session: TerminalSession, said: str | None = None) -> None:
    """The terminal is as it was: settings, screen, cursor, mouse; and only the lines of the end are on it."""
    assert session.attributes() == session.attributes_before
    raw = bytes(session.raw)
    for mode in MODES:
        assert raw.rfind(b"\x1b[?%dl" % mode) >= raw.rfind(b"\x1b[?%dh" % mode), mode
    assert raw.rfind(b"\x1b[?25h") > max(raw.rfind(b"\x1b[?25l"), raw.rfind(b"\x1b[?1049h"))
    for line in session.lines_after_the_screen():
        assert re.fullmatch(GOODBYE if said is None else said, line), line


def quit_and_save(session: TerminalSession) -> int:
    session.press("q", "Quit\\?")
    session.send("s")
    return session.finish()


def test_every_key_does_what_the_help_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with app(*SMALL, "--run-dir", str(folder)) as s:
        s.wait(r"(?i)loading")
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.wait(r"epoch \d+/100000 ")
        s.wait(r"\d samples/s")
        for title in ("train loss", "train accuracy", "validation loss", "validation accuracy"):
            assert title in s.text

        s.press(" ", "paused")
        stands_at = s.wait(step_shown)
        s.press("s", lambda text: step_shown(text) == stands_at + 1)
        s.press("s", lambda text: step_shown(text) == stands_at + 2)
        assert "paused" in s.text
        s.press("p", r"running")
        s.wait(lambda text: step_shown(text) > stands_at + 2)
        s.press(" ", "paused")

        # Paused, all of it works too.
        s.press("b", "BN off")
        s.press("b", r"BN on\b")
        s.press("f", "frozen")
        s.press("f", "live")
        assert rate_shown(s.text) == 0.01
        s.press("+", lambda text: rate_shown(text) == pytest.approx(0.015, rel=1e-3))
        s.press("-", lambda text: rate_shown(text) == pytest.approx(0.01, rel=1e-3))
        s.press("l", "Learning rate")
        s.press("nonsense\r", r"takes a number from 1e-12 to 1e\+06")
        s.press("\x7f" * 8, lambda text: "nonsense" not in text)
        s.press("0.005\r", lambda text: rate_shown(text) == 0.005 and "Learning rate" not in text)
        s.press("l", "Learning rate")
        s.press(ESCAPE, lambda text: "Learning rate" not in text)
        s.press(" ", "running")

        s.wait("BN 1 · norm1")
        s.press("]", "BN 2 · norm2")
        s.press("[", "BN 1 · norm1")
        titles = ["train loss", "validation loss", "train accuracy", "validation accuracy"]
        for title in titles:
            others = [f"{other}," if "loss" in other else f"{other} ·" for other in titles if other != title]
            s.press("\tc", lambda text, t=title, o=others: t in text and not any(other in text for other in o))
            s.press("c", lambda text: all(title in text for title in titles))

        s.press("2", r"gap σ")
        s.press("6", lambda text: "learning rate 0.01" in text and "gap σ" not in text and "train loss" not in text)
        s.press("1", "train loss")
        s.press("2", "sorted by")
        s.press("g", "sorted by variance")
        s.press("\x1b[B", r"channel \d+ of BN 1 · norm1")
        s.press("3", "gradient by the weights")
        s.wait(lambda text: "appears within" not in text and "dead" in text)
        s.press("]", "input to activation 2")
        s.press("[", "input to activation 1")
        s.press("4", r"internal covariate shift \|G − G'\|, linear 2")
        s.wait(lambda text: "appears within" not in text and "the reading took" in text)
        s.press("5", r"BN 1 · norm1, channel \d+ of 32")
        s.press("]", r"BN 2 · norm2, channel \d+ of 32")
        s.press("[", r"BN 1 · norm1, channel \d+ of 32")
        s.press("1", "train loss")

        # An intervention is taken back.
        s.press("b", "BN off")
        s.press("u", r"BN on\b")

        # What is changed stands in the status, and in the results.
        for key, value, shown in (
            ("n", "16", "batch 16"), ("d", "0.25", "dropout 0.25"), ("o", "0.5", "noise 0.5"),
        ):  # fmt: skip
            s.press(key, "Enter sets it")
            s.press("\x7f" * 10 + value + "\r", shown)
        s.press("e", "Evaluate BN by which statistics")
        s.press("3", "eval by single")
        s.press("v", "Change the validation images how")
        s.press("\x1b[B\r", "shift rotation:30")
        s.press("a", "AdaBN")
        s.press("a", "AdaBN on → off")
        s.press("w", "precise BN")
        s.press("r", "2  only Without BN")
        s.press("2", "restarted Without BN")

        s.press("?", "Keys that do something")
        s.press(ESCAPE, lambda text: "Keys that do something" not in text)
        s.press("?", "Keys that do something")
        s.press("?", lambda text: "Keys that do something" not in text)

        s.press("m", "smoothing off")
        s.press("m", "smoothing 0?.5")
        s.press("t", r"\bepoch$|\bepoch  ")
        s.press("t", r"\bseconds$|\bseconds  ")
        s.send("t" + "yy" + "zz" + LEFT * 3 + RIGHT)
        s.press("x", lambda _: (folder / "results.json").exists())
        assert read(folder / "results.json")["interventions"][-1]["action"] == "export"

        # A restart asks first.
        s.press("r", "Begin again")
        s.press("n", lambda text: "Begin again" not in text)
        s.press("p", "paused")
        before = s.wait(step_shown)
        s.press("r", "Begin again")
        s.press("y", lambda text: step_shown(text) < before and "Begin again" not in text)
        s.press("p", "running")
        # Of a run that ends before its first epoch no accuracy is told at the end.
        s.wait(r"running.*With BN\s+\.\d{3}")

        s.press("q", "Quit\\?")
        s.press("c", lambda text: "Quit?" not in text)
        s.press("q", "Quit\\?")
        s.press(ESCAPE, lambda text: "Quit?" not in text)
        assert s.process.poll() is None
        assert quit_and_save(s) == 0
        assert_restored(s)
        assert "Traceback" not in s.raw.decode()
        lines = s.lines_after_the_screen()
        assert [bool(re.match("bntui: results in ", line)) for line in lines] == [False, True], lines
    assert (folder / "results-before-restart-1.json").exists()


def test_all_four_charts_are_drawn_however_short_an_epoch_is() -> None:
    with app(*SMALL) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.wait(lambda text: "appears with the first" not in text)


def test_the_results_of_a_run_with_interventions_replay_headless_to_the_same_weights(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with app(*SMALL, "--run-dir", str(folder)) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press("b", "BN off")
        s.press("+", lambda text: rate_shown(text) > 0.0149)
        s.press("f", "frozen")
        s.press("b", r"BN on\b")
        s.press("f", r"statistics live")
        s.press(" ", "paused")
        s.press("s", changed(step_shown, s))
        assert quit_and_save(s) == 0
        assert_restored(s)
        assert not [line for line in s.lines_after_the_screen() if str(folder) not in line and "after step" not in line]
    made = read(folder / "results.json")
    assert made["status"] == "interrupted"
    actions = [row["action"] for row in made["interventions"]]
    assert actions == ["bn", "learning_rate", "freeze", "bn", "freeze", "pause", "step", "stop"]
    replay = [
        "--headless",
        "--quiet",
        *SMALL,
        "--replay-interventions",
        str(folder),
        "--export",
        str(tmp_path / "again"),
    ]
    done = subprocess.run([*BNTUI, *replay], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) in ((0, ""), (130, ""))
    again = read(tmp_path / "again")
    assert again["summary"]["steps"] == made["summary"]["steps"]
    assert again["state_sha256"] == made["state_sha256"]


def test_quit_without_saving_leaves_no_results(tmp_path: Path) -> None:
    with app(*SMALL, "--run-dir", str(tmp_path / "run"), "--export", str(tmp_path / "out")) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press("q", "Quit\\?")
        s.send("d")
        assert s.finish() == 0
        assert_restored(s)
        assert not any("results in" in line for line in s.lines_after_the_screen())
    assert not (tmp_path / "run" / "results.json").exists()
    assert not (tmp_path / "out").exists()


def test_a_run_that_ends_stays_on_the_screen_until_q(tmp_path: Path) -> None:
    small = [*SMALL[:-1], "2"]
    with app(*small, "--run-dir", str(tmp_path / "run"), "--export", str(tmp_path / "out")) as s:
        s.wait("completed")
        s.wait(lambda _: (tmp_path / "out").exists())
        exported = read(tmp_path / "run" / "results.json")
        assert exported == read(tmp_path / "out")
        assert exported["status"] == "completed"
        assert s.process.poll() is None
        # Keys that need a trainer change nothing, the others work on.
        for keys in ("b", "f", "+", " ", "s", "x", "y", "z", "m"):
            s.send(keys)
        s.press("2", r"gap σ")
        s.press("1", lambda text: "train loss" in text and "completed" in text)
        assert "100 %" in s.text
        s.send("q")
        assert s.finish() == 0
        assert_restored(s)
        assert s.lines_after_the_screen()[0].startswith("bntui: completed after step 124:")
    assert read(tmp_path / "out") == exported


@pytest.mark.parametrize(
    ("how", "code", "when"),
    [
        *((CTRL_C, 130, when) for when in ("training", "paused", "loading")),
        *((signal.SIGTERM, 143, when) for when in ("training", "paused", "loading")),
        *((signal.SIGHUP, 129, when) for when in ("training", "paused", "loading", "evaluating")),
        *((signal.SIGINT, 130, when) for when in ("training", "paused", "loading", "evaluating")),
        (signal.SIGTERM, 143, "evaluating"),
    ],
    ids=lambda value: "ctrl-c" if value == CTRL_C else value.name if isinstance(value, signal.Signals) else str(value),
)
def test_a_signal_saves_and_restores_the_terminal(
    tmp_path: Path, how: str | signal.Signals, code: int, when: str
) -> None:
    folder = tmp_path / "run"
    # One step an epoch: nearly all of the time goes into evaluation.
    slow = ["--train-samples", "20000", "--batch-size", "20000"] if when == "evaluating" else []
    with app(*(ENDLESS_LOADING if when == "loading" else SMALL), *slow, "--run-dir", str(folder)) as s:
        if when == "loading":
            s.wait("generating")
        else:
            s.wait(r"running.*With BN\s+\.\d{3}")
            if when == "paused":
                s.press(" ", "paused")
        if isinstance(how, str):
            s.send(how)
        else:
            s.kill(how)
        assert s.finish() == code
        assert_restored(s)
        if when == "loading":
            assert not (folder / "results.json").exists()
            return
        exported = read(folder / "results.json")
        assert exported["status"] == "interrupted"
        assert exported["interventions"][-1]["action"] == "stop"
        assert len(s.lines_after_the_screen()) == 2


def test_ctrl_z_goes_to_the_shell_and_fg_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with TerminalSession(shell, env={"PS1": "shell> "}) as s:
        s.wait("shell>")
        s.send(" ".join(shlex.quote(word) for word in [*BNTUI, *SMALL, "--run-dir", str(folder)]) + "\n")
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press("\x1a", r"Stopped(?s:.*)shell>")
        modes = bytes(s.raw)
        assert modes.rfind(b"\x1b[?1049l") > modes.rfind(b"\x1b[?1049h")
        assert modes.rfind(b"\x1b[?25h") > modes.rfind(b"\x1b[?25l")
        s.press("echo still $((40+2))\n", "still 42")
        s.send("fg\n")
        s.wait(lambda text: "train loss" in text and "still 42" not in text and "running" in text)
        before = s.wait(step_shown)
        s.wait(lambda text: (step_shown(text) or 0) > before)
        s.press("b", "BN off")
        s.press("\x03", r"results in(?s:.*)shell>")
        s.press("echo code $?\n", "code 130")
    assert read(folder / "results.json")["status"] == "interrupted"


def test_ctrl_l_repaints_what_another_program_drew_over(tmp_path: Path) -> None:
    with app(*SMALL) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press(" ", "paused")
        s.wait(lambda text: "appears with" not in text)
        # As `wall` does: to the terminal itself, past all that captures.
        os.write(s._slave, b"\x1b[H" + b"\r\n".join(b"#" * 60 for _ in range(20)))
        s.wait(lambda text: text.count("#") > 1000)
        s.press("\x0c", lambda text: "#" not in text and "train loss" in text and "bntui" in text.split("\n")[0])
        assert quit_and_save(s) == 0
        assert_restored(s)


def test_keys_of_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "bntui.toml").write_text('epochs = 100000\n[keys]\npause = "f5 ."\nquit = "Q"\nhelp = ","\n')
    with app(*SMALL[:-2], "--config", str(tmp_path / "bntui.toml")) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        assert re.search(r"f5 pause .* Q quit", s.rows[-1])
        s.press(",", r"f5 \.\s+pause or resume training")
        s.press(",", lambda text: "Keys that do something" not in text)
        s.press(".", "paused")
        s.press("\x1b[15~", "running")
        s.send("q ")
        s.press("Q", "Quit\\?")
        assert "paused" not in s.text
        s.send("d")
        assert s.finish() == 0
        assert_restored(s)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('pause = "q"', "q is bound to both pause and quit"),
        ('puase = "f2"', "did you mean pause?"),
        ('pause = "nokey"', "'nokey' is no key"),
        ('quit = ""', "quit needs a key"),
        ("pause = 3", "keys is a table"),
    ],
)
def test_keys_that_cannot_be(keys: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bntui.toml").write_text(f"[keys]\n{keys}\n")
    with app(*SMALL, "--config", str(tmp_path / "bntui.toml")) as s:
        assert s.finish() == 2
        lines = s.lines_after_the_screen()
        assert len(lines) == 1 and message in lines[0], lines
        assert b"\x1b" not in s.raw


def test_a_terminal_that_goes_away_leaves_saved_results(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with app(*SMALL, "--run-dir", str(folder)) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        os.close(s._slave)
        os.close(s._master)  # the kernel sends SIGHUP, and every write fails from now on
        s._master = s._slave = -1
        assert s.process.wait(60) == 129
    assert read(folder / "results.json")["status"] == "interrupted"


def test_a_terminal_that_goes_away_is_done_without_if_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with app(*SMALL, "--epochs", "60", "--on-hangup", "continue", "--run-dir", str(folder)) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        os.close(s._slave)
        os.close(s._master)
        s._master = s._slave = -1
        assert s.process.wait(120) == 0
    results = read(folder / "results.json")
    assert (results["status"], results["epochs"][-1]["epoch"]) == ("completed", 60)


def test_a_run_without_a_terminal_can_be_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with app(*SMALL, "--on-hangup", "continue", "--run-dir", str(folder)) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.kill(signal.SIGHUP)
        epochs = len((folder / "journal.jsonl").read_text().split('"EpochEnded"'))
        while len((folder / "journal.jsonl").read_text().split('"EpochEnded"')) < epochs + 20:
            s.pump(0.1)
        s.kill(signal.SIGTERM)
        assert s.finish() == 143
    assert read(folder / "results.json")["status"] == "interrupted"


def test_asked_twice_it_leaves_at_once_and_the_run_can_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # An evaluation that takes a while: a stop is only obeyed between its batches, each of which is large.
    slow = ["--train-samples", "60000", "--hidden", "2048,2048", "--batch-size", "20000", "--checkpoint-seconds", "0"]
    with app(*SMALL, *slow, "--run-dir", str(folder)) as s:
        while not (folder / "checkpoint.pt").exists():
            s.pump(0.2)
        s.send("\x03\x03")
        assert s.finish() == 130
        assert_restored(s, r"bntui: (left at once; bntui --resume \S+ goes on from the last checkpoint)?.*")
    assert (folder / "checkpoint.pt").exists()


def test_keys_before_the_first_step_do_no_harm() -> None:
    with app(*ENDLESS_LOADING) as s:
        s.wait("generating")
        s.send("yymmmmttt" + "zz" + LEFT * 3 + RIGHT * 3 + "[]]" + "cccccc" + "bbff+-" + "x")
        s.press("2", "appear")
        s.press("6", lambda text: "train loss" not in text)
        s.press("1", "train loss")
        s.press("?", "Keys that do something")
        s.press(ESCAPE, lambda text: "Keys that do something" not in text)
        s.press("l", "Learning rate")
        assert "nan" not in s.text.lower()
        s.press(ESCAPE, lambda text: "Learning rate" not in text)
        s.press("r", "Begin again")
        s.press("n", lambda text: "Begin again" not in text)
        s.press("q", "Quit\\?")
        s.send("s")
        assert s.finish() == 0
        assert_restored(s)


def test_every_size_shows_something(tmp_path: Path) -> None:
    sizes = [(160, 48), (20, 5), (80, 24), (39, 11), (300, 100), (40, 12), (1, 1), (2, 300), (160, 48)]
    with app(*SMALL, size=(20, 5)) as s:
        s.wait(r"\S")
        s.wait(r"(?i)running|step")
        for columns, rows in sizes:
            s.resize(columns, rows)
            if columns < 20:
                s.wait(r"\S")
                continue
            s.wait(r"(?i)running [\d,]+|step [\d,]+|epoch \d+")
            assert all(len(row) <= columns for row in s.rows)
            if columns >= 40 and rows >= 12:
                s.wait(r"train loss")
                s.wait("running")
            if columns >= 160:
                s.wait(lambda text: "train accuracy" in text and "BN 1 · norm1" in text)
                s.wait("q.? quit")
        # At 80×24 the dialogs and views fit as well.
        s.resize(80, 24)
        s.press("2", r"gap (σ|s)")
        s.press("?", "Keys that do something")
        s.press(ESCAPE, lambda text: "Keys that do something" not in text)
        s.resize(20, 5)
        s.press("q", r"Quit\?|save")
        s.send("s")
        assert s.finish() == 0
        assert_restored(s)


@pytest.mark.parametrize("size", [(40, 12), (300, 100)], ids=str)
def test_starts_at_a_size(size: tuple[int, int]) -> None:
    with app(*SMALL, size=size) as s:
        s.wait(r"running")
        assert quit_and_save(s) == 0
        assert_restored(s)


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_terminal_that_cannot_show_the_app(term: str | None) -> None:
    with app(*SMALL, env={"TERM": term}) as s:
        assert s.finish() == 2
        lines = s.lines_after_the_screen()
        assert len(lines) == 1 and re.fullmatch(r"bntui: error: .*--headless.*", lines[0]), lines
        assert b"\x1b" not in s.raw


@pytest.mark.parametrize("streams", [("stdin",), ("stdout", "stderr"), ("stdin", "stdout", "stderr")], ids="-".join)
def test_no_terminal(streams: tuple[str, ...]) -> None:
    kinds = {name: subprocess.DEVNULL if name == "stdin" else subprocess.PIPE for name in streams}
    with app(*SMALL, **kinds) as s:
        assert s.finish() == 2
        said = bytes(s.raw).decode() if "stderr" not in streams else s.process.stderr.read().decode()
        assert re.fullmatch(r"bntui: error: .*--headless.*\r?\n", said), said
        assert b"\x1b" not in s.raw


STRAY = """
import logging, os, subprocess, sys, threading, time, warnings

def write():
    while os.isatty(1) or "bntui.tui.app" not in sys.modules:
        time.sleep(0.01)
    warnings.simplefilter("always")
    for i in range(60):
        print(f"stray-print-{i}")
        print(f"stray-error-{i}", file=sys.stderr)
        warnings.warn(f"stray-warning-{i}")
        logging.getLogger("stray").warning(f"stray-logged-{i}")
        os.write(1, f"stray-one-{i}\\n".encode())
        os.write(2, f"stray-two-{i}\\x1b[2J\\n".encode())
        if i % 5 == 0:
            subprocess.run(["sh", "-c", f"echo stray-child-{i}; echo stray-child-error-{i} >&2"])
        time.sleep(0.05)
    open(os.environ["STRAY_DONE"], "w").close()

# Only the program under test, not what it starts.
if "STRAY_DONE" in os.environ and not os.environ.get("STRAY_INNER"):
    os.environ["STRAY_INNER"] = "1"
    threading.Thread(target=write, daemon=True).start()
"""


def test_stray_output_is_only_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(STRAY))
    done, folder = tmp_path / "done", tmp_path / "run"
    env = {"PYTHONPATH": str(tmp_path), "STRAY_DONE": str(done)}
    with app(*SMALL, "--run-dir", str(folder), env=env) as s:
        seen = []

        def quiet_until(wanted: Callable[[str], Any]) -> Callable[[str], Any]:
            def look(text: str) -> Any:
                seen.append("stray" in text)
                return wanted(text)

            return look

        s.wait(quiet_until(lambda text: re.search(r"running.*With BN\s+\.\d{3}", text)))
        s.press("2", quiet_until(lambda text: "gap σ" in text))
        s.press("1", quiet_until(lambda text: "train loss" in text))
        s.wait(quiet_until(lambda _: done.exists() or None))
        assert not any(seen)
        s.press("6", "stray-logged-59")
        s.press("1", lambda text: "train loss" in text and "stray" not in text)
        assert quit_and_save(s) == 0
        assert_restored(s)
    log = (folder / "log.txt").read_text()
    kinds = {kind: range(60) for kind in ("print", "error", "warning", "logged", "one", "two")}
    kinds |= {"child": range(0, 60, 5), "child-error": range(0, 60, 5)}
    expected = [f"stray-{kind}-{i}" for kind, numbers in kinds.items() for i in numbers]
    missing = [line for line in expected if not re.search(rf"{line}\b", log)]
    assert not missing


def test_damaged_data_is_one_line_after_the_screen(tmp_path: Path) -> None:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").write_bytes(b"\0\0\x08\x03damaged")
    with app("--data", "fashion-mnist", "--data-dir", str(tmp_path)) as s:
        # The app says so and is left with q, or it ends by itself.
        end = s.wait(lambda text: s.process.poll() is not None or re.search(r"failed: .*idx", text))
        if end is not True:
            s.send("q")
        assert s.finish() == 3
        lines = s.lines_after_the_screen()
        assert len(lines) == 1 and re.fullmatch(r"bntui: error: .+", lines[0]), lines
        assert s.attributes() == s.attributes_before
        assert bytes(s.raw).rfind(b"\x1b[?25h") > bytes(s.raw).rfind(b"\x1b[?25l")


def test_without_colours() -> None:
    with app(*SMALL, env={"NO_COLOR": "1"}) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.wait(lambda text: "appears with" not in text)
        # Grey is no colour; the arms differ by their markers.
        for cell in s.cells:
            for colour in (cell.fg, cell.bg):
                assert colour == "default" or re.fullmatch(r"(..)\1\1|black|white|bright(black|white)", colour), cell
        assert "●" in s.text and "■" in s.text
        assert quit_and_save(s) == 0


def test_only_ascii_is_sent_where_the_locale_knows_no_more() -> None:
    with app(*SMALL, env={"LC_ALL": "C", "LANG": None}) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press("2", r"gap (σ|s)")
        s.press("?", "Keys that do something")
        s.press(ESCAPE, lambda text: "Keys that do something" not in text)
        s.press("6", lambda text: "gap s" not in text)
        s.press("1", "train loss")
        s.press("y", "train loss")
        assert quit_and_save(s) == 0
        assert_restored(s)
        beyond = [(i, bytes(s.raw[max(0, i - 20) : i + 20])) for i, byte in enumerate(s.raw) if byte >= 0x80]
        assert not beyond, beyond[:3]
        # What could not be encoded would be a question mark; only the key of the help is one.
        assert "\\u" not in s.raw.decode()


def test_the_console_of_linux() -> None:
    with app(*SMALL, size=(80, 25), env={"TERM": "linux"}) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press("c", "train loss")
        assert not re.search("[\u2800-\u28ff]", s.text)
        assert quit_and_save(s) == 0
        assert_restored(s)


def test_the_flow_view_shows_what_vanishes_in_a_deep_sigmoid_net(tmp_path: Path) -> None:
    deep = ["--preset", "vanishing", "--run-dir", str(tmp_path / "run")]
    with app(*SMALL, *deep) as s:
        s.wait(r"running.*With BN\s+\.\d{3}")
        s.press("3", r"first ÷ last\s+● \S+ steady\s+■ \S+ VANISHING")
        s.press("6", "Without BN: gradients vanish")
        assert quit_and_save(s) == 0
        assert_restored(s)
    ratios = read(tmp_path / "run" / "results.json")["summary"]["gradient_ratio"]
    assert ratios["none"] < ratios["batch"] / 100


def test_a_run_that_ended_is_run_again_in_a_folder_of_its_own(tmp_path: Path) -> None:
    small = [*SMALL[:-1], "2"]
    first, second, third = (tmp_path / name for name in ("run", "run-2", "run-3"))
    out = tmp_path / "out.json"
    with app(*small, "--run-dir", str(first), "--export", str(out)) as s:
        s.wait("completed")
        s.wait(lambda _: out.exists())
        saved = {path: path.read_bytes() for path in first.iterdir() if path.name != "log.txt"}
        for folder in (second, third):
            s.press("r", "Run again")
            s.press("n", lambda text: "Run again" not in text)
            s.press("r", "Run again")
            s.press("y", lambda _, f=folder: (f / "results.json").exists())
            s.wait("completed")
        # It has ended before all of its results are written.
        while "the results are in" not in s.text:
            s.press("x", r"the results are (in|being written)")
        s.press("6", "a new run begins; the last one stays in")
        s.send("q")
        assert s.finish() == 0
        lines = s.lines_after_the_screen()
        assert str(third) in lines[1] and str(first) in lines[2] and str(second) in lines[2]
        assert s.attributes() == s.attributes_before
    assert {path: path.read_bytes() for path in saved} == saved
    hashes = [read(folder / "results.json")["state_sha256"] for folder in (first, second, third)]
    assert hashes[0] == hashes[1] == hashes[2]
    assert read(out)["created"] == read(first / "results.json")["created"]
    assert (tmp_path / "out-2.json").exists() and (tmp_path / "out-3.json").exists()


def test_left_at_once_before_training_began_nothing_is_promised(tmp_path: Path) -> None:
    with app(*ENDLESS_LOADING, "--run-dir", str(tmp_path / "run")) as s:
        s.wait("generating")
        s.send("\x03\x03")
        assert s.finish() == 130
        assert not any("--resume" in line for line in s.lines_after_the_screen())


def test_a_run_that_ended_goes_on_for_a_few_more_epochs(tmp_path: Path) -> None:
    small = [*SMALL[:-1], "2"]
    with app(*small, "--run-dir", str(tmp_path / "run")) as s:
        s.wait("completed")
        s.wait(lambda _: (tmp_path / "run" / "results.json").exists())
        while "How many more epochs" not in s.text:
            s.press("k", "How many more epochs|being written")
        s.press("\x7f1\r", lambda text: "How many" not in text)
        s.wait(lambda _: len(read(tmp_path / "run" / "results.json")["epochs"]) == 3)
        s.wait("completed")
        s.send("q")
        assert s.finish() == 0
    whole = tmp_path / "whole.json"
    options = ["--headless", "--quiet", *SMALL[:-1], "3", "--export", str(whole)]
    subprocess.run([*BNTUI, *options], check=True)
    assert read(whole)["state_sha256"] == read(tmp_path / "run" / "results.json")["state_sha256"]
