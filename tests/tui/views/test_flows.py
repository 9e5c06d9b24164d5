from __future__ import annotations

import math

import pytest

from bntui.run import events as e
from bntui.run.history import History
from bntui.tui.theme import Look
from bntui.tui.views.figures import View
from bntui.tui.views.flows import FLOW_TITLES, flow_figure, flow_summary
from bntui.tui.views.mechanism import MECHANISM_TITLES, mechanism_figure


def flow(step: int, scale: float) -> tuple[e.LayerFlow, ...]:
    """Three layers, each with a gradient `scale` times that of the layer after it."""
    shares = ((float(-step), 0.0, float(step)), (1.0, 2.0, 3.0), ())
    return tuple(
        e.LayerFlow(f"linear{i + 1}", scale ** (2 - i), 2 * scale ** (2 - i), shares[i], math.nan if i == 2 else 0.25)
        for i in range(3)
    )


def history(*live: bool) -> History:
    made = History()
    made.apply(e.Started("2026-01-01T00:00:00+00:00", {"lr": 0.01, "batch_size": 32}, {}, {}, {}, 50, 200))
    for number, is_live in enumerate(live, 1):
        step = 25 * number
        made.apply(e.Stepped(step, 1, (1.0,) * 25, (1.0,) * 25, float(number)))
        made.apply(e.FlowRead((step + 49) // 50, step, flow(step, 0.5), flow(step, 1e-4), is_live))
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
    assert chosen == [FLOW_TITLES["activations"].format(n) for n in (1, 2, 1, 2)]


def test_the_summary_says_what_vanishes() -> None:
    bn, plain, cost = flow_summary(history(False), Look(), 160).plain.strip().split("\n")
    assert cost.startswith("the last reading took 0.0 ms")
    assert "0.2500" in bn and "vanishing" not in bn and "25 25" in bn
    assert "1.0e-8" in plain and "vanishing" in plain


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
        made.started = e.Started("", {}, {}, {}, {}, 100, 500)
    for name in FLOW_TITLES:
        assert flow_figure(name, made, View(replay=replay), Look()).empty == said
    for name in MECHANISM_TITLES:
        assert mechanism_figure(name, made, View(replay=replay), Look()).empty == said


def test_a_single_layer_has_no_activation_to_show() -> None:
    made = History()
    alone = (e.LayerFlow("linear1", 1.0, 1.0, (), math.nan),)
    made.apply(e.FlowRead(1, 10, alone, alone))
    assert flow_figure("gradient-ratio", made, View(), Look()).lines[0].y == [1.0]


def test_percentiles_of_one_unit_are_shown_as_far_as_it_was_read() -> None:
    made = history()
    for step, unit in ((10, 3), (20, 5), (30, 5)):
        flows = tuple(
            e.LayerFlow(f"linear{i}", 1.0, 1.0, (0.0, 1.0, 2.0), 0.0, (float(step), unit + 0.5, 99.0)) for i in (1, 2)
        )
        made.apply(e.FlowRead(1, step, flows, flows, True, unit))
    chart = flow_figure("activations", made, View(unit=5), Look())
    assert "unit 5" in chart.title
    lowest, median, _ = (list(line.y) for line in chart.lines[:3])
    assert math.isnan(lowest[0]) and lowest[1:] == [20.0, 30.0]
    assert median[1:] == [5.5, 5.5]
    assert list(flow_figure("activations", made, View(), Look()).lines[1].y) == [1.0, 1.0, 1.0]
