"""What the why view shows: internal covariate shift, the loss along the gradient, the train/eval gap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from bntui.lab.glossary import MEANINGS, RAW_GRADIENT, UNDISTURBED
from bntui.messages.arms import Arm
from bntui.messages.events import Finished, Gap, Paused, Probed, Probes, Restarted, Resumed, Started
from bntui.messages.history import History
from bntui.tui.plot.chart import Chart, Line
from bntui.tui.plot.drawing import Drawing
from bntui.tui.theme import Look
from bntui.tui.views.annotated import Annotated, Row, Table, three_digits
from bntui.tui.views.flow import awaited, merged
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import StepAxis, View
from bntui.tui.views.words import weight_layer

PANELS = tuple(MEANINGS)
STATISTICS = {"batch": ("b", "batch"), "running": ("r", "running"), "precise": ("e", "re-estimated")}
"""By which the gap's batch is normalized: the sign of the curve and its name, by the field of `Gap`."""
GREYS = {"dark": ("#d0d0d0", "#8a8a8a"), "light": ("#3a3a3a", "#767676")}
"""Colours of the second and the third of these curves; the first has that of its arm."""
MOST_BANDS = 3
"""Arms of which the lowest and the highest loss are drawn; of more only the highest."""
MOST_LAYERS = 12
"""Layers that are told in a table."""
MOST_POINTS = 40
"""Readings that are joined by a line; of more the line joins the medians of neighbours, half as many at most."""
TELLING = (Probed, Started, Paused, Resumed, Restarted, Finished)


