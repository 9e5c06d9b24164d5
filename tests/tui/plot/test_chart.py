import io
import math
import re
from contextlib import redirect_stderr, redirect_stdout
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.tui.plot.chart import Chart, Line, draw
from bntui.tui.plot.curves import smooth, smooth_on, thin
from bntui.tui.plot.limits import robust_limits
from bntui.tui.plot.marks import Mark, gathered
from bntui.tui.plot.raster import Stroke, paint, trace
from bntui.tui.theme import Look

BLUE, ORANGE = Look().colours[:2]

STEPS = list(range(1, 161))
BN = [2.3 * math.exp(-i / 20) + 0.1234 for i in range(160)]
PLAIN = [2.3 * math.exp(-i / 60) + 0.4321 for i in range(160)]
PAIR = (Line(STEPS, BN, BLUE, "braille", "With BN"), Line(STEPS, PLAIN, ORANGE, "braille", "Without BN"))
LOSS = Chart("train loss, nats", PAIR)

anything = st.floats(allow_nan=True, allow_infinity=True)
lines = st.builds(
    lambda points, marker, faint, ghost, dots, joined: Line(
        [x for x, _ in points], [y for _, y in points], BLUE, marker, "arm",
        faint=faint, ghost=ghost, points=dots, joined=joined,
    ),
    st.lists(st.tuples(anything, anything), max_size=12),
    st.sampled_from(["braille", "hd", "*", "block", ""]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
marks = st.builds(Mark, anything, st.text(max_size=2), st.sampled_from(["done", "undone", "alert"]))
charts = st.builds(
    Chart,
    title=st.text(max_size=30),
    lines=st.lists(lines, max_size=4).map(tuple),
    x_label=st.text(max_size=12),
    marks=st.lists(marks, max_size=5).map(tuple),
    cursor=st.none() | anything,
    log_y=st.booleans(),
    robust=st.booleans(),
    shares=st.booleans(),
    detail=st.text(max_size=20),
    x_range=st.none() | st.tuples(anything, anything),
    empty=st.text(max_size=30),
)


def rows(chart, width=78, height=18, **options):
    return draw(chart, width, height, **options).text.plain.split("\n")


def styles(text):
    return {str(span.style) for span in text.spans}


def one(y, x=None, **options):
    return Chart("loss", (Line(list(range(len(y))) if x is None else x, y, BLUE, "braille", "With BN"),), **options)


def tick_labels(chart, width=78, height=18):
    found = (re.match(r" *(\S+)┤", row) for row in rows(chart, width, height))
    return [match[1] for match in found if match]


def test_smooth_is_the_debiased_average():
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    expected = []
    for n in range(1, 6):
        weights = [0.8 ** (n - 1 - i) for i in range(n)]
        expected.append(sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights))
    assert smooth(values, 0.8) == pytest.approx(expected)
    assert smooth(values, 0.8)[0] == 3.0


def test_smooth_with_weight_zero_returns_the_values():
    assert smooth([0.1, 0.7, 0.3], 0) == [0.1, 0.7, 0.3]


def test_smooth_skips_what_is_not_finite():
    with_gap = smooth([1.0, math.nan, 3.0, math.inf, 2.0], 0.5)
    assert [with_gap[i] for i in (0, 2, 4)] == smooth([1.0, 3.0, 2.0], 0.5)
    assert math.isnan(with_gap[1]) and with_gap[3] == math.inf


@pytest.mark.parametrize("weight", [-0.1, 1, math.nan])
def test_smooth_refuses_a_weight_outside_0_to_1(weight):
    with pytest.raises(ValueError, match="weight"):
        smooth([1.0], weight)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 40))
def test_thin_keeps_the_extremes_in_order_and_two_points_a_column(y, columns):
    x = [float(i) for i in range(len(y))]
    thin_x, thin_y = thin(x, y, columns)
    assert (min(thin_y), max(thin_y)) == (min(y), max(y))
    assert thin_x == sorted(thin_x)
    assert all(y[int(at)] == value for at, value in zip(thin_x, thin_y, strict=True))
    assert len(thin_x) <= 2 * columns
    width = (len(y) - 1) / columns
    for column in range(columns):
        assert sum(column * width + 1e-6 < at < (column + 1) * width - 1e-6 for at in thin_x) <= 2


