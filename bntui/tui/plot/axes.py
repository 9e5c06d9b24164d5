"""Limits, ticks and numbers of axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

LARGEST, SMALLEST = 1e300, 1e-290
"""Sizes of numbers between which differences and steps can be computed."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers from `low` to `high` on so many cells."""

    low: float
    high: float
    cells: int
    dots: int
    """In a cell."""

    def share(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high end."""
        return (value - self.low) / (self.high - self.low)

    def cell_of_share(self, share: float) -> int:
        """Return the cell in which a point is drawn."""
        return math.floor(round(0.5 + (self.cells * self.dots - 1) * share, 8)) // self.dots

    def cell(self, value: float) -> int:
        """Return the cell in which a value lies."""
        return self.cell_of_share(self.share(value))


def clamp(value: float) -> float:
    """Keep a number where differences and steps between numbers can be computed."""
    return 0.0 if abs(value) < SMALLEST else max(-LARGEST, min(LARGEST, float(value)))


def y_limits(low: float, high: float, count: int, log_y: bool) -> tuple[float, float, list[tuple[float, str]]]:
    """Return limits around the values, on a lattice so that they seldom move, and the ticks."""
    size = max(abs(low), abs(high))
    if log_y:
        low, high = (low, high) if high - low > 1e-3 else around(low, 0.1)
        grain = _step((high - low) / 20)
        low, high = math.floor(low / grain) * grain, math.ceil(high / grain) * grain
        return low, high, _log_ticks(low, high, count)
    if size < SMALLEST:
        low, high = -1.0, 1.0
    elif low == high:
        low, high = around(low, size / 20)
    elif high - low < 1e-4 * size:
        low, high = around(low + (high - low) / 2, 5e-5 * size)
    half = _step((high - low) / count) / 2
    low, high = math.floor(low / half + 1e-9) * half, math.ceil(high / half - 1e-9) * half
    return low, high, round_ticks(low, high, count, 1e5)


def _log_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Return ticks at decades, and at 2 and 5 times them where there is room; between numbers given as log10."""
    exponents = range(math.floor(low), math.floor(high) + 1)
    ticks: list[tuple[float, str]] = []
    for mantissas, stride in (((1, 2, 5), 1), *(((1,), stride) for stride in range(1, len(exponents) + 1))):
        ticks = [
            (place, _decade(m, e))
            for e in exponents
            if e % stride == 0
            for m in mantissas
            if low - 1e-9 <= (place := e + math.log10(m)) <= high + 1e-9
        ]
        if len(ticks) <= count + 1:
            break
    return (
        ticks
        if len(ticks) > 1
        else [(math.log10(v), s) for v, s in round_ticks(10**low, 10**high, count, 1e5) if v > 0]
    )


def around(middle: float, distance: float) -> tuple[float, float]:
    """Return limits on both sides of a number."""
    return middle - distance, middle + distance


def _step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a number."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 5) if m * power >= least * (1 - 1e-9)), 10 * power)


def nice_end(value: float) -> float:
    """Return a round number that is not below a positive number, and not above it by more than half of it."""
    if not SMALLEST < value < LARGEST:
        return value
    power: float = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 1.5, 2, 3, 4, 5, 6, 8) if m * power >= value * (1 - 1e-9)), 10 * power)


def round_ticks(low: float, high: float, count: int, large: float) -> list[tuple[float, str]]:
    """Return round numbers between two numbers, at most one more than `count`, written alike."""
    step = _step((high - low) / count)
    values = [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    biggest = max((abs(value) for value in values), default=0.0)
    exponent = math.floor(math.log10(step) + 1e-9)
    if large <= biggest or 0 < biggest < 1e-3:
        return [
            (v, scientific(v, max(0, math.floor(math.log10(abs(v)) + 1e-9) - exponent)) if v else "0") for v in values
        ]
    return [(v, f"{v + 0.0:,.{max(0, -exponent)}f}" if v else "0") for v in values]


def _decade(mantissa: int, exponent: int) -> str:
    small = -4 < exponent < 5
    return f"{mantissa * 10.0**exponent:,.{max(0, -exponent)}f}" if small else f"{mantissa}e{exponent}"


def scientific(value: float, decimals: int) -> str:
    """Write a number as 1.2e-4."""
    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def number(value: float) -> str:
    """Return about four digits in six cells; few numbers take more."""
    if not math.isfinite(value):
        return "-".rjust(6)
    if value and not 1e-3 <= abs(value) < 99_999.5:
        forms = [scientific(value, decimals) for decimals in (2, 1, 0)]
    else:
        forms = [f"{value:.{decimals}f}" for decimals in (4, 3, 2, 1, 0)]
    return next((form for form in forms if len(form) <= 6), forms[-1]).rjust(6)


def short_number(value: float) -> str:
    """Return about three digits in four cells, such as `.962` or `1.04`; few numbers take more."""
    if not math.isfinite(value):
        return "-".rjust(4)
    if value and not 1e-3 <= abs(value) < 9_999.5:
        return scientific(value, 0).rjust(4)
    forms = [f"{value:.{decimals}f}".replace("0.", ".", 1 if abs(value) < 1 else 0) for decimals in (3, 2, 1, 0)]
    return next((form for form in forms if len(form) <= 4), forms[-1]).rjust(4)


def brief(value: float) -> str:
    """Return about three digits in as few cells as that takes, such as `0.42`, `-2`, `1,875` or `5.0e-9`."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 99_999.5:
        return scientific(value, 1)
    if size >= 99.95:
        return f"{value:,.0f}"
    decimals = 2 - math.floor(math.log10(size))
    text = f"{value:.{min(decimals, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float) -> str:
    """Write a number with its sign and two digits, or the whole ones it has, in at most seven cells."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if not 1e-3 <= size < 9_999.5:
        return ("+" if value > 0 else "") + scientific(value, 1)
    return f"{value:+.{max(0, 1 - math.floor(math.log10(size)))}f}"
