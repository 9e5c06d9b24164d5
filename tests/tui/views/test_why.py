from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.cells import cell_len

from bntui.lab.glossary import MEANINGS
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.probes.gap import GAP_SAMPLES
from bntui.probes.mechanism import FACTORS
from bntui.tui.theme import Look
from bntui.tui.views.annotated import three_digits
from bntui.tui.views.view import View
from bntui.tui.views.why import (
    MOST_POINTS,
    PANELS,
    chosen_gap,
    covariate_shift,
    loss_landscape,
    train_eval_gap,
    why_panel,
)
from scripted_app import ZOO, started

SHIFT, LANDSCAPE, GAP = PANELS
MILLISECONDS = {"covariate-shift": 2.5, "landscape": 3.5, "gap": 1.25}


def probes(step: int, gap: bool) -> e.Probes:
    shifts = tuple(e.LayerShift(f"linear{i}", float(10 * i + step), 1 - i * 1e-6) for i in (1, 2, 3))
    metrics = [e.Metrics(loss, accuracy) for loss, accuracy in ((0.1, 0.9), (0.4, 0.6), (0.2, 0.8))]
    return e.Probes(shifts, e.Landscape(0.5, 0.75 + step, 3.25, 7.0), e.Gap(*metrics) if gap else None)


def history(
    kept: Sequence[int] = (), live: Sequence[int] = (), norms: Sequence[str] = ("batch", "none"), **config: object
) -> History:
    made = History()
    made.apply(replace(started(norms, **config), steps_per_epoch=50, total_steps=200))
    for step in sorted((*kept, *live)):
        made.apply(e.Stepped(step, 1, {arm.name: (1.0,) for arm in made.arms}, float(step)))
        read = {arm.name: probes((i + 1) * step, arm.norm == "batch") for i, arm in enumerate(made.arms)}
        made.apply(e.Probed(1, step, read, MILLISECONDS, step in live))
    return made


def shown(name: str, made: History, view: View | None = None, size: tuple[int, int] = (52, 45), **look: object) -> str:
    return why_panel(name, made, view or View(), Look(**look), *size).text.plain  # type: ignore[arg-type]


def said(text: str) -> str:
    return " ".join(text.split())


def test_the_shift_is_that_of_the_chosen_layer_and_the_first_has_none() -> None:
    made = history(kept=(1, 2))
    for layer, name, values in ((0, "linear 2", ([21.0, 22.0], [22.0, 24.0])), (3, "linear 3", ([31, 32], [32, 34]))):
        panel = covariate_shift(made, View(layer=layer), Look())
        assert name in panel.title and panel.charts[0].log_y
        assert [list(line.y) for line in panel.charts[0].lines] == [list(row) for row in values]
        assert [line.label for line in panel.charts[0].lines] == ["With BN", "Without BN"]


def test_directions_that_hardly_differ_are_told_with_digits_that_mean_something() -> None:
    table = covariate_shift(history(live=(1,)), View(), Look()).tables[0]
    for row in table.rows:
        assert row.values[1] == pytest.approx(math.degrees(math.acos(1 - 2e-6)))
    row = next(line for line in shown(SHIFT, history(live=(1,))).splitlines() if line.startswith("● With BN"))
    assert row.split()[-2:] == ["21.0", "0.115"]


def test_all_layers_are_told_in_a_table() -> None:
    lines = shown(SHIFT, history(live=(1,))).splitlines()
    assert [line.split()[-2:] for line in lines if line.startswith("linear")] == [["21.0", "22.0"], ["31.0", "32.0"]]