def test_thin_keeps_a_spike_and_a_gap():
    y = [0.0] * 1000
    y[500] = 9.0
    y[200:300] = [math.nan] * 100
    thin_x, thin_y = thin(list(range(1000)), y, 20)
    assert 9.0 in thin_y
    assert all(math.isnan(v) for at, v in zip(thin_x, thin_y, strict=True) if 200 <= at < 300)
    assert any(math.isnan(v) for v in thin_y)


@given(st.integers(1, 130), st.integers(1, 40), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_size_is_filled_exactly(width, height, colours, ascii_only):
    chart = Chart("train loss · nats …", PAIR, marks=(Mark(40, "b"), Mark(159, "l")), cursor=80)
    text = draw(chart, width, height, colours=colours, ascii_only=ascii_only).text
    shown = text.plain.split("\n")
    assert len(shown) == height
    assert {cell_len(row) for row in shown} == {width}
    assert not ascii_only or text.plain.isascii()


@given(charts, st.integers(1, 60), st.integers(1, 20), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_odd_data_is_drawn_too(chart, width, height, colours, ascii_only, few_colours):
    text = draw(chart, width, height, colours=colours, ascii_only=ascii_only, few_colours=few_colours).text
    shown = text.plain.split("\n")
    assert len(shown) == height
    assert {cell_len(row) for row in shown} == {width}
    assert not ascii_only or text.plain.isascii()


def test_heading_has_title_labels_and_last_values():
    heading = rows(LOSS)[0]
    assert heading.startswith("train loss, nats ")
    assert heading.endswith(f"● With BN {BN[-1]:.4f}  ■ Without BN {PLAIN[-1]:.4f}")


def test_heading_without_room_goes_below_the_title_and_then_without_the_labels():
    assert rows(LOSS, 46, 9)[0] == f"train loss   ● With BN {BN[-1]:.3f}  ■ Without BN {PLAIN[-1]:.3f}".replace(
        "0.", "."
    )
    assert rows(LOSS, 41, 9)[:2] == [
        "train loss, nats".ljust(41), f"● With BN {BN[-1]:.4f}  ■ Without BN {PLAIN[-1]:.4f}".ljust(41),
    ]  # fmt: skip
    assert rows(LOSS, 30, 9)[0] == f"train loss  ● {BN[-1]:.4f}  ■ {PLAIN[-1]:.4f}"


def test_what_is_told_beside_the_title_needs_room_and_the_unit_goes_before_the_labels():
    chart = Chart("train loss, nats", PAIR, detail="smoothed .95")
    assert rows(chart, 78, 9)[0].startswith("train loss, nats · smoothed .95  ")
    assert rows(chart, 60, 9)[0].startswith("train loss, nats  ")
    # Where there are rows enough, the legend takes one.
    assert rows(chart, 60, 20)[0].rstrip() == "train loss, nats · smoothed .95"


def test_shares_are_written_with_three_digits():
    shown = rows(one([0.5, 0.9624], shares=True))
    assert shown[0].endswith("With BN .962")
    assert any(row.lstrip().startswith(".8┤") for row in shown)


def test_a_tiny_chart_shows_title_and_values():
    shown = rows(LOSS, 30, 4)
    assert [row.rstrip() for row in shown] == [
        "train loss, nats",
        f"● With BN {BN[-1]:.4f}",
        f"■ Without BN {PLAIN[-1]:.4f}",
        "",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0.0000"),
        (0.35124, "0.3512"),
        (1.5, "1.5000"),
        (98.76543, "98.765"),
        (12345.6, " 12346"),
        (-0.35124, "-0.351"),
        (1.234e-5, "1.2e-5"),
        (1e30, "1.0e30"),
        (123456, "1.23e5"),
        (1e-300, "1e-300"),
    ],
)
def test_values_take_six_cells(value, shown):
    assert rows(one([value]))[0].endswith(f"● With BN {shown}")


def test_last_value_is_the_last_finite_one():
    assert rows(one([1.0, 0.5, math.nan]))[0].endswith("With BN 0.5000")
    assert rows(one([math.nan]))[0].endswith("With BN      -")


def test_cursor_shows_the_values_at_the_nearest_point():
    chart = Chart("train loss, nats", PAIR, cursor=40.4)
    assert rows(chart)[0].endswith(f"● With BN {BN[39]:.4f}  ■ Without BN {PLAIN[39]:.4f}")
    assert "40.4" in rows(chart)[-1]
    assert rows(chart)[0].startswith("train loss, nats at step 40  ")
    assert " at " not in rows(LOSS)[0]
    assert rows(chart, 26, 7)[0].rstrip() == "train loss at step 40"
    assert rows(chart, 20, 7)[0].rstrip() == "train loss at 40"
    assert any("┊" in row for row in rows(chart))
    assert rows(one([1.0, math.nan, 3.0], cursor=1))[0].endswith("With BN      -")


def test_cursor_is_labelled_at_both_ends():
    for cursor in (1, 160):
        bottom = rows(Chart("loss", PAIR, cursor=cursor))[-1]
        assert re.search(rf"\b{cursor}\b", bottom)
        assert bottom.endswith(" step")


@pytest.mark.parametrize(
    "chart", [Chart("loss", (), empty="after epoch 1"), one([math.nan, math.inf], empty="after epoch 1")]
)
def test_empty_chart_says_what_it_waits_for(chart):
    shown = rows(chart, 41, 9)
    assert shown[4] == "after epoch 1".center(41)
    assert rows(chart, 41, 9, colours=False) == shown


def test_nothing_in_range_or_nothing_positive_is_said():
    assert any("nothing in this range" in row for row in rows(one([1.0, 2.0], x_range=(10, 20))))
    assert any("nothing above 0" in row for row in rows(one([-1.0, 0.0], log_y=True)))


def test_x_range_shows_that_part_only():
    labels = rows(Chart("loss", PAIR, x_range=(100, 150)))[-1].split()
    assert labels[-1] == "step"
    assert all(100 <= float(label) <= 150 for label in labels[:-1])
    assert any("⠉" in row or "⠒" in row or "⠤" in row for row in rows(one([0.0, 1.0], x=[0, 1000], x_range=(400, 600))))


def test_y_ticks_are_round_and_few():
    assert tick_labels(LOSS) == ["3", "2", "1", "0"]
    assert tick_labels(one([0.97514, 0.97521]))
    assert all(len(label) <= 8 for label in tick_labels(one([0.97514, 0.97521])))


def test_the_curve_starts_in_the_same_column_while_values_change_a_little():
    columns = {rows(one([y, 2 * y]))[3].index("│") for y in (0.011, 0.35, 0.999, 1.0, 9.9, 10.1, 120.0, 1.2e-4, 1e30)}
    assert columns == {6}


def test_log_ticks_are_decades():
    labels = tick_labels(one([10.0**e for e in range(-6, 4)], log_y=True), height=36)
    assert labels == ["1,000", "100", "10", "1", "0.1", "0.01", "0.001", "1e-4", "1e-5", "1e-6"]
    assert tick_labels(one([0.2, 3.0], log_y=True)) == ["2", "1", "0.5", "0.2"]


def test_large_steps_have_thousands_separators():
    assert "10,000" in rows(one([1.0, 2.0], x=[0, 20_000]))[-1]


def test_marks_stand_in_the_line_of_the_axis_and_leave_the_curves_alone():
    chart = Chart("loss", PAIR, marks=(Mark(80, "b"), Mark(120, "l", "undone"), Mark(40, "⚠", "alert"), Mark(999, "x")))
    text = draw(chart, 78, 18).text
    shown, without = text.plain.split("\n"), rows(Chart("loss", PAIR))
    assert shown[:16] == without[:16] and shown[17] == without[17]
    signs = {char: shown[16].index(char) for char in "b⚠l"}
    assert sorted(signs.values()) == [signs["⚠"], signs["b"], signs["l"]] and "x" not in shown[16]
    assert signs["b"] == pytest.approx(7 + 71 * 79 / 159, abs=1)
    start = sum(len(row) + 1 for row in shown[:16])
    style = {
        char: {str(span.style) for span in text.spans if span.start <= start + at < span.end}
        for char, at in signs.items()
    }
    assert style == {"b": {"bold"}, "l": {"#767676"}, "⚠": {"bold #ff5f5f"}}
    assert "!" in rows(chart, ascii_only=True)[16]


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ([(3, "b"), (5, "l")], "   b l"),
        ([(3, "b"), (4, "l")], "   bl"),
        ([(3, "b"), (3, "l")], "   bl"),
        ([(3, "b"), (3, "b"), (3, "b")], "   b"),
        ([(3, "b"), (3, "l"), (3, "d"), (6, "f")], "   3× f"),
        ([(3, "b"), (3, "l"), (3, "⚠")], "   ⚠+"),
        ([(19, "b"), (19, "l")], " " * 18 + "bl"),
    ],
)
def test_marks_that_crowd_are_gathered(steps, line):
    places = [(at, Mark(at, sign, "alert" if sign == "⚠" else "done")) for at, sign in steps]
    written = [" "] * 20
    for sign in gathered(places, 20):
        written[sign.column : sign.column + len(sign.text)] = sign.text
    assert "".join(written).rstrip() == line


