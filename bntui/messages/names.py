"""What the things are called that can be changed in a run: the same on the screen and where it is read aloud."""

from __future__ import annotations

from bntui.config.interventions import INTERVENTIONS, written
from bntui.messages.arms import first_normalized
from bntui.messages.history import History


def norm_word(history: History) -> str:
    """Return a short word for the normalization that can be switched."""
    arm = first_normalized(history.arms)
    return "Norm" if arm is None else layer_word(history, arm.name)


def layer_word(history: History, name: str) -> str:
    """Return what the layers of a normalized arm are called: by their kind, or after the arm where two have it."""
    arm = next(arm for arm in history.arms if arm.name == name)
    alone = [other.short for other in history.arms].count(arm.short) == 1
    return arm.short if alone else arm.label


def setting_word(history: History, setting: str) -> str:
    """Return what an intervention is called."""
    return INTERVENTIONS[setting].word.format(norm=norm_word(history))


def value_word(setting: str, value: object) -> str:
    """Return a value as a person would write it."""
    return INTERVENTIONS[setting].written(value) if setting in INTERVENTIONS else written(value)
