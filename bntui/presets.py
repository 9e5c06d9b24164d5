"""Named configurations: the tutorial's run, and published experiments with the numbers that were published."""

from __future__ import annotations

from typing import Any

LAB: dict[str, Any] = {
    "weights": "independent", "hidden": (32, 32), "activation": "relu", "optimizer": "adam", "lr": 0.01,
    "batch_size": 32, "epochs": 10,
}  # fmt: skip

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


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "lab": (
        "the tutorial's run: 784-32-32-10, ReLU, Adam 0.01, batch 32, 10 epochs, each arm with weights of its own",
        LAB,
    ),
    "vanishing": (
        "eight layers of 64 sigmoid units: without BN the gradient does not reach the first ones (view 3)",
        {"hidden": (64,) * 8, "activation": "sigmoid"},
    ),
    **{udacity_name(*setting): _udacity(*setting) for setting in UDACITY},
}
"""Name: (one line that says what it is, its options)."""
