"""Whether a run that is killed again and again ends at the same bits, and what the checkpoints for that cost.

Kills come at random instants, headless and in the app in a terminal of its own, and are followed by `--resume`; with
`--checkpoint-seconds 0.05` many fall into the writing of a checkpoint. Exits 1 if anything in the results differs but
times and where things lie.

    python tests/benchmarks/kills.py --kills 50 --app-kills 10
    python tests/benchmarks/kills.py --overhead --data-dir /usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from terminal_session import TerminalSession

BNTUI = [sys.executable, "-m", "bntui"]
OPTIONS = [
    "--data", "synthetic", "--train-samples", "6000", "--validation-samples", "500", "--dropout", ".2",
    "--bn-noise", ".1", "--bn-momentum", "cumulative", "--intervene",
    "300:batch_size=20,700:shift=noise:.3,900:bn=off,1500:bn=on,2000:learning_rate=0.005,2500:restart_arm=none",
]  # fmt: skip
OFTEN = ["--checkpoint-seconds", "0.05"]
_TIMES = ("seconds", "milliseconds", "wall_seconds", "steps_per_second", "samples_per_second", "created")
_PLACES = ("run_dir", "resume", "export", "checkpoint_seconds", "headless", "quiet", "command", "markers", "theme")


def comparable(results: Any) -> Any:
    """Return results without times and without where things lie."""
    if isinstance(results, dict):
        return {k: comparable(v) for k, v in results.items() if k not in (*_TIMES, *_PLACES)}
    return [comparable(item) for item in results] if isinstance(results, list) else results


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return where two results differ, in what `comparable` leaves."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for k in one for found in differences(one[k], other[k], f"{path}.{k}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found for i, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{path}[{i}]")
        ]
    return [] if one == other else [path]


def read(folder: Path) -> Any:
    return comparable(json.loads((folder / "results.json").read_text()))


def _has_checkpoint(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("checkpoint.pt", "checkpoint-before.pt"))


def run_headless(words: list[str], seconds: float | None, folder: Path) -> bool:
    """Run to the end, or to a kill so long after the first checkpoint; return whether it ended by itself."""
    process = subprocess.Popen(
        [*BNTUI, "--headless", "--quiet", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        if seconds is not None:
            _wait_until(lambda: _began(folder) or process.poll() is not None)
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if process.returncode != 0:
        raise SystemExit(f"kills: {words} ended with {process.returncode}")
    return True


def run_app(words: list[str], seconds: float | None, folder: Path) -> bool:
    """The same in the app, in a terminal of its own."""
    with TerminalSession([*BNTUI, *words], emulate=False) as session:
        end = None
        while session.process.poll() is None:
            session.pump(0.01)
            if seconds is not None and end is None and _began(folder):
                end = time.monotonic() + seconds
            if end is not None and time.monotonic() > end:
                session.process.kill()
                session.process.wait()
                return False
            if b"completed" in session.raw[-20_000:]:
                # As long as the results are being written, it asks first.
                session.send("qs")
                session.finish()
                return True
        raise SystemExit(f"kills: the app ended by itself with {session.process.returncode}")


_seen: dict[Path, tuple[int, int]] = {}


def _began(folder: Path) -> bool:
    """Whether the journal has grown since the last call that returned True: the program is up and trains."""
    try:
        status = (folder / "journal.jsonl").stat()
    except OSError:
        return False
    now = (status.st_ino, status.st_mtime_ns)
    if _seen.get(folder) == now or not _has_checkpoint(folder):
        return False
    _seen[folder] = now
    return True


def _wait_until(wanted: Callable[[], bool]) -> None:
    while not wanted():
        time.sleep(0.01)


def kill_and_resume(folder: Path, options: list[str], kills: int, app_kills: int, seed: int, most: float) -> int:
    """Run to the end with so many kills on the way, those in the app first; return how many there were."""
    instants = random.Random(seed)
    words = [*options, *OFTEN, "--run-dir", str(folder)]
    done = 0
    while done < kills + app_kills:
        run = run_app if done < app_kills else run_headless
        if run(words, instants.uniform(0.0, most), folder):
            break
        _seen.pop(folder, None)
        if (folder / "journal.jsonl").exists():
            status = (folder / "journal.jsonl").stat()
            _seen[folder] = (status.st_ino, status.st_mtime_ns)
        done += 1
        words = ["--resume", str(folder), *OFTEN]
    else:
        run_headless(words, None, folder)
    return done


def measure_kills(kills: int, app_kills: int, seed: int, epochs: int, most: float) -> bool:
    """Print a row for each kind of kill; return whether all results are equal."""
    equal = True
    with tempfile.TemporaryDirectory(prefix="bntui-kills-") as place:
        options = [*OPTIONS, "--epochs", str(epochs)]
        whole = Path(place) / "whole"
        run_headless([*options, "--run-dir", str(whole)], None, whole)
        print(f"{'where':<10} {'kills':>5}  {'hashes':<7} {'results':<9} left behind", flush=True)
        for where, counts in (("headless", (kills, 0)), ("app", (0, app_kills))):
            total = sum(counts)
            done = 0
            while done < total:
                # A run that ends before it was killed often enough is followed by another one.
                folder = Path(place) / f"{where}-{done}"
                left = (counts[0] and total - done, counts[1] and total - done)
                done_here = kill_and_resume(folder, options, *left, seed + done, most)
                ours, theirs = read(folder), read(whole)
                found = differences(ours, theirs)
                same = ours["state_sha256"] == theirs["state_sha256"]
                equal = equal and same and not found
                litter = [p.name for p in folder.iterdir() if p.name.endswith(".tmp")]
                results = "equal" if not found else "differ"
                print(f"{where:<10} {done_here:>5}  {'equal' if same else 'DIFFER':<7} {results:<9} {len(litter)} .tmp")
                for path in found[:5]:
                    print(f"    {path}")
                sys.stdout.flush()
                done += max(1, done_here)
    return equal


def measure_overhead(data_dir: str | None, rounds: int) -> None:
    """Print steps per second with checkpoints as they are by default, and without, run in turn."""
    real = [] if data_dir is None else ["--data", "fashion-mnist", "--data-dir", data_dir, "--epochs", "4"]
    options = real or ["--data", "synthetic", "--epochs", "4"]
    ratios = []
    print(f"{'round':>5}  {'with':>8}  {'without':>8}  ratio", flush=True)
    for number in range(rounds + 1):
        speeds = {}
        for kind in ("with", "without") if number % 2 else ("without", "with"):
            with tempfile.TemporaryDirectory(prefix="bntui-overhead-") as place:
                folder = Path(place) / "run"
                more = [] if kind == "with" else ["--checkpoint-seconds", "1e9"]
                began = os.times().elapsed
                run_headless([*options, *more, "--run-dir", str(folder)], None, folder)
                summary = json.loads((folder / "results.json").read_text())["summary"]
                # By the wall clock of the whole run: the time a checkpoint takes is part of no training step.
                speeds[kind] = summary["steps"] / summary["wall_seconds"]
                assert os.times().elapsed - began >= summary["wall_seconds"]
        if number:  # the first round warms up
            ratios.append(speeds["with"] / speeds["without"])
            print(f"{number:>5}  {speeds['with']:>8.1f}  {speeds['without']:>8.1f}  {ratios[-1]:.4f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.4f}, from {min(ratios):.4f} to {max(ratios):.4f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="headless (default: 50)")
    parser.add_argument("--app-kills", type=int, default=10, help="in the app (default: 10)")
    parser.add_argument("--epochs", type=int, default=80, help="of the run that is killed (default: 80)")
    parser.add_argument("--most", type=float, default=0.8, help="seconds of training before a kill, at most")
    parser.add_argument("--seed", type=int, default=1, help="of the instants (default: 1)")
    parser.add_argument("--overhead", action="store_true", help="measure what checkpoints cost instead")
    parser.add_argument("--rounds", type=int, default=7, help="of the overhead (default: 7)")
    parser.add_argument("--data-dir", help="of Fashion-MNIST, for the overhead (default: generated digits)")
    given = parser.parse_args()
    if given.overhead:
        measure_overhead(given.data_dir, given.rounds)
        return 0
    return 0 if measure_kills(given.kills, given.app_kills, given.seed, given.epochs, given.most) else 1


if __name__ == "__main__":
    sys.exit(main())