def test_the_unit_stands_behind_the_last_tick_and_every_layer_has_an_end():
    assert rows(Chart("loss", PAIR, x_range=(0, 2000)))[-1].endswith(" 2,000 step")
    assert re.search(r" 17 layer$", rows(one([1.0] * 17, x=list(range(1, 18)), x_label="layer"))[-1])


def test_no_colours_means_no_colours():
    chart = Chart(
        "loss",
        (Line(STEPS, BN, BLUE, "braille", faint=True), *PAIR),
        marks=(Mark(80, "b"), Mark(9, "⚠", "alert")),
        cursor=20,
    )
    assert styles(draw(chart, 78, 18, colours=False).text) <= {"bold", "dim", "bold dim"}
    assert {BLUE, ORANGE} < styles(draw(chart, 78, 18).text)


def test_a_faint_line_is_dimmer_and_behind():
    faint = Line(STEPS, BN, BLUE, "braille", faint=True)
    other = Line(STEPS, PLAIN, BLUE, "braille", faint=True)
    assert "#005f87" in styles(draw(Chart("loss", (PAIR[0], other)), 78, 18).text)
    assert "#005f87" not in styles(draw(Chart("loss", (PAIR[0], faint)), 78, 18).text)
    assert "#afd7ff" in styles(draw(Chart("loss", (PAIR[0], other)), 78, 18, light=True).text)
    # Half of a colour may be brighter than the whole where there are sixteen.
    assert styles(draw(Chart("loss", (PAIR[0], other)), 78, 18, few_colours=True).text) == {
        "bold", BLUE, f"bold {BLUE}", "#767676",
    }  # fmt: skip


