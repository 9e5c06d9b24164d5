"""The normalization layers of all arms: a panel of all channels as bars, and a table of one layer with every number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from bntui.messages.events import Explained, Finished, LayerStatistics, NormalizationRead, Started
from bntui.messages.history import History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import View
from bntui.tui.views.words import layer_word, norm_word

_ASCII_BARS, _BLOCKS = ".:-=+*#%@", "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int, low: float, high: float, ascii_only: bool) -> str:
    """Draw values as bars; where there are more than fit, the largest of each stretch."""
    bars = _ASCII_BARS if ascii_only else _BLOCKS
    count = len(values)
    cells = min(width, count)
    drawn = []
    for i in range(cells):
        stretch = [v for v in values[i * count // cells : (i + 1) * count // cells] if math.isfinite(v)]
        if not stretch:
            drawn.append(" ")
            continue
        share = (max(stretch) - low) / (high - low) if high > low else 0.5
        drawn.append(bars[min(len(bars) - 1, max(0, int(share * len(bars))))])
    return "".join(drawn)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer is: of which arm, and which of its layers, counted from 0."""

    arm: str
    index: int
    count: int
    """How many layers of its kind the arm has."""


def places(history: History) -> list[Place]:
    """Return where the normalization layers are, arm by arm: the order in which they are counted."""
    layers = history.started.layers if history.started is not None else {}
    return [Place(arm, i, len(of)) for arm, of in layers.items() for i in range(len(of))]


def place_word(history: History, place: Place) -> str:
    """Return which layer is at a place, such as `BN layer 1 of 2`."""
    return f"{layer_word(history, place.arm)} layer {place.index + 1} of {place.count}"


def layer_panel(history: History, number: int, look: Look, width: int, height: int) -> Text:
    """Draw the chosen layer and as many after it as fit: statistics, γ and β, and how far they moved of late."""
    reading, there = history.normalization_now, places(history)
    if reading is None or not there:
        return Text(_awaited(history), style="dim")
    text = Text(no_wrap=True, overflow="crop")
    for offset in range(len(there)):
        block = Text()
        _append_layer(block, history, reading, there[(number + offset) % len(there)], look, width)
        if offset and text.plain.count("\n") + block.plain.count("\n") > height:
            break
        text.append_text(block).append("\n")
    return text


def _title_style(history: History, place: Place, look: Look) -> str:
    """Return the style of a layer's name: in the colour of the arm, where there is more than one to choose from."""
    several = history.started is not None and len(history.started.layers) > 1
    return f"bold {look.of(history.arms)[place.arm][1]}".strip() if several else "bold"


def _awaited(history: History) -> str:
    if history.started is None:
        return "the layers appear after the first steps"
    if not any(arm.normalized for arm in history.arms):
        return "no arm has a normalization"
    return f"{norm_word(history)} layers appear after the first steps"


def _at(reading: NormalizationRead, place: Place) -> LayerStatistics:
    return reading.arms[place.arm][place.index]


def _append_layer(
    text: Text, history: History, reading: NormalizationRead, place: Place, look: Look, width: int
) -> None:
    layer, colour = _at(reading, place), look.of(history.arms)[place.arm][1]
    ascii_only = look.ascii_only
    title = f"{place_word(history, place)}, {len(layer.weight)} channels"
    text.append(title.ljust(width - 4)[: width - 4] + "[ ]\n", style=_title_style(history, place, look))
    cells = max(4, min(len(layer.weight), width - 34))
    rows: list[tuple[str, str, Sequence[float], Sequence[float]]] = [
        ("mean", "running", layer.running_mean, layer.batch_mean),
        ("mean", "batch", layer.batch_mean, layer.running_mean),
        ("variance", "running", layer.running_var, layer.batch_var),
        ("variance", "batch", layer.batch_var, layer.running_var),
        (look.text("γ"), "", layer.weight, ()),
        (look.text("β"), "", layer.bias, ()),
    ]
    before = ""
    for name, which, values, other in rows:
        own = [v for v in values if math.isfinite(v)]
        if not own:
            continue
        # Running and batch statistics on one scale, so that they can be compared.
        known = [*own, *(v for v in other if math.isfinite(v))]
        text.append(f"{name if name != before else '':<9}", style="bold")
        before = name
        text.append(sparkline(values, cells, min(known), max(known), ascii_only).ljust(cells), style=colour)
        text.append(f" {_short(min(own))} {_short(max(own))}")
        text.append(f" {which}\n", style="dim")
    earlier = [r for r in history.normalization[-2:] if r.step < reading.step]
    if earlier and math.isfinite(sum(layer.running_mean)):
        old = _at(earlier[-1], place)
        moved = [
            _distance(layer.running_mean, old.running_mean),
            _distance(layer.running_var, old.running_var),
        ]
        text.append(
            f"moved since epoch {earlier[-1].epoch}: mean {moved[0]:.3g}, variance {moved[1]:.3g}\n", style="dim"
        )


def _short(value: float) -> str:
    """Write a number in seven cells."""
    return f"{value:>7.2f}" if abs(value) < 1000 else f"{value:>7.0f}" if abs(value) < 1e6 else f"{value:>7.1e}"


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Root mean square of the differences."""
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / max(1, len(a)))


def draw_channels(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw the table of the chosen layer's channels."""
    return Drawing(layer_panel(history, view.layer, look, width, height))


def draw_channel(history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw the chosen channel's distributions and history."""
    return Drawing(Text("the chosen channel"))


LAYERS = {
    "layers-group": [
        PanelKind("channels", draw_channels, (NormalizationRead, Started, Finished)),
        PanelKind("channel", draw_channel, (NormalizationRead, Explained, Started, Finished)),
    ]
}
