from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.cells import cell_len
from torch import nn, tensor

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.plot.axes import signed
from bntui.tui.plot.band import Trace, draw_band
from bntui.tui.theme import Look
from bntui.tui.views.channel import draw_channel
from bntui.tui.views.channels import draw_channels
from bntui.tui.views.histograms import bins_for, distribute, histogram, normalized
from bntui.tui.views.layer_list import draw_layers
from bntui.tui.views.layers import chosen_channel, drift, gaps, next_channel, places, worst_gap
from bntui.tui.views.switcher import Views
from bntui.tui.views.view import SORTS, View
from scripted_app import ZOO, Script, play, run_events, screen_text, settle, started

LOOKS = (Look(), Look(theme="light"), Look("ascii"), Look(coloured=False), Look("block", few_colours=True))
PANELS = (draw_channels, draw_channel, draw_layers)
NAN = (math.nan,) * 4
MEAN, VAR = (0.0, -4.0, 10.0, 2.0), (4.0, 1.0, 25.0, 100.0)
BATCH = (1.0, -4.3, 5.0, 2.5)
"""Gaps: 0.5, -0.3, -1, 0.05."""
GAMMA, BETA = (1.0, -0.1, 0.5, 2.0), (0.5, 0.0, -0.25, 1.0)


def statistics(name: str = "norm1", mean: Sequence[float] = MEAN, batch: Sequence[float] = BATCH) -> e.LayerStatistics:
    return e.LayerStatistics(name, tuple(mean), VAR, tuple(batch), VAR, GAMMA, BETA)


def history(*layers: e.LayerStatistics, norms: Sequence[str] = ("batch", "none")) -> History:
    """A history of one reading within the second epoch, after one at the end of the first."""
    given = layers or (statistics(), statistics("norm2", batch=MEAN))
    begun = started(norms)
    of = {layer.layer: len(layer.weight) for layer in given}
    made = History()
    made.apply(replace(begun, layers={arm.name: of for arm in begun.arms if arm.normalized}))
    made.apply(e.Stepped(150, 1, {arm.name: (1.0,) * 150 for arm in begun.arms}, 1.0))
    then = tuple(replace(layer, running_mean=(1.0,) * len(layer.weight)) for layer in given)
    made.apply(e.NormalizationRead(1, 100, {arm.name: then for arm in begun.arms if arm.normalized}))
    made.apply(e.NormalizationRead(2, 150, {arm.name: given for arm in begun.arms if arm.normalized}, True))
    return made


def wide(channels: int, layers: int, norms: Sequence[str] = ("batch", "none")) -> History:
    """Random numbers, among them what an arm that diverges has."""
    chance = random.Random(1)

    def numbers(low: float, high: float) -> tuple[float, ...]:
        return tuple(chance.uniform(low, high) for _ in range(channels))

    made = [
        e.LayerStatistics(f"body.{i}.norm", numbers(-9, 9), numbers(0, 9), numbers(-9, 9), numbers(0, 9),
                          numbers(-2, 2), numbers(-2, 2))
        for i in range(layers)
    ]  # fmt: skip
    odd = (math.nan, math.inf, -math.inf, 1e300, -1e-300, 0.0)
    made[-1] = replace(made[-1], running_mean=tuple(chance.choice(odd) for _ in range(channels)),
                       running_var=tuple(chance.choice(odd) for _ in range(channels)))  # fmt: skip
    return history(*made, norms=norms)


def rows(text: str) -> list[list[str]]:
    """Return the words of the rows of a table, without what is drawn on the axis."""
    found = []
    for line in text.split("\n"):
        words = [word for word in line.replace("▸", " ").split() if not set(word) & set("○●◉│─┼")]
        if words and words[0].isdigit():
            found.append(words)
    return found


def order(made: History, sort: str, width: int = 100) -> list[int]:
    return [int(row[0]) for row in rows(draw_channels(made, View(sort=sort), Look(), width, 20).text.plain)]


# Numbers


def test_the_gap_is_the_distance_of_the_means_in_running_standard_deviations() -> None:
    assert gaps(statistics()) == pytest.approx([0.5, -0.3, -1.0, 0.05])
    assert worst_gap(gaps(statistics())) == (-1.0, 2)
    unknown = replace(statistics(), batch_mean=NAN)
    assert all(map(math.isnan, gaps(unknown))) and math.isnan(worst_gap(gaps(unknown))[0])
    # No variance, as of a dead unit that was always dead, has no unit to count in.
    assert math.isnan(gaps(replace(statistics(), running_var=(0.0, 1.0, 1.0, 1.0)))[0])


