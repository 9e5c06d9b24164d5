"""Signals at random instants of the first seconds of a run: exit code, what is said, and what is left.

    python tests/benchmarks/signals.py --signals 150 --app-signals 150

Each run gets SIGINT, SIGTERM or SIGHUP at an instant drawn evenly from the first `--seconds`. It must end with the
documented code, say at most one line about it, leave no temporary file, and leave whole results if it had begun.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).parents[1]))

from bntui.storage import results
from terminal_session import TerminalSession

RUN = [sys.executable, "-m", "bntui", "--data", "synthetic", "--train-samples", "6000", "--epochs", "100000"]
PYTHON_SECONDS = 0.1
"""By when Python has begun, and bntui can take signals: until then they do what they do to every program."""
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def headless(folder: Path, number: signal.Signals, seconds: float) -> tuple[int, list[str]]:
    """Return exit code, and the lines on stderr."""
    with subprocess.Popen(
        [*RUN, "--headless", "--run-dir", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(seconds)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    return process.returncode, err.splitlines()


def app(folder: Path, number: signal.Signals, seconds: float) -> tuple[int, list[str]]:
    """Return exit code, and the lines that say something else than where the results are and how good they were."""
    with TerminalSession([*RUN, "--run-dir", str(folder)], emulate=False) as s:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            s.pump(left)
        s.kill(number)
        s.finish(120)
        lines = s.lines_after_the_screen()
        if s.attributes() != s.attributes_before:
            lines.append("the terminal's settings were changed")
        raw = bytes(s.raw)
        lines += [f"mode {m} was left on" for m in (1049, 1000, 1006, 2004) if
                  raw.rfind(b"\x1b[?%dl" % m) < raw.rfind(b"\x1b[?%dh" % m)]  # fmt: skip
    said = ("bntui: results in ", "bntui: interrupted after step ")
    return s.process.returncode, [line for line in lines if not line.startswith(said)]


def complaints(folder: Path, code: int, lines: list[str], number: signal.Signals) -> list[str]:
    """Return what is wrong with how a run ended."""
    found = [] if code in (128 + number, -number) else [f"exit code {code}"]
    if len(lines) > 1 or any(not line.startswith("bntui: ") for line in lines):
        found.append(f"it said {lines}")
    if not folder.exists():
        return found if lines else [*found, "it said nothing"]
    found += [f"left {path.name}" for path in folder.glob(".bntui-*")]
    try:
        made = json.loads((folder / "results.json").read_text())
        jsonschema.validate(made, results.schema())
    except (OSError, ValueError, jsonschema.ValidationError) as error:
        found.append(f"results: {error}")
    return found


def main() -> int:
    """Run them all, and say how many went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=150, help="of headless runs")
    parser.add_argument("--app-signals", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    draw = random.Random(a.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        for kind, run, count in (("headless", headless, a.signals), ("app", app, a.app_signals)):
            ends: collections.Counter[str] = collections.Counter()
            for i in range(count):
                number, seconds = draw.choice(NUMBERS), draw.uniform(0, a.seconds)
                folder = Path(place) / f"{kind}-{i}"
                code, lines = run(folder, number, seconds)
                if code == -number and not lines and not folder.exists() and seconds < PYTHON_SECONDS:
                    ends["killed before Python could take signals"] += 1
                    continue
                found = complaints(folder, code, lines, number)
                ends["wrong" if found else "saved" if folder.exists() else "nothing to save"] += 1
                if found:
                    print(f"{kind} {i}, {number.name} after {seconds:.3f} s: {'; '.join(found)}", flush=True)
            wrong += ends["wrong"]
            print(f"{kind}: {dict(ends)}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
