"""How much faster bntui trains than the hand-written loop: seconds per epoch, measured in turn in one process.

An epoch is training and evaluation of both arms on both sets. The loop is tests/baseline.py, once with its images
through PIL, as torchvision's data sets give them and so the tutorial's loop has them, and once straight from a tensor.

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
from bntui.config.options import RunConfig, build_config
from bntui.data import resident
from bntui.messages.control import Control
from bntui.messages.events import EpochEnded, Event
from bntui.training import devices, session


def loop_seconds(dataset: resident.Dataset, through_pil: bool) -> float:
    sets = [baseline.Images(part.images, part.labels, through_pil) for part in (dataset.train, dataset.validation)]
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
    probed = build_config({**options, "probe": "all"})
    torch.set_num_threads(given.threads)
    dataset = resident.load(default, torch.device("cpu"), lambda *_: None, print)
    # The first epoch of each pays for what is loaded on first use, and is not counted.
    loop_seconds(dataset, True)
    bntui_seconds(lab)
    rows: dict[str, list[float]] = {"loop": [], "tensors": [], "lab": [], "default": [], "probes": []}
    for _ in range(given.rounds):
        rows["loop"].append(loop_seconds(dataset, True))
        rows["lab"].append(bntui_seconds(lab))
        rows["tensors"].append(loop_seconds(dataset, False))
        rows["default"].append(bntui_seconds(default))
        rows["probes"].append(bntui_seconds(probed))
    described = devices.describe(torch.device("cpu"), given.threads)
    print(f"{described['device_name']}, torch {described['torch']}, {given.threads} thread(s), {dataset.name}, "
          f"{given.rounds} rounds")  # fmt: skip
    print(f"{'seconds an epoch':<32}{'min':>8}{'median':>8}{'max':>8}")
    labels = {
        "loop": "hand-written loop, PIL",
        "tensors": "hand-written loop, tensors",
        "lab": "bntui --preset lab",
        "default": "bntui",
        "probes": "bntui --probe all",
    }
    for name, label in labels.items():
        values = rows[name]
        print(f"{label:<32}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}")
    for loop in ("loop", "tensors"):
        for name in ("lab", "default"):
            ratios = [theirs / ours for theirs, ours in zip(rows[loop], rows[name], strict=True)]
            spread = f"(from {min(ratios):.1f} to {max(ratios):.1f})"
            print(f"{labels[loop]} / {labels[name]}: {statistics.median(ratios):.1f} {spread}")
    ratios = [without / with_all for without, with_all in zip(rows["default"], rows["probes"], strict=True)]
    spread = f"(from {min(ratios):.3f} to {max(ratios):.3f})"
    print(f"speed with all probes / without: {statistics.median(ratios):.3f} {spread}")


if __name__ == "__main__":
    main()