def test_the_loss_has_its_lowest_and_its_highest_for_each_arm_and_its_smoothness() -> None:
    loss, smoothness = loss_landscape(history(live=(1,)), View(), Look()).charts
    assert [list(line.y) for line in loss.lines] == [[0.5], [0.5], [1.75], [2.75]]
    assert [line.label for line in loss.lines] == ["", "", "With BN", "Without BN"]
    assert [list(line.y) for line in smoothness.lines] == [[7.0], [7.0]] and smoothness.log_y
    text = shown(LANDSCAPE, history(live=(1,)))
    assert "effective β" in text
    row = next(line for line in text.splitlines() if line.startswith("● With BN"))
    assert row.split()[-4:] == ["0.500", "1.75", "7.00", "3.25"]


def test_of_many_arms_only_the_highest_loss_is_drawn_and_the_title_says_so() -> None:
    panel = loss_landscape(history(live=(1,), norms=ZOO), View(), Look())
    assert len(panel.charts[0].lines) == len(ZOO)
    assert "highest" in panel.title and "lowest" not in panel.title


@pytest.mark.parametrize(
    ("optimizer", "other"), [("adam", "Adam"), ("sgd", ""), ("sgd:0.0", ""), ("sgd:0.9", "SGD with momentum")]
)
def test_where_no_step_goes_along_the_raw_gradient_that_is_said(optimizer: str, other: str) -> None:
    text = said(shown(LANDSCAPE, history(live=(1,), optimizer=optimizer)))
    assert (f"{other} takes another step" in text) if other else ("raw gradient" not in text)


def test_the_gap_is_one_of_statistics_and_names_its_arm() -> None:
    panel = train_eval_gap(history(live=(1, 3), norms=("none", "batch")), View(), Look())
    assert "With BN" in panel.title
    assert [(line.label, list(line.y)) for line in panel.charts[0].lines] == [
        ("batch", [0.1, 0.1]), ("running", [0.4, 0.4]), ("re-estimated", [0.2, 0.2]),
    ]  # fmt: skip
    assert len({line.glyph for line in panel.charts[0].lines} - set(Look().glyphs)) == 3
    lines = shown(GAP, history(live=(1,))).splitlines()
    loss = next(i for i, line in enumerate(lines) if line.startswith("● With BN loss"))
    assert [line.split()[-3:] for line in lines[loss : loss + 2]] == [
        ["0.100", "0.400", "0.200"], ["0.900", "0.600", "0.800"],
    ]  # fmt: skip


def test_of_several_arms_with_batch_norm_the_chosen_one_is_drawn_and_all_are_told() -> None:
    made = history(live=(1,), norms=("batch", "layer", "batch"))
    assert [chosen_gap(made, View(unit=unit)) for unit in (None, 0, 1)] == [made.arms[0], made.arms[2], made.arms[0]]
    for unit, label in ((None, "Batch norm (1)"), (0, "Batch norm (2)")):
        text = shown(GAP, made, View(unit=unit), (90, 45))
        assert text.splitlines()[0].startswith(f"train/eval gap of {label}")
        assert "● Batch norm (1) loss" in text and "▲ Batch norm (2) loss" in text


def test_without_batch_norm_there_is_no_gap() -> None:
    text = shown(GAP, history(live=(1,), norms=("layer", "none")))
    assert "no arm has batch norm" in text and chosen_gap(history(), View()) is None


def test_charts_and_text_are_of_the_same_readings() -> None:
    made = history(kept=(5, 10), live=(12,))
    for name, panel in zip(PANELS, (covariate_shift, loss_landscape, train_eval_gap), strict=True):
        assert list(panel(made, View(), Look()).charts[0].lines[-1].x) == [5.0, 10.0, 12.0]
        assert "\nstep 12 " in shown(name, made)
        assert "\nstep 10 " in shown(name, made, View(cursor=9))
    assert "\nstep 10 (at the cursor) " in shown(SHIFT, made, View(cursor=9))
    values = {row.name: row.values[0] for row in covariate_shift(made, View(cursor=9), Look()).tables[0].rows}
    lines = covariate_shift(made, View(cursor=9), Look()).charts[0].lines
    assert list(values.values()) == [line.y[1] for line in lines] == [30.0, 40.0]


