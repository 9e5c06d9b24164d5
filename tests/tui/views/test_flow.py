"""The four panels of the flow view: what is drawn is what was read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from rich.text import Text

from bntui.messages import events as e
from bntui.messages.history import MAX_FLOWS, History
from bntui.tui.plot.decades import decades
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.heat import SEQUENTIAL, SHADES
from bntui.tui.theme import COLOURS, Look
from bntui.tui.views.activations import halves, mirrored
from bntui.tui.views.distributions import distribution, usual_range
from bntui.tui.views.flow import FLOW, awaited, merged
from bntui.tui.views.gradients import judged
from bntui.tui.views.scene import Scene, thinned
from bntui.tui.views.view import View
from scripted_app import ZOO, flow, started

PANELS = {kind.name: kind.draw for kind in FLOW["flow-grid"]}
BLUE, ORANGE = COLOURS["dark"][:2]
VANISHING = {"first": 1e-8, "each": 1e4}
"""Of three layers: the gradients 1e-8, 1e-4 and 1."""


def history(
    *reads: dict[str, Sequence[e.LayerFlow]], norms: Sequence[str] = ("batch", "none"), last: int = 0, **config: str
) -> History:
    """A run with a reading every 25 steps, which is at step `last` now."""
    made = History()
    made.apply(started(norms, **config))
    for number, read in enumerate(reads, 1):
        step = 25 * number
        made.apply(e.Stepped(step, 1, {arm.name: (1.0,) * 25 for arm in made.arms}, float(number)))
        made.apply(e.FlowRead(1, step, {name: tuple(layers) for name, layers in read.items()}, True))
    if last:
        made.apply(e.Stepped(last, last, {arm.name: (1.0,) for arm in made.arms}, 9.0))
    return made


def pair(**without: float) -> dict[str, Sequence[e.LayerFlow]]:
    """With BN the gradients 0.1, 0.01, 0.001, without as asked for."""
    return {"batch": flow(), "none": flow(**without)}


def drawn(
    name: str, made: History, width: int = 79, height: int = 20, view: View | None = None, **look: str
) -> Drawing:
    return PANELS[name](made, view or View(), Look(**look), width, height)  # type: ignore[arg-type]


def lines(drawing: Drawing) -> list[str]:
    return drawing.text.plain.split("\n")


def styles(text: Text, row: int) -> list[str]:
    """The style of each cell of a line."""
    rows = text.plain.split("\n")
    start = sum(len(line) + 1 for line in rows[:row])
    found = [""] * len(rows[row])
    for span in text.spans:
        for i in range(max(span.start, start), min(span.end, start + len(rows[row]))):
            found[i - start] = str(span.style)
    return found


def row_of(rows: Sequence[str], glyph: str, layer: int) -> str:
    """The line of an arm's bar, of the layer counted from 1."""
    first = next(i for i, line in enumerate(rows) if line.startswith(f"linear {layer} "))
    return rows[first + "●■".index(glyph)]


# Gradients


def test_each_bar_ends_at_the_tick_of_its_value() -> None:
    rows = lines(drawn("gradients", history(pair(**VANISHING))))
    ticks = rows[1]
    for layer, value in ((1, "1e-8"), (2, "1e-4"), (3, "1 ")):
        bar = row_of(rows, "■", layer)
        start = ticks.index(value if value != "1 " else " 1 ") + (value == "1 ")
        assert bar.rindex("▆", 0, 58) in range(start, start + len(value)), value
        assert "■" in bar
    # Both arms begin at the same place, and have their value beside the bar.
    assert row_of(rows, "●", 1).index("▆") == row_of(rows, "■", 1).index("▆")
    assert " 1.0e-8 " in row_of(rows, "■", 1) and " 0.1000 " in row_of(rows, "●", 1)


def test_the_last_layer_has_its_row_and_its_ticks() -> None:
    rows = lines(drawn("gradients", history({"batch": flow(9), "none": flow(9)}), 79, 32))
    assert sum(line.startswith("linear ") for line in rows) == 9
    assert "1e-8" in rows[1] and "0.01" in rows[1]
    # The other ticks are at the same cells of every layer.
    assert "·" in row_of(rows, "■", 9)[11:58]
    assert "9 layers" not in rows[0]