def test_a_ghost_is_dashed_faint_and_behind_and_not_in_the_legend():
    ghost = Line(STEPS, PLAIN, BLUE, "braille", ghost=True)
    chart = Chart("loss", (PAIR[0], ghost))
    assert rows(chart)[0] == rows(Chart("loss", PAIR[:1]))[0]
    assert "#005f87" in styles(draw(chart, 78, 18).text)
    assert "#005f87" not in styles(draw(chart, 78, 18, few_colours=True).text)
    assert "dim" in styles(draw(chart, 78, 18, colours=False).text)
    flat = (
        rows(one([1.0, 1.0], x=[0, 100])),
        rows(Chart("loss", (Line([0, 100], [1.0, 1.0], BLUE, "braille", ghost=True),))),
    )
    full, dashed = (sum("\u2800" < char <= "\u28ff" for char in "".join(shown)) for shown in flat)
    assert dashed == pytest.approx(full / 2, abs=1)


def cells_of(chart, colour, **options):
    """The cells that have a colour, by row and column."""
    text = draw(chart, 78, 18, **options).text
    return {
        divmod(at, 79) for span in text.spans if str(span.style) == colour for at in range(span.start, span.end)
        if divmod(at, 79)[0] > 0
    }  # fmt: skip


@pytest.mark.parametrize("marker", ["braille", "hd", "*"])
def test_no_curve_hides_another(marker):
    for count in (2, 6):
        colours = Look().colours[:count]
        chart = Chart("loss", tuple(Line(STEPS, PLAIN, colour, marker) for colour in colours))
        alone = cells_of(Chart("loss", (Line(STEPS, PLAIN, BLUE, marker),)), BLUE)
        each = [cells_of(chart, colour) for colour in colours]
        assert all(len(cells) >= len(alone) / count * 0.6 for cells in each)
        assert set().union(*each) <= {(r, c + d) for r, c in alone for d in (-1, 0, 1)}


