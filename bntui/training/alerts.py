"""What about a reading deserves a warning, in a plain sentence."""

from __future__ import annotations

from bntui.events import LayerFlow, gradient_ratio

FAR_APART = 1e3
"""Factor between the first and the last layer's gradient from which on they vanish or explode."""
MANY = 0.5
"""Share of a layer's units."""


def of_flow(arm: str, layers: tuple[LayerFlow, ...]) -> list[tuple[str, str]]:
    """Return kind and message of each warning that a reading of an arm gives rise to."""
    found = []
    ratio = gradient_ratio(layers)
    if ratio < 1 / FAR_APART:
        found.append(("vanishing", f"gradients of {arm} vanish: the first layer's is {ratio:.1e} of the last layer's"))
    elif ratio > FAR_APART:
        found.append(("exploding", f"gradients of {arm} explode: the first layer's is {ratio:.1e} of the last layer's"))
    for layer in layers:
        if layer.inactive >= MANY:
            share = f"{100 * layer.inactive:.0f} %"
            found.append(("inactive", f"{share} of {arm}'s units after {layer.layer} are dead or saturated"))
            break
    return found