def test_drift_counts_from_the_last_epoch_and_within_the_first_from_the_first_reading() -> None:
    made = history()
    found = drift(made, places(made)[0])
    assert found.since == "epoch 1"
    assert found.values == pytest.approx([-0.5, -5.0, 1.8, 0.1])
    made.normalization.clear()
    assert drift(made, places(made)[0]).since == "step 100"
    made.readings.clear()
    assert drift(made, places(made)[0]).since == ""


def test_numbers_have_a_sign_and_two_digits() -> None:
    told = [signed(value) for value in (0.5, -0.034, 3.14, -27.1, 1234.0, 5e-9, -2.5e7, 0.0, math.nan, math.inf)]
    assert told == ["+0.50", "-0.034", "+3.1", "-27", "+1234", "+5.0e-9", "-2.5e7", "0", "-", "-"]
    assert max(map(len, told)) <= 7


# Table


def test_a_row_tells_the_numbers_of_its_channel() -> None:
    found = {row[0]: row[1:] for row in rows(draw_channels(history(), View(), Look(), 80, 16).text.plain)}
    assert found["0"] == ["+0.50", "-0.50", "4.0000", "1.0000", "0.5000"]
    assert found["2"] == ["-1.0", "+1.8", "25.000", "0.5000", "-0.250"]


def test_the_axis_has_both_means_at_their_places_and_a_zero_line() -> None:
    lines = draw_channels(history(), View(), Look(), 110, 16).text.plain.split("\n")
    heading = next(line for line in lines if "┼" in line)
    assert " -5 ─" in heading and "─ 10 " in heading
    start, end, zero = heading.index("-5"), heading.index(" 10 ") + 2, heading.index("┼")
    assert (zero - start) / (end - start) == pytest.approx(5 / 15, abs=0.02)
    by_channel = {words[0]: line for line in lines[3:] if (words := line.replace("▸", " ").split())}
    assert by_channel["0"][zero] == "○" and by_channel["0"].index("●") > zero
    assert by_channel["1"].index("●") + 1 == by_channel["1"].index("○") < zero
    assert by_channel["2"].index("○") == end and by_channel["2"].index("●") == round(start + 10 / 15 * (end - start))
    assert by_channel["3"][zero] == "│"


def test_means_that_fall_together_are_one_sign() -> None:
    text = draw_channels(history(), View(layer=1), Look(), 80, 16).text.plain
    assert "BN 2 · norm2" in text
    table = text.split("\n")[3:]
    assert sum(line.count("◉") for line in table) == 4 and not any("●" in line for line in table)


def test_a_few_means_far_away_do_not_press_the_rest_together() -> None:
    many = e.LayerStatistics("norm1", (*(i / 10 for i in range(29)), 1e6), *[tuple([1.0] * 30)] * 5)
    text = draw_channels(history(many), View(), Look(), 100, 40).text.plain
    assert "1e6" not in text.split("\n")[2] and "1,000,000" not in text.split("\n")[2]


@pytest.mark.parametrize(
    ("sort", "first", "title"),
    [
        ("gap", [2, 0, 1, 3], "sorted by |gap|"),
        ("variance", [3, 2, 0, 1], "sorted by σ²"),
        ("γ", [1, 2, 0, 3], "sorted by |γ|"),
        ("drift", [1, 2, 0, 3], "sorted by |drift|"),
        ("channel", [0, 1, 2, 3], "sorted by channel"),
    ],
)
def test_the_table_is_sorted_as_its_title_says(sort: str, first: list[int], title: str) -> None:
    assert order(history(), sort) == first
    assert title in draw_channels(history(), View(sort=sort), Look(), 120, 16).text.plain.split("\n")[0]
    assert sort in SORTS


def test_where_nothing_is_known_to_sort_by_the_channels_follow_each_other() -> None:
    made = history(replace(statistics(), batch_mean=NAN))
    text = draw_channels(made, View(), Look(), 100, 16).text.plain
    assert order(made, "gap") == [0, 1, 2, 3] and "sorted by channel: gap not known" in text
    # As of results, which have no batch.
    assert "no batch's statistics are kept here" in text and "gap σ" not in text


