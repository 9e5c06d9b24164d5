from __future__ import annotations

from pathlib import Path

import pytest

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.theme import Look
from bntui.tui.views.end_card import card_lines, end_card
from lively_run import lively_run

FOLDER = Path("/runs/one")


def ended(command: str = "bntui --headless") -> History:
    made = History()
    for event in (*lively_run(), e.Finished("completed", 1_200, {}, 65.0)):
        made.apply(event)
    assert made.started is not None
    made.started.config["command"] = command
    return made


def card(history: History, width: int = 158, lines: int = 10) -> list[str]:
    return end_card(history, Look(), width, lines, ["/runs/one", "/out.json"], FOLDER).plain.split("\n")


def test_it_tells_the_result_where_it_lies_and_what_comes_next() -> None:
    first, second, *rest = card(ended())
    assert first.startswith("completed after 1,200 steps, 1:05   r run again · k more epochs")
    assert second.startswith("● With BN 95.0 %  ■ Without BN 92.0 %") and "ahead by 3.0 points, with one seed" in second
    assert [row[:9].strip() for row in rest] == ["results", "look", "go on", "repeat", "next", "", ""]
    told = [row[9:] for row in rest]
    assert told[:4] == [
        "/runs/one and /out.json", "bntui open /runs/one", "bntui --resume /runs/one --epochs 6", "bntui --headless",
    ]  # fmt: skip
    assert told[4].startswith("bntui --seed 2   ") and told[5].startswith("bntui --lr 0.1   ")


def test_of_a_run_that_is_only_looked_at_no_key_of_a_trainer_is_offered() -> None:
    first = end_card(ended(), Look(), 158, 10, [], None, live=False).plain.split("\n")[0]
    assert first.endswith("1-6 views · q quit") and "r run again" not in first


def test_what_this_run_was_is_not_offered_again() -> None:
    rows = card(ended("bntui --headless --data kmnist --seed 7 --lr 0.1"))
    offered = [row[9:].partition("   ")[0] for row in rows[6:]]
    assert offered[0] == "bntui --data kmnist --seed 8"
    assert not any("--lr 0.1" in command for command in offered)
    assert all(command.startswith("bntui --data kmnist ") for command in offered)


@pytest.mark.parametrize("width", range(20, 160, 7))
def test_no_command_is_cut(width: int) -> None:
    long = "bntui --headless --data-dir /" + "long/" * 30
    whole = {row[9:] for row in card(ended(long), 400)[2:]}
    for row in card(ended(long), width)[2:]:
        assert len(row) <= width
        assert any(known.startswith(row[9:]) and known[len(row[9:]) :][:3] in ("", "   ") for known in whole), row


def test_a_run_that_goes_on_has_none() -> None:
    made = History()
    for event in lively_run():
        made.apply(event)
    assert card(made) == [""]
    assert [card_lines(height) for height in (48, 30, 24, 18, 12)] == [10, 7, 5, 2, 0]


def test_without_a_leader_it_says_so() -> None:
    made = ended()
    same = e.Metrics(0.1, 0.9)
    made.apply(e.EpochEnded(3, 1_200, 0.01, 1.0, 0.1, *[dict.fromkeys(("batch", "none"), same)] * 2))
    assert "there is no leader" in card(made)[1]
