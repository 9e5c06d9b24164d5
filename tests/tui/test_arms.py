"""The screen with four and six arms: whatever a person would look for is there, whole, at every size."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bntui.messages import control as c
from bntui.messages import events as e
from bntui.tui.app import BntuiApp
from bntui.tui.theme import Look
from scripted_app import ZOO, Script, explained, play, run_events, screen_text, settle

FOUR = ("batch", "group:8", "layer", "none")
BARE = Look("ascii", coloured=False)
SIZES = [(160, 48), (100, 30), (80, 24), (60, 20), (40, 12), (20, 5)]
by_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
by_arms_and_look = pytest.mark.parametrize(
    ("norms", "look"), [(FOUR, Look()), (ZOO, BARE)], ids=["4-braille", "6-ascii"]
)
by_arms = pytest.mark.parametrize("norms", [FOUR, ZOO], ids=len)


def show(norms: tuple[str, ...], keys: str, size: tuple[int, int], look: Look | None = None) -> list[str]:
    """Return the rows of the screen after some keys, once nothing is said of them any more."""
    rows: list[str] = []

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(*keys)
        app._said = ""
        app._draw_text()
        await settle(pilot)
        await pilot.pause()
        await settle(pilot)
        rows.extend(screen_text(app).split("\n"))
        assert app._exception is None

    play(Script(*run_events(norms=norms), explained()), act, size, look)
    assert len(rows) == size[1] and {len(row) for row in rows} == {size[0]}
    return rows


@by_arms_and_look
@by_size
def test_the_state_line_has_every_accuracy_and_who_leads(
    norms: tuple[str, ...], size: tuple[int, int], look: Look
) -> None:
    rows = show(norms, "", size, look)
    accuracies = [0.85 - 0.03 * i for i in range(len(norms))]
    if size == (20, 5):
        # Everything but the charts: nothing of it is cut.
        told = " ".join("\n".join(rows).split())
        for glyph, accuracy in zip(look.glyphs, accuracies, strict=False):
            digits = f"{accuracy:.4f}"[1:]
            assert re.search(rf"{re.escape(glyph)} ([A-Z][\w ]+ )?{re.escape(digits)}( |$)", told), told
        assert told.startswith("running 300 ")
        return
    state = rows[-2].rstrip()
    assert state.startswith(" running ")
    for glyph, accuracy in zip(look.glyphs, accuracies, strict=False):
        digits = f"{accuracy:.4f}"[1:4]
        assert re.search(rf"(?<!\S){re.escape(glyph)} ?[\w ]*?{re.escape(digits)}", state), state
    if size[0] >= 60:
        assert re.search(r"(Batch norm|[●*]) (ahead by 3\.0 points|\+3\.0)( |$)", state), state
    if size[0] == 160 and len(norms) == 4:
        assert "BN on" in state and all(label in state for label in ("Group norm 8", "Layer norm", "No norm"))


@by_arms_and_look
@pytest.mark.parametrize("size", SIZES[:-1], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", ["1"])
def test_every_chart_has_its_title_and_the_value_of_every_arm(
    norms: tuple[str, ...], size: tuple[int, int], keys: str, look: Look
) -> None:
    rows = show(norms, keys, size, look)
    titles = ("train loss, nats", "validation accuracy", "validation loss, nats", "train accuracy")
    shown = 1 if size[1] < 18 else 2 if size[0] < 100 or size[1] < 24 else 4
    for title in titles[:shown]:
        at = next(i for i, row in enumerate(rows) if title in row)
        left = rows[at].index(title)
        legend = " ".join(row[left : left + size[0] * 2 // (4 if shown == 4 else 2)] for row in rows[at : at + 3])
        for glyph in look.glyphs[: len(norms)]:
            assert re.search(rf"(?<!\S){re.escape(glyph)}[ \w]*?\d*\.?\d", legend), (glyph, legend)


@by_arms_and_look
@pytest.mark.parametrize("size", [(160, 48), (100, 30), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(("key", "title"), [("3", "gradient by the weights"), ("4", "internal covariate shift")])
def test_flow_and_why_tell_of_every_arm(
    norms: tuple[str, ...], size: tuple[int, int], look: Look, key: str, title: str
) -> None:
    rows = show(norms, key, size, look)
    assert any(title in row for row in rows)
    text = "\n".join(rows[1:-3])
    assert all(glyph in text for glyph in look.glyphs[: len(norms)])
    assert rows[-1].rstrip().endswith("q quit") and "running" in rows[-2]


@by_arms
def test_the_column_has_the_chosen_arms_layer_and_the_score_of_all(norms: tuple[str, ...]) -> None:
    rows = show(norms, "]]", (160, 48))
    column = [row[114:].rstrip() for row in rows[1:-2]]
    assert column[0].startswith("■ Group norm 8 layer 1 · norm1 · ")
    at = next(i for i, row in enumerate(column) if row.startswith("accuracy"))
    labels = ["Batch norm", "Group norm 8", "Layer norm", "Instance norm", "Batch renorm", "No norm"]
    labels = labels if len(norms) == 6 else [*labels[:3], "No norm"]
    for row, (i, label) in zip(column[at + 1 :], enumerate(labels), strict=False):
        assert row.startswith(f"{Look().glyphs[i]} {label} "), row
        words = [f"{value:.4f}"[1:] for value in (0.86 - 0.03 * i, 0.85 - 0.03 * i, 0.85 - 0.03 * i)]
        assert row.split()[-4:] == [*words, "3"]
    assert column[at + 1 + len(labels)] == "Batch norm ahead by 3.0 points"
    assert column[at + 2 + len(labels)] == "end of epoch 3 · all 10,000 samples"
    assert column[at + 3 + len(labels)] == "reached .8200: ● at epoch 2, ■ at epoch 3"


@by_arms
def test_brackets_walk_over_the_layers_of_all_arms_and_back(norms: tuple[str, ...]) -> None:
    normalized = [norm for norm in norms if norm != "none"]
    seen = []

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("2")
        for _ in range(2 * len(normalized) + 1):
            await settle(pilot)
            seen.append(screen_text(app).split("\n")[1].partition(" · worst")[0])
            await pilot.press("right_square_bracket")
            assert app.source.control.layer == len(seen)
        await pilot.press("left_square_bracket")
        await settle(pilot)
        seen.append(screen_text(app).split("\n")[1].partition(" · worst")[0])
        assert "BN 1 · norm1" in screen_text(app).split("\n")[-2]

    play(Script(*run_events(norms=norms)), act, (100, 30))
    assert len(set(seen)) == 2 * len(normalized)
    assert seen[:4] == ["BN 1 · norm1", "BN 2 · norm2", "Group norm 8 layer 1 · norm1", "Group norm 8 layer 2 · norm2"]
    assert seen[-2] == seen[-1] == seen[0]


@by_arms
@pytest.mark.parametrize("size", [(160, 48), (40, 12)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_arm_can_be_restarted_alone(norms: tuple[str, ...], size: tuple[int, int]) -> None:
    script = Script(*run_events(norms=norms))

    async def act(pilot: Any, app: BntuiApp) -> None:
        for number, norm in enumerate(norms, 1):
            await pilot.press("r")
            await pilot.pause()
            text = screen_text(app)
            assert all(arm.label in text for arm in app.history.arms) and "y  yes" in text
            await pilot.press(str(number))
            await pilot.pause()
            assert script.asked() == [c.Change("restart_arm", norm)]

    play(script, act, size)


@by_size
def test_arms_of_one_kind_are_told_apart(size: tuple[int, int]) -> None:
    norms = ("batch", "batch", "layer")
    rows = show(norms, "1", size)
    if size == (160, 48):
        assert "Batch norm (1) layer 1 · norm1" in rows[1] and "Batch norm (2)" in rows[-2]
    assert all(glyph in "\n".join(rows) for glyph in Look().glyphs[:3])


def test_without_a_normalization_nothing_is_said_of_one() -> None:
    events = run_events(norms=("none", "none", "none"))

    async def act(pilot: Any, app: BntuiApp) -> None:
        app._said = ""
        app._draw_text()
        await settle(pilot)
        text = screen_text(app)
        assert "no arm has a normalization" in text
        assert "statistics" not in text.split("\n")[-2] and " on " not in text.split("\n")[-2]
        await pilot.press("right_square_bracket")
        assert "no layer to choose" in screen_text(app)
        for view in "23456":
            await pilot.press(*view)
            await settle(pilot)
        assert app._exception is None

    play(Script(*events), act)


def test_what_happens_to_an_arm_is_told_by_its_label() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await settle(pilot)
        assert "restarted Group norm 8" in screen_text(app)

    play(Script(*run_events(norms=ZOO), e.Intervened(300, 4, "restart_arm", None, "group:8")), act)
