from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bntui.config.interventions import INTERVENTIONS, Intervention
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.plot.curves import smooth
from bntui.tui.plot.marks import Mark
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


def lively(norms: Sequence[str] = ("batch", "none")) -> History:
    """With accuracies of the batches, and evaluations within the epochs."""
    made = History()
    made.apply(replace(started(norms), steps_per_epoch=50, total_steps=200))
    names = [arm.name for arm in made.arms]
    for last in range(10, 101, 10):
        steps = range(last - 9, last + 1)
        losses = {name: tuple(2 / step + i for step in steps) for i, name in enumerate(names)}
        accuracies = {name: tuple(1 - 1 / step - i / 10 for step in steps) for i, name in enumerate(names)}
        made.apply(e.Stepped(last, 1, losses, last / 10, accuracies))
        read = {name: e.Metrics(1 / last + i, last / 200 + i / 10) for i, name in enumerate(names)}
        made.apply(e.Evaluated(1, last, 2000, 0.01, read))
        if last % 50 == 0:
            read = {name: e.Metrics(0.5 + i / 10, 0.8 - i / 10) for i, name in enumerate(names)}
            made.apply(e.EpochEnded(last // 50, last, 0.01, 5.0, 0.1, read, read))
    return made


@pytest.mark.parametrize("name", TITLES)
def test_every_chart_has_both_arms_and_the_interventions(name: str) -> None:
    chart = figure(name, history(), View(smoothing=0), Look())
    assert [line.label for line in chart.lines] == ["With BN", "Without BN"]
    assert chart.marks == (Mark(60.0, "b"),)
    assert chart.lines[0].colour != chart.lines[1].colour
    if name == "validation-accuracy":
        assert (list(chart.lines[0].x), list(chart.lines[0].y)) == ([50, 100], [0.8, 0.8])


@pytest.mark.parametrize("name", TITLES)
def test_every_arm_has_its_own_curve_colour_and_glyph(name: str) -> None:
    for look in (Look(), Look(theme="light"), Look("ascii", coloured=False)):
        lines = figure(name, history(ZOO), View(smoothing=0), look).lines
        assert [line.label for line in lines][1] == "Group norm 8"
        assert len({line.glyph for line in lines}) == len({tuple(line.y) for line in lines}) == 6
        assert len({line.colour for line in lines}) == (6 if look.coloured else 1)
    assert [line.y[0] for line in lines] == sorted((line.y[0] for line in lines), reverse="accuracy" in name)


@pytest.mark.parametrize("row", INTERVENTIONS.values(), ids=lambda row: row.name)
def test_the_table_says_what_marks_an_intervention(row: Intervention) -> None:
    made = history()
    made.apply(e.Intervened(80, 2, row.name, None, None))
    assert Mark(80.0, row.marker) in figure("train-loss", made, View(), Look()).marks


@pytest.mark.parametrize(("kind", "last", "vertical"), [("step", 100, 60), ("epoch", 2, 1.2), ("seconds", 10, 6.8)])
def test_the_x_axis_in_steps_epochs_and_seconds(kind: str, last: float, vertical: float) -> None:
    chart = figure("validation-loss", history(), View(x_axis=kind), Look())
    assert chart.lines[0].x[-1] == pytest.approx(last)
    # Seconds are known where events brought losses: at steps 1 to 50 the 5th, at 51 to 100 the 10th.
    assert chart.marks[0].x == pytest.approx(vertical, abs=3.3)


def test_smoothing_comes_before_thinning_and_the_raw_curve_stays_faint() -> None:
    made = history()
    chart = figure("train-loss", made, View(smoothing=0.8), Look())
    assert [line.faint for line in chart.lines] == [True, False, True, False]
    assert list(chart.lines[1].y) == pytest.approx(smooth(made.steps.points()[1]["batch"], 0.8))


@pytest.mark.parametrize("kind", ["step", "epoch", "seconds"])
def test_all_charts_have_one_x_range_from_0(kind: str) -> None:
    made = lively()
    for recent in (False, True):
        view = View(x_axis=kind, recent=recent)
        ranges = {figure(name, made, view, Look()).x_range for name in TITLES}
        assert len(ranges) == 1
        low, high = ranges.pop() or (0, 0)
        assert (low == 0) == (not recent)
        assert high >= StepAxis(made, kind).at(100) >= high * 2 / 3


@pytest.mark.parametrize(
    ("step", "per_epoch", "end"),
    [(1, 1875, 1), (7, 1875, 8), (110, 1875, 150), (1251, 1875, 1500), (1600, 1875, 1875), (1900, 1875, 2000),
     (17_000, 1875, 18_750), (18_750, 1875, 18_750)],
)  # fmt: skip
def test_the_x_axis_ends_at_a_round_number_or_an_end(step: int, per_epoch: int, end: int) -> None:
    made = History()
    made.apply(replace(started(), steps_per_epoch=per_epoch, total_steps=10 * per_epoch))
    made.apply(e.Stepped(step, step, {"batch": (1.0,), "none": (1.0,)}, 1.0))
    assert figure("train-loss", made, View(), Look()).x_range == (0, end)
    made.apply(e.Finished("interrupted", step, {}, 1.0))
    assert figure("train-loss", made, View(), Look()).x_range == (0, step)


def test_zoom_cuts_the_same_curve_and_has_the_single_steps_behind_it() -> None:
    made = lively()
    for name in TITLES:
        far, near = (figure(name, made, View(recent=recent), Look()) for recent in (False, True))
        curves = [
            {(line.label, x): y for line in chart.lines if line.label for x, y in zip(line.x, line.y, strict=True)}
            for chart in (far, near)
        ]
        assert curves[0] == curves[1]
    assert near.x_range == (1, 100)
    faint = [line for line in figure("train-loss", made, View(recent=True), Look()).lines if line.faint]
    assert [list(line.x) for line in faint] == [list(range(1, 101))] * 2


def test_the_curves_of_the_batches_and_the_whole_set_are_told_apart() -> None:
    chart = figure("train-accuracy", lively(), View(smoothing=0.8), Look())
    assert chart.detail == "batches, ● whole set"
    curve, whole = (line for line in chart.lines if line.colour == Look().colours[0] and not line.faint)
    steps, values = lively().steps.points("accuracy")
    assert list(curve.y) == pytest.approx(smooth(values["batch"], 0.8)) and len(curve.x) == len(steps)
    assert (list(whole.x), list(whole.y), whole.joined, whole.label) == ([50, 100], [0.8, 0.8], False, "")
    # Where glyphs stand along the curves, they say nothing of the whole set.
    assert figure("train-accuracy", lively(), View(), Look(coloured=False)).detail == "batches"


def test_the_validation_curve_begins_within_the_first_epoch_and_ends_with_the_newest_evaluation() -> None:
    chart = figure("validation-accuracy", lively(), View(), Look())
    curve = next(line for line in chart.lines if line.label == "With BN")
    assert list(curve.x) == list(range(10, 101, 10))
    assert (curve.y[0], curve.y[4], curve.y[-1]) == (0.05, 0.8, 0.8)
    assert chart.detail == "2,000 samples, ● whole set"
    made = lively()
    read = {arm.name: e.Metrics(0.1, 0.9) for arm in made.arms}
    made.apply(e.Evaluated(3, 110, 2000, 0.01, read))
    assert figure("validation-accuracy", made, View(), Look()).lines[0].y[-1] == 0.9


def test_of_an_older_run_the_epochs_are_shown() -> None:
    for name in TITLES:
        chart = figure(name, history(), View(), Look())
        assert "whole" not in chart.detail
        if name != "train-loss":
            assert all(line.points and list(line.x) == [50, 100] for line in chart.lines)


def test_a_future_that_was_abandoned_stays_as_a_ghost_from_where_it_left() -> None:
    made = lively()
    made.apply(e.Intervened(100, 2, "bn", True, False))
    for last in range(110, 141, 10):
        losses = {arm.name: (5.0,) * 10 for arm in made.arms}
        made.apply(e.Stepped(last, 1, losses, last / 10, {arm.name: (0.3,) * 10 for arm in made.arms}))
    made.apply(e.Evaluated(3, 130, 2000, 0.01, {arm.name: e.Metrics(5.0, 0.2) for arm in made.arms}))
    made.apply(e.Alert(120, "batch", "diverged", "…"))
    made.apply(e.Undone(140, 100, "bn"))
    for name in TITLES:
        chart = figure(name, made, View(smoothing=0.5), Look())
        ghosts = [line for line in chart.lines if line.ghost]
        assert len(ghosts) == 2 and not any(line.label for line in ghosts)
        curve = next(line for line in chart.lines if line.label)
        assert (ghosts[0].x[0], ghosts[0].y[0]) == (100, curve.y[-1])
        end = {"train-loss": 5.0, "train-accuracy": 0.3, "validation-loss": 5.0, "validation-accuracy": 0.2}[name]
        assert ghosts[0].y[-1] == pytest.approx(end, abs=0.01)
        assert ghosts[0].x[-1] == (140 if name.startswith("train") else 130)
        assert chart.marks == (Mark(100.0, "b", "undone"),)
        assert chart.x_range == (0, 150)


def test_alerts_are_marked() -> None:
    made = history()
    made.apply(e.Alert(40, "batch", "vanishing", "…"))
    assert Mark(40.0, "⚠", "alert") in figure("validation-loss", made, View(), Look()).marks


def test_before_the_first_event_there_is_nothing_to_draw() -> None:
    for name in TITLES:
        chart = figure(name, History(), View(recent=True, cursor=3, x_axis="seconds"), Look())
        assert all(len(line.x) == 0 for line in chart.lines)
    assert "first evaluation" in chart.empty


@pytest.mark.parametrize("kind", ["step", "epoch", "seconds"])
def test_a_step_is_found_again_from_its_place_on_the_axis(kind: str) -> None:
    axis = StepAxis(history(), kind)
    for step in (1, 5, 50, 73, 100):
        found = axis.step_at(axis.at(step))
        # The steps of one event have one time: the first of them is found.
        assert axis.at(found) == axis.at(step)
        assert found == step or kind == "seconds"