def test_of_a_deep_net_first_and_last_are_shown_and_the_choice_is_told() -> None:
    made = history({"batch": flow(50), "none": flow(50)})
    rows = lines(drawn("gradients", made, 79, 20))
    named = [int(line.split()[1]) for line in rows if line.strip().startswith("linear")]
    assert (named[0], named[-1], len(named)) == (1, 50, 8)
    assert "8 of 50 layers" in rows[0]
    heat = lines(drawn("gradient-heat", made, 79, 20))
    assert "14 of 50 layers" in heat[0] and any("linear 50" in line for line in heat)


def test_thinned_layers() -> None:
    assert thinned(50, 5) == [0, 12, 24, 37, 49]
    assert thinned(3, 9) == [0, 1, 2]
    assert (thinned(4, 2), thinned(4, 1), thinned(4, 0), thinned(0, 3)) == ([0, 3], [0], [], [])


@pytest.mark.parametrize("value, said", [(0.0, "exactly 0"), (math.nan, "not a number"), (math.inf, "infinite")])
def test_what_has_no_logarithm_is_said_in_words(value: float, said: str) -> None:
    odd = [replace(layer, weight_gradient=value) for layer in flow()]
    rows = lines(drawn("gradients", history({"batch": flow(), "none": odd})))
    assert said in row_of(rows, "■", 2) and "▆" not in row_of(rows, "■", 3)[:58]
    assert "▆" in row_of(rows, "●", 2)


def test_the_verdict_is_a_word() -> None:
    assert [judged(ratio) for ratio in (0.5, 1e-8, 0.0, 1e8, math.inf, math.nan)] == [
        "steady", "VANISHING", "VANISHING", "EXPLODING", "EXPLODING", "no verdict",
    ]  # fmt: skip
    text = drawn("gradients", history(pair(**VANISHING))).text.plain
    assert "● With BN     first ÷ last layer 100     steady, within a factor of 1,000" in text
    assert "■ Without BN  first ÷ last layer 1.0e-8  VANISHING, below 1/1,000" in text


@pytest.mark.parametrize(("width", "height"), [(80, 10), (49, 11), (40, 9), (40, 4)])
def test_the_verdict_is_there_where_there_is_little_room(width: int, height: int) -> None:
    text = drawn("gradients", history(pair(**VANISHING)), width, height).text.plain
    assert re.search("●[^■\n]* 100 +steady", text) and re.search("■.* 1.0e-8 +VANISHING", text)


def test_what_does_nothing_is_told_by_its_activation_and_the_batch_it_was_seen_in() -> None:
    rows = lines(drawn("gradients", history(pair(), activation="relu"), 100, 20))
    assert "dead, %" in rows[1]
    assert "   50 ▆▆▆▆▆▆▆" in row_of(rows, "●", 1)
    assert row_of(rows, "●", 3).rstrip().endswith("-")
    assert "dead: outputs that are 0 for all of this batch's 32 samples; another batch may wake some" in rows[-4:][
        0
    ] + ("\n".join(rows))
    saturated = "\n".join(lines(drawn("gradients", history(pair(), activation="tanh"), 100, 20)))
    assert "saturated, %" in saturated and "within 0.05 of a limit" in saturated and "dead" not in saturated
    nothing = [replace(layer, inactive=math.nan) for layer in flow()]
    assert "%" not in "\n".join(lines(drawn("gradients", history({"batch": nothing, "none": nothing}))))


def test_many_arms_share_a_line_of_each_layer() -> None:
    made = history(dict(zip(("batch", "group:8", "layer", "instance", "batch-renorm", "none"),
                            (flow(first=10.0 ** -i) for i in range(6)), strict=True)), norms=ZOO)  # fmt: skip
    rows = lines(drawn("gradients", made, 79, 12))
    first = next(line for line in rows if line.startswith("linear 1"))
    assert sorted(first, key="★▼◆▲■●".find)[-6:] == list("★▼◆▲■●")
    assert [char for char in first if char in "★▼◆▲■●"] == list("★▼◆▲■●")


def test_the_cursor_shows_an_earlier_reading() -> None:
    made = history(pair(), pair(**VANISHING))
    assert "VANISHING" in drawn("gradients", made).text.plain
    earlier = drawn("gradients", made, view=View(cursor=40)).text.plain
    assert "VANISHING" not in earlier and "step 25" in earlier


