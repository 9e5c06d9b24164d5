"""How much faster bntui trains than the hand-written loop: seconds per epoch, measured in turn in one process.

An epoch is training and evaluation of both arms on both sets. The loop is tests/baseline.py, which reads its images
from memory; the tutorial's own, through torchvision and PIL, is slower still.

    python tests/benchmarks/speed.py --data-dir /usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import baseline
from bntui.config import RunConfig, build_config
from bntui.control import Control
from bntui.events import EpochEnded, Event
from bntui.training import data, devices, session


def loop_seconds(dataset: data.Dataset) -> float:
    sets = [baseline.Images(part.images, part.labels) for part in (dataset.train, dataset.validation)]
    return float(baseline.train(sets[0], sets[1], epochs=1, seed=1)["epochs"][0]["seconds"])


def bntui_seconds(config: RunConfig) -> float:
    seconds = []

    def emit(event: Event) -> None:
        if isinstance(event, EpochEnded):
            seconds.append(event.train_seconds + event.eval_seconds)

    session.run(config, emit, Control())
    return seconds[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder with Fashion-MNIST's IDX files; without it, generated digits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    options = {"epochs": 1, "threads": given.threads, "device": "cpu", "data": "synthetic"}
    if given.data_dir:
        options |= {"data": "fashion-mnist", "data_dir": given.data_dir}
    default, lab = build_config(options), build_config({**options, "preset": "lab"})
    torch.set_num_threads(given.threads)
    dataset = data.load(default, torch.device("cpu"), lambda *_: None, print)
    # The first epoch of each pays for what is loaded on first use, and is not counted.
    loop_seconds(dataset)
    bntui_seconds(lab)
    rows: dict[str, list[float]] = {"loop": [], "lab": [], "default": []}
    for _ in range(given.rounds):
        rows["loop"].append(loop_seconds(dataset))
        rows["lab"].append(bntui_seconds(lab))
        rows["default"].append(bntui_seconds(default))
    described = devices.describe(torch.device("cpu"), given.threads)
    print(f"{described['device_name']}, torch {described['torch']}, {given.threads} thread(s), {dataset.name}, "
          f"{given.rounds} rounds")  # fmt: skip
    print(f"{'seconds an epoch':<32}{'min':>8}{'median':>8}{'max':>8}")
    for name, label in (("loop", "hand-written loop"), ("lab", "bntui --preset lab"), ("default", "bntui")):
        values = rows[name]
        print(f"{label:<32}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}")
    for name in ("lab", "default"):
        ratios = [loop / ours for loop, ours in zip(rows["loop"], rows[name], strict=True)]
        print(f"loop / {name}: {statistics.median(ratios):.1f} (from {min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
