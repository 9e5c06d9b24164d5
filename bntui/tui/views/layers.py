"""The normalization layers of all arms: where they are, the numbers of their channels, and which of them are chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bntui.messages.events import Explained, LayerStatistics
from bntui.messages.history import History
from bntui.tui.views.view import View


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


def chosen_place(history: History, view: View) -> Place | None:
    """Return where the chosen layer is; None where there is no layer."""
    there = places(history)
    return there[view.layer % len(there)] if there else None


def statistics_at(arms: dict[str, tuple[LayerStatistics, ...]], place: Place) -> LayerStatistics | None:
    """Return what a reading tells of a layer; None if it tells nothing of it, as after a journal was damaged."""
    layers = arms.get(place.arm, ())
    return layers[place.index] if place.index < len(layers) else None


def gaps(layer: LayerStatistics) -> list[float]:
    """Return the gap of each channel: (batch mean - running mean) ÷ running standard deviation.

    NaN where one of them is not known, and where the running variance is 0.
    """
    rows = zip(layer.batch_mean, layer.running_mean, layer.running_var, strict=True)
    return [(batch - mean) / math.sqrt(var) if var > 0 else math.nan for batch, mean, var in rows]


def worst_gap(gaps: Sequence[float]) -> tuple[float, int]:
    """Return the gap that is furthest from 0, and the first channel that has it; NaN and 0 where none is known."""
    known = [gap for gap in gaps if math.isfinite(gap)]
    worst = max(known, key=abs, default=math.nan)
    return worst, gaps.index(worst) if known else 0


@dataclass(frozen=True, slots=True)
class Drift:
    """How far each running mean has moved."""

    values: Sequence[float]
    """(running mean now - then) ÷ running standard deviation now; NaN where it is not known."""
    since: str
    """Since when, such as `epoch 2`; empty if there was no reading before."""


def drift(history: History, place: Place) -> Drift:
    """Return how far the running means of a layer moved since the last epoch's end, or since the first reading."""
    reading = history.normalization_now
    now = statistics_at(reading.arms, place) if reading is not None else None
    if reading is None or now is None:
        return Drift((), "")
    ended = [row for row in history.normalization[-2:] if row.step < reading.step]
    before = ended[-1:] or [row for row in history.readings[:1] if row.step < reading.step]
    then = statistics_at(before[0].arms, place) if before else None
    if then is not None and len(then.running_mean) == len(now.running_mean):
        rows = zip(now.running_mean, then.running_mean, now.running_var, strict=True)
        moved = [(mean - old) / math.sqrt(var) if var > 0 else math.nan for mean, old, var in rows]
        return Drift(moved, f"epoch {before[0].epoch}" if ended else f"step {before[0].step:,}")
    return Drift([math.nan] * len(now.running_mean), "")


@dataclass(frozen=True, slots=True)
class Channels:
    """The newest numbers of one layer, in the order in which its channels are shown."""

    place: Place
    statistics: LayerStatistics
    step: int
    gaps: Sequence[float]
    drift: Drift
    order: Sequence[int]
    """The channels as they are sorted."""
    sorted_by: str
    """By what, in words."""

    @property
    def tracked(self) -> bool:
        """Whether the layer has running statistics."""
        return any(map(math.isfinite, self.statistics.running_mean))

    @property
    def batch_known(self) -> bool:
        """Whether statistics of a batch are known."""
        return any(map(math.isfinite, self.statistics.batch_mean))


def channels(history: History, view: View) -> Channels | None:
    """Return the channels of the chosen layer; None if nothing was read of it yet."""
    place, reading = chosen_place(history, view), history.normalization_now
    layer = statistics_at(reading.arms, place) if reading is not None and place is not None else None
    if place is None or reading is None or layer is None or not layer.weight:
        return None
    gap, moved = gaps(layer), drift(history, place)
    variance = layer.running_var if any(map(math.isfinite, layer.running_var)) else layer.batch_var
    largest, smallest = ", largest first", ", smallest first"
    keys: dict[str, tuple[str, list[float]]] = {
        "gap": (f"|gap|{largest}", [-abs(value) for value in gap]),
        "variance": (f"σ²{largest}", [-value for value in variance]),
        "γ": (f"|γ|{smallest}", [abs(value) for value in layer.weight]),
        "drift": (f"|drift|{largest}", [-abs(value) for value in moved.values]),
    }
    word, key = keys.get(view.sort, ("channel", []))
    if not any(map(math.isfinite, key)):
        word, key = ("channel" if view.sort == "channel" else f"channel: {view.sort} not known"), []
    order = range(len(layer.weight))
    # What is not known comes last; of equal ones the first channel comes first.
    ranked = sorted(order, key=lambda i: key[i] if key[i] == key[i] else math.inf) if key else order
    return Channels(place, layer, reading.step, gap, moved, ranked, word)


def explained_at(history: History, place: Place | None) -> Explained | None:
    """Return the newest batch of a channel, if it is one of the layer at a place."""
    read, started = history.explained, history.started
    if read is None or place is None or started is None or read.arm != place.arm:
        return None
    names = list(started.layers[place.arm])
    return read if read.layer == names[place.index] else None


def chosen_channel(history: History, view: View, read: Channels | None = None) -> int | None:
    """Return the channel that is chosen; None where no channel is known.

    While a person has chosen none it is the one whose batch was read, which stays the same while the order changes,
    or else the first one of the order.

    Parameters
    ----------
    history, view
        What is shown, and how.
    read
        What `channels` returned, if it was called already.
    """
    read = channels(history, view) if read is None else read
    if read is None:
        return None
    count = len(read.order)
    if view.unit is not None:
        return view.unit % count
    batch = explained_at(history, read.place)
    return batch.channel if batch is not None and 0 <= batch.channel < count else read.order[0]


def next_channel(history: History, view: View, by: int) -> int | None:
    """Return the channel that is so many rows below the chosen one, or above it; at most the last, or the first one.

    None where no channel is known.
    """
    read = channels(history, view)
    chosen = chosen_channel(history, view, read)
    if read is None or chosen is None:
        return None
    order = list(read.order)
    return order[max(0, min(len(order) - 1, order.index(chosen) + by))]