def test_an_axis_of_decades() -> None:
    axis = decades([1e-12, 1.0], 49)
    assert (axis.low, axis.high) == (-12, 0)
    assert [axis.cell(value) for value in (1e-12, 1e-6, 1.0, 1e-30, 1e9)] == [0, 24, 48, 0, 48]
    assert (decades([], 9).low, decades([], 9).high) == (-3, 0)
    assert (decades([0.5, math.inf, 0.0, math.nan], 9).low, decades([0.5], 9).high) == (-3, 0)


# Layer × time


def test_the_heat_map_has_a_row_for_each_layer_and_a_column_for_each_time() -> None:
    made = history(pair(**VANISHING), pair(**VANISHING), last=100)
    drawing = drawn("gradient-heat", made, 79, 20)
    rows = lines(drawing)
    dark, bright = SEQUENTIAL["dark"][0], SEQUENTIAL["dark"][-1]
    assert rows[1].startswith("-8 ") and " 0 log10" in rows[1]
    without = next(i for i, line in enumerate(rows) if "Without BN" in line)
    first = next(i for i in range(without, 20) if "linear 1" in rows[i])
    last = next(i for i in range(without, 20) if "linear 3" in rows[i])
    # Read at the steps 25 and 50 of 100.
    left, cells = drawing.left, 79 - drawing.left
    inside, before, after = left + cells * 3 // 8, left + cells // 8, left + cells * 7 // 8
    assert (styles(drawing.text, first)[inside], styles(drawing.text, last)[inside]) == (dark, bright)
    assert styles(drawing.text, first)[before] == styles(drawing.text, first)[after] == ""
    assert rows[-1].split() == [] or rows[-1].split()[0] == "0"
    assert drawing.x_axis is not None and (drawing.x_axis.low, drawing.x_axis.high) == (0.0, 100.0)


def test_a_gradient_of_zero_is_the_darkest_and_one_that_is_no_number_is_empty() -> None:
    odd = list(flow())
    odd[0], odd[1] = replace(odd[0], weight_gradient=0.0), replace(odd[1], weight_gradient=math.nan)
    drawing = drawn("gradient-heat", history({"batch": flow(), "none": odd}), 79, 20)
    rows = lines(drawing)
    without = next(i for i, line in enumerate(rows) if "Without BN" in line)
    at = {n: next(i for i in range(without, 20) if f"linear {n}" in rows[i]) for n in (1, 2)}
    assert styles(drawing.text, at[1])[-1] == SEQUENTIAL["dark"][0]
    assert (rows[at[2]][-1], styles(drawing.text, at[2])[-1]) == (" ", "")


def test_the_cursor_is_drawn_where_a_click_would_put_it() -> None:
    drawing = drawn("gradient-heat", history(pair(), pair(), pair(), pair()), view=View(cursor=50))
    column = next(line for line in lines(drawing) if "│" in line).index("│")
    x = drawing.x_at(column)
    assert x is not None and abs(x - 50) < 2


def test_the_axis_of_time_follows_the_choice() -> None:
    made = history(*[pair()] * 4)
    for kind, end in (("step", 100), ("epoch", 1.0), ("seconds", 4.0)):
        for name in ("gradient-heat", "activations", "updates"):
            axis = drawn(name, made, view=View(x_axis=kind)).x_axis
            assert axis is not None and (axis.low, axis.high) == (0.0, end)
        assert kind in "\n".join(lines(drawn("gradient-heat", made, view=View(x_axis=kind))))


# The butterfly


def test_shares_of_a_normal_distribution() -> None:
    of = distribution(flow()[0], False)
    assert of is not None
    assert of.shares([-10, -1, 0, 1, 10]) == pytest.approx([0.159, 0.341, 0.341, 0.159], abs=0.01)
    assert usual_range([of]) == pytest.approx((-2.33, 2.33), abs=0.01)
    rough = distribution(replace(flow()[0], quantiles=()), False)
    assert rough is not None and rough.shares([-10, 0, 10]) == pytest.approx([0.5, 0.5])
    assert distribution(flow()[2], False) is None
    assert distribution(replace(flow()[0], quantiles=(math.nan,) * len(e.QUANTILES)), False) is None


def test_one_value_alone_lies_in_one_cell() -> None:
    alone = distribution(replace(flow()[0], quantiles=(0.25,) * len(e.QUANTILES)), False)
    assert alone is not None and alone.shares([0, 0.2, 0.4, 0.6]) == [0, 1, 0]


