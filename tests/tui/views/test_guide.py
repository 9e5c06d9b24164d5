from __future__ import annotations

from dataclasses import replace

import pytest

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.keys import KEYS
from bntui.tui.theme import Look
from bntui.tui.views import guide
from bntui.tui.views.switcher import VIEWS
from scripted_app import run_events, started

STATES = {
    "loading": [],
    "first epoch": [started()],
    "running": run_events(),
    "off": [*run_events(), e.Intervened(300, 4, "bn", True, False)],
    "frozen": [*run_events(), e.Intervened(300, 4, "freeze", False, True)],
    "paused": [*run_events(), e.Paused(300)],
    "ended": [*run_events(), e.Finished("interrupted", 300, {}, 1.0)],
    "nothing normalized": [started(("none", "none"))],
}


def history(state: str) -> History:
    made = History()
    for event in STATES[state]:
        made.apply(event)
    return made


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("shown", VIEWS)
@pytest.mark.parametrize("replay", [False, True])
def test_every_view_and_state_has_a_line_that_fits(state: str, shown: str, replay: bool) -> None:
    made = history(state)
    whole = guide.guide(made, shown, Look(), 160, replay).plain
    assert "   look for " in whole and "   try " in whole and "{" not in whole.replace("{ }", "")
    assert guide.guide(made, shown, Look(), 100, replay).plain.startswith(" look for ")
    assert guide.guide(made, shown, Look(), 80, replay).plain.lstrip().startswith(("look for ", "try "))
    for width in (160, 100, 80):
        assert len(guide.guide(made, shown, Look(), width, replay)) <= width
    assert guide.guide(made, shown, Look("ascii", coloured=False), 160, replay).plain.isascii()


def test_the_state_decides_what_is_told() -> None:
    told = {state: guide.guide(history(state), "charts", Look(), 160, False).plain for state in STATES}
    assert "With BN runs without its normalization" in told["off"] and "u undo" in told["off"]
    assert "training waits after step 300" in told["paused"] and "s one step" in told["paused"]
    assert "interrupted after step 300" in told["ended"] and "k more epochs" in told["ended"]
    assert len(set(told.values())) == 7  # before the first evaluation it does not matter whether one is normalized


def test_what_is_to_be_tried_is_a_key_of_the_table() -> None:
    known = {key for row in KEYS for key in row.keys} | {"↑", "↓", "←", "→", "2-5", "tab"}
    every = [*guide.VIEWS.values(), guide.FIRST_EPOCH, guide.SWITCHED_OFF, guide.FROZEN, guide.PAUSED, guide.LOADING,
             guide.ENDED_CHARTS]  # fmt: skip
    for told in every:
        for line in filter(None, (told.to_try, told.to_try_at_rest)):
            for part in line.split(" · "):
                assert part.replace(",", "").split()[0] in known, part


def test_what_only_a_trainer_does_is_not_offered_by_a_replay() -> None:
    for shown in VIEWS:
        line = guide.guide(replace(history("running")), shown, Look(), 160, True).plain
        tried = [part.split()[0] for part in line.rpartition("try ")[2].split(" · ")]
        of_trainers = {key for row in KEYS if row.live for key in row.keys}
        assert not of_trainers & set(tried), line
