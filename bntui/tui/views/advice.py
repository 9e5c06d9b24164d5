"""What to press when there is an alert: one table, by the kinds of `bntui.messages.alerts`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.tui.keys import KEYS, Key


@dataclass(frozen=True, slots=True)
class Advice:
    """What is told of a kind of alert beside its message."""

    word: str
    """What it is, in a few words, where there is no room for the message."""
    tries: tuple[tuple[str, str], ...]
    """Names of keys, and what each is good for here; the most promising first."""


ADVICE = {
    "vanishing": Advice("gradients vanish", (("flow", "shows where"), ("lr-up", "larger steps"))),
    "exploding": Advice("gradients explode", (("lr-down", "smaller steps"), ("flow", "shows where"))),
    "inactive": Advice("dead or saturated units", (("flow", "shows where"), ("lr-down", "smaller steps"))),
    "small_batch": Advice("batches are small", (("batch-size", "larger batches"), ("noise", "compare with noise"))),
    "eval_gap": Advice("worse in eval mode", (("precise", "new running statistics"), ("why", "shows the gap"))),
    "diverged": Advice("diverged", (("undo", "goes back"), ("lr-down", "smaller steps"), ("restart", "begins again"))),
    "learning_rate": Advice("after a larger lr", (("undo", "takes it back"), ("lr", "types a smaller one"))),
}
"""By kind of alert."""
FIRST_TRIES = (
    ("bn", "switches the normalization"),
    ("lr", "types a learning rate"),
    ("freeze", "freezes its statistics"),
)
"""What a person may try who has not tried anything."""
LOG = (("log", "shows the log"),)


def tries(wanted: Sequence[tuple[str, str]], table: Sequence[Key] = KEYS) -> list[str]:
    """Return what to press and what for, such as `- smaller steps`; what has no key is left out."""
    keys = {key.name: key.keys[0] for key in table if key.keys}
    return [f"{keys[name]} {why}" for name, why in wanted if name in keys]


def advice(kind: str, table: Sequence[Key] = KEYS) -> list[str]:
    """Return what to press after an alert of a kind."""
    return tries(ADVICE[kind].tries, table) if kind in ADVICE else []
