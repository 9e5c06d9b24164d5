from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.theme import Look
from bntui.tui.views.figures import View
from bntui.tui.views.flows import FLOW_TITLES, flow_figure, flow_summary
from bntui.tui.views.mechanism import MECHANISM_TITLES, mechanism_figure
from scripted_app import ZOO, started


def flow(step: int, scale: float) -> tuple[e.LayerFlow, ...]:
    """Three layers, each with a gradient `scale` times that of the layer after it."""
    shares = ((float(-step), 0.0, float(step)), (1.0, 2.0, 3.0), ())
    return tuple(
        e.LayerFlow(f"linear{i + 1}", scale ** (2 - i), 2 * scale ** (2 - i), shares[i], math.nan if i == 2 else 0.25)
        for i in range(3)
    )


SCALES = (0.5, 1e-4, 1.0, 0.2, 2.0, 1e4)
"""By how much gradients grow from layer to layer towards the input, in each arm."""


def history(*live: bool, norms: Sequence[str] = ("batch", "none")) -> History:
    made = History()
    made.apply(replace(started(norms), steps_per_epoch=50, total_steps=200))
    for number, is_live in enumerate(live, 1):
        step = 25 * number
        made.apply(e.Stepped(step, 1, {arm.name: (1.0,) * 25 for arm in made.arms}, float(number)))
        read = {arm.name: flow(step, scale) for arm, scale in zip(made.arms, SCALES, strict=False)}
        made.apply(e.FlowRead((step + 49) // 50, step, read, is_live))
    return made


def test_gradients_by_layer_are_those_of_the_newest_reading() -> None:
    chart = flow_figure("weight-gradient", history(True, False), View(), Look())
    assert [line.label for line in chart.lines] == ["With BN", "Without BN"]
    assert list(chart.lines[0].x) == [1, 2, 3]
    assert list(chart.lines[1].y) == [1e-8, 1e-4, 1.0]
    assert chart.log_y and chart.x_label == "layer"
    assert list(flow_figure("input-gradient", history(False), View(), Look()).lines[0].y) == [0.5, 1.0, 2.0]


def test_the_ratio_and_the_percentiles_go_over_time() -> None:
    made = history(True, False, True)
    chart = flow_figure("gradient-ratio", made, View(), Look())
    assert (list(chart.lines[0].x), list(chart.lines[0].y)) == ([25, 50, 75], [0.25] * 3)
    chart = flow_figure("activations", made, View(x_axis="epoch", cursor=50), Look())
    assert [line.label for line in chart.lines] == ["", "With BN", "", "", "Without BN", ""]
    assert list(chart.lines[0].y) == [-25, -50, -75]
    assert list(chart.lines[2].x) == [0.5, 1.0, 1.5]
    assert chart.cursor == 1.0
    # The last layer has no activation: of three layers there are two to choose from.
    chosen = [flow_figure("activations", made, View(layer=n), Look()).title for n in (0, 1, 2, -1)]
    assert chosen == [FLOW_TITLES["activations"].format(n, "15-50-85") for n in (1, 2, 1, 2)]


def test_the_summary_says_what_vanishes() -> None:
    bn, plain, cost = flow_summary(history(False), Look(), 160).plain.strip().split("\n")
    assert cost.startswith("the last reading took 0.0 ms")
    assert "0.2500" in bn and "vanishing" not in bn and "25 25" in bn
    assert "1.0e-8" in plain and "vanishing" in plain


def test_of_many_arms_only_the_middle_percentile_is_drawn() -> None:
    made = history(False, norms=ZOO)
    chart = flow_figure("activations", made, View(), Look())
    assert "1, 50 %" in chart.title
    assert [line.short for line in chart.lines] == ["BN", "GN8", "LN", "IN", "BRN", "none"]
    assert [line.label for line in flow_figure("gradient-ratio", made, View(), Look()).lines] == [
        "Batch norm", "Group norm 8", "Layer norm", "Instance norm", "Batch renorm", "No norm",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_summary_has_every_arm_and_room_for_all(width: int) -> None:
    lines = flow_summary(history(False, norms=ZOO), Look(), width).plain.split("\n")
    assert len(lines) == (4 if width < 100 else 7) and all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for glyph, ratio in zip("●■▲◆▼★", ("0.2500", "1.0e-8", "1.0000", "0.0400", "4.0000", "1.00e8"), strict=True):
        assert re.search(rf"{glyph} [^●■▲◆▼★\n]*{ratio}", text), glyph
    assert (text.count("vanishing"), text.count("exploding")) == (1, 1)


def test_before_the_first_reading_there_is_nothing_to_draw() -> None:
    for name in FLOW_TITLES:
        chart = flow_figure(name, History(), View(layer=3, cursor=2), Look())
        assert all(len(line.x) == 0 for line in chart.lines)
    assert flow_summary(History(), Look(), 80).plain == ""


@pytest.mark.parametrize(
    ("status", "replay", "said"),
    [
        ("loading", False, "appears once training has begun"),
        ("running", False, "appears within a second of training"),
        ("paused", False, "press s for a step, or space to go on"),
        ("completed", False, "read only while a run is watched live"),
        ("failed", False, "read only while a run is watched live"),
        ("paused", True, "read only while a run is watched live"),
    ],
)
def test_an_empty_chart_says_what_it_waits_for(status: str, replay: bool, said: str) -> None:
    made = History(status=status)
    if status != "loading":
        made.started = started()
    for name in FLOW_TITLES:
        assert flow_figure(name, made, View(replay=replay), Look()).empty == said
    for name in MECHANISM_TITLES:
        assert mechanism_figure(name, made, View(replay=replay), Look()).empty == said


def test_a_single_layer_has_no_activation_to_show() -> None:
    made = history()
    alone = (e.LayerFlow("linear1", 1.0, 1.0, (), math.nan),)
    made.apply(e.FlowRead(1, 10, {"batch": alone, "none": alone}))
    assert flow_figure("gradient-ratio", made, View(), Look()).lines[0].y == [1.0]


def test_percentiles_of_one_unit_are_shown_as_far_as_it_was_read() -> None:
    made = history()
    for step, unit in ((10, 3), (20, 5), (30, 5)):
        flows = tuple(
            e.LayerFlow(f"linear{i}", 1.0, 1.0, (0.0, 1.0, 2.0), 0.0, (float(step), unit + 0.5, 99.0)) for i in (1, 2)
        )
        made.apply(e.FlowRead(1, step, {"batch": flows, "none": flows}, True, unit))
    chart = flow_figure("activations", made, View(unit=5), Look())
    assert "unit 5" in chart.title
    lowest, median, _ = (list(line.y) for line in chart.lines[:3])
    assert math.isnan(lowest[0]) and lowest[1:] == [20.0, 30.0]
    assert median[1:] == [5.5, 5.5]
    assert list(flow_figure("activations", made, View(), Look()).lines[1].y) == [1.0, 1.0, 1.0]