class _Reads:
    """The readings, the one that is told in numbers, and where they lie on the x axis."""

    def __init__(self, history: History, view: View, look: Look) -> None:
        self.history, self.view, self.look = history, view, look
        self.all = merged(history.probes, history.probes_recent)
        axis = StepAxis(history, view.x_axis)
        self.x = [axis.at(read.step) for read in self.all]
        self.cursor = None if view.cursor is None else axis.at(view.cursor)
        self.told: Probed | None = self.all[-1] if self.all else None
        self.title = f"step {self.told.step:,}" if self.told else "no reading yet"
        if self.told is not None and view.cursor is not None:
            step = view.cursor
            self.told = min(self.all, key=lambda read: abs(read.step - step))
            self.title = f"step {self.told.step:,} (at the cursor)"
        self.together = 1
        """How many readings each point of a line stands for."""
        while len(self.all) > MOST_POINTS // 2 * self.together and len(self.all) > MOST_POINTS:
            self.together *= 2
        self.range = None
        if view.recent and history.recent:
            self.range = (axis.at(history.recent[0][0]), axis.at(history.recent[-1][0]))

    def lines(self, of: Callable[[Probes], float], *, named: bool = True, dots: bool = True) -> list[Line]:
        """Return a line for each arm, and where there are many readings dots."""
        lines = []
        for arm, (glyph, colour) in self.look.of(self.history.arms).items():
            y = [of(probes) if (probes := read.arms.get(arm)) else math.nan for read in self.all]
            name = self.history.labels[arm] if named else ""
            lines += self.drawn(y, colour, name, glyph)[0 if dots else -1 :]
        return lines

    def drawn(self, y: Sequence[float], colour: str, name: str, glyph: str, *, points: bool = False) -> list[Line]:
        """Return a line through the readings, or of many of them the dots, and a line through their medians."""
        if self.together == 1:
            return [Line(self.x, y, colour, self.look.marker, name, points=points, glyph=glyph)]
        groups = range(0, len(y), self.together)
        x = [self.x[min(i + self.together // 2, len(y) - 1)] for i in groups]
        medians = [_median(y[i : i + self.together]) for i in groups]
        return [
            Line(self.x, y, colour, self.look.marker, faint=True),
            Line(x, medians, colour, self.look.marker, name, points=points, glyph=glyph),
        ]

    def chart(self, title: str, lines: Sequence[Line], *, log_y: bool, empty: str = "") -> Chart:
        """Return a chart over the steps."""
        empty = empty or awaited(self.history, self.view.replay)
        return Chart(title, tuple(lines), self.view.x_axis, cursor=self.cursor, log_y=log_y, x_range=self.range,
                     empty=empty)  # fmt: skip

    def table(self, columns: Sequence[str], needed: int, of: Callable[[Probes], Sequence[float]]) -> Table:
        """Return a row of numbers for each arm."""
        rows = []
        for arm, (glyph, colour) in self.look.of(self.history.arms).items():
            probes = self.told.arms.get(arm) if self.told else None
            values = of(probes) if probes else [math.nan] * len(columns)
            rows.append(Row(f"{glyph} {self.history.labels[arm]}", glyph, values, colour))
        return Table(self.title, columns, rows, needed)

    def brief(self, name: str, of: Callable[[Probes], float]) -> str:
        """Write a number for each arm in a line."""
        if self.told is None:
            return ""
        probes = self.told.arms
        signs = ((glyph, probes.get(arm)) for arm, (glyph, _) in self.look.of(self.history.arms).items())
        told = "  ".join(f"{glyph} {three_digits(of(one)) if one else '-'}" for glyph, one in signs)
        return f"{name} {told}, {self.title}"

    def note(self, probe: str, how: str) -> str:
        """Say which batch was read, how, and what that took."""
        if self.told is None:
            return ""
        took = self.told.milliseconds.get(probe)
        cost = "" if took is None else f"; the reading took {took:.1f} ms"
        dots = f" A dot is a reading, the line the median of {self.together}." if self.together > 1 else ""
        return f"The training batch of step {self.told.step:,}, {how}{cost}.{dots}"


def _median(values: Sequence[float]) -> float:
    finite = sorted(value for value in values if math.isfinite(value))
    return finite[len(finite) // 2] if finite else math.nan


def shifted(history: History) -> int:
    """Return how many layers there are of which an internal covariate shift can be read, as far as is known."""
    if not history.probes_recent:
        return 0
    return max((len(of.covariate_shift) for of in history.probes_recent[-1].arms.values()), default=1) - 1


def compared(history: History) -> list[Arm]:
    """Return the arms of which a train/eval gap was read."""
    reads = merged(history.probes, history.probes_recent)
    return [arm for arm in history.arms if any(one.gap for read in reads if (one := read.arms.get(arm.name)))]


def chosen_gap(history: History, view: View) -> Arm | None:
    """Return the arm of which the train/eval gap is shown: the chosen units count them."""
    arms = compared(history)
    return arms[0 if view.unit is None else (view.unit + 1) % len(arms)] if arms else None


def covariate_shift(history: History, view: View, look: Look) -> Annotated:
    """Return the panel of the internal covariate shift of the chosen layer."""
    reads = _Reads(history, view, look)
    # The first layer has none below it that could shift anything.
    layer = 1 + view.layer % max(1, shifted(history))
    chart = reads.chart("", reads.lines(lambda probes: _shift(probes, layer)[0]), log_y=True)
    several = shifted(history) > 1
    tables = [reads.table(("|G − G'|", "angle, deg"), 1, lambda probes: _shift(probes, layer))]
    if 1 < shifted(history) < MOST_LAYERS and len(history.arms) <= MOST_BANDS and reads.told is not None:
        tables.append(_by_layer(reads))
    meaning, name = MEANINGS["internal-covariate-shift"], weight_layer(layer)
    return Annotated(
        f"internal covariate shift |G − G'|, {name}", f"internal covariate shift, {name}",
        "[ ] layer" if several else "", (chart,), tables,
        reads.brief("angle, deg", lambda probes: _shift(probes, layer)[1]), (meaning.sentence, meaning.look),
        reads.note("covariate-shift", f"{UNDISTURBED}. G is the gradient by the weights of {name}, G' that after the "
                                      "update below; the angle is between them"),
    )  # fmt: skip


def _shift(probes: Probes, layer: int) -> tuple[float, float]:
    """Return the length of G - G' of a layer, and the angle between them in degrees."""
    if layer >= len(probes.covariate_shift):
        return math.nan, math.nan
    shift = probes.covariate_shift[layer]
    inside = abs(shift.cosine) <= 1
    return shift.difference, math.degrees(math.acos(shift.cosine)) if inside else math.nan


def _by_layer(reads: _Reads) -> Table:
    """Return the shift of every layer of every arm, a column an arm."""
    arms = reads.look.of(reads.history.arms)
    assert reads.told is not None
    probes = reads.told.arms
    rows = []
    for layer in range(1, 1 + shifted(reads.history)):
        values = [_shift(probes[arm], layer)[0] if arm in probes else math.nan for arm in arms]
        rows.append(Row(weight_layer(layer), f"{layer + 1}", values))
    return Table("|G − G'| by layer", [glyph for glyph, _ in arms.values()], rows)


def loss_landscape(history: History, view: View, look: Look) -> Annotated:
    """Return the panel of the range of the loss along the gradient, and of the effective smoothness."""
    reads = _Reads(history, view, look)
    bands = len(history.arms) <= MOST_BANDS
    lines = reads.lines(_of_landscape("highest"), dots=False)
    if bands:
        lines = [*reads.lines(_of_landscape("lowest"), named=False, dots=False), *lines]
    smoothness = reads.lines(_of_landscape("smoothness"), named=False)
    charts = (
        reads.chart("", lines, log_y=view.log_y),
        reads.chart("effective β along the gradient, log", smoothness, log_y=True),
    )
    fields = {"lowest": "lowest", "highest": "highest", "β": "smoothness", "gradient by": "gradient_change"}
    of = [_of_landscape(field) for field in fields.values()]
    table = reads.table(tuple(fields), 3, lambda probes: [one(probes) for one in of])
    meaning, other = MEANINGS["loss-landscape"], _other_step(history)
    clause = (RAW_GRADIENT.format(optimizer=other),) if other else ()
    drawn = "lowest and highest" if bands else "highest"
    return Annotated(
        f"loss along the gradient: {drawn}, nats", f"loss along the gradient, {drawn}"[:39], "", charts, (table,),
        reads.brief("β", _of_landscape("smoothness")), (meaning.sentence, *clause, meaning.look),
        reads.note("landscape", UNDISTURBED),
    )  # fmt: skip


def _of_landscape(field: str) -> Callable[[Probes], float]:
    return lambda probes: math.nan if probes.landscape is None else getattr(probes.landscape, field)


def _other_step(history: History) -> str:
    """Return what trains, if its step is not the one along the raw gradient."""
    optimizer = str(history.started.config.get("optimizer", "adam")) if history.started else "sgd"
    name, _, momentum = optimizer.partition(":")
    if name == "sgd":
        return "SGD with momentum" if momentum and momentum.strip("0.") else ""
    return name.capitalize()


def train_eval_gap(history: History, view: View, look: Look) -> Annotated:
    """Return the panel of the loss of a batch by three kinds of statistics."""
    reads = _Reads(history, view, look)
    arms, arm = compared(history), chosen_gap(history, view)
    lines: list[Line] = []
    empty = "no arm has batch norm" if reads.all else ""
    if arm is not None:
        colour = look.of(history.arms)[arm.name][1]
        colours = (colour, *GREYS[look.theme]) if colour else ("", "", "")
        for (kind, (sign, label)), own in zip(STATISTICS.items(), colours, strict=True):
            y = [_metric(read.arms.get(arm.name), kind, "loss") for read in reads.all]
            lines += reads.drawn(y, own, label, sign, points=True)
    meaning = MEANINGS["train-eval-gap"]
    of = "" if arm is None else f" of {arm.label}"
    return Annotated(
        f"train/eval gap{of}: loss of one batch, nats", f"train/eval gap{of}, loss",
        "{ } arm" if len(arms) > 1 else "", (reads.chart("", lines, log_y=view.log_y, empty=empty),),
        (_gap_table(reads, arms),), _gap_line(reads, arm), (meaning.sentence, meaning.look),
        reads.note("gap", "after the update, in eval mode"),
    )  # fmt: skip


def _gap_table(reads: _Reads, arms: Sequence[Arm]) -> Table:
    """Return two rows for each arm that has batch norm: its losses and its accuracies."""
    rows = []
    for arm in arms:
        glyph, colour = reads.look.of(reads.history.arms)[arm.name]
        probes = reads.told.arms.get(arm.name) if reads.told else None
        for metric, name in (("loss", arm.label), ("accuracy", "")):
            values = [_metric(probes, kind, metric) for kind in STATISTICS]
            names = (f"{glyph} {name} loss", f"{glyph} loss") if name else ("  accuracy",) * 2
            rows.append(Row(*names, values, colour))
    return Table(reads.title, [f"{sign} {label}" for sign, label in STATISTICS.values()], rows)


def _gap_line(reads: _Reads, arm: Arm | None) -> str:
    if reads.told is None or arm is None:
        return ""
    values = (three_digits(_metric(reads.told.arms.get(arm.name), kind, "accuracy")) for kind in STATISTICS)
    told = "  ".join(f"{sign} {value}" for (sign, _), value in zip(STATISTICS.values(), values, strict=True))
    return f"accuracy {told}, {reads.title}"


def _metric(probes: Probes | None, kind: str, metric: str) -> float:
    gap: Gap | None = probes.gap if probes else None
    return math.nan if gap is None else getattr(getattr(gap, kind), metric)


_PANELS = dict(zip(PANELS, (covariate_shift, loss_landscape, train_eval_gap), strict=True))


def why_panel(name: str, history: History, view: View, look: Look, width: int, height: int) -> Drawing:
    """Draw one of `PANELS`."""
    panel = _PANELS[name](history, view, look)
    if not history.probes_recent:
        # Nothing but dashes would stand there.
        panel = replace(panel, tables=(), told="", note="")
    return panel.draw(look, width, height)


WHY = {"why-grid": [PanelKind(name, partial(why_panel, name), TELLING) for name in PANELS]}
