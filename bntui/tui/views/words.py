"""What things are called: the arms in short, and what was changed, the same in the log, the panel and the app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.arms import Arm
from bntui.messages.events import Intervened
from bntui.messages.history import History
from bntui.messages.names import layer_word, norm_word, setting_word, value_word

__all__ = [
    "initials", "layer_word", "norm_layer", "norm_word", "setting_word", "short_labels", "told", "value_word",
    "weight_layer",
]  # fmt: skip

_INITIALS = {
    "batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "batch-renorm": "BRN", "none": "none",
}  # fmt: skip
_PAIR = {"With BN": ("With BN", "BN"), "Without BN": ("Without", "w/o")}
"""Shorter labels of the two arms of the tutorial, which are called after what they have and lack."""
_DONE = {"pause": "paused", "resume": "resumed", "step": "a single step", "stop": "stopped"}


def initials(arms: Sequence[Arm]) -> dict[str, str]:
    """Return an abbreviation for each arm by its name, such as `GN8`; arms of one kind are numbered."""
    short = {}
    for arm in arms:
        kind, _, groups = arm.norm.partition(":")
        short[arm.name] = _PAIR[arm.label][1] if arm.label in _PAIR else _INITIALS.get(kind, kind) + groups
    often, seen = Counter(short.values()), Counter[str]()
    for name, word in short.items():
        if often[word] > 1:
            seen[word] += 1
            short[name] = f"{word}-{seen[word]}"
    return short


def short_labels(arms: Sequence[Arm]) -> dict[str, str]:
    """Return each arm's label by its name, without what goes without saying."""
    return {arm.name: _PAIR.get(arm.label, (arm.label,))[0] for arm in arms}


def told(history: History, event: Intervened) -> str:
    """Return an intervention in words, such as `learning rate 0.01 → 0.015`."""
    action, before, after = event.action, event.before, event.after
    if action in _DONE:
        return _DONE[action]
    if action == "restart":
        return f"restarted, after {before:,} steps" if isinstance(before, int) else "restarted"
    if action == "export":
        return "results written" if after is None else f"results written to {after}"
    if action in INTERVENTIONS and INTERVENTIONS[action].done:
        return INTERVENTIONS[action].done.format(arm=history.labels.get(str(after), after))
    name = setting_word(history, action) if action in INTERVENTIONS else action.replace("_", " ")
    return f"{name} {value_word(action, before)} → {value_word(action, after)}"


def norm_layer(history: History, arm: str, index: int) -> str:
    """Return what a normalization layer of an arm is called, its index counted from 0: such as `BN 1 · norm1`."""
    names = list(history.started.layers.get(arm, {})) if history.started else []
    module = f" · {names[index]}" if index < len(names) else ""
    return f"{layer_word(history, arm)} {index + 1}{module}"


def weight_layer(index: int) -> str:
    """Return what a layer with weights is called, its index counted from 0: such as `linear 1`."""
    return f"linear {index + 1}"
