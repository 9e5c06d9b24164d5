from __future__ import annotations

import math
from dataclasses import replace

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.theme import Look
from bntui.tui.views.figures import View
from bntui.tui.views.mechanism import MECHANISM_TITLES, mechanism_figure, mechanism_summary
from scripted_app import run_events, started


def probes(step: int, gap: bool) -> e.Probes:
    shifts = tuple(e.LayerShift(f"linear{i}", float(10 * i + step), 1 / i) for i in (1, 2, 3))
    metrics = [e.Metrics(loss, accuracy) for loss, accuracy in ((0.1, 0.9), (0.4, 0.6), (0.2, 0.8))]
    return e.Probes(shifts, e.Landscape(0.5, 0.75 + step, 3.25, 7.0), e.Gap(*metrics) if gap else None)


def history(gap: bool = True, kept: tuple[int, ...] = (), live: tuple[int, ...] = ()) -> History:
    made = History()
    made.apply(replace(started(), steps_per_epoch=50, total_steps=200))
    for step in sorted((*kept, *live)):
        made.apply(e.Stepped(step, 1, {"batch": (1.0,), "none": (1.0,)}, float(step)))
        read = {"batch": probes(step, gap), "none": probes(2 * step, False)}
        made.apply(e.Probed(1, step, read, {"gap": 1.25}, step in live))
    return made


def test_covariate_shift_is_that_of_the_chosen_layer_over_time() -> None:
    chart = mechanism_figure("covariate-shift", history(kept=(1, 2)), View(layer=2), Look())
    assert "layer 2" in chart.title and chart.log_y
    assert [list(line.y) for line in chart.lines] == [[21.0, 22.0], [22.0, 24.0]]
    assert [line.label for line in chart.lines] == ["With BN", "Without BN"]


def test_the_loss_has_its_lowest_and_its_highest_for_each_arm() -> None:
    chart = mechanism_figure("loss-range", history(live=(1,)), View(), Look())
    assert [list(line.y) for line in chart.lines] == [[0.5], [1.75], [0.5], [2.75]]
    assert [line.label for line in chart.lines] == ["", "With BN", "", "Without BN"]
    assert list(mechanism_figure("smoothness", history(live=(1,)), View(), Look()).lines[1].y) == [7.0]


def test_the_gap_is_one_of_statistics_and_only_of_an_arm_that_has_some() -> None:
    chart = mechanism_figure("gap", history(live=(1, 3)), View(), Look())
    assert [(line.label, list(line.y)) for line in chart.lines] == [
        ("batch", [0.1, 0.1]), ("running", [0.4, 0.4]), ("re-estimated", [0.2, 0.2])
    ]  # fmt: skip
    without = mechanism_figure("gap", history(gap=False, live=(1,)), View(), Look())
    assert without.lines == () and without.empty == "no arm has batch norm"


def test_newest_readings_follow_those_that_are_kept() -> None:
    made = history(kept=(5, 10), live=(12,))
    chart = mechanism_figure("smoothness", made, View(), Look())
    assert list(chart.lines[0].x) == [5.0, 10.0, 12.0]
    assert [probed.step for probed in made.probes] == [5, 10]


def test_before_the_first_reading_every_chart_says_what_it_waits_for() -> None:
    for name in MECHANISM_TITLES:
        chart = mechanism_figure(name, History(), View(), Look())
        assert chart.empty == "appears once training has begun"
        assert not any(math.isfinite(value) for line in chart.lines for value in line.y)
    assert mechanism_summary(History(), Look(), 80).plain == ""


def test_the_summary_tells_cosines_accuracies_and_the_cost() -> None:
    lines = mechanism_summary(history(live=(1,)), Look(), 160).plain.splitlines()
    assert "by layer: 1.00 0.50 0.33" in lines[0] and "batch 0.900  running 0.600  re-estimated 0.800" in lines[0]
    assert lines[1].startswith("■ Without BN") and "accuracy" not in lines[1]
    assert lines[2] == "the last reading took: gap 1.2 ms"


def test_of_many_arms_the_first_gap_is_drawn_and_named_and_all_are_told() -> None:
    made = History()
    for event in run_events(norms=("batch", "batch", "layer", "none")):
        made.apply(event)
    read = made.probes_recent[-1]
    made.apply(replace(read, step=301, arms={**read.arms, "batch-2": probes(1, True)}))
    chart = mechanism_figure("gap", made, View(), Look())
    assert chart.title.endswith(": Batch norm (1)") and len(chart.lines) == 3
    assert [line.short for line in mechanism_figure("smoothness", made, View(), Look()).lines] == [
        "BN-1", "BN-2", "LN", "none",
    ]  # fmt: skip
    wide, narrow = (mechanism_summary(made, Look(), width).plain.split("\n") for width in (160, 80))
    assert [line[:2] for line in wide[:4]] == ["● ", "■ ", "▲ ", "◆ "]
    # Where there is no room for more than the gap, arms without one are left out.
    assert [line[:16] for line in narrow[:-1]] == ["● Batch norm (1)", "■ Batch norm (2)"]
    assert all(len(line) <= 160 for line in wide) and all(len(line) <= 80 for line in narrow)
