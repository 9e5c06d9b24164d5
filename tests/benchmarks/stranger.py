"""A stranger at the keyboard: random keys, pasted text, clicks and sizes, in a real terminal.

It loads, trains, has finished and replays; and whatever is typed, it ends only when asked to, says nothing on the
terminal but what it draws, answers, and leaves the terminal as it was. What was changed while it trained is applied
again headless and has to end in the same weights. The first thing that is otherwise ends the play with exit code 1;
the same seed gives the same events, though not at the same steps.

    python tests/benchmarks/stranger.py --events 5000 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from terminal_session import TIMEOUT, TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
DATA = ["--data", "synthetic", "--train-samples", "2000", "--validation-samples", "200"]
ARMS = (["--arms", "batch,none"], ["--arms", "batch,group:8,layer,none"])
"""One of these a run, in turn."""
SIZES = ((160, 48), (100, 30), (80, 24), (40, 12), (20, 5), (1, 1), (5, 2), (300, 100))
STAGES = ("loading", "training", "finished", "replay")
ARROWS = ("\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[5~", "\x1b[6~")
KEYS = (*" psbf+=-lundoevawrkx123456[]{}gicymtz?", "\t", "\x1b[Z", "\x1b", "\r", "\x7f", "\x0c", "\x1a", *ARROWS)
"""Those of the table but the two that end it, and those that scroll and close."""
OTHERS = (
    *"0123456789.,;:!@#$%^&*()_|~`'\"<>/\\ABCDEFGHIJKLMNOPRSTUVWXYZhj", "é", "ß", "批", "😀", "\u0301",
    *map(chr, (0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 29, 30, 31)),
    "\x1bOP", "\x1b[15~", "\x1b[24~", "\x1b[Z", "\x1b[2~", "\x1b[3~", "\x1b[1;5C", "\x1b[1;2A", "\x1bx", "\x1b[I",
    "\x1b[O", "\x1b[97;5u", "\x1b[57441u",
)  # fmt: skip
HALVES = ("\x1b[", "\x1b[<", "\x1b[<35;", "\x1bO", "\x1b[1;", "\x1b[?", "\x1b[<0;1;1", "\x1b[999999", "\x1b[?2026;")
VALUES = ("l0.02\r", "l1e9\r", "n16\r", "n64\r", "d0.25\r", "d0\r", "o0.5\r", "nabc\r", "k1\r", "k0\r")
CHOICES = ("e1", "e2", "e3", "e4", "ec", "e\x1b[B\r", "v1", "v2", "v6", "v\x1b[A\r", "vtblur\r", "vtrotation:9\r")
"""Of what is chosen from a list."""
SAID = (
    r"bntui: (interrupted|completed) after step [\d,]+: validation accuracy .+ [01]\.\d{4}( \(on [\d,]+ samples\))?"
    r"|bntui: results in .+|bntui: the runs before are in .+|bntui: (stopped|interrupted) before training began.*"
    r"|bntui: left at once; .+"
)
CHECK_EVERY = 100
HELP = "Keys that do something here and now"


class Stranger:
    """Types at random into one bntui after another."""

    def __init__(self, seed: int, folder: Path, say: Callable[[str], object] = lambda _: None) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.say = say
        self.last: deque[str] = deque(maxlen=60)
        """The newest events, for who wants to know what went before."""
        self.runs = 0
        self.size = SIZES[0]

    def play(self, events: int, stages: tuple[str, ...] = STAGES) -> None:
        """Do so many events, equally many in each stage. Raises AssertionError."""
        for stage in stages:
            left = events // len(stages)
            while left > 0:
                left -= self._play_one(stage, left)
            self.say(f"{stage}: {events // len(stages)} events")

    def _play_one(self, stage: str, events: int) -> int:
        """Do up to so many events with one bntui, and end it; return how many were done."""
        self.runs += 1
        run = self.folder / f"run-{self.runs}"
        with TerminalSession([*BNTUI, *self._command(stage, run)], size=self.size, emulate=False) as s:
            self._wait(s, {"loading": b"generating", "training": b"running"}.get(stage, b"completed"))
            for done in range(1, events + 1):
                if not self._event(s, stage) or s.process.poll() is not None:
                    # Somebody who presses anything at random may find the way out too; but only that way.
                    self._check_end(s, asked=False)
                    return done
                if done % CHECK_EVERY == 0 and not self._answers(s):
                    self._check_end(s, asked=False)
                    return done
            if self._answers(s):
                self._quit(s)
            self._check_end(s, asked=True)
        if stage == "training" and (run / "results.json").exists():
            self._replay(run)
        return events

    @property
    def _arms(self) -> list[str]:
        return ARMS[self.runs % len(ARMS)]

    def _command(self, stage: str, run: Path) -> list[str]:
        if stage == "loading":
            return ["--data", "synthetic", "--train-samples", "3000000", "--run-dir", str(run)]
        if stage == "replay":
            made = self.folder / "replayed"
            if not made.exists():
                options = [
                    "--headless",
                    "--quiet",
                    *DATA,
                    "--epochs",
                    "3",
                    "--intervene",
                    "50:bn=off",
                    "--probe",
                    "all",
                ]
                subprocess.run([*BNTUI, *options, "--run-dir", str(made)], check=True, timeout=10 * TIMEOUT)
            return ["open", str(made)]
        return [*DATA, *self._arms, "--epochs", "2" if stage == "finished" else "100000", "--run-dir", str(run)]

    def _wait(self, s: TerminalSession, wanted: bytes) -> None:
        end = time.monotonic() + TIMEOUT
        while wanted not in s.raw:
            assert time.monotonic() < end and s.process.poll() is None, self._told(s, f"no {wanted!r}")
            s.pump(0.2)

    def _event(self, s: TerminalSession, stage: str) -> bool:
        """Do one thing; return False if the program is gone."""
        r, kind = self.random, self.random.random()
        if kind < 0.08:
            self.size = r.choice(SIZES)
            self.last.append(f"size {self.size}")
            s.resize(*self.size)
            typed = ""
        elif kind < 0.55:
            typed = r.choice(KEYS)
        elif kind < 0.72:
            typed = r.choice(OTHERS)
        elif kind < 0.76:
            typed = r.choice(HALVES)
        elif kind < 0.79:
            typed = f"\x1b[200~{''.join(r.choices('abc0.5 :-é批', k=r.randrange(40)))}\n\x1b[201~"
        elif kind < 0.88:
            x, y = r.randrange(1, self.size[0] + 2), r.randrange(1, self.size[1] + 2)
            button = r.choice((0, 0, 0, 1, 2, 35, 64, 65, 32))
            typed = f"\x1b[<{button};{x};{y}M" + (f"\x1b[<{button};{x};{y}m" if button < 3 else "") + "c"
        elif kind < 0.94:
            value = r.choice((*VALUES, *CHOICES))
            typed = value if value in CHOICES else f"{value[0]}\x15{value[1:]}"
        elif kind < 0.96:
            typed = r.choice(("ry", "r1", "r2", "r4", "rn"))
        elif kind < 0.98:
            # Where nothing runs, q needs no answer.
            typed = "qc" if stage in ("loading", "training") else "?"
        else:
            typed = "\x10" + "".join(r.choices("abcdefghijklmnoxyz", k=r.randrange(4)))
        if typed:
            self.last.append(repr(typed))
            try:
                s.send(typed)
            except OSError:
                return False
        # Bursts too: not every key waits for what the one before brings.
        while s.pump(r.choice((0, 0, 0.005, 0.02))) and r.random() < 0.7:
            pass
        del s.raw[: max(0, len(s.raw) - 2_000_000)]
        assert b"Traceback" not in s.raw, self._told(s, "a traceback")
        return True

    def _answers(self, s: TerminalSession) -> bool:
        """Close whatever is open, and have the help opened; return False if the program has ended."""
        s.emulate = True
        self.size = (100, 30)
        s.resize(*self.size)
        for _ in range(20):
            for key in ("\x1b", "\x1b", "?"):
                if s.process.poll() is not None:
                    return False
                s.send(key)
                s.pump(0.1)
                while s.pump(0.1) and HELP not in s.text:
                    pass
            end = time.monotonic() + TIMEOUT / 20
            while time.monotonic() < end and HELP not in s.text:
                s.pump(0.1)
            if HELP in s.text:
                s.send("\x1b")
                # Read together with the next key it would be another one, and the list would take that for its own.
                end = time.monotonic() + TIMEOUT
                while time.monotonic() < end and HELP in s.text:
                    s.pump(0.1)
                s.emulate = False
                return True
        raise AssertionError(self._told(s, "it does not answer"))

    def _quit(self, s: TerminalSession) -> None:
        """Leave, with the answer to the question that is asked where something runs: r may have begun a run again."""
        s.emulate = True
        s.send("q")
        end = time.monotonic() + TIMEOUT
        while s.process.poll() is None and time.monotonic() < end:
            s.pump(0.1)
            if "stop, save and quit" in s.text:
                s.send("s")
                return

    def _check_end(self, s: TerminalSession, asked: bool) -> None:
        code = s.finish()
        assert code == 0 or (not asked and code == 130), self._told(s, f"ended with {code}")
        assert s.attributes() == s.attributes_before, self._told(s, "the terminal's settings are others")
        for mode in (1049, 1000, 1002, 1003, 1004, 1006, 2004):
            off, on = (s.raw.rfind(b"\x1b[?%d%s" % (mode, how)) for how in (b"l", b"h"))
            assert off >= on, self._told(s, f"mode {mode} is on")
        assert b"Traceback" not in s.raw, self._told(s, "a traceback")
        for line in s.lines_after_the_screen():
            # What is typed after the end, before anybody notices, the terminal itself shows.
            echo, begins, said = line.partition("bntui: ")
            if not asked and (not begins or echo):
                line = begins + said
            assert not line or re.fullmatch(SAID, line), self._told(s, f"it says {line!r}")

    def _replay(self, run: Path) -> None:
        """Apply what was changed again, without a screen: the weights are the same."""
        made = json.loads((run / "results.json").read_text())
        if made["interventions"][-1]["action"] != "stop":
            self.say("it was left before the first step, and its results are those of an export before that")
            return
        again = run / "again.json"
        options = [
            "--headless",
            "--quiet",
            *DATA,
            *self._arms,
            "--epochs",
            "100000",
            "--replay-interventions",
            str(run),
        ]
        done = subprocess.run(
            [*BNTUI, *options, "--export", str(again)], capture_output=True, text=True, timeout=10 * TIMEOUT
        )
        assert done.returncode in (0, 130) and not done.stderr, done.stderr
        results = json.loads(again.read_text())
        for key in ("state_sha256", "status"):
            assert results[key] == made[key], f"{key}: {results[key]}, not {made[key]} as in {run}"
        self.say(f"{len(made['interventions'])} interventions in {made['summary']['steps']:,} steps: the same weights")

    def _told(self, s: TerminalSession, what: str) -> str:
        shown = s.text if s.emulate else bytes(s.raw[-3_000:]).decode(errors="replace")
        return f"{what}, after {' '.join(self.last)}\n{shown}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bntui-stranger-"))
    stranger = Stranger(given.seed, folder, lambda text: print(text, flush=True))
    try:
        stranger.play(given.events)
    except AssertionError as error:
        print(f"seed {given.seed}: {error}\nthe runs are in {folder}", flush=True)
        raise SystemExit(1) from None
    print(f"{given.events:,} events with seed {given.seed}, {stranger.runs} runs of bntui: nothing amiss", flush=True)


if __name__ == "__main__":
    main()
