"""What was changed, in words: the same in the log, in the panel and in what the app says."""

from __future__ import annotations

import math

from bntui.run.arms import norm_names, normalized_arm
from bntui.run.events import Intervened
from bntui.run.history import History

SETTING_WORDS = {
    "learning_rate": "learning rate", "batch_size": "batch size", "dropout": "dropout", "bn_noise": "noise",
    "bn_eval": "evaluated by", "shift": "shift", "adapt_bn": "AdaBN",
}  # fmt: skip
"""What the settings are called that do not depend on the run."""

_DONE = {
    "precise_bn": "precise BN", "pause": "paused", "resume": "resumed", "step": "a single step",
    "stop": "stopped",
}  # fmt: skip


def norm_word(history: History) -> str:
    """Return a short word for the normalization that can be switched."""
    config = history.started.config if history.started else {}
    name = norm_names(config).get(normalized_arm(config), "norm")
    return "BN" if name == "batch norm" else name.capitalize()


def setting_word(history: History, setting: str) -> str:
    """Return what a setting is called."""
    return {"bn": norm_word(history), "freeze": "statistics"}.get(setting) or SETTING_WORDS[setting]


def value_word(setting: str, value: object) -> str:
    """Return a setting's value as a person would write it."""
    if isinstance(value, bool):
        off, on = ("live", "frozen") if setting == "freeze" else ("off", "on")
        return on if value else off
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def told(history: History, event: Intervened) -> str:
    """Return an intervention in words, such as `learning rate 0.01 → 0.015`."""
    action, before, after = event.action, event.before, event.after
    if action in _DONE:
        return _DONE[action]
    if action == "restart":
        return f"restarted, after {before:,} steps" if isinstance(before, int) else "restarted"
    if action == "restart_arm":
        return f"restarted {history.labels.get(str(after), after)}"
    if action == "export":
        return "results written" if after is None else f"results written to {after}"
    known = action in SETTING_WORDS or action in ("bn", "freeze")
    name = setting_word(history, action) if known else action.replace("_", " ")
    return f"{name} {value_word(action, before)} → {value_word(action, after)}"
