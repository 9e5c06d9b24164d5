"""What the screen costs, and how quickly it answers: bntui in a real terminal of 160×48, on Fashion-MNIST.

The tax compares steps per second in the app and headless, run in turn. The other figures are times seen from the
terminal: key to changed cells, start to first paint, answer to exit.

    python tests/benchmarks/app.py --data-dir /usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from terminal_session import Emulator, TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
WARM_UP_MINUTES = 2.0
ENDLESS = ["--epochs", "100000"]
TRAINING = r"running.*With BN\s+\.\d{3}"
GAP = 0.3
"""Least seconds between two keys; one without effect until the next counts as infinitely late."""


def describe() -> str:
    from importlib.metadata import version

    text = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    model = re.search(r"model name\s*: (.*)", text)
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {version('torch')}, textual {version('textual')}"
    )


def steps_per_second(folder: Path) -> float:
    return float(json.loads((folder / "results.json").read_text())["summary"]["steps_per_second"])


def headless_speed(options: list[str], folder: Path) -> float:
    subprocess.run([*BNTUI, *options, "--headless", "--quiet", "--run-dir", str(folder)], check=True)
    return steps_per_second(folder)


def app_speed(options: list[str], folder: Path, view: str) -> float:
    with TerminalSession([*BNTUI, *options, "--run-dir", str(folder)], emulate=False) as s:
        while b"running" not in s.raw:
            s.pump(1)
        s.send(view)
        while b"completed" not in s.raw[-200_000:]:
            if s.process.poll() is not None:
                raise SystemExit(f"the app ended with {s.process.returncode}")
            s.pump(1)
        while not (folder / "results.json").exists():
            s.pump(0.1)
        s.send("q")
        s.finish()
    return steps_per_second(folder)


def tax(options: list[str], epochs: int, rounds: int, view: str) -> None:
    ratios = []
    print(f"{'steps/s':<12}{'headless':>10}{'app':>10}{'ratio':>8}")
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            speeds = {}
            # In turn, and each first every other time.
            kinds: list[tuple[str, Callable[[list[str], Path], float]]] = [
                ("h", headless_speed),
                ("a", lambda options, folder: app_speed(options, folder, view)),
            ]
            for name, measure in kinds[:: 1 if number % 2 else -1]:
                speeds[name] = measure([*options, "--epochs", str(epochs)], Path(folder) / name)
        ratios.append(speeds["a"] / speeds["h"])
        print(f"{f'round {number}':<12}{speeds['h']:>10,.0f}{speeds['a']:>10,.0f}{ratios[-1]:>8.3f}", flush=True)
    print(f"app / headless: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


def axis_of_losses(text: str) -> tuple[str, ...]:
    """The labels of the y axis of the first chart."""
    return tuple(re.findall(r"^ *(\d[\d.,e-]*)[┤|]", "\n".join(text.split("\n")[1:24]), re.MULTILINE))


def status_is(text: str, *words: str) -> bool:
    """Whether the status, the first word of the line above the footer, is one of these."""
    return text.split("\n")[-2].strip().startswith(words)


def chosen_layer(text: str) -> str:
    """Which layer a view of one layer shows."""
    return "".join(re.findall(r"input to activation (\d+)|(?:BN \d|linear \d)", text))


Press = tuple[str, str, Callable[[str, str], bool]]
"""A name, a key, and whether the screen shows its effect, given what it showed before."""
SHOWS = {
    "1": "train loss", "2": "drift", "3": "gradient by the weights", "4": "loss along the gradient", "5": "Forward",
    "6": "epoch",
}  # fmt: skip
"""What is seen of a view."""
NEXT_LAYER: Press = ("next layer", "]", lambda before, text: chosen_layer(text) != chosen_layer(before))
IN_VIEW: dict[str, tuple[Press, ...]] = {
    "1": (
        ("view 1", "1", lambda _, text: SHOWS["1"] in text),
        ("log y", "y", lambda before, text: axis_of_losses(text) != axis_of_losses(before)),
    ),
    "2": (
        ("view 2", "2", lambda _, text: SHOWS["2"] in text),
        ("order", "g", lambda before, text: re.findall(r"sorted by \S+", text) != re.findall(r"sorted by \S+", before)),
    ),
    "3": (("view 3", "3", lambda _, text: SHOWS["3"] in text), NEXT_LAYER),
    "4": (("view 4", "4", lambda _, text: SHOWS["4"] in text), ("log y", "y", lambda _, text: "y axis of" in text)),
    "5": (("view 5", "5", lambda _, text: SHOWS["5"] in text), NEXT_LAYER),
}
"""What is pressed to see a view, and in it."""
# What is pressed over and over, around that.
PRESSES: tuple[Press, ...] = (
    ("help", "?", lambda _, text: "Keys that do something" in text),
    # A lone Escape also waits for the rest of a sequence that may follow.
    ("help, Escape", "\x1b", lambda _, text: "Keys that do something" not in text),
    ("view 2", "2", lambda _, text: "drift" in text),
    ("view 6", "6", lambda _, text: "drift" not in text),
)
THEN: tuple[Press, ...] = (
    # "changing" while an evaluation is finished first, as "pausing".
    ("BN off", "b", lambda _, text: "BN off" in text or status_is(text, "changing")),
    ("BN on", "b", lambda _, text: "BN on " in text or status_is(text, "changing")),
    ("pause", " ", lambda _, text: status_is(text, "pausing", "paused")),
    ("resume", " ", lambda _, text: status_is(text, "resuming", "running")),
)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def latency(options: list[str], count: int, view: str) -> None:
    """Time keys from the write to the bytes that show their effect.

    What comes back is only kept while it comes: the emulator reads it afterwards, so that its work, which is more than
    the app's, is not on the same processor at the same time.
    """
    presses = list(itertools.islice(itertools.cycle((*PRESSES, *IN_VIEW[view], *THEN)), count))
    command = [*BNTUI, *options, *ENDLESS]
    arrivals: list[tuple[float, int, int]] = []
    sent: list[float] = []
    with TerminalSession(command) as s:
        s.wait(TRAINING)
        s.send(view)
        s.wait(SHOWS[view])
        s.emulate = False
        start = len(s.raw)

        def pump_until(end: float) -> None:
            while (left := end - time.monotonic()) > 0:
                before = len(s.raw)
                if s.pump(left):
                    arrivals.append((time.monotonic(), before, len(s.raw)))

        for number, (_, key, _) in enumerate(presses):
            # At no fixed phase of the app's clock.
            pump_until(time.monotonic() + GAP + 0.1 * (number * 0.618 % 1))
            sent.append(time.monotonic())
            s.send(key)
        pump_until(time.monotonic() + GAP)
        s.emulate = True
        s.press("q", "Quit")
        begun = time.monotonic()
        s.send("s")
        s.finish()
        leaving = time.monotonic() - begun
        raw = bytes(s.raw)
    taken: dict[str, list[float]] = defaultdict(list)
    screen = Emulator(160, 48)
    screen.feed(raw[:start])
    position = 0
    for (name, _, shown), begun, end in zip(presses, sent, [*sent[1:], math.inf], strict=True):
        while position < len(arrivals) and arrivals[position][0] < begun:
            screen.feed(raw[slice(*arrivals[position][1:])])
            position += 1
        before = screen.text
        taken[name].append(math.inf)
        while position < len(arrivals) and arrivals[position][0] < end:
            screen.feed(raw[slice(*arrivals[position][1:])])
            if taken[name][-1] == math.inf and shown(before, screen.text):
                taken[name][-1] = 1000 * (arrivals[position][0] - begun)
            position += 1
    together = [value for values in taken.values() for value in values]
    print(f"{'key, ms':<14}{'presses':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}")
    for name, values in [*taken.items(), ("all", together)]:
        numbers = "".join(f"{percentile(values, share):>8.1f}" for share in (0.5, 0.95, 0.99, 1))
        print(f"{name:<14}{len(values):>8}{numbers}")
    print(f"q and s to the shell while training: {leaving:.2f} s")


def first_paint(options: list[str], rounds: int) -> None:
    seconds = []
    for _ in range(rounds):
        with TerminalSession([*BNTUI, *options]) as s:
            s.wait(r"\S")
            seconds.append(time.monotonic() - s.started)
            s.send("\x03")
            s.finish()
    print(f"first paint: median {statistics.median(seconds):.2f} s, from {min(seconds):.2f} to {max(seconds):.2f}")


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(options: list[str], minutes: float) -> None:
    with TerminalSession([*BNTUI, *options, *ENDLESS], emulate=False) as s:
        readings = []
        for end in (min(WARM_UP_MINUTES, minutes / 3), minutes):
            while time.monotonic() - s.started < 60 * end:
                s.pump(1)
                s.raw.clear()
            readings.append((end, resident_mib(s.process.pid)))
        s.send("\x03")
        s.finish()
    told = ", ".join(f"{mib:,.1f} MiB after {end:g} min" for end, mib in readings)
    print(f"memory: {told}: {readings[1][1] - readings[0][1]:+.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder with Fashion-MNIST's IDX files; without it, generated digits")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison with headless; 0 leaves it out")
    parser.add_argument("--epochs", type=int, default=4, help="of each run of it")
    parser.add_argument("--presses", type=int, default=200, help="0 leaves the keys out")
    parser.add_argument("--view", choices=IN_VIEW, default="1", help="which is open meanwhile")
    parser.add_argument("--paints", type=int, default=5)
    parser.add_argument(
        "--memory-minutes", type=float, default=0.0, help="until the last reading, the first is after 2"
    )
    given = parser.parse_args()
    options = ["--data", "fashion-mnist", "--data-dir", given.data_dir] if given.data_dir else ["--data", "synthetic"]
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_STATE_HOME"] = home
        print(describe())
        if given.paints:
            first_paint(options, given.paints)
        if given.presses:
            latency(options, given.presses, given.view)
        if given.rounds:
            tax(options, given.epochs, given.rounds, given.view)
        if given.memory_minutes:
            memory(options, given.memory_minutes)


if __name__ == "__main__":
    main()
