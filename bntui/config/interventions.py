"""What can be changed while a run goes on: one table for the trainer, the keys, `--intervene` and the replay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from bntui.config import parsers
from bntui.run.arms import ARMS
from bntui.run.control import Change, Command, PreciseBatchNorm, Restart, RestartArm, Stop

Scalar: TypeAlias = float | int | str | bool

SETTINGS: dict[str, tuple[str, parsers.Parse, Scalar]] = {
    "learning_rate": ("lr", parsers.learning_rate, 0.01),
    "bn": ("", parsers.on_off, True),
    "freeze": ("", parsers.on_off, False),
    "batch_size": ("batch_size", parsers.batch_size, 32),
    "dropout": ("dropout", parsers.share, 0.0),
    "bn_noise": ("bn_noise", parsers.noise, 0.0),
    "bn_eval": ("bn_eval", parsers.bn_eval, "running"),
    "shift": ("shift", parsers.shift, "none"),
    "adapt_bn": ("adapt_bn", parsers.on_off, False),
}
"""Name of an intervention: the option that says where it begins, what it takes, and where it begins without."""

_COMMANDS: dict[str, Callable[..., Command]] = {
    kind.__name__: kind for kind in (Change, PreciseBatchNorm, Restart, RestartArm, Stop)
}
"""What a checkpoint may plan: what `--intervene` and a replay do, and nothing that writes a file, as an export does."""

NUMERIC_ACTIONS = (*SETTINGS, "precise_bn", "restart_arm")
"""Interventions that change the numbers of a run."""


def initial(config: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return every setting as it is at the first step of a configuration, given by the names of its options."""
    return {name: config.get(option, default) for name, (option, _, default) in SETTINGS.items()}


def command(action: str, value: object) -> Command:
    """Return the command that an intervention of the name, with its new value, came from.

    Raises
    ------
    ValueError
        There is no such intervention, or it takes no such value; the text ends a sentence that begins with the name.
    """
    if action in SETTINGS:
        return Change(action, SETTINGS[action][1](str(value)))
    if action == "precise_bn":
        if value not in (None, ""):
            raise ValueError("no value")
        return PreciseBatchNorm()
    if action == "restart_arm":
        return RestartArm(parsers.one_of(*ARMS)(str(value)))
    raise ValueError(f"one of {', '.join(NUMERIC_ACTIONS)}")


def recorded(action: str, value: object) -> Command:
    """Return the command of an intervention as a run recorded it: its value has the setting's own type.

    Raises
    ------
    ValueError
        As for `command`, and for a value of another type.
    """
    found = command(action, value)
    if isinstance(found, Change) and any(
        isinstance(value, kind) != isinstance(found.value, kind) for kind in (str, bool)
    ):
        raise ValueError("a value of its own type")
    return found


def to_rows(planned: Iterable[tuple[int, Command]]) -> list[list[Any]]:
    """Return a schedule as plain values: for each command its step, its name and, if it has any, its arguments."""
    return [[step, type(what).__name__, *(getattr(what, field.name) for field in fields(what))]
            for step, what in planned]  # fmt: skip


def from_rows(rows: Iterable[list[Any]]) -> list[tuple[int, Command]]:
    """Return the schedule that `to_rows` was given. Raises KeyError, TypeError or ValueError if it was not."""
    planned = []
    for step, name, *arguments in rows:
        made = _COMMANDS[name](*arguments)
        if isinstance(made, Change):
            SETTINGS[made.setting]
            if made.value is not None:
                recorded(made.setting, made.value)
        whole = isinstance(step, int) and not isinstance(step, bool) and step >= 0
        if not whole or (isinstance(made, RestartArm) and made.arm not in ARMS):
            raise ValueError("not a schedule")
        planned.append((step, made))
    return planned


def schedule(text: str) -> list[tuple[int, Command]]:
    """Return what the value of `--intervene` says: after how many steps which command. Raises ValueError."""
    planned = []
    for part in text.split(",") if text else []:
        step, colon, what = part.partition(":")
        action, _, value = what.partition("=")
        if not colon:
            raise ValueError("STEP:ACTION=VALUE, such as 1000:dropout=0.5")
        at = parsers.integer(0, 10**12)(step)
        try:
            planned.append((int(at), command(action, value)))
        except ValueError as error:
            takes = f"for {action} {error}" if action in NUMERIC_ACTIONS else f"as ACTION {error}"
            raise ValueError(takes) from None
    return planned


def interventions(text: str) -> str:
    """Parse the value of `--intervene`."""
    schedule(text)
    return text