def test_in_a_cell_of_two_each_has_its_own_dots_or_both_where_there_is_no_colour():
    pair = [Stroke([0, 1], [y, y], "braille", style) for y, style in ((0.0, "a"), (1.0, "b"))]
    assert [cell.char for cell in paint(pair, 4, 1, mixed=False)] == ["⣀", "⠉", "⣀", "⠉"]
    assert [cell.char for cell in paint(pair, 4, 1, mixed=True)] == ["⣉"] * 4


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-30, 30) | st.just(math.nan)), max_size=9), st.integers(1, 40),
    st.integers(1, 30),
)  # fmt: skip
def test_a_line_has_a_dot_in_each_column_between_its_points_and_no_hole(points, wide, high):
    points = sorted(points, key=lambda point: point[0])
    columns = trace(Stroke([x for x, _ in points], [y for _, y in points], "braille", ""), wide, high)
    assert len(columns) == wide and all(0 <= bits < 1 << high for bits in columns)
    if len(points) > 1 and all(0 <= y <= 1 for _, y in points):
        first, last = (math.floor(x * (wide - 1) + 0.5) for x in (points[0][0], points[-1][0]))
        assert [bool(bits) for bits in columns] == [first <= i <= last for i in range(wide)]
        for left, right in zip(columns[first:last], columns[first + 1 : last + 1], strict=True):
            # Neighbours touch, if need be at a corner.
            assert left & (right | right << 1 | right >> 1)


def test_arms_differ_without_colour():
    shown = "\n".join(rows(LOSS, colours=False)[1:])
    assert shown.count("●") > 3 and shown.count("■") > 3
    shown = "\n".join(rows(LOSS)[1:])
    assert (shown.count("●"), shown.count("■")) == (1, 1)
    shown = "\n".join(rows(LOSS, ascii_only=True)[1:-1])
    assert shown.count("*") > 20 and shown.count("o") > 20


def test_points_are_marked():
    chart = Chart("accuracy", (Line([1, 2, 3, 4], [0.9, 0.94, 0.95, 0.96], BLUE, "braille", points=True),))
    assert "".join(rows(chart)).count("●") == 4


def test_glyphs_lie_on_the_curve():
    # The curve goes on at both sides of a glyph: it stands where the curve would have been drawn.
    for height in range(9, 30):
        shown = rows(one([0.1, 0.3, 0.2, 0.4, 0.35]), height=height)
        row = next(i for i in range(1, height) if "●" in shown[i])
        around = [shown[i][shown[row].index("●") - 1] for i in range(row - 1, row + 2)]
        assert any(char > "\u2800" for char in around)


def test_single_points_and_gaps_are_visible():
    assert "●" in "".join(rows(one([0.5]))[1:])
    gap = rows(one([1.0, 1.0, math.nan, 1.0, 1.0]))
    curve = next(row for row in gap if row.count("⠒") + row.count("⠉") + row.count("⠤") + row.count("⣀") > 10)
    assert re.search(r"\S {20,}\S", curve[7:])


def test_draws_do_not_influence_each_other_or_the_terminal():
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        first = draw(LOSS, 78, 18).text
        draw(one([1e30, 5.0], log_y=True), 50, 12, ascii_only=True)
        again = draw(LOSS, 78, 18).text
    assert first == again and first.spans == again.spans
    assert out.getvalue() == ""


