"""How the values of a batch are distributed: bars of blocks above an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from bntui.messages.events import Explained
from bntui.tui.plot.axes import brief, y_limits
from bntui.tui.theme import Look

_BARS, _BARS_ASCII = " ▁▂▃▄▅▆▇█", " .:#"


def mean_signs(look: Look) -> tuple[str, str, str]:
    """Return what stands for the running mean, the batch mean, and for both in one cell."""
    return ("o", "*", "@") if look.ascii_only else ("○", "●", "◉")


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many values lie in each of equally wide bins between two ends."""

    low: float
    high: float
    counts: tuple[int, ...]


def distribute(values: Sequence[float], low: float, high: float, bins: int) -> Distribution:
    """Count values in bins; the last one has its upper end too."""
    counts = [0] * bins
    scale = bins / (high - low)
    for value in values:
        counts[max(0, min(bins - 1, int((value - low) * scale)))] += 1
    return Distribution(low, high, tuple(counts))


def normalized(read: Explained) -> tuple[list[float], list[float], list[float]]:
    """Return x, x̂ and y of a batch, as far as x is finite.

    x̂ = (x - mean) ÷ √(variance + ε), by the batch's mean and biased variance, or by the running ones where those
    normalise; y = γ·x̂ + β.
    """
    x = [value for value in read.x if math.isfinite(value) and abs(value) < 1e100]
    if not x:
        return [], [], []
    mean, var = read.running_mean, read.running_var
    if read.by_batch:
        mean = sum(x) / len(x)
        var = sum((value - mean) ** 2 for value in x) / len(x)
    if not (math.isfinite(mean) and var + read.eps > 0 and math.isfinite(var)):
        return x, [], []
    std = math.sqrt(var + read.eps)
    x_hat = [(value - mean) / std for value in x]
    y = [read.weight * value + read.bias for value in x_hat]
    return x, x_hat, [value for value in y if math.isfinite(value)]


def bins_for(count: int, cells: int) -> int:
    """Return how many bins so many values are counted in: at most some three times the root, to fill the cells best."""
    most = max(1, min(cells, max(8, math.ceil(3.3 * math.sqrt(count)))))
    return max(range(min(8, most), most + 1), key=lambda bins: (cells // bins * bins, bins))


def ends_of(values: Sequence[float]) -> tuple[float, float]:
    """Return round ends around the values, and zero too if it is near."""
    if not values:
        return -1.0, 1.0
    low, high = min(values), max(values)
    near = 2 * (high - low)
    if 0 < low < near or -near < high < 0:
        low, high = min(low, 0.0), max(high, 0.0)
    low, high, _ = y_limits(low, high, 6, False)
    return low, high


def histogram(
    found: Distribution, name: str, colour: str, look: Look, width: int, height: int,
    marks: Sequence[tuple[float, str]] = (),
) -> list[Text]:  # fmt: skip
    """Draw a distribution below its name as bars, all bins equally wide, above an axis with its ends, zero and marks.

    Each mark is a value and the sign that stands there.
    """
    bins = len(found.counts)
    cells = max(1, width // bins)
    drawn = cells * bins
    signs = _BARS_ASCII if look.ascii_only else _BARS
    rows, eighths = max(1, height - 2), len(signs) - 1
    most = max(found.counts)
    levels = [round(rows * eighths * count / most) if most else 0 for count in found.counts]
    # What is there is seen, be it ever so little.
    levels = [max(level, 1) if count else 0 for level, count in zip(levels, found.counts, strict=True)]
    inside = found.low < 0 < found.high
    zero = min(drawn - 1, int(-found.low / (found.high - found.low) * drawn)) if inside else -1
    bar, dash, cross = "|-+" if look.ascii_only else "│─┼"
    lines = []
    for row in range(rows):
        below = (rows - 1 - row) * eighths
        text = Text()
        line = "".join(signs[max(0, min(eighths, level - below))] * cells for level in levels)
        if zero >= 0 and line[zero] == " ":
            text.append(line[:zero], style=colour).append(bar, style="dim").append(line[zero + 1 :], style=colour)
        else:
            text.append(line, style=colour)
        lines.append(text)
    axis = [dash] * drawn
    if zero >= 0:
        axis[zero] = cross
    start, end = f"{brief(found.low)} ", f" {brief(found.high)}"
    named = Text(look.text(name), style="bold")
    if len(start) + len(end) + 1 <= drawn:
        axis[: len(start)], axis[drawn - len(end) :] = start, end
    else:
        named.append(f"  {start}to{end}", style="not bold dim")
    text = Text("".join(axis), style="dim")
    cells_of = [int((value - found.low) / (found.high - found.low) * drawn) if math.isfinite(value) else -1
                for value, _ in marks]  # fmt: skip
    for (_, sign), cell in zip(marks, cells_of, strict=True):
        if 0 <= cell < drawn and axis[cell] in (dash, cross):
            sign = mean_signs(look)[2] if cells_of.count(cell) > 1 else sign
            text = text[:cell].append(sign, style=f"not dim {colour}").append_text(text[cell + 1 :])
    lines.append(text)
    return [named, *lines][-height:]
