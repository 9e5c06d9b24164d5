"""What things are called, the same in all views, the log and the dialogs: one word for one thing.

An arm is called by its label; where there is no room for that, its glyph alone stands for it.
"""

from __future__ import annotations

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.events import Intervened
from bntui.messages.history import History
from bntui.messages.names import layer_word, setting_word, value_word

QUANTITY_WORDS = {
    "gap": "gap, σ", "mean": "running mean", "variance": "running variance, log", "γ": "γ", "β": "β",
}  # fmt: skip
"""What is told of the channels of a normalization layer, with its unit; the gap is that of the batch mean to the
running mean, in running standard deviations σ."""
_DONE = {"pause": "paused", "resume": "resumed", "step": "a single step", "stop": "stopped"}


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


def norm_layer(history: History, arm: str, index: int, module: bool = True) -> str:
    """Return what a normalization layer of an arm is called, its index counted from 0: such as `BN 1 · norm1`.

    Without `module` the name that the layer has in the network is left out.
    """
    names = list(history.started.layers.get(arm, {})) if history.started else []
    behind = f" · {names[index]}" if module and index < len(names) else ""
    word = layer_word(history, arm)
    # The 8 of "Group norm 8" and the layer's number would be read as one.
    between = " " if word[-1].isalpha() else " layer "
    return f"{word}{between}{index + 1}{behind}"


def weight_layer(index: int) -> str:
    """Return what a layer with weights is called, its index counted from 0: such as `linear 1`."""
    return f"linear {index + 1}"
