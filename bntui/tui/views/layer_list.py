"""The list of all normalization layers, each with its worst gap."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from rich.text import Text

from bntui.messages.history import History
from bntui.tui.plot.axes import signed
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.heat import around_zero, cell_style, colour_of
from bntui.tui.theme import Look
from bntui.tui.views.layers import gaps, places, statistics_at, worst_gap
from bntui.tui.views.view import View
from bntui.tui.views.words import norm_layer

_STRIP_FROM = 12
"""Cells from which on the gaps of all channels are drawn beside the worst one."""
TERMS = (
    "gap: batch mean - running mean, in running standard deviations, σ",
    "σ²: running variance, which eval mode divides by; γ, β: what the layer learns",
    "drift: how far the running mean went, in σ",
)


def draw_layers(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw the layers of all arms as they follow each other, as many as fit around the chosen one."""
    there, reading = places(history), history.normalization_now
    count = f"{len(there)} normalization layer{'s' if len(there) != 1 else ''}"
    titles = [f"{count} · worst gap in σ, and its channel", f"{len(there)} layers · worst gap in σ", "layers"]
    title = next(title for title in titles if len(title) <= width or title == titles[-1])
    lines = [Text(look.text(title if there else "normalization layers")[:width], style="bold")]
    if not there:
        told = "no arm has a normalization" if history.started else "they appear with the run"
        lines.append(Text(told[:width], style="dim"))
    chosen = view.layer % len(there) if there else 0
    room = max(1, height - 1)
    start = max(0, min(chosen - room // 2, len(there) - room))
    known = {} if reading is None else reading.arms
    shown = []
    for i in range(start, min(len(there), start + room)):
        layer = statistics_at(known, there[i])
        shown.append((i, gaps(layer) if layer is not None else []))
    scale = around_zero([value for _, gap in shown for value in _worst_of(gap, 40)], least=1.0)
    glyphs = look.of(history.arms)
    several = len({place.arm for place in there}) > 1
    digits = max((len(str(len(gap))) for _, gap in shown), default=1)
    most = max(8, width - 13 - digits - 2 * several)
    names = {}
    for i, _ in shown:
        name, place = look.text(norm_layer(history, there[i].arm, there[i].index)), there[i]
        module = name.partition(look.text(" · "))[2]
        # Where a long name leaves no room, the number does.
        if len(name) > most:
            name = look.text(f"{place.index + 1} · {module}")
        names[i] = name
    cells = min(max(map(len, names.values()), default=0), most)
    for i, gap in shown:
        glyph, colour = glyphs[there[i].arm]
        text = Text((">" if look.ascii_only else "▸") if i == chosen else " ", style="bold" if i == chosen else "")
        if several:
            text.append(f"{glyph} ", style=f"not bold {colour}".strip())
        text.append(f"{names[i][:cells]:<{cells}} ")
        worst, channel = worst_gap(gap)
        if math.isfinite(worst):
            text.append(f"{signed(worst):>7}", style=cell_style(worst, scale, look))
            text.append(f" ch {channel:<{len(str(len(gap) - 1))}} ")
            strip = width - text.cell_len - 1
            if strip >= _STRIP_FROM and look.solid:
                text.append(" ")
                for value in _worst_of(gap, strip):
                    text.append("▀", style=colour_of(value, scale, look))
        else:
            text.append(f"{'no gap known':>12}", style="dim")
        text.truncate(width)
        lines.append(text)
    lines += _terms(height - len(lines), width, look) if there else []
    return Drawing(Text("\n", no_wrap=True, overflow="crop", end="").join(lines[:height]))


def _worst_of(values: Sequence[float], cells: int) -> list[float]:
    """Return as many values as there are cells at most: of each stretch the one that is furthest from 0."""
    count = min(cells, len(values))
    stretches = (values[i * len(values) // count : (i + 1) * len(values) // count] for i in range(count))
    return [
        max((value for value in stretch if math.isfinite(value)), key=abs, default=math.nan) for stretch in stretches
    ]


def _terms(room: int, width: int, look: Look) -> list[Text]:
    """Say what the words of the table mean, as far as there is room."""
    lines: list[str] = []
    for term in TERMS:
        wrapped = textwrap.wrap(look.text(term), max(10, width), subsequent_indent="  ")
        if len(lines) + len(wrapped) + 1 > room:
            break
        lines += wrapped
    return [Text(), *(Text(line[:width], style="dim") for line in lines)] if lines else []