def test_a_layer_without_running_statistics_says_so() -> None:
    made = history(e.LayerStatistics("norm1", NAN, NAN, BATCH, VAR, GAMMA, BETA), norms=("layer", "none"))
    text = draw_channels(made, View(), Look(), 100, 16).text.plain
    assert "has no running statistics, so no gap" in text and "gap σ" not in text and "γ" in text
    assert "read of batch norm alone" in draw_channel(made, View(), Look(), 100, 10).text.plain
    assert "no gap known" in draw_layers(made, View(), Look(), 60, 10).text.plain


@pytest.mark.parametrize(("width", "columns"), [(20, ("gap",)), (40, ("gap", "σ²")), (50, ("gap", "σ²", "γ", "β"))])
def test_columns_go_from_the_least_important_on(width: int, columns: tuple[str, ...]) -> None:
    heading = draw_channels(history(), View(), Look(), width, 10).text.plain.split("\n")[1]
    assert [name for name in ("gap", "drift", "σ²", "γ", "β") if name in heading] == list(columns)
    # What the rows are sorted by is told at any width.
    assert "drift" in draw_channels(history(), View(sort="drift"), Look(), 44, 10).text.plain.split("\n")[1]


def test_the_window_follows_the_chosen_channel_and_lines_tell_their_channel() -> None:
    made = wide(100, 1)
    for unit in (0, 1, 50, 98, 99):
        drawing = draw_channels(made, View(unit=unit, sort="channel"), Look(), 80, 13)
        lines = drawing.text.plain.split("\n")
        marked = [i for i, line in enumerate(lines) if line.startswith("▸")]
        assert len(marked) == 1 and drawing.channels[marked[0]] == unit
        assert len(drawing.channels) == len(lines) == 13
        assert list(drawing.channels[:3]) == [None] * 3
        assert lines[marked[0]].split()[1] == str(unit)


# Choosing


def test_the_next_channel_is_the_next_row() -> None:
    made = history()
    view = View(sort="gap", unit=2)
    assert [next_channel(made, view, by) for by in (-1, 0, 1, 2, 3, 99)] == [2, 2, 0, 1, 3, 3]
    assert next_channel(made, View(sort="γ", unit=0), -1) == 2
    assert next_channel(History(), View(), 1) is None
    # Before one is chosen, the first row is.
    assert chosen_channel(made, View()) == 2 and next_channel(made, View(), 1) == 0


def test_a_channel_whose_batch_was_read_stays_the_chosen_one_while_the_order_changes() -> None:
    made = history()
    made.apply(explained(channel=3))
    assert chosen_channel(made, View()) == 3
    assert chosen_channel(made, View(layer=1)) == 0
    assert chosen_channel(made, View(unit=1)) == 1


# The chosen channel


