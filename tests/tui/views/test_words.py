"""What was changed, in words."""

from __future__ import annotations

from typing import Any

import pytest

from bntui.config.interventions import INTERVENTIONS, Intervention
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.theme import Look
from bntui.tui.views.summary import latest
from bntui.tui.views.words import initials, short_labels, told
from scripted_app import ZOO, started

CHANGES: list[tuple[str, Any, Any, str]] = [
    ("learning_rate", 0.01, 0.015, "learning rate 0.01 → 0.015"),
    ("bn", True, False, "BN on → off"),
    ("freeze", False, True, "statistics live → frozen"),
    ("batch_size", 32, 16, "batch size 32 → 16"),
    ("dropout", 0.0, 0.25, "dropout 0 → 0.25"),
    ("bn_noise", 0.0, 0.5, "noise 0 → 0.5"),
    ("bn_eval", "running", "single", "evaluated by running → single"),
    ("shift", "none", "rotation:30", "shift none → rotation:30"),
    ("adapt_bn", True, False, "AdaBN on → off"),
    ("precise_bn", None, None, "precise BN"),
    ("restart_arm", None, "none", "restarted Without BN"),
    ("restart", 1234, 0, "restarted, after 1,234 steps"),
    ("pause", False, True, "paused"),
    ("resume", True, False, "resumed"),
    ("step", 3, 4, "a single step"),
    ("stop", None, None, "stopped"),
    ("export", None, None, "results written"),
    ("export", None, "/x.json", "results written to /x.json"),
]


@pytest.mark.parametrize(("action", "before", "after", "words"), CHANGES)
def test_an_intervention_in_words(action: str, before: Any, after: Any, words: str) -> None:
    history = History(started=started())
    assert told(history, e.Intervened(300, 4, action, before, after)) == words


def test_the_panel_says_it_in_the_same_words_in_ascii_too() -> None:
    history = History(started=started())
    for action, before, after, _ in CHANGES[:11]:
        history.interventions.append(e.Intervened(300, 4, action, before, after))
    for look in (Look(), Look("ascii")):
        lines = latest(history, look, 20).plain.split("\n")
        assert [line.partition("  ")[2].strip().split("  ")[-1] for line in lines[:-1]] == [
            look.text(words) for *_, words in CHANGES[:11]
        ]
        assert all(line.isascii() for line in lines) == look.ascii_only


def test_the_switched_normalization_is_called_what_it_is() -> None:
    history = History(started=started(("none", "layer", "batch")))
    assert told(history, e.Intervened(1, 1, "bn", True, False)) == "Layer norm on → off"
    assert told(history, e.Intervened(1, 1, "restart_arm", None, "batch")) == "restarted Batch norm"


def test_arms_have_abbreviations_that_tell_them_apart() -> None:
    assert [*initials(started(ZOO).arms).values()] == ["BN", "GN8", "LN", "IN", "BRN", "none"]
    assert [*initials(started(("batch", "batch", "group:8", "group:4")).arms).values()] == [
        "BN-1", "BN-2", "GN8", "GN4",
    ]  # fmt: skip
    pair = started(("none", "batch")).arms
    assert initials(pair) == {"none": "w/o", "batch": "BN"}
    assert short_labels(pair) == {"none": "Without", "batch": "With BN"}


@pytest.mark.parametrize("row", INTERVENTIONS.values(), ids=lambda row: row.name)
def test_every_row_of_the_table_has_words(row: Intervention) -> None:
    history = History(started=started())
    words = told(history, e.Intervened(1, 1, row.name, row.default, row.default))
    assert words and "{" not in words and "_" not in words