def test_many_readings_are_dots_and_the_line_of_their_medians() -> None:
    made = history(live=range(1, MOST_POINTS + 2))
    dots, line, *_ = covariate_shift(made, View(), Look()).charts[0].lines
    assert dots.faint and len(dots.x) == MOST_POINTS + 1 and not line.faint
    assert len(line.x) <= MOST_POINTS // 2 + 1
    # Four readings of 20 + step: the third is the upper median.
    assert line.y[0] == 23.0 and line.x[0] == 3.0
    assert "the median of 4" in said(shown(SHIFT, made))
    assert not any(line.faint for line in covariate_shift(history(live=range(9)), View(), Look()).charts[0].lines)


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_says_what_it_means_how_it_was_read_and_what_that_took(name: str) -> None:
    text = said(shown(name, history(live=(7,))))
    assert said(MEANINGS[name].sentence) in text and said(MEANINGS[name].look) in text
    cost = dict(zip(PANELS, MILLISECONDS.values(), strict=True))[name]
    assert "training batch of step 7" in text and f"took {cost:.1f} ms" in text
    assert ("dropout and noise switched off" in text) is (name != GAP)
    # Beside the chart, where there is no room below it.
    assert said(MEANINGS[name].sentence.split()[0]) in shown(name, history(live=(7,)), size=(100, 9))


def test_what_is_measured_is_what_the_sentences_say() -> None:
    assert f"{GAP_SAMPLES:,} training samples" in MEANINGS[GAP].sentence
    assert FACTORS == (0.5, 1.0, 2.0, 4.0) and "½, 1, 2 and 4 learning rates" in MEANINGS[LANDSCAPE].sentence
    assert "2015" in MEANINGS[SHIFT].look and "2018" in MEANINGS[SHIFT].look and "debated" in MEANINGS[SHIFT].look
    assert all(meaning.sources and meaning.look.startswith("Look whether") for meaning in MEANINGS.values())


@pytest.mark.parametrize("name", PANELS)
def test_before_the_first_reading_a_panel_says_what_it_waits_for(name: str) -> None:
    text = shown(name, History())
    assert "appears once training has begun" in text and said(MEANINGS[name].sentence) in said(text)
    paused = history()
    paused.apply(e.Paused(0))
    assert "press s for a step" in shown(name, paused)
    assert "watched live" in shown(name, history(), View(replay=True))


@pytest.mark.parametrize("marker", ["braille", "ascii"])
@pytest.mark.parametrize("norms", [("batch", "none"), ZOO, ("batch", "batch", "none")])
def test_at_every_size_nothing_is_wider_or_longer_than_there_is_room(norms: tuple[str, ...], marker: str) -> None:
    diverged = history(live=(1, 2), norms=norms)
    last = diverged.probes_recent[-1]
    shifts = (e.LayerShift("a", math.nan, math.nan), e.LayerShift("b", math.inf, math.nan))
    bad = e.Probes(shifts, e.Landscape(math.nan, math.inf, math.nan, math.inf))
    diverged.apply(replace(last, step=3, arms={**last.arms, "batch": bad}))
    # One where few shapes are told apart, more where they are.
    sizes = [(width, height) for width in (20, 39, 40, 52, 75, 76, 101, 160, 200) for height in (1, 2, 7, 10, 24, 60)]
    for made in (History(), diverged):
        for name in PANELS:
            for width, height in sizes:
                lines = shown(name, made, size=(width, height), marker=marker).split("\n")
                assert len(lines) <= height and max(map(cell_len, lines)) <= width, (name, width, height)
                assert marker == "braille" or "\n".join(lines).isascii()


def test_numbers_keep_their_width_as_they_change() -> None:
    told = [three_digits(value) for value in (2.3, 0.1, 0.0221, 99.9, 844.0, 1875.0, 5e-9, 0.0, math.nan)]
    assert told == ["2.30", "0.100", "0.0221", "99.9", "844", "1,875", "5.0e-9", "0", "-"]
