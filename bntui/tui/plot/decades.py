"""A logarithmic axis over whole powers of ten, and bars along it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decades:
    """Powers of ten from `low` to `high`, given as exponents, on so many cells; a tick lies in the middle of a cell."""

    low: int
    high: int
    cells: int

    def cell(self, value: float) -> int:
        """Return the cell in which a value above 0 lies; what is off the axis lies at its end."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return int(max(0.0, min(1.0, share)) * (self.cells - 1) + 0.5)

    def bar(self, value: float, ascii_only: bool) -> str:
        """Return a bar from the left end to a value above 0, which lies in its last cell."""
        return bar(self.cell(value) + 1, ascii_only)

    def ticks(self) -> list[tuple[int, int, str]]:
        """Return of as many powers of ten as can be written beside each other the cell, and where its label begins."""
        ticks: list[tuple[int, int, str]] = []
        for stride in range(1, self.high - self.low + 1):
            ticks = []
            for exponent in range(self.low, self.high + 1):
                if exponent % stride == 0:
                    label = decade(exponent)
                    cell = int((exponent - self.low) / (self.high - self.low) * (self.cells - 1) + 0.5)
                    start = max(0, min(cell - len(label) // 2, self.cells - len(label)))
                    ticks.append((cell, start, label))
            if all(a[1] + len(a[2]) + 1 < b[1] for a, b in zip(ticks, ticks[1:], strict=False)):
                break
        return ticks


def bar(cells: int, ascii_only: bool) -> str:
    """Return a bar of so many cells, which leaves a gap to the one above."""
    return ("=" if ascii_only else "▆") * cells


def decades(values: Iterable[float], cells: int, least: int = 3) -> Decades:
    """Return an axis of at least so many decades that has all values that can lie on it."""
    known = [math.log10(value) for value in values if 0 < value < math.inf]
    high = math.ceil(max(known, default=0.0) - 1e-9)
    low = math.floor(min(known, default=-float(least)) + 1e-9)
    return Decades(min(low, high - least), high, max(1, cells))


def decade(exponent: int) -> str:
    """Write a power of ten in as few cells as that takes."""
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else f"1e{exponent}"
