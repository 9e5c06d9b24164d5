"""The text around the charts: what runs, how far it is, who is ahead, and the BN layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bntui.events import BatchNormRead, LayerStatistics
from bntui.history import History
from bntui.tui.figures import Look

_ASCII_BARS, _BLOCKS = ".:-=+*#%@", "▁▂▃▄▅▆▇█"


def duration(seconds: float) -> str:
    """Write seconds as 1:02 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def header(history: History, look: Look, width: int, rate: float) -> Text:
    """One line: data, device and seed at the left, progress at the right."""
    started = history.started
    if started is None:
        loading = history.loading
        what = "starting" if loading is None else loading.what
        share = f"  {100 * loading.done / loading.total:.0f} %" if loading is not None and loading.total else ""
        return Text(f" bntui  {what}{share}", style="bold", no_wrap=True, overflow="crop")
    dot = "·" if look.marker != "ascii" else "|"
    device = str(started.environment["device"])
    data = started.dataset
    left = Text(" bntui ", style="bold")
    left.append(
        f" {data['name']} {data['train_samples']:,}/{data['validation_samples']:,} {dot} {device} {dot} "
        f"seed {started.config['seed']}",
        style="not bold",
    )
    done = history.step / max(1, started.total_steps)
    epochs = started.config["epochs"]
    epoch = min(epochs, history.step // max(1, started.steps_per_epoch) + 1)
    left_over = started.total_steps - history.step
    eta = f"  eta {duration(left_over / rate)}" if rate and history.status == "running" else ""
    samples = f"{rate * started.config['batch_size']:>9,.0f} samples/s" if rate else ""
    right = Text(f"epoch {epoch}/{epochs}  step {history.step:,} ")
    # What fits: the speed goes first, then the remaining time, then the bar; the name of the data stays.
    for extra in (f"{eta} {samples}", eta, ""):
        cells = min(20, width - len(left) - len(right) - len(extra) - 9)
        if cells >= 0:
            break
    full, rest = ("━", "─") if look.marker != "ascii" else ("=", "-")
    filled = round(done * max(0, cells))
    right.append(full * filled, style=look.colours[0])
    right.append(rest * (max(0, cells) - filled), style="dim")
    right.append(f" {100 * done:3.0f} %{extra} ")
    gap = width - len(left) - len(right)
    if gap < 1:
        left.truncate(max(0, width - len(right) - 1))
        gap = max(1, width - len(left) - len(right))
    return Text.assemble(left, " " * gap, right, no_wrap=True, overflow="crop")


def state(history: History, look: Look, waiting: str, width: int) -> Text:
    """One line: whether it runs, the switches, both arms' validation accuracy, who is ahead; shorter if narrow."""
    frozen = bn_off = False
    for row in history.interventions:
        if row.action == "freeze":
            frozen = bool(row.after)
        elif row.action == "bn":
            bn_off = not row.after
    wide = width >= 105
    text = Text(" ", no_wrap=True, overflow="crop")
    told = waiting or history.status
    text.append(f"{told:<10} ", style="bold" if told != "running" else "")
    if history.started is not None:
        text.append(f"lr {history.lr:<7.4g} " if wide else f"lr {history.lr:.4g} ")
        text.append(f"BN {'off' if bn_off else 'on '} " + " " * wide)
        statistics = "frozen" if frozen else "live  " if wide else "live"
        text.append(f"statistics {statistics}  " if width >= 60 else "frozen " if frozen else "")
    if history.epochs:
        last = history.epochs[-1].validation
        points = 100 * (last.bn.accuracy - last.plain.accuracy)
        labels = ("With BN", "Without") if width >= 70 else ("BN", "w/o")
        for label, metrics, colour in zip(labels, (last.bn, last.plain), look.colours, strict=True):
            text.append(f"{label} ", style=colour)
            text.append(f"{metrics.accuracy:.4f}  " if wide else f"{metrics.accuracy:.4f} ", style="bold")
        if wide:
            text.append(f"BN {'ahead' if points >= 0 else 'behind'} by {abs(points):.1f} points")
    return text


def one_line(history: History) -> str:
    """All there is room for on a tiny terminal."""
    if not history.epochs:
        return f"{history.status} step {history.step:,}"
    last = history.epochs[-1].validation
    return f"{history.status} {history.step:,} bn {last.bn.accuracy:.4f} plain {last.plain.accuracy:.4f}"


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


def layer_panel(history: History, number: int, look: Look, width: int, height: int) -> Text:
    """Draw the chosen BN layer and as many after it as fit: statistics, γ and β, and how far they moved of late."""
    reading = history.batch_norm_now
    if reading is None:
        return Text("BN layers appear after the first steps", style="dim")
    text = Text(no_wrap=True, overflow="crop")
    count = len(reading.layers)
    for offset in range(max(1, min(count, (height + 1) // 9))):
        _append_layer(text, history, reading, (number + offset) % count, look, width)
        text.append("\n")
    return text


def _append_layer(text: Text, history: History, reading: BatchNormRead, index: int, look: Look, width: int) -> None:
    layer = reading.layers[index]
    ascii_only = look.marker == "ascii"
    title = f"BN layer {index + 1} of {len(reading.layers)}, {len(layer.weight)} channels"
    text.append(title.ljust(width - 4)[: width - 4] + "[ ]\n", style="bold")
    cells = max(4, min(len(layer.weight), width - 34))
    rows: list[tuple[str, str, Sequence[float], Sequence[float]]] = [
        ("mean", "running", layer.running_mean, layer.batch_mean),
        ("", "batch", layer.batch_mean, layer.running_mean),
        ("variance", "running", layer.running_var, layer.batch_var),
        ("", "batch", layer.batch_var, layer.running_var),
        ("gamma" if ascii_only else "γ", "", layer.weight, ()),
        ("beta" if ascii_only else "β", "", layer.bias, ()),
    ]
    for name, which, values, other in rows:
        own = [v for v in values if math.isfinite(v)]
        if not own:
            continue
        # Running and batch statistics on one scale, so that they can be compared.
        known = [*own, *(v for v in other if math.isfinite(v))]
        text.append(f"{name:<9}", style="bold")
        text.append(sparkline(values, cells, min(known), max(known), ascii_only).ljust(cells), style=look.colours[0])
        text.append(f" {_short(min(own))} {_short(max(own))}")
        text.append(f" {which}\n", style="dim")
    earlier = [r for r in history.batch_norm[-2:] if r.step < reading.step]
    if earlier:
        old = earlier[-1].layers[index]
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


class ChannelTable(ScrollView):
    """Every channel of a BN layer, a row each; only the rows on the screen are made."""

    COLUMNS = ("channel", "running mean", "batch mean", "running var", "batch var", "weight", "bias", "Δ mean", "Δ var")

    def __init__(self, look: Look) -> None:
        super().__init__(id="channels")
        self._look = look
        self._layer: LayerStatistics | None = None
        self._before: LayerStatistics | None = None
        self._title = "BN layers appear after the first steps"

    def show(self, history: History, number: int) -> None:
        """Show the newest reading of a layer; Δ is against the last epoch before it."""
        reading = history.batch_norm_now
        if reading is None:
            return
        index = number % len(reading.layers)
        self._layer = reading.layers[index]
        earlier = [r for r in history.batch_norm[-2:] if r.step < reading.step]
        self._before = earlier[-1].layers[index] if earlier else None
        self._title = (
            f"BN layer {index + 1} of {len(reading.layers)}, {len(self._layer.weight)} channels, after step "
            f"{reading.step:,}   [ and ] choose the layer; variances unbiased"
        )
        self.virtual_size = Size(sum(self._widths()), len(self._layer.weight) + 2)
        self.refresh()

    def _widths(self) -> list[int]:
        return [8] + [14] * (len(self.COLUMNS) - 1)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the visible part."""
        x, top = self.scroll_offset
        if y == 0:
            text = Text(self._title, style="bold")
        elif y == 1:
            names = zip(self.COLUMNS, self._widths(), strict=True)
            text = Text("".join(name.rjust(width) for name, width in names), style="dim")
        else:
            text = self._row(top + y - 2)
        if self._look.marker == "ascii":
            text.plain = text.plain.replace("Δ", "d")
        strip = Strip(text.render(self.app.console, end=""))
        return strip.crop_extend(x if y else 0, (x if y else 0) + self.size.width, self.rich_style)

    def _row(self, channel: int) -> Text:
        layer, before = self._layer, self._before
        if layer is None or channel >= len(layer.weight):
            return Text("")
        values = [
            layer.running_mean[channel], layer.batch_mean[channel], layer.running_var[channel],
            layer.batch_var[channel], layer.weight[channel], layer.bias[channel],
        ]  # fmt: skip
        if before is not None:
            values += [layer.running_mean[channel] - before.running_mean[channel],
                       layer.running_var[channel] - before.running_var[channel]]  # fmt: skip
        return Text(f"{channel:>8}" + "".join(f"{value:>14.5f}" for value in values))
