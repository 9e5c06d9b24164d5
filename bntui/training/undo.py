"""The bits there were before each of the newest interventions, kept in memory so that these can be taken back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bntui.messages.history import MAX_MARKS
from bntui.training.autosave import Part, put

MOST_BYTES = 256 << 20
"""Bytes that the tensors of all marks may have; the newest mark is kept in any case."""
NOTHING = "nothing to undo"


@dataclass(frozen=True, slots=True)
class Mark:
    """A run before an intervention."""

    step: int
    action: str
    state: Mapping[str, Any]
    """Of every part, by its name."""
    size: int
    """Bytes of the tensors in it."""


class Marks:
    """The newest interventions of a run, each with the state before it.

    Whatever can't be kept takes all that is older with it: so the marks are always the newest interventions, without a
    gap, as `History` and the journal take them to be.

    Parameters
    ----------
    parts
        Returns the parts by name, in the order in which they are restored.
    """

    def __init__(self, parts: Callable[[], Mapping[str, Part]]) -> None:
        self._parts = parts
        self._marks: deque[Mark] = deque()
        self.why_none = NOTHING
        """What to tell who wants to go back further than there are marks."""

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def newest(self) -> Mark | None:
        """The mark to which the next `go_back` leads."""
        return self._marks[-1] if self._marks else None

    def forget(self, why_none: str = NOTHING) -> None:
        """Keep no mark any more."""
        self._marks.clear()
        self.why_none = why_none

    def keep(self, step: int, action: str) -> None:
        """Keep the state before an intervention. If memory does not suffice, nothing can be taken back from here."""
        try:
            state = self._state()
        except (MemoryError, RuntimeError) as error:
            self.forget(f"{NOTHING}: the state before {action.replace('_', ' ')} could not be kept ({error})")
            return
        self._marks.append(Mark(step, action, state, _size(state)))
        while len(self._marks) > MAX_MARKS or (len(self._marks) > 1 and sum(m.size for m in self._marks) > MOST_BYTES):
            self._marks.popleft()
            self.why_none = f"{NOTHING}: what was before the earlier changes is no longer kept"

    def go_back(self) -> Mark:
        """Put all parts to where they were before the newest intervention, but for the time that has passed.

        Returns
        -------
        Mark
            Of that intervention; it is kept no more.

        Raises
        ------
        Exception
            Whatever memory that runs out ends in; all parts are where they were.
        """
        mark, now = self._marks[-1], self._state()
        # What was spent on the future that is abandoned stays spent.
        progress = {**mark.state["progress"], "wall_seconds": now["progress"]["wall_seconds"]}
        try:
            put(self._parts(), {**mark.state, "progress": progress})
        except Exception:
            put(self._parts(), now)
            raise
        return self._marks.pop()

    def _state(self) -> dict[str, Any]:
        # Outside inference mode, so that what is kept are tensors that the optimizers can go on with.
        with torch.inference_mode(False), torch.no_grad():
            return {name: part.state_dict() for name, part in self._parts().items()}


def _size(value: Any) -> int:
    """Return the bytes of all tensors in lists and dicts."""
    match value:
        case Tensor():
            return value.nbytes
        case Mapping():
            return sum(map(_size, value.values()))
        case list() | tuple():
            return sum(map(_size, value))
    return 0