def explained(channel: int = 0, **changes: object) -> e.Explained:
    read = e.Explained(150, "batch", "norm1", channel, 0.1, 1e-5, True, 1.5, 0.5, 0.1, 2.0,
                       (1.0, 2.0, 4.0, -3.0), (0.1, 0.2, 0.3, 0.4))  # fmt: skip
    return replace(read, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("by_batch", [True, False])
def test_what_is_normalised_is_what_pytorch_makes_of_it(by_batch: bool) -> None:
    read = explained(by_batch=by_batch)
    layer = nn.BatchNorm1d(1, eps=read.eps)
    layer.weight.data.fill_(read.weight)
    layer.bias.data.fill_(read.bias)
    layer.running_mean.fill_(read.running_mean)  # type: ignore[union-attr, operator]
    layer.running_var.fill_(read.running_var)  # type: ignore[union-attr, operator]
    layer.train(by_batch)
    expected = layer(tensor(read.x)[:, None])[:, 0].tolist()
    x, x_hat, y = normalized(read)
    assert x == list(read.x) and y == pytest.approx(expected, rel=1e-5)
    assert x_hat == pytest.approx([(value - 0.5) / 1.5 for value in expected], rel=1e-5)


def test_every_value_is_counted_in_one_bin() -> None:
    assert distribute([0.0, 0.1, 0.5, 0.99, 1.0], 0.0, 1.0, 2).counts == (2, 3)
    assert distribute([-1.0, 2.0], -1.0, 2.0, 3).counts == (1, 0, 1)
    # Bins that all have as many cells: 32 values are never drawn as what the width happens to be.
    for cells in range(6, 80):
        assert 1 <= bins_for(32, cells) <= min(cells, 19)


def test_a_histogram_has_a_zero_line_and_bars_as_high_as_their_counts() -> None:
    found = distribute([-1.5, -0.5, -0.5, 1.5, 1.5, 1.5, 1.5], -2.0, 2.0, 4)
    lines = [line.plain for line in histogram(found, "x", "", Look(), 12, 6)]
    assert lines[0] == "x" and len(lines) == 6 and all(len(line) == 12 for line in lines[1:])
    assert lines[5] == "-2 ───┼─── 2"
    assert lines[1] == "      │  ███"
    assert lines[4] == "██████│  ███"
    low = histogram(found, "x", "", Look("ascii"), 12, 3)
    assert [line.plain for line in low] == ["x", "...:::|  ###", "-2 ---+--- 2"]


def test_the_chosen_channel_says_what_its_bars_are_of_or_why_there_are_none() -> None:
    made = history()
    text = draw_channel(made, View(unit=0), Look(), 100, 10).text.plain
    assert "read with the next step" in text and "γ 1 " in text
    made.apply(explained())
    for size in ((100, 10), (62, 32), (80, 8)):
        text = draw_channel(made, View(unit=0), Look(), *size).text.plain
        assert "the 4 values of this batch in " in text and "x̂" in text
    assert "read with the next step" in draw_channel(made, View(unit=1), Look(), 100, 10).text.plain
    assert "watched live" in draw_channel(made, View(unit=1, replay=True), Look(), 100, 10).text.plain
    assert "eval mode uses the running" in draw_channel(made, View(unit=0), Look(), 120, 10).text.plain.lower()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": (1.0,), "dy": (1.0,)}, "the 1 values"), ({"x": (2.0,) * 4}, "the 4 values"),
        ({"x": (math.nan,) * 4}, "4 not finite"), ({"x": (1e200, 1.0, 2.0, math.inf)}, "2 not finite"),
        ({"x": ()}, "read with the next step"), ({"weight": math.nan}, "the 4 values"),
        ({"running_var": -1.0, "by_batch": False}, "the 4 values"),
    ],
)  # fmt: skip
def test_a_batch_of_an_arm_that_diverges_is_drawn_too(changes: dict[str, object], said: str) -> None:
    made = history()
    made.apply(explained(**changes))
    assert said in draw_channel(made, View(unit=0), Look(), 100, 10).text.plain


def test_the_history_of_a_channel_goes_over_the_whole_run() -> None:
    drawing = draw_channel(history(), View(unit=0), Look(), 100, 10)
    assert drawing.x_axis is not None and (drawing.x_axis.low, drawing.x_axis.high) == (0.0, 150.0)
    assert "running mean ± σ" in drawing.text.plain and "150 step" in drawing.text.plain


