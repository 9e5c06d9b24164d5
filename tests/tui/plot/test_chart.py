import io
import math
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.tui.plot.chart import Chart, Line, draw
from bntui.tui.plot.curves import smooth, thin
from bntui.tui.theme import Look

BLUE, ORANGE = Look().colours[:2]

STEPS = list(range(1, 161))
BN = [2.3 * math.exp(-i / 20) + 0.1234 for i in range(160)]
PLAIN = [2.3 * math.exp(-i / 60) + 0.4321 for i in range(160)]
PAIR = (Line(STEPS, BN, BLUE, "braille", "With BN"), Line(STEPS, PLAIN, ORANGE, "braille", "Without BN"))
LOSS = Chart("train loss, nats", PAIR)

anything = st.floats(allow_nan=True, allow_infinity=True)
lines = st.builds(
    lambda points, marker, faint, dots: Line(
        [x for x, _ in points], [y for _, y in points], BLUE, marker, "arm", faint, dots
    ),
    st.lists(st.tuples(anything, anything), max_size=12),
    st.sampled_from(["braille", "hd", "hd", "*", "block", ""]),
    st.booleans(),
    st.booleans(),
)
charts = st.builds(
    Chart,
    title=st.text(max_size=30),
    lines=st.lists(lines, max_size=4).map(tuple),
    x_label=st.text(max_size=12),
    verticals=st.lists(st.tuples(anything, st.text(max_size=4)), max_size=3).map(tuple),
    cursor=st.none() | anything,
    log_y=st.booleans(),
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
    chart = Chart("train loss · nats …", PAIR, verticals=((40, "b"), (159, "lr")), cursor=80)
    text = draw(chart, width, height, colours=colours, ascii_only=ascii_only).text
    shown = text.plain.split("\n")
    assert len(shown) == height
    assert {cell_len(row) for row in shown} == {width}
    assert not ascii_only or text.plain.isascii()


@given(charts, st.integers(1, 60), st.integers(1, 20), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_odd_data_is_drawn_too(chart, width, height, colours, ascii_only):
    text = draw(chart, width, height, colours=colours, ascii_only=ascii_only).text
    shown = text.plain.split("\n")
    assert len(shown) == height
    assert {cell_len(row) for row in shown} == {width}
    assert not ascii_only or text.plain.isascii()


def test_heading_has_title_labels_and_last_values():
    heading = rows(LOSS)[0]
    assert heading.startswith("train loss, nats ")
    assert heading.endswith(f"● With BN {BN[-1]:.4f}  ■ Without BN {PLAIN[-1]:.4f}")


def test_heading_without_room_drops_the_labels_and_keeps_the_values():
    assert rows(LOSS, 40, 9)[0] == f"train loss, nats      ● {BN[-1]:.4f}  ■ {PLAIN[-1]:.4f}"


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
    assert any("┊" in row for row in rows(chart))
    assert rows(one([1.0, math.nan, 3.0], cursor=1))[0].endswith("With BN      -")


def test_cursor_is_labelled_at_both_ends():
    for cursor in (1, 160):
        assert re.search(rf"\b{cursor}\b", rows(Chart("loss", PAIR, cursor=cursor))[-1])


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


def test_verticals_stand_with_their_letter_at_the_top():
    text = draw(Chart("loss", PAIR, verticals=((80, "b"), (999, "x"))), 78, 18).text
    shown = text.plain.split("\n")
    column = shown[1].index("b")
    assert sum(row[column] == "│" for row in shown[2:16]) > 10
    assert "x" not in "".join(shown)
    at = sum(len(row) + 1 for row in shown[:2]) + column
    assert {str(span.style) for span in text.spans if span.start <= at < span.end} == {"#767676"}


def test_no_colours_means_no_colours():
    chart = Chart("loss", (Line(STEPS, BN, BLUE, "braille", faint=True), *PAIR), verticals=((80, "b"),), cursor=20)
    assert styles(draw(chart, 78, 18, colours=False).text) <= {"bold", "dim", "bold dim"}
    assert {BLUE, ORANGE} < styles(draw(chart, 78, 18).text)


def test_a_faint_line_is_dimmer_and_behind():
    faint = Line(STEPS, BN, BLUE, "braille", faint=True)
    other = Line(STEPS, PLAIN, BLUE, "braille", faint=True)
    assert "#005f87" in styles(draw(Chart("loss", (PAIR[0], other)), 78, 18).text)
    assert "#005f87" not in styles(draw(Chart("loss", (PAIR[0], faint)), 78, 18).text)
    assert "#afd7ff" in styles(draw(Chart("loss", (PAIR[0], other)), 78, 18, light=True).text)


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
    # Without the glyphs plotext would have drawn into the same cells, so no neighbourhood is left empty.
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


def test_a_robust_axis_leaves_out_what_is_far_above_the_rest():
    y = [50.0, *(1 + (i % 10) / 10 for i in range(200))]
    assert "40" in "\n".join(rows(one(y)))
    shown = "\n".join(rows(one(y, robust=True)))
    assert "40" not in shown and "1.5" in shown
    assert rows(one(y, robust=True, log_y=True)) == rows(one(y, log_y=True))
    # A level that was kept for a while is not far above the rest.
    assert "40" in "\n".join(rows(one([*y, *[45.0] * 50], robust=True)))
    assert rows(one([2.0] * 9, robust=True)) == rows(one([2.0] * 9))


@pytest.mark.parametrize("last", [1, 2, 3, 9, 40])
def test_layers_are_counted_without_fractions(last):
    bottom = rows(one([float(i) for i in range(1, last + 1)], x=list(range(1, last + 1)), x_label="layer"))[-1]
    assert "." not in bottom and bottom.rstrip().endswith("layer")


def many(count, **options):
    look, names = Look(), ["BN", "GN8", "LN", "IN", "BRN", "none"]
    labels = ["Batch norm", "Group norm 8", "Layer norm", "Instance norm", "Batch renorm", "No norm"]
    return Chart("accuracy", tuple(
        Line([1, 2, 3], [0.1234 + i / 10] * 3, colour, "braille", label, short, glyph=glyph)
        for i, (colour, glyph, label, short) in enumerate(
            list(zip(look.colours, look.glyphs, labels, names, strict=True))[:count])
    ), **options)  # fmt: skip


@pytest.mark.parametrize(
    ("count", "width", "heading"),
    [
        (3, 78, ["accuracy ● Batch norm 0.1234 ■ Group norm 8 0.2234 ▲ Layer norm 0.3234"]),
        (4, 78, ["accuracy ● BN 0.1234 ■ GN8 0.2234 ▲ LN 0.3234 ◆ IN 0.4234"]),
        (4, 60, ["accuracy", "● BN 0.1234 ■ GN8 0.2234 ▲ LN 0.3234 ◆ IN 0.4234"]),
        (6, 80, ["accuracy", "● BN 0.1234 ■ GN8 0.2234 ▲ LN 0.3234 ◆ IN 0.4234 ▼ BRN 0.5234 ★ none 0.6234"]),
        (6, 70, ["accuracy", "● BN .123 ■ GN8 .223 ▲ LN .323 ◆ IN .423 ▼ BRN .523 ★ none .623"]),
        (6, 49, ["accuracy ●.123 ■.223 ▲.323 ◆.423 ▼.523 ★.623"]),
        (6, 40, ["accuracy", "●.123 ■.223 ▲.323 ◆.423 ▼.523 ★.623"]),
        (6, 20, ["accuracy", "●.123 ■.223 ▲.323"]),
    ],
)
def test_a_legend_of_many_lines_tells_as_much_as_there_is_room_for(count, width, heading):
    shown = rows(many(count), width, 12)
    assert [" ".join(row.split()) for row in shown[: len(heading)]] == heading
    # Each glyph stands on its curve, wherever the legend is.
    for glyph in Look().glyphs[:count]:
        assert any(glyph in row for row in shown[len(heading) :])


def test_the_chart_below_a_legend_of_two_rows_is_as_wide_and_fits_its_axis():
    for height in range(6, 20):
        shown = rows(many(6, verticals=((2, "b"),)), 60, height)
        assert len(shown) == height and {cell_len(row) for row in shown} == {60}
        assert shown[-1].endswith("step") and "b" in shown[2]
    # A chart that is smaller is a list, and has room for all the same.
    for height in (3, 4, 5):
        shown = rows(many(6), 30, height)
        assert " ".join(" ".join(shown).split()) == "accuracy ●.123 ■.223 ▲.323 ◆.423 ▼.523 ★.623"
