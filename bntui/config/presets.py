"""Named configurations: the tutorial's run, and published experiments with the numbers that were published.

Where a publication leaves something open, the choice is ours, and said to be.
"""

from __future__ import annotations

from typing import Any

LAB: dict[str, Any] = {
    "weights": "independent", "hidden": (32, 32), "activation": "relu", "optimizer": "adam", "lr": 0.01,
    "batch_size": 32, "epochs": 10,
}  # fmt: skip

SMALL_BATCH: dict[int, tuple[float, float]] = {
    32: (0.236, 0.241), 16: (0.237, 0.242), 8: (0.248, 0.240), 4: (0.273, 0.242), 2: (0.347, 0.241),
}  # fmt: skip
"""Batch size: validation error of ResNet-50 on ImageNet with batch and with group norm (Wu & He 2018, table 2)."""


def small_batch(size: int) -> dict[str, Any]:
    """Return the options of a batch size of `SMALL_BATCH`: the learning rate scales with it, as in the paper."""
    return {"batch_size": size, "lr": 0.1 * size / 32}


UDACITY: dict[tuple[str, float, float], tuple[float, float]] = {
    ("relu", 0.01, 0.05): (0.975, 0.980), ("sigmoid", 0.01, 0.05): (0.827, 0.973),
    ("relu", 1, 0.05): (0.098, 0.983), ("sigmoid", 1, 0.05): (0.975, 0.981),
    ("relu", 2, 0.05): (0.101, 0.983), ("sigmoid", 2, 0.05): (0.978, 0.978),
    ("relu", 0.01, 5): (0.098, 0.799), ("sigmoid", 0.01, 5): (0.227, 0.853),
    ("relu", 1, 5): (0.113, 0.921), ("sigmoid", 1, 5): (0.896, 0.951),
    ("relu", 2, 5): (0.098, 0.905), ("sigmoid", 2, 5): (0.907, 0.958),
}  # fmt: skip
"""Activation, learning rate and standard deviation of the weights: accuracy on MNIST's test set after 50,000 batches of
60, without and with BN, of a 784-100-100-100-10 net trained by SGD (Udacity, Batch_Normalization_Lesson)."""


def udacity_name(activation: str, lr: float, std: float) -> str:
    """Return the name of the preset of a key of `UDACITY`."""
    return f"udacity-{activation}-lr{lr:g}-std{std:g}"


def _udacity(activation: str, lr: float, std: float) -> tuple[str, dict[str, Any]]:
    plain, bn = UDACITY[activation, lr, std]
    numbers = f"published on MNIST: plain {plain:.3f}, BN {bn:.3f}"
    about = f"784-100-100-100-10, {activation}, SGD {lr:g}, weights N(0, {std:g}); {numbers}"
    return about, {
        "data": "mnist", "hidden": (100, 100, 100), "activation": activation, "optimizer": "sgd", "lr": lr,
        "init": f"normal:{float(std)}", "batch_size": 60, "epochs": 50, "max_steps": 50_000, "weights": "paired",
    }  # fmt: skip


_HUNDREDS: dict[str, Any] = {"hidden": (100, 100, 100), "batch_size": 60, "optimizer": "sgd"}
"""The net of Ioffe & Szegedy's section 4.1 and of the lesson; ours too where none is published."""

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "lab": (
        "the tutorial's run: 784-32-32-10, ReLU, Adam 0.01, batch 32, 10 epochs, each arm with weights of its own",
        LAB,
    ),
    "vanishing": (
        "eight layers of 64 sigmoid units: without BN the gradient does not reach the first ones (view 3)",
        {"hidden": (64,) * 8, "activation": "sigmoid"},
    ),
    "ioffe-4.1": (
        "Ioffe & Szegedy 2015, fig. 1: black and white digits, three layers of 100 sigmoids, 50,000 steps",
        # Neither optimizer, learning rate nor the weights' size are published. Ours are such that the net without BN
        # trains, and is still at it when the run ends, as in figure 1a. The unit is the first: all of a layer are
        # drawn alike, so that none is more typical than another.
        {**_HUNDREDS, "data": "mnist", "binary": True, "activation": "sigmoid", "init": "normal:0.05", "lr": 0.02,
         "epochs": 50, "max_steps": 50_000, "unit": 0},
    ),
    "small-batch": (
        "Wu & He 2018: batch norm against group norm in batches of 2; the experiment goes from 32 down to 2",
        {"hidden": (64, 64), "optimizer": "sgd", "init": "kaiming", "arms": ("batch", "group:8"), "epochs": 1,
         **small_batch(2)},
    ),
    "noisy-bn": (
        "Santurkar et al. 2018: noise after BN makes what goes through the layers unsteady, and it trains well",
        # Sigmoids and a moderate rate: without BN this net trains slowly.
        {**_HUNDREDS, "activation": "sigmoid", "init": "xavier", "lr": 0.1, "train_samples": 20_000, "epochs": 10,
         "bn_noise": 0.5},
    ),
    "forgot-eval": (
        "Udacity's lesson: images one at a time, as if eval() were forgotten: BN leaves nothing of them",
        {**_HUNDREDS, "data": "mnist", "lr": 0.01, "init": "normal:0.05", "epochs": 2, "max_steps": 2_000,
         "bn_eval": "single"},
    ),
    "covariate-shift": (
        "trained on images as they are, validated on images of little contrast: the running statistics do not fit",
        # Contrast changes all pixels alike, which the first layer's statistics can undo; --shift noise:0.3 is harder.
        {**_HUNDREDS, "lr": 0.1, "epochs": 3, "shift": "contrast:-0.7"},
    ),
    "dropout-bn": (
        "dropout before BN layers (Li et al. 2019): what it costs, and what it does about overfitting",
        {**_HUNDREDS, "optimizer": "adam", "lr": 0.001, "epochs": 5, "dropout": 0.5},
    ),
    **{udacity_name(*setting): _udacity(*setting) for setting in UDACITY},
}  # fmt: skip
"""Name: (one line that says what it is, its options)."""

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "small-batch": {f"batch {size}": small_batch(size) for size in SMALL_BATCH},
    "noisy-bn": {"noise": {}, "no noise": {"bn_noise": 0.0}},
    "forgot-eval": {"single": {}, "running": {"bn_eval": "running"}},
    "covariate-shift": {"clean": {"shift": "none"}, "shifted": {}, "adapted": {"adapt_bn": True}},
    "dropout-bn": {"dropout": {}, "no dropout": {"dropout": 0.0}},
}
"""What `bntui experiment` runs side by side, of presets of which it runs more than one: label, and what differs."""
