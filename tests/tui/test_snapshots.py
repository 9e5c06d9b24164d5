"""Every view at five sizes, from a run made by formulas, against the text that it showed when somebody looked at it.

BNTUI_NEW_SNAPSHOTS=1 writes what is shown now, for a person to compare: the difference in a review is the change.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bntui.messages import events as e
from bntui.tui.app import BntuiApp
from bntui.tui.theme import Look
from bntui.tui.views.switcher import VIEWS
from lively_run import lively_run
from scripted_app import Script, play, screen_text, settle

SIZES = ((160, 48), (120, 40), (100, 30), (80, 24), (40, 12))
KEPT = Path(__file__).parent / "snapshots"


def shown(events: list[e.Event], view: str, size: tuple[int, int], look: Look | None = None) -> str:
    """Return what the screen shows of a run in a view."""
    found = []

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(str(VIEWS.index(view) + 1))
        await settle(pilot)
        await settle(pilot)
        app._said = ""
        app._show_state()
        await pilot.pause()
        found.append("\n".join(row.rstrip() for row in screen_text(app).split("\n")) + "\n")

    play(Script(*events), act, size, look)
    return found[0]


def check(name: str, text: str) -> None:
    """Compare a screen with the one that is kept."""
    path = KEPT / f"{name}.txt"
    if os.environ.get("BNTUI_NEW_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name}: look at it, then BNTUI_NEW_SNAPSHOTS=1 keeps it"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_looks_as_it_did(view: str, size: tuple[int, int]) -> None:
    check(f"{view}-{size[0]}x{size[1]}", shown(list(lively_run()), view, size))


def test_four_arms_look_as_they_did() -> None:
    arms = ("batch", "group:8", "layer", "none")
    check("charts-four-arms-160x48", shown(list(lively_run(arms)), "charts", (160, 48)))


def test_ascii_looks_as_it_did() -> None:
    text = shown(list(lively_run()), "charts", (100, 30), Look("ascii", coloured=False))
    assert text.isascii()
    check("charts-ascii-100x30", text)


def test_a_run_that_is_over_looks_as_it_did() -> None:
    ended = e.Finished("completed", 1_200, {"batch": "0" * 64, "none": "1" * 64}, 5.0)
    check("charts-ended-100x30", shown([*lively_run(), ended], "charts", (100, 30)))
