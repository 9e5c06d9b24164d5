"""Channels over time: which values stand where, in colours and in characters, for all kinds of layers and sizes."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from typing import Any

import pytest

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.plot.drawing import Drawing
from bntui.tui.plot.heat import DIVERGING
from bntui.tui.theme import Look
from bntui.tui.views.heat_map import draw_heat_map, values_of
from bntui.tui.views.view import QUANTITIES, View
from scripted_app import ZOO, run_events, started

BARE = Look("ascii", coloured=False)
NAN = math.nan


def layer(channels: int, gap: float = 0.0, running: bool = True, batch: bool = True) -> e.LayerStatistics:
    """Return a layer of which the channels have growing means; the gap is that of the odd ones, in deviations of 2."""
    mean = tuple(float(c) for c in range(channels)) if running else (NAN,) * channels
    known = tuple(m + 2 * gap * (c % 2) for c, m in enumerate(mean)) if batch else (NAN,) * channels
    variance = (4.0 if running else NAN,) * channels
    return e.LayerStatistics("norm1", mean, variance, known, variance, (1.5,) * channels, (-0.25,) * channels)


def history(
    gaps: tuple[float, ...] = (0.0, 1.0), channels: int = 4, norms: tuple[str, ...] = ("batch", "none"), **has: bool
) -> History:
    """Return a run of 100 steps with readings at evenly spaced steps."""
    begun = started(norms)
    layers = {arm.name: {"norm1": channels, "norm2": channels} for arm in begun.arms if arm.normalized}
    made = History()
    made.apply(replace(begun, layers=layers))
    for i, gap in enumerate(gaps):
        step = 100 * (i + 1) // len(gaps)
        made.apply(e.Stepped(step, 1, {arm.name: (0.5,) for arm in begun.arms}, step / 100))
        made.apply(e.NormalizationRead(1, step, dict.fromkeys(layers, (layer(channels, gap, **has),) * 2), live=True))
    return made


def shown(made: History, width: int = 44, height: int = 20, look: Look | None = None, **view: Any) -> Drawing:
    drawing = draw_heat_map(made, View(**view), look or Look(), width, height)
    rows = drawing.text.plain.split("\n")
    assert len(rows) <= height and all(len(row) <= width for row in rows), rows
    return drawing


def lines(*arguments: Any, **view: Any) -> list[str]:
    return [row.rstrip() for row in shown(*arguments, **view).text.plain.split("\n")]


def test_a_channel_is_a_row_and_a_reading_stands_until_the_next_one() -> None:
    rows = lines(history(), 44, 10, BARE)
    assert rows[0] == "* BN 1 - norm1 - gap, s                  [ ]"
    assert rows[1] == rows[3].replace("2", "0") == "  0 " + " " * 19 + "." * 21
    # The first reading, without a gap, comes at step 50 and stands up to the last one, of which there is one column.
    assert rows[2] == "  1 " + " " * 19 + "." * 20 + "#"
    assert rows[5] == "    0                               step 100"
    assert rows[6].startswith("    -0.1 E=-.+*# 0.1")


def test_colours_lie_around_zero_and_the_legend_has_the_ends() -> None:
    for theme in ("dark", "light"):
        text = shown(history((-1.0, 1.0)), 44, 10, Look(theme=theme)).text
        assert "-1 █████████ +1" in text.plain
        styles = {str(span.style) for span in text.spans}
        assert all(any(end in style for style in styles) for end in (DIVERGING[theme][0], DIVERGING[theme][-1]))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_what_is_put_on_the_scale(quantity: str) -> None:
    wanted = {
        "gap": (0.0, 0.5),
        "mean": (0.0, 1.0),
        "variance": (math.log10(4),) * 2,
        "γ": (0.5,) * 2,
        "β": (-0.25,) * 2,
    }
    assert values_of(layer(4, 0.5), quantity, [0, 1]) == pytest.approx(wanted[quantity])
    titles = {"gap": "gap, σ", "mean": "running mean", "variance": "running variance, log", "γ": "γ", "β": "β"}
    rows = lines(history((1.0, 1.0)), 60, quantity=quantity)
    assert rows[0].split(" · ")[-1].rpartition("[")[0].strip() == titles[quantity]
    ends = {"gap": "-1 ", "mean": "-3 ", "variance": "4 ", "γ": "0.5 ", "β": "-0.3 "}
    assert any(row.strip().startswith(ends[quantity]) for row in rows), rows


def test_γ_is_shown_around_one() -> None:
    assert any("0.5 █" in row and "█ 1.5" in row for row in lines(history(), quantity="γ"))


def test_more_channels_than_rows_are_thinned_evenly_and_that_is_said() -> None:
    drawing = shown(history(channels=128), 44, 12)
    found = re.search(r"every (\d+)th of 128", drawing.text.plain)
    assert found
    assert drawing.channels[:3] == [None, 0, 2 * int(found[1])]
    assert "32 channels" in shown(history(channels=32), 44, 22).text.plain
    # Where there is room each takes several rows.
    assert shown(history(channels=4), 44, 14).channels[1:5] == [0, 0, 1, 1]


def test_below_stand_the_newest_numbers_of_all_channels() -> None:
    rows = lines(history(channels=128), 46, 20)
    assert "γ 1.5 to 1.5   β -0.25 to -0.25" in rows
    assert "|gap| median 0.5, worst 1 in channel 1" in rows


def test_the_next_layer_has_what_room_there_is() -> None:
    text = "\n".join(lines(history(norms=("batch", "group:8")), 46, 32))
    assert "● BN 1 · norm1" in text and "● BN 2 · norm2" in text
    assert "■ Group norm 8 layer 1 · norm1 · gap, σ" in "\n".join(
        lines(history(norms=("batch", "group:8")), 46, 32, layer=1)
    )
    assert "BN 2" not in "\n".join(lines(history(), 46, 12))


def test_what_has_no_running_statistics_shows_γ_and_a_file_the_running_mean() -> None:
    rows = lines(history(norms=("layer", "none"), running=False), 46, 20)
    assert rows[0].startswith("● Layer norm 1 · norm1 · γ") and "this kind has no running statistics" in rows
    rows = lines(history(batch=False), 50, 20, replay=True)
    assert "running mean" in rows[0]
    assert "this file holds no batch statistics: running mean" in rows
    assert "no batch yet: running mean" in lines(history(batch=False), 50, 20)


def test_the_cursor_and_the_chosen_channel_stand_out() -> None:
    rows = lines(history(), 44, 10, cursor=50)
    assert {row[24] for row in rows[1:5]} == {"│"}
    text = shown(history(), 44, 10, BARE, unit=2).text
    marked = [text.plain[span.start : span.end] for span in text.spans if "reverse" in str(span.style)]
    assert marked == ["  2"]


def test_a_click_finds_its_step_on_every_axis() -> None:
    for kind, end in (("step", 100.0), ("epoch", 1.0), ("seconds", 1.0)):
        drawing = shown(history(), 44, 10, x_axis=kind)
        assert drawing.x_axis is not None and drawing.x_axis.cells == 40
        assert drawing.x_at(drawing.left + 39) == pytest.approx(end * 39.5 / 40)
    assert shown(history(), 44, 10, recent=True).x_axis is not None


def test_nothing_stands_in_what_is_still_to_come_and_the_newest_reading_reaches_now() -> None:
    made = history()
    made.apply(e.Stepped(400, 1, {"batch": (0.5,), "none": (0.5,)}, 4.0))
    row = lines(made, 44, 10, BARE)[2]
    assert row.endswith("#" * 30) and len(row) == 44
    # While it runs the charts, and this one with them, reach to a round step ahead.
    made.apply(e.Stepped(410, 1, {"batch": (0.5,), "none": (0.5,)}, 4.1))
    drawing = shown(made, 44, 10, BARE)
    assert drawing.x_axis is not None and drawing.x_axis.high > 410
    row = drawing.text.plain.split("\n")[2].rstrip()
    assert row.endswith("#" * 20) and len(row) == 4 + math.ceil(40 * 410 / drawing.x_axis.high)


def test_what_it_waits_for() -> None:
    assert lines(History()) == ["normalization, channel by channel", "appears after the first steps"]
    made = History()
    made.apply(started(("none", "none")))
    assert lines(made)[1] == "no arm has a normalization"


@pytest.mark.parametrize("look", [Look(), BARE, Look(coloured=False), Look(theme="light")])
@pytest.mark.parametrize("channels", [1, 3, 64, 4_000])
@pytest.mark.parametrize("size", [(10, 2), (20, 4), (38, 12), (46, 31), (160, 45)])
def test_every_size_and_layer_fits(size: tuple[int, int], channels: int, look: Look) -> None:
    made = history(channels=channels, norms=ZOO)
    for quantity in QUANTITIES:
        for number in (0, 3):
            text = shown(made, *size, look, quantity=quantity, layer=number, cursor=70).text.plain
            assert not look.ascii_only or text.isascii()


def test_numbers_that_are_none_leave_cells_empty() -> None:
    made = history((NAN, math.inf, 0.0))
    assert lines(made, 44, 10)
    made = history()
    for event in run_events():
        made.apply(event)
    assert lines(made, 44, 10)


def test_it_takes_few_milliseconds() -> None:
    made = history(tuple(i / 100 for i in range(200)), 64)
    draw_heat_map(made, View(), Look(), 60, 30)
    took = []
    for _ in range(7):
        began = time.process_time()
        draw_heat_map(made, View(), Look(), 60, 30)
        took.append(time.process_time() - began)
    assert min(took) < 0.03, took
