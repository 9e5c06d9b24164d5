"""What about a reading deserves a warning, in a plain sentence."""

from __future__ import annotations

import math

from bntui.events import LayerFlow

FAR_APART = 1e3
"""Factor between the first and the last layer's gradient from which on they vanish or explode."""
MANY = 0.5
"""Share of a layer's units."""


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