def test_a_robust_axis_leaves_out_what_is_short_and_far_off_and_marks_it():
    y = [1 + (i % 10) / 10 for i in range(200)]
    spiky = [*y[:100], 50.0, *y[101:]]
    assert "40" in "\n".join(rows(one(spiky)))
    shown = "\n".join(rows(one(spiky, robust=True)))
    assert "↑50" in shown and "40" not in shown and "1.5" in shown
    assert "^50" in "\n".join(rows(one(spiky, robust=True), ascii_only=True))
    assert "●↑50" in "\n".join(rows(one(spiky, robust=True), colours=False))
    fallen = [0.9 + i / 4000 for i in range(200)]
    fallen[120] = 0.1
    assert "↓.1" in "\n".join(rows(one(fallen, robust=True, shares=True)))
    assert rows(one([2.0] * 9, robust=True)) == rows(one([2.0] * 9))
    assert "↑1.0e30" in "\n".join(rows(one([*y[:100], 1e30, *y[101:]], robust=True, log_y=True)))


def limits(y, x=None):
    return robust_limits([(list(range(len(y))) if x is None else x, y)])


def test_one_bad_epoch_is_not_obeyed_but_two_are():
    epochs = [0.8, 0.85, 0.86, 0.87, 0.1, 0.87, 0.88, 0.88, 0.89, 0.89]
    assert limits(epochs)[0] > 0.7
    assert limits([*epochs[:4], 0.1, 0.1, *epochs[6:]])[0] == 0.1
    # Of so few no one can tell which is the odd one.
    assert limits(epochs[2:6])[0] == 0.1


def test_a_first_fall_does_not_waste_the_chart_and_is_no_outlier():
    fall = [0.3 + 2 * math.exp(-i / 10) for i in range(1000)]
    low, high = limits(fall)
    assert low == pytest.approx(0.3, abs=0.01) and high < 0.6
    assert "↑" not in "".join(rows(one(fall, robust=True)))
    # While it is all there is, it is shown.
    assert limits(fall[:30])[1] == fall[0]
    # Evaluations early on are close together: what counts is how long, not how many.
    steps = [1, 2, 4, 8, 16, 32, 64, *range(128, 10_000, 500)]
    assert limits([0.3 + 2 * math.exp(-step / 100) for step in steps], steps)[1] < 1


def test_a_collapse_that_lasts_is_shown():
    calm = [0.9 - (i % 5) / 500 for i in range(400)]
    assert limits([*calm, *[0.1] * 40])[0] == 0.1
    # Of its newest part less is enough, and of one arm of six too.
    assert limits([*calm, *[0.1] * 16])[0] == 0.1
    arms = [(list(range(400)), calm)] * 5 + [(list(range(440)), [*calm, *[0.1] * 40])]
    assert robust_limits(arms)[0] == 0.1


def test_a_spike_whose_end_takes_long_to_be_smoothed_away_is_not_obeyed():
    loss = smooth([*[0.5] * 400, *[1e8] * 50, *[0.6] * 800], 0.95)
    assert limits(loss)[1] < 1e4
    # A fall from far above is none.
    assert limits([1e4 * 0.9**i for i in range(100)])[1] > 1e3


def test_ghosts_get_as_much_room_again_as_the_curves():
    x = list(range(100))
    curve, ghost, far = [i / 100 for i in x], [1.5] * 100, [50.0] * 100
    assert robust_limits([(x, curve)], ghosts=[(x, ghost)])[1] == 1.5
    assert robust_limits([(x, curve)], ghosts=[(x, far)])[1] == pytest.approx(2, abs=0.1)


def test_smoothing_goes_on_from_a_value():
    assert smooth_on(2.0, [1.0, math.nan, 0.0], 0.5)[::2] == [1.5, 0.75]
    assert smooth_on(math.nan, [1.0, 0.0], 0.5) == [1.0, 0.5]


@pytest.mark.parametrize("last", [1, 2, 3, 9, 40])
def test_layers_are_counted_without_fractions(last):
    bottom = rows(one([float(i) for i in range(1, last + 1)], x=list(range(1, last + 1)), x_label="layer"))[-1]
    assert "." not in bottom and bottom.rstrip().endswith("layer")


