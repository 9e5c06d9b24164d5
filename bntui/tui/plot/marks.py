"""Marks of what happened, in a line under a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALERT = "⚠"


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened somewhere on the x axis."""

    x: float
    sign: str
    """One character."""
    kind: str = "done"
    """`done`, `undone`, which is faint, or `alert`, which has the colour of warnings."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What stands for one mark, or for several that crowd."""

    column: int
    text: str
    kind: str


def gathered(places: Sequence[tuple[int, Mark]], columns: int) -> list[Sign]:
    """Return what to write into a line of so many cells for marks at columns.

    Two that crowd stand beside each other; of more their number is told, as `3×`, or that an alert is among them.
    """
    signs: list[Sign] = []
    group: list[Mark] = []
    for column, mark in sorted(places, key=lambda place: place[0]):
        while signs and column < signs[-1].column + len(signs[-1].text):
            group.append(mark)
            sign = _sign(signs[-1].column, group, columns)
            signs[-1] = sign
            break
        else:
            group = [mark]
            signs.append(_sign(column, group, columns))
    return signs


def _sign(column: int, group: Sequence[Mark], columns: int) -> Sign:
    kinds = {mark.kind for mark in group}
    kind = next(kind for kind in ("alert", "done", "undone") if kind in kinds)
    distinct = list(dict.fromkeys(mark.sign for mark in group))
    if len(group) <= 2 or len(distinct) == 1:
        text = "".join(distinct)[:2]
    else:
        text = f"{ALERT}+" if kind == "alert" else f"{len(group)}×"
    return Sign(max(0, min(column, columns - len(text))), text, kind)