def test_one_outlier_does_not_set_the_range() -> None:
    far = {"batch": flow(spread=1e6), "none": flow()}
    usual = [pair()] * 9
    scene = Scene(made := history(*usual, far), View(), Look(), list(made.flow_recent))
    of = halves(scene, range(10), 8, 0)[0]
    assert of.high < 4


@pytest.mark.parametrize("coloured", [True, False])
def test_the_halves_are_mirrored_about_one_axis(coloured: bool) -> None:
    # With BN around 0, without around 2.
    made = history(*[{"batch": flow(), "none": flow(middle=2.0)}] * 4)
    drawing = PANELS["activations"](made, View(), Look(coloured=coloured), 79, 27)
    rows = lines(drawing)
    axis = next(i for i, line in enumerate(rows) if "────" in line)
    label = {i: line[:6].strip() for i, line in enumerate(rows)}
    above = [label[i] for i in range(axis - 1, 1, -1)]
    below = [label[i] for i in range(axis + 1, axis + 1 + len(above))]
    known = [float(a) for a in above if a]
    assert above == below and known == sorted(known) and known[0] < 0 < known[-1]
    column = 60

    def densest(within: Sequence[int]) -> list[int]:
        if not coloured:
            return [i for i in within if rows[i][column] == "█"]
        top = {BLUE, ORANGE, SHADES["dark"][BLUE][-1], SHADES["dark"][ORANGE][-1]}
        return [i for i in within if top & set(styles(drawing.text, i)[column].split())]

    zero, two = above.index("0"), above.index("2")
    upper, lower = densest(range(2, axis)), densest(range(axis + 1, axis + 1 + len(above)))
    assert upper and all(abs(axis - 1 - i - zero) <= 2 for i in upper)
    assert lower and all(abs(i - axis - 1 - two) <= 2 for i in lower)
    assert rows[1].startswith("● With BN upwards  ■ Without BN downwards")


def test_a_half_that_spreads_much_wider_has_its_own_scale() -> None:
    text = drawn("activations", history(pair(spread=100.0)), 79, 27).text.plain
    assert "each half has its own scale" in text and "200" in text
    assert "each half" not in drawn("activations", history(pair(spread=2.0)), 79, 27).text.plain


def test_the_layer_is_chosen() -> None:
    made = history(pair())
    titles = [lines(drawn("activations", made, view=View(layer=n)))[0] for n in (0, 1, 2, -1)]
    # The last of three layers has no activation.
    assert [title[20] for title in titles] == ["1", "2", "1", "2"]
    assert "after linear 2" in titles[1] and titles[1].rstrip().endswith("2 of 2  [ ]")


def test_older_readings_have_three_percentiles() -> None:
    old = [replace(layer, quantiles=()) for layer in flow()]
    text = drawn("activations", history({"batch": old, "none": old})).text.plain
    assert "from 3 percentiles" in text and "from 3" not in drawn("activations", history(pair())).text.plain


def test_of_one_unit_three_percentiles_are_known() -> None:
    with_unit = tuple(replace(layer, unit_percentiles=layer.percentiles and (5.0, 6.0, 7.0)) for layer in flow())
    made = history()
    made.apply(e.FlowRead(1, 10, {"batch": with_unit, "none": with_unit}, True, 3))
    text = drawn("activations", made, 100, view=View(unit=3)).text.plain
    assert "unit 3" in text and "from 3 percentiles" in text
    other = drawn("activations", made, view=View(unit=4)).text.plain
    assert "nothing was read of this unit" in other


def test_which_two_of_many_arms_are_shown() -> None:
    made = history({name: flow() for name in ("group:8", "layer", "none", "batch")},
                   norms=("group:8", "layer", "none", "batch"))  # fmt: skip
    scene = Scene(made, View(), Look(), list(made.flow_recent))
    assert [arm.name for arm in mirrored(scene)] == ["group:8", "none"]
    text = drawn("activations", made).text.plain
    assert "Group norm 8 upwards" in text and "No norm downwards" in text and "2 of 4 arms" in text


def test_an_arm_that_diverged_leaves_its_half_empty() -> None:
    broken = [replace(layer, quantiles=layer.quantiles and (math.nan,) * len(e.QUANTILES)) for layer in flow()]
    text = drawn("activations", history({"batch": flow(), "none": broken}), 100).text.plain
    assert "Without BN downwards  not a number" in text


# Updates