def many(count, **options):
    look = Look()
    labels = ["Batch norm", "Group norm 8", "Layer norm", "Instance norm", "Batch renorm", "No norm"]
    return Chart("accuracy", tuple(
        Line([1, 2, 3], [0.1234 + i / 10] * 3, colour, "braille", label, glyph=glyph)
        for i, (colour, glyph, label) in enumerate(
            list(zip(look.colours, look.glyphs, labels, strict=True))[:count])
    ), **options)  # fmt: skip


BARE = "●.123 ■.223 ▲.323 ◆.423 ▼.523 ★.623"
NAMED = [
    "● Batch norm .123 ■ Group norm 8 .223 ▲ Layer norm .323",
    "◆ Instance norm .423 ▼ Batch renorm .523 ★ No norm .623",
]


@pytest.mark.parametrize(
    ("count", "width", "height", "heading"),
    [
        (3, 78, 11, ["accuracy ● Batch norm 0.1234 ■ Group norm 8 0.2234 ▲ Layer norm 0.3234"]),
        (4, 78, 11, ["accuracy", "● Batch norm .123 ■ Group norm 8 .223 ▲ Layer norm .323 ◆ Instance norm .423"]),
        (4, 60, 11, ["accuracy ● 0.1234 ■ 0.2234 ▲ 0.3234 ◆ 0.4234"]),
        (6, 124, 22, ["accuracy", " ".join(NAMED)]),
        (6, 56, 22, ["accuracy", *NAMED]),
        (6, 80, 11, ["accuracy ● 0.1234 ■ 0.2234 ▲ 0.3234 ◆ 0.4234 ▼ 0.5234 ★ 0.6234"]),
        (6, 49, 11, [f"accuracy {BARE}"]),
        (6, 40, 11, ["accuracy", BARE]),
        (6, 20, 11, ["accuracy", "●.123 ■.223 ▲.323"]),
        (6, 20, 22, ["accuracy", "●.123 ■.223 ▲.323", "◆.423 ▼.523 ★.623"]),
    ],
)  # fmt: skip
def test_a_legend_of_many_lines_tells_as_much_as_there_is_room_for(count, width, height, heading):
    shown = rows(many(count), width, height)
    assert [" ".join(row.split()) for row in shown[: len(heading)]] == heading
    # Each glyph stands on its curve, wherever the legend is.
    for glyph in Look().glyphs[:count]:
        assert any(glyph in row for row in shown[len(heading) :])


def test_the_chart_below_a_legend_of_two_rows_is_as_wide_and_fits_its_axis():
    for height in range(6, 20):
        shown = rows(many(6, marks=(Mark(2, "b"),)), 40, height)
        assert len(shown) == height and {cell_len(row) for row in shown} == {40}
        assert shown[-1].endswith("step") and ("b" in shown[-2]) == (height > 8)
    # A chart that is smaller is a list, and has room for all the same.
    for height in (3, 4, 5):
        shown = rows(many(6), 30, height)
        assert " ".join(" ".join(shown).split()) == f"accuracy {BARE}"


def test_glyphs_in_one_cell_stand_beside_each_other():
    pair = tuple(Line([1, 2, 3], [0.1, 0.2, 0.3], colour, "braille", points=True) for colour in (BLUE, ORANGE))
    shown = "".join(rows(Chart("accuracy", pair)))
    assert (shown.count("●"), shown.count("■")) == (3, 3)


@given(st.integers(0, 5000), st.integers(1, 160), st.integers(1, 50), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_curves_of_any_length_and_kind_fill_any_size(count, width, height, seed):
    random = Random(seed)
    odd = [math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, 5e-324]
    curves = tuple(
        Line(range(count), [random.gauss(1, 1) if random.random() < 0.99 else random.choice(odd) for _ in range(count)],
             colour, "braille", "arm", faint=i == 1, ghost=i == 2)
        for i, colour in enumerate(Look().colours[:4])
    )  # fmt: skip
    chart = Chart("loss, nats", curves, robust=random.random() < 0.8, log_y=random.random() < 0.5)
    shown = rows(chart, width, height)
    assert len(shown) == height and {cell_len(row) for row in shown} == {width}
