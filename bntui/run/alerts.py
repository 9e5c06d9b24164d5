"""What about a reading deserves a warning, in a plain sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bntui.run.events import LayerFlow

FAR_APART = 1e3
"""Factor between the first and the last layer's gradient from which on they vanish or explode."""
MANY = 0.5
"""Share of a layer's units."""
SMALL_BATCH = 8
"""Samples, below which batch statistics are poor (Wu & He 2018, https://arxiv.org/abs/1803.08494)."""
GAP_FACTOR, GAP_MARGIN = 2.0, 0.3
"""A loss in eval mode is far higher from so many times that in train mode on, and so many nats more."""
SOON = 1_000
"""Steps."""


def gradient_ratio(layers: tuple[LayerFlow, ...]) -> float:
    """Return the norm of the first layer's weight gradient over the last's; NaN where there is none."""
    if not layers or not layers[-1].weight_gradient:
        return math.nan
    return layers[0].weight_gradient / layers[-1].weight_gradient


def verdict(ratio: float) -> str:
    """Return `vanishing` or `exploding` for the ratio of two gradients, or nothing."""
    return "vanishing" if ratio < 1 / FAR_APART else "exploding" if ratio > FAR_APART else ""


def of_flow(arm: str, layers: tuple[LayerFlow, ...]) -> list[tuple[str, str]]:
    """Return kind and message of each warning that a reading of an arm gives rise to."""
    found = []
    ratio = gradient_ratio(layers)
    if kind := verdict(ratio):
        verb = {"vanishing": "vanish", "exploding": "explode"}[kind]
        found.append((kind, f"gradients of {arm} {verb}: the first layer's is {ratio:.1e} of the last layer's"))
    for layer in layers:
        if layer.inactive >= MANY:
            share = f"{100 * layer.inactive:.0f} %"
            found.append(("inactive", f"{share} of {arm}'s units after {layer.layer} are dead or saturated"))
            break
    return found


def of_batch_size(batch_size: int, norms: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return arm, kind and message where a batch is too small for an arm's normalization."""
    if batch_size >= SMALL_BATCH:
        return []
    why = "its statistics are mostly noise; compare with --versus group:8"
    return [
        (arm, "small_batch", f"{batch_size} samples a batch are few for {arm}'s batch norm: {why}")
        for arm, norm in norms.items()
        if norm.startswith("batch")
    ]


def of_gap(arm: str, in_training: float, in_evaluation: float) -> list[tuple[str, str]]:
    """Return kind and message where the loss on the training set is far higher in eval mode than in train mode."""
    if not in_evaluation > GAP_FACTOR * in_training + GAP_MARGIN:
        return []
    losses = f"loss {in_evaluation:.3g}, against {in_training:.3g} while it trains"
    return [("eval_gap", f"{arm} is much worse in eval mode on the training set ({losses}): its statistics do not fit")]


def of_learning_rate(before: float, after: float, steps: int) -> list[tuple[str, str]]:
    """Return kind and message where the learning rate was raised so many steps before an arm diverged."""
    if not (after > before and steps <= SOON):
        return []
    return [
        ("learning_rate", f"the learning rate had been raised from {before:g} to {after:g}, {steps:,} steps before")
    ]
