"""How much faster bntui trains than the hand-written loop: seconds per epoch, measured in turn in one process.

An epoch is training and evaluation of both arms on both sets. The loop is tests/baseline.py, once with its images
through PIL, as torchvision's data sets give them and so the tutorial's loop has them, and once straight from a tensor.

The engines are compared by their training alone: `--engine autograd` with the shortest loop that trains the same two
arms, on samples that lie in memory as float32, with one torch.optim.Adam for each.

    python tests/benchmarks/speed.py --data-dir /usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import baseline
from bntui.config.options import RunConfig, build_config
from bntui.data import resident
from bntui.data.samples import to_input
from bntui.messages.control import Control
from bntui.messages.events import EpochEnded, Event
from bntui.training import devices, session


def loop_seconds(dataset: resident.ResidentSource, through_pil: bool) -> float:
    sets = [baseline.Images(part.images, part.labels, through_pil) for part in (dataset.train, dataset.validation)]
    return float(baseline.train(sets[0], sets[1], epochs=1, seed=1)["epochs"][0]["seconds"])


def plain_seconds(dataset: resident.ResidentSource, batch_size: int = 32) -> float:
    """Train both arms of the tutorial for an epoch, with no loader, no evaluation and nobody who looks."""
    torch.manual_seed(1)
    models = baseline.build(paired=True)
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.01) for model in models]
    images, labels = to_input(dataset.train.images), dataset.train.labels
    begun = time.perf_counter()
    losses = []
    for rows in torch.split(torch.randperm(len(labels))[: len(labels) // batch_size * batch_size], batch_size):
        x, y = images[rows], labels[rows]
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    torch.stack(losses).tolist()
    return time.perf_counter() - begun


def bntui_seconds(config: RunConfig, training_alone: bool = False) -> float:
    seconds = []

    def emit(event: Event) -> None:
        if isinstance(event, EpochEnded):
            seconds.append(event.train_seconds + (0.0 if training_alone else event.eval_seconds))

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
    autograd = build_config({**options, "engine": "autograd"})
    torch.set_num_threads(given.threads)
    dataset = resident.load(default, torch.device("cpu"), lambda *_: None, print)
    # The first epoch of each pays for what is loaded on first use, and is not counted.
    loop_seconds(dataset, True)
    bntui_seconds(lab)
    labels = {
        "loop": "hand-written loop, PIL",
        "tensors": "hand-written loop, tensors",
        "lab": "bntui --preset lab",
        "default": "bntui",
        "probes": "bntui --probe all",
        "plain": "training: plain loop",
        "autograd": "training: --engine autograd",
        "fused": "training: --engine fused",
    }
    rows: dict[str, list[float]] = {name: [] for name in labels}
    for _ in range(given.rounds):
        rows["loop"].append(loop_seconds(dataset, True))
        rows["lab"].append(bntui_seconds(lab))
        rows["tensors"].append(loop_seconds(dataset, False))
        rows["default"].append(bntui_seconds(default))
        rows["probes"].append(bntui_seconds(probed))
        rows["plain"].append(plain_seconds(dataset))
        rows["autograd"].append(bntui_seconds(autograd, training_alone=True))
        rows["fused"].append(bntui_seconds(default, training_alone=True))
    described = devices.describe(torch.device("cpu"), given.threads)
    print(f"{described['device_name']}, torch {described['torch']}, {given.threads} thread(s), {dataset.name}, "
          f"{given.rounds} rounds")  # fmt: skip
    print(f"{'seconds an epoch':<32}{'min':>8}{'median':>8}{'max':>8}")
    for name, label in labels.items():
        values = rows[name]
        print(f"{label:<32}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}")
    for loop in ("loop", "tensors"):
        for name in ("lab", "default"):
            ratios = [theirs / ours for theirs, ours in zip(rows[loop], rows[name], strict=True)]
            spread = f"(from {min(ratios):.1f} to {max(ratios):.1f})"
            print(f"{labels[loop]} / {labels[name]}: {statistics.median(ratios):.1f} {spread}")
    for engine in ("autograd", "fused"):
        ratios = [plain / ours for plain, ours in zip(rows["plain"], rows[engine], strict=True)]
        spread = f"(from {min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{labels['plain']} / {labels[engine]}: {statistics.median(ratios):.2f} {spread}")
    ratios = [without / with_all for without, with_all in zip(rows["default"], rows["probes"], strict=True)]
    spread = f"(from {min(ratios):.3f} to {max(ratios):.3f})"
    print(f"speed with all probes / without: {statistics.median(ratios):.3f} {spread}")


if __name__ == "__main__":
    main()
