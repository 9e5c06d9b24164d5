"""Curves as dots in cells of characters: braille, quarters of blocks, or one sign a cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DOTS = {"braille": (2, 4), "hd": (2, 2)}
"""Dots a cell, across and down, of the fine markers; any other marker is a sign that fills its cell."""
_LEFT = {
    "braille": [sum(bit for i, bit in enumerate((0x40, 0x04, 0x02, 0x01)) if dots >> i & 1) for dots in range(16)],
    "hd": [0, 1, 2, 3],
}
"""By the dots of a cell's left column, the lowest counted as 1: their part in the number of the character."""
_RIGHT = {
    "braille": [sum(bit for i, bit in enumerate((0x80, 0x20, 0x10, 0x08)) if dots >> i & 1) for dots in range(16)],
    "hd": [0, 4, 8, 12],
}
_QUARTERS = " ▖▘▌▗▄▚▙▝▞▀▛▐▟▜█"
FARTHEST = 20.0
"""Heights of the chart that a line may lead beyond it."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """Points in shares of the axes and how they are drawn."""

    x: Sequence[float]
    """From 0 to 1."""
    y: Sequence[float]
    """NaN for gaps; what lies outside of 0 to 1 leads off the chart."""
    marker: str
    """One of `DOTS`, or a character."""
    style: str
    joined: bool = True
    """Whether a line is drawn from point to point."""
    dashed: bool = False


class Cell(NamedTuple):
    """What stands in a cell; the row is counted from the top."""

    row: int
    column: int
    char: str
    style: str


def paint(strokes: Sequence[Stroke], columns: int, rows: int, *, mixed: bool) -> Iterator[Cell]:
    """Yield the cells that strokes fill, none twice.

    In a cell that several fill each has its turn, by column and row, with its own dots in its own style: so none hides
    another for long. `mixed` has their dots stand together there, which only does where no style tells them apart.
    """
    kinds = [stroke.marker for stroke in strokes if stroke.marker in DOTS]
    kind = max(kinds, key=lambda name: DOTS[name], default="")
    across, down = DOTS.get(kind, (1, 1))
    filled: dict[tuple[int, int], list[tuple[int, Stroke]]] = {}
    for stroke in strokes:
        traced = trace(stroke, columns * across, rows * down)
        for row, column, dots in _cells(traced, kind, rows):
            if stroke.dashed and column % 2:
                continue
            place = (row, column)
            if place in filled:
                filled[place].append((dots, stroke))
            else:
                filled[place] = [(dots, stroke)]
    for (row, column), owners in filled.items():
        dots, stroke = owners[(row + column) % len(owners)] if len(owners) > 1 else owners[0]
        char = stroke.marker
        if char in DOTS:
            if mixed and len(owners) > 1:
                for others, _ in owners:
                    dots |= others
            char = chr(0x2800 + dots) if kind == "braille" else _QUARTERS[dots]
        yield Cell(row, column, char, stroke.style)


def trace(stroke: Stroke, wide: int, high: int) -> list[int]:
    """Return a number for each column of dots, whose bits say which dots are set, the lowest dot first."""
    columns, most, top = [0] * wide, wide - 1, high - 1
    joined, farthest = stroke.joined, FARTHEST

    def fill(column: int, low: int, up: int) -> None:
        low, up = max(0, low), min(top, up)
        if low <= up:
            columns[column] |= (2 << up) - (1 << low)

    start, last, base = -1, 0, 0.0
    for x, y in zip(stroke.x, stroke.y, strict=True):
        if y != y:
            start = -1
            continue
        column = int(x * most + 0.5)
        height = (y if -farthest < y < farthest else math.copysign(farthest, y)) * top
        dot = math.floor(height + 0.5)
        if start < 0 or not joined:
            if 0 <= dot <= top:
                columns[column] |= 1 << dot
        elif start == column:
            fill(column, min(last, dot), max(last, dot))
        else:
            slope = (height - base) / (column - start)
            for at in range(start + 1, column + 1):
                now = math.floor(base + slope * (at - start) + 0.5) if at < column else dot
                if -1 <= now - last <= 1:
                    if 0 <= now <= top:
                        columns[at] |= 1 << now
                elif now > last:
                    middle = (last + now) // 2
                    fill(at - 1, last, middle)
                    fill(at, middle + 1, now)
                else:
                    middle = (last + now) // 2
                    fill(at - 1, middle + 1, last)
                    fill(at, now, middle)
                last = now
        start, last, base = column, dot, height
    return columns


def _cells(traced: Sequence[int], kind: str, rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield row from the top, column and the dots of each cell in which there are any."""
    if not kind:
        for column, bits in enumerate(traced):
            while bits:
                low = (bits & -bits).bit_length() - 1
                yield rows - 1 - low, column, 1
                bits &= bits - 1
        return
    down = DOTS[kind][1]
    ones, left_of, right_of = (1 << down) - 1, _LEFT[kind], _RIGHT[kind]
    for column in range(len(traced) // 2):
        left, right = traced[2 * column], traced[2 * column + 1]
        bits = left | right
        while bits:
            row = ((bits & -bits).bit_length() - 1) // down
            shift = row * down
            yield rows - 1 - row, column, left_of[left >> shift & ones] | right_of[right >> shift & ones]
            bits = bits >> (shift + down) << (shift + down)
