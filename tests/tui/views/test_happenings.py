"""What happened of late: alerts are never pushed out, and say what to press; what a person did and took back."""

from __future__ import annotations

import pytest

from bntui.messages import alerts
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.keys import KEYS, bind
from bntui.tui.theme import Look
from bntui.tui.views.advice import ADVICE, advice
from bntui.tui.views.happenings import draw_events
from bntui.tui.views.view import View
from scripted_app import ZOO, metrics, run_events, started

VANISHING = e.Alert(
    150, "none", "vanishing", "Without BN: gradients vanish: the first layer's is 8.5e-08 of the last layer's"
)
DIVERGED = e.Alert(250, "none", "diverged", "Without BN: the loss is no longer a number: this arm has diverged")


def history(*more: e.Event) -> History:
    made = History()
    for event in (*run_events(), *more):
        made.apply(event)
    return made


def lines(made: History, width: int = 46, height: int = 12, look: Look | None = None, **seen: bool) -> list[str]:
    text = draw_events(made, View(**seen), look or Look(), width, height).text.plain  # type: ignore[arg-type]
    rows = text.split("\n")
    assert len(rows) <= height and all(len(row) <= width for row in rows), rows
    assert rows[0] == "events"
    return [row.rstrip() for row in rows[1:]]


def test_the_newest_stands_at_the_bottom_and_each_has_its_step() -> None:
    made = history(VANISHING, e.Intervened(300, 3, "bn", True, False), e.Intervened(300, 3, "learning_rate", 0.01, 0.1))
    assert lines(made) == [
        "100   epoch 1: With BN ahead by 3.0 points",
        "150 ⚠ Without BN: gradients vanish: the first",
        "      layer's is 8.5e-08 of the last layer's",
        "      try 3 shows where, + larger steps",
        "200   epoch 2: With BN ahead by 3.0 points",
        "300   epoch 3: With BN ahead by 3.0 points",
        "300 b BN on → off",
        "300 l learning rate 0.01 → 0.1",
    ]


def test_an_alert_stands_out_and_needs_no_colour() -> None:
    for look in (Look(), Look(theme="light"), Look("ascii"), Look(coloured=False)):
        text = draw_events(history(VANISHING), View(), look, 46, 12).text
        styles = [span.style for span in text.spans if "gradients" in text.plain[span.start : span.end]]
        assert styles == [look.warning]
        assert ("!" if look.ascii_only else "⚠") in text.plain
        assert not look.ascii_only or text.plain.isascii()


@pytest.mark.parametrize("height", range(2, 14))
@pytest.mark.parametrize("width", [46, 38])
def test_other_lines_give_way_to_alerts_and_alerts_to_newer_ones(width: int, height: int) -> None:
    done = [e.Intervened(260 + i, 3, "dropout", i / 10, (i + 1) / 10) for i in range(9)]
    rows = lines(history(VANISHING, DIVERGED, *done), width, height)
    text = " ".join(" ".join(rows).split())
    assert "Without BN:" in text
    told = [any(word in text for word in words) for words in (("gradients vanish",), ("diverged", "no longer a"))]
    assert told == [height > 2, True] or text.startswith("1 earlier alert: 6 shows the log")
    assert height < 4 or "dropout 0.8 → 0.9" in text
    assert len(rows) == height - 1 or height > 10


def test_a_hundred_alerts_leave_a_count_of_those_before() -> None:
    made = history(*(e.Alert(i, "batch", "vanishing", f"With BN: gradients vanish {i}") for i in range(1, 101)))
    rows = lines(made, 46, 8)
    assert rows[0] == "94 earlier alerts: 6 shows the log"
    assert rows[1:] == [f"{i:>3} ⚠ With BN: gradients vanish" for i in range(95, 101)]


def test_what_was_taken_back_is_told_with_where() -> None:
    made = history(e.Intervened(300, 3, "learning_rate", 0.01, 0.1))
    made.apply(e.Stepped(310, 1, dict.fromkeys(("batch", "none"), (0.1,)), 3.1))
    made.apply(e.Undone(310, 300, "learning_rate"))
    words = "300 u undone: learning rate 0.01 → 0.1, at step 310; its future is faint on the charts"
    assert " ".join(" ".join(lines(made)).split()).endswith(words)
    assert lines(made, 46, 2) == ["300 u undone: learning rate 0.01 → 0.1"]
    assert "300 l" not in "\n".join(lines(made))


def test_a_new_leader_is_told_of() -> None:
    made, behind = history(), started().arms[::-1]
    made.apply(e.EpochEnded(4, 400, 0.01, 1, 1, metrics(behind, 0.9), metrics(behind, 0.9)))
    assert lines(made)[-1] == "400   epoch 4: Without BN takes the lead"
    assert lines(made, 32)[-1] == "400   epoch 4: Without BN +3.0"


def test_where_nothing_happened_it_says_what_appears_and_what_to_try() -> None:
    text = " ".join(lines(History()))
    assert text.startswith("alerts and what you change appear here try b switches")
    assert "try" not in " ".join(lines(History(), replay=True))
    ended = history(VANISHING)
    ended.status = "completed"
    assert "try" not in " ".join(lines(ended))


def test_every_kind_of_alert_has_an_advice_with_keys_of_the_table() -> None:
    batch, plain = started(("batch", "none")).arms
    dead = e.LayerFlow("linear1", 1e-9, 1.0, (), 0.9)
    kinds = {kind for kind, _ in alerts.of_flow("x", [dead, e.LayerFlow("linear2", 1.0, 1.0, (), 0.0)])}
    kinds |= {kind for kind, _ in alerts.of_flow("x", [e.LayerFlow("a", 1e9, 1.0, (), 0.0), dead])}
    kinds |= {kind for kind, _ in alerts.of_batch_size(2, batch)} | {kind for kind, _ in alerts.of_gap("x", 0.1, 2.0)}
    kinds |= {kind for kind, _ in alerts.of_learning_rate(0.1, 1.0, 5)} | {"diverged"}
    assert not alerts.of_batch_size(2, plain)
    assert kinds == set(ADVICE)
    names = {key.name for key in KEYS} | {"undo"}
    for kind, row in ADVICE.items():
        assert {name for name, _ in row.tries} <= names
        assert advice(kind), kind
    assert advice("exploding")[0] == "- smaller steps"
    assert advice("exploding", bind({"lr-down": "f2"}))[0] == "f2 smaller steps"
    assert advice("of a later version") == []


def test_six_arms_fit() -> None:
    made = History()
    for event in run_events(norms=ZOO):
        made.apply(event)
    assert lines(made, 38)[-1] == "300   epoch 3: Batch norm +3.0"
