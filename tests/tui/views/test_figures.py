from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bntui.config.interventions import INTERVENTIONS, Intervention
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.plot.curves import smooth
from bntui.tui.theme import Look
from bntui.tui.views.figures import TITLES, StepAxis, View, figure
from scripted_app import ZOO, started


def history(norms: Sequence[str] = ("batch", "none")) -> History:
    made = History()
    made.apply(replace(started(norms), steps_per_epoch=50, total_steps=200))
    for last in (50, 100):
        losses = tuple(1.0 + (step % 7) / 10 for step in range(last - 49, last + 1))
        by_arm = {arm.name: tuple(v + i for v in losses) for i, arm in enumerate(made.arms)}
        made.apply(e.Stepped(last, 1, by_arm, last / 10))
        read = {arm.name: e.Metrics(0.5 + i / 10, 0.8 - i / 10) for i, arm in enumerate(made.arms)}
        made.apply(e.EpochEnded(last // 50, last, 0.01, 5.0, 0.1, read, read))
    made.apply(e.Intervened(60, 2, "bn", True, False))
    made.apply(e.Intervened(70, 2, "export", None, None))
    return made


@pytest.mark.parametrize("name", TITLES)
def test_every_chart_has_both_arms_and_the_interventions(name: str) -> None:
    chart = figure(name, history(), View(smoothing=0), Look())
    assert [line.label for line in chart.lines] == ["With BN", "Without BN"]
    assert chart.verticals == ((60.0, "b"),)
    assert chart.lines[0].colour != chart.lines[1].colour
    if name == "validation-accuracy":
        assert (list(chart.lines[0].x), list(chart.lines[0].y)) == ([50, 100], [0.8, 0.8])


@pytest.mark.parametrize("name", TITLES)
def test_every_arm_has_its_own_curve_colour_and_glyph(name: str) -> None:
    for look in (Look(), Look(theme="light"), Look("ascii", coloured=False)):
        lines = figure(name, history(ZOO), View(smoothing=0), look).lines
        assert [line.short for line in lines] == ["BN", "GN8", "LN", "IN", "BRN", "none"]
        assert [line.label for line in lines][1] == "Group norm 8"
        assert len({line.glyph for line in lines}) == len({tuple(line.y) for line in lines}) == 6
        assert len({line.colour for line in lines}) == (6 if look.coloured else 1)
    assert [line.y[0] for line in lines] == sorted((line.y[0] for line in lines), reverse="accuracy" in name)


@pytest.mark.parametrize("row", INTERVENTIONS.values(), ids=lambda row: row.name)
def test_the_table_says_what_marks_an_intervention(row: Intervention) -> None:
    made = history()
    made.apply(e.Intervened(80, 2, row.name, None, None))
    assert (80.0, row.marker) in figure("train-loss", made, View(), Look()).verticals


@pytest.mark.parametrize(("kind", "last", "vertical"), [("step", 100, 60), ("epoch", 2, 1.2), ("seconds", 10, 6.8)])
def test_the_x_axis_in_steps_epochs_and_seconds(kind: str, last: float, vertical: float) -> None:
    chart = figure("validation-loss", history(), View(x_axis=kind), Look())
    assert chart.lines[0].x[-1] == pytest.approx(last)
    # Seconds are known where events brought losses: at steps 1 to 50 the 5th, at 51 to 100 the 10th.
    assert chart.verticals[0][0] == pytest.approx(vertical, abs=3.3)


def test_smoothing_comes_before_thinning_and_the_raw_curve_stays_faint() -> None:
    made = history()
    chart = figure("train-loss", made, View(smoothing=0.8), Look())
    assert [line.faint for line in chart.lines] == [True, False, True, False]
    assert list(chart.lines[1].y) == pytest.approx(smooth(made.steps.points()[1]["batch"], 0.8))


def test_zoom_shows_the_newest_steps_one_by_one() -> None:
    chart = figure("train-loss", history(), View(recent=True, smoothing=0), Look())
    assert chart.x_range == (1, 100)
    assert list(chart.lines[0].x) == list(range(1, 101))


def test_before_the_first_event_there_is_nothing_to_draw() -> None:
    for name in TITLES:
        chart = figure(name, History(), View(recent=True, cursor=3, x_axis="seconds"), Look())
        assert all(len(line.x) == 0 for line in chart.lines)
    assert "after epoch 1" in chart.empty


@pytest.mark.parametrize("kind", ["step", "epoch", "seconds"])
def test_a_step_is_found_again_from_its_place_on_the_axis(kind: str) -> None:
    axis = StepAxis(history(), kind)
    for step in (1, 5, 50, 73, 100):
        found = axis.step_at(axis.at(step))
        # The steps of one event have one time: the first of them is found.
        assert axis.at(found) == axis.at(step)
        assert found == step or kind == "seconds"