def test_the_ratio_of_updates_lies_on_its_tick_and_the_rule_of_thumb_is_a_line() -> None:
    rows = lines(drawn("updates", history(pair()), 79, 24))
    assert "rule of thumb" in rows[0]
    line = next(row for row in rows if row.startswith("linear 2")).rindex("│")
    assert line in range(rows[1].index("0.001"), rows[1].index("0.001") + 5)
    second = row_of(rows, "●", 2)
    # A tenth of the rule of thumb: its glyph lies at that tick, to the left of the line.
    assert second.rindex("●") in range(rows[1].index("1e-4"), rows[1].index("1e-4") + 4)
    assert second.rindex("●") < line and " 1.0e-4" in second
    assert row_of(rows, "●", 1).rindex("●") == line
    assert "over time, decades off 1e-3: -2" in "\n".join(rows)


def test_readings_without_updates_say_so() -> None:
    old = [replace(layer, update_ratio=math.nan) for layer in flow()]
    assert "not in these readings" in drawn("updates", history({"batch": old, "none": old})).text.plain


# All of them


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
@pytest.mark.parametrize("name", PANELS)
def test_an_empty_panel_says_what_it_waits_for(name: str, status: str, replay: bool, said: str) -> None:
    made = History(status=status)
    if status != "loading":
        made.started = started()
    rows = lines(drawn(name, made, 40, 9, View(replay=replay)))
    assert said in "\n".join(rows) and said == awaited(made, replay)
    assert rows[0].strip()


def test_readings_that_are_kept_are_followed_by_the_newest() -> None:
    kept = [e.FlowRead(1, step, {}) for step in (10, 20, 30)]
    recent = [e.FlowRead(1, step, {}, True) for step in (20, 25, 30)]
    assert [read.step for read in merged(kept, recent)] == [10, 20, 25, 30]


def _of_one_arm() -> History:
    made = history()
    begun = started()
    made.apply(replace(begun, arms=begun.arms[:1]))
    made.apply(e.Stepped(25, 25, {"batch": (1.0,)}, 1.0))
    made.apply(e.FlowRead(1, 25, {"batch": flow()}, True))
    return made


@cache
def _odd() -> list[History]:
    nothing = tuple(
        e.LayerFlow(f"l{i}", math.nan, math.inf, (math.nan,) * 3 if i < 2 else (), math.nan) for i in range(3)
    )
    alone = (e.LayerFlow("linear1", 1.0, 1.0, (), math.nan),)
    tiny = tuple(replace(layer, weight_gradient=5e-324, update_ratio=1e308) for layer in flow())
    huge = tuple(
        replace(layer, weight_gradient=1e308, quantiles=tuple(1e300 * q for q in layer.quantiles)) for layer in flow()
    )
    return [
        History(),
        history(pair()),
        history(*[{"batch": nothing, "none": nothing}] * 3),
        history({"batch": alone, "none": alone}),
        history({"batch": (), "none": ()}),
        history({"batch": flow(), "none": flow(2)}),
        history({"batch": tiny, "none": huge}, {"batch": huge, "none": tiny}),
        _of_one_arm(),
        history(*[{name: flow(50) for name in ZOO}] * 9, norms=ZOO),
    ]


@pytest.mark.parametrize("look", [Look(), Look("ascii", coloured=False), Look(theme="light", few_colours=True)])
@pytest.mark.parametrize("name", PANELS)
def test_everything_fits_whatever_was_read(name: str, look: Look) -> None:
    views = (View(), View(cursor=25, layer=3, x_axis="seconds", recent=True), View(unit=2, x_axis="epoch", replay=True))
    for number, made in enumerate(_odd()):
        sizes = [(w, h) for w in (1, 20, 40, 79, 200) for h in (1, 2, 3, 6, 10, 18, 60)]
        for place, (width, height) in enumerate(sizes):
            for view in views[(number + place) % 2 :: 2]:
                text = PANELS[name](made, view, look, width, height).text
                rows = text.plain.split("\n")
                assert len(rows) <= height and max(text.cell_len for text in text.split("\n")) <= width
                assert text.plain.isascii() or not look.ascii_only


def test_a_long_run_is_drawn_from_all_of_its_readings() -> None:
    made = history(*[pair()] * (MAX_FLOWS + 8))
    axis = drawn("gradient-heat", made).x_axis
    assert axis is not None and axis.high == 25 * (MAX_FLOWS + 8)
