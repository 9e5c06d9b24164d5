"""What a run is still to do by itself, as a checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bntui.config.interventions import SETTINGS, parse_recorded
from bntui.messages.control import Change, Command, Control, Restart, Stop

_MOST = 10**15
_OTHERS: dict[str, Command] = {"stop": Stop(), "restart": Restart()}
"""What can be planned beside interventions: nothing that writes a file, as an export does."""


class Schedule:
    """The schedule of a run, and how much of it was obeyed."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._given = control.planned
        """What the run was started with; it has the last word over a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """Return the whole schedule as rows of step, name and value, and how many of them were obeyed."""
        return {"planned": [_row(*item) for item in self._control.planned], "obeyed": self._control.obeyed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises KeyError, TypeError or ValueError if it did not."""
        obeyed = int(state["obeyed"])
        if not 0 <= obeyed <= _MOST:
            raise ValueError("not a schedule")
        self._control.go_on(self._given or _commands(state["planned"]), obeyed)


def _row(step: int, command: Command) -> list[Any]:
    match command:
        case Change(name, value):
            return [step, name, value]
    return [step, type(command).__name__.lower(), None]


def _commands(rows: Iterable[Any]) -> list[tuple[int, Command]]:
    found = []
    for step, name, value in rows:
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise ValueError("not a schedule")
        found.append((step, _OTHERS[name] if name in _OTHERS else _change(name, value)))
    return found


def _change(name: str, value: Any) -> Change:
    turns_over = value is None and name in SETTINGS and isinstance(SETTINGS[name].default, bool)
    return Change(name, None if turns_over else parse_recorded(name, value))
