"""What the two arms are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARMS = ("bn", "plain")
"""Keys of the first and the second arm, whatever normalization they have."""

_OPTIONS = {"bn": ("norm", "batch"), "plain": ("versus", "none")}
_NAMES = {"batch": "batch norm", "layer": "layer norm", "instance": "instance norm", "batch-renorm": "batch renorm"}


def norm_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Return each arm's normalization in words, such as `group norm 8`; `none` for none.

    Parameters
    ----------
    config
        Options by name, as in `results.json`.
    """
    names = {}
    for arm, (option, default) in _OPTIONS.items():
        kind, _, groups = str(config.get(option, default)).partition(":")
        names[arm] = f"group norm {groups}" if kind == "group" else _NAMES.get(kind, kind)
    return names


def normalized_arm(config: Mapping[str, Any]) -> str:
    """Return the arm of which the normalization can be switched: the first that has one; empty if neither has."""
    return next((arm for arm, name in norm_names(config).items() if name != "none"), "")


def labels(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what each arm is called on the screen."""
    names = norm_names(config)
    if names == {"bn": "batch norm", "plain": "none"}:
        return {"bn": "With BN", "plain": "Without BN"}
    shown = {arm: name.capitalize() if name != "none" else "No norm" for arm, name in names.items()}
    if shown["bn"] == shown["plain"]:
        return {arm: f"{name} ({number})" for number, (arm, name) in enumerate(shown.items(), 1)}
    return shown