def test_a_band_reaches_as_far_as_it_says() -> None:
    trace = Trace([0.0, 0.0], "#5fafff", "o", [4.0, 4.0], "#005f5f")
    lines = draw_band([("t", "")], [trace], [50.0, 100.0], Look("ascii"), 27, 11, "step").text.plain.split("\n")
    assert lines[0].strip() == "t" and lines[-1].split() == ["0", "100", "step"]
    column = [line[20] for line in lines[1:-1]]
    assert column.count("o") == 1 and column[len(column) // 2] == "o" and column.count(":") >= 6


# Layers


def test_the_list_has_every_layer_with_its_worst_gap() -> None:
    text = draw_layers(history(), View(layer=1), Look(), 62, 8).text.plain
    first, second = text.split("\n")[1:3]
    assert "2 normalization layers" in text
    assert "BN 1 · norm1" in first and "-1.0 ch 2" in first and first.startswith(" ")
    assert "BN 2 · norm2" in second and "0 ch 0" in second and second.startswith("▸")


def test_the_list_of_a_deep_net_scrolls_to_the_chosen_layer() -> None:
    made = wide(3, 50)
    for number in (0, 20, 49, 50):
        lines = draw_layers(made, View(layer=number), Look(), 40, 11).text.plain.split("\n")
        marked = [line for line in lines if line.startswith("▸")]
        assert len(marked) == 1 and f"BN {number % 50 + 1} " in marked[0] and len(lines) == 11


def test_layers_of_several_arms_have_their_glyphs() -> None:
    made = history(norms=("batch", "layer", "none"))
    text = draw_layers(made, View(layer=2), Look(), 62, 8).text.plain
    assert len([line for line in text.split("\n") if "●" in line]) == 2 and "■ Layer norm 1 · norm1" in text
    assert "[ ] 3 of 4 layers" in draw_channels(made, View(layer=2), Look(), 120, 16).text.plain


# All of it


@pytest.mark.parametrize("look", LOOKS)
def test_no_line_is_longer_than_the_panel(look: Look) -> None:
    made = wide(40, 3, ZOO)
    made.apply(explained(layer="body.0.norm", x=tuple(random.Random(2).gauss(3, 5) for _ in range(32))))
    for width in range(20, 201):
        height, layer = (1, 2, 5, 8, 13, 24, 44)[width % 7], (0, 2, 5)[width % 3]
        for draw in PANELS:
            text = draw(made, View(layer=layer, cursor=75), look, width, height).text
            assert text.plain.count("\n") < height
            assert max(map(cell_len, text.plain.split("\n"))) <= width, (draw.__name__, width, height)
            assert not look.ascii_only or text.plain.isascii(), text.plain


@pytest.mark.parametrize("channels", [1, 4_000])
def test_one_channel_or_thousands(channels: int) -> None:
    made = wide(channels, 2)
    for draw in PANELS:
        for layer in (0, 1):
            for sort in SORTS:
                assert draw(made, View(layer=layer, sort=sort), Look(), 80, 20).text.plain
    assert next_channel(made, View(unit=0, sort="channel"), 10_000) == channels - 1


@pytest.mark.parametrize("draw", PANELS)
def test_empty_histories_say_what_they_wait_for(draw: object) -> None:
    begun, bare = History(), History()
    begun.apply(started())
    bare.apply(started(("none", "none")))
    for made in (History(), begun, bare):
        for size in ((20, 1), (80, 12)):
            assert draw(made, View(), Look(), *size).text.plain.strip()  # type: ignore[operator]
    assert "no arm has a normalization" in draw_channels(bare, View(), Look(), 80, 12).text.plain
    assert "after the first steps" in draw_channels(begun, View(), Look(), 80, 12).text.plain


def test_a_reading_that_lacks_layers_is_waited_for() -> None:
    made = history()
    made.apply(e.NormalizationRead(2, 160, {"batch": ()}, True))
    for draw in PANELS:
        assert draw(made, View(), Look(), 80, 12).text.plain.strip()


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((160, 48), ["channels", "layer-list", "channel"]), ((100, 30), ["channels", "layer-list", "channel"]),
        ((80, 24), ["channels", "channel"]), ((40, 12), ["channels"]),
    ],
)  # fmt: skip
def test_the_panels_of_each_size(size: tuple[int, int], shown: list[str]) -> None:
    async def act(pilot: object, app: object) -> None:
        await pilot.press("2")  # type: ignore[attr-defined]
        await settle(pilot)
        panels = app._views.panels  # type: ignore[attr-defined]
        assert [panel.kind.name for panel in panels.shown] == shown
        if size == (80, 24):
            assert panels.panels["channels"].size.height >= 12 and 6 <= panels.panels["channel"].size.height <= 8
        assert "BN 1 · norm1" in screen_text(app)  # type: ignore[arg-type]

    play(Script(*run_events()), act, size)


def test_the_chosen_channel_is_the_one_that_the_trainer_reads() -> None:
    script = Script(*run_events(), e.NormalizationRead(3, 310, {"batch": (statistics(),)}, True))

    async def act(pilot: object, app: object) -> None:
        await pilot.press("2")  # type: ignore[attr-defined]
        await settle(pilot)
        assert script.control.watching == {"normalization", "explain"}
        assert (script.control.layer, script.control.unit) == (0, 2)
        views = app._views  # type: ignore[attr-defined]
        assert [views.choose_row(script.control, by) for by in (1, 1, -9)] == ["channel 0", "channel 1", "channel 2"]
        assert (views.view.unit, script.control.unit) == (2, 2)
        assert Views(History()).choose_row(script.control, 1) == "no channel to choose yet"

    play(script, act)
