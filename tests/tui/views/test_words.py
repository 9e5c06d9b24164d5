"""What things are called: what was changed, in words, and one word for one thing on the whole screen."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import bntui.tui.views
from bntui.config.interventions import INTERVENTIONS, Intervention, written
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.views.view import QUANTITIES
from bntui.tui.views.words import QUANTITY_WORDS, norm_layer, told, weight_layer
from scripted_app import ZOO, started

CHANGES: list[tuple[str, Any, Any, str]] = [
    ("learning_rate", 0.01, 0.015, "learning rate 0.01 → 0.015"),
    ("learning_rate", 0.0225, 0.03375, "learning rate 0.0225 → 0.0338"),
    ("learning_rate", 5e-9, 1e-7, "learning rate 5e-09 → 1e-07"),
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
    ("of_a_later_version", True, False, "of a later version on → off"),
]

OTHER_WORDS = {
    r"\bw/o\b|\bWithout\b(?! BN)|\b(BN|GN|LN|IN|BRN)\d*-\d\b|\b(GN|BRN)\d*\b": "an arm's label, or its glyph alone",
    r"\bmoved\b": "drift",
    r"\bTrue\b|\bFalse\b": "on or off, or what the switch calls its states",
    r"\bneurons?\b|\bfeature maps?\b": "unit, or channel of a normalization layer",
    r"\bmoving (mean|average|variance)\b": "running mean, running variance",
    r"\b(test|eval) accuracy\b": "validation accuracy",
    r"\bgamma\b|\bbeta\b|\bscale γ\b|\bshift β\b": "γ and β",
}
"""What nothing on the screen is called, and what it is called instead."""


@pytest.mark.parametrize(("action", "before", "after", "words"), CHANGES)
def test_an_intervention_in_words(action: str, before: Any, after: Any, words: str) -> None:
    history = History(started=started())
    assert told(history, e.Intervened(300, 4, action, before, after)) == words


def test_the_switched_normalization_is_called_what_it_is() -> None:
    history = History(started=started(("none", "layer", "batch")))
    assert told(history, e.Intervened(1, 1, "bn", True, False)) == "Layer norm on → off"
    assert told(history, e.Intervened(1, 1, "restart_arm", None, "batch")) == "restarted Batch norm"


def test_a_layer_has_one_name() -> None:
    history = History(started=started(ZOO))
    assert norm_layer(history, "batch", 0) == "BN 1 · norm1"
    assert norm_layer(history, "group:8", 1) == "Group norm 8 layer 2 · norm2"
    assert norm_layer(history, "batch", 7) == "BN 8"
    assert weight_layer(0) == "linear 1"


@pytest.mark.parametrize("row", INTERVENTIONS.values(), ids=lambda row: row.name)
def test_every_row_of_the_table_has_words(row: Intervention) -> None:
    history = History(started=started())
    words = told(history, e.Intervened(1, 1, row.name, row.default, row.default))
    assert words and "{" not in words and "_" not in words
    assert not re.search("True|False", words)


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "on"), (0.03375, "0.0338"), (5e-9, "5e-09"), (1250.0, "1,250"), (1e6, "1e+06"), (0.1, "0.1"), (32, "32")],
)
def test_a_value_has_no_more_digits_than_mean_something(value: object, words: str) -> None:
    assert written(value) == words


def test_every_quantity_of_a_layer_has_a_word() -> None:
    assert set(QUANTITY_WORDS) == set(QUANTITIES)


def shown_by(source: Path) -> list[str]:
    """Return the texts in a file's code, without its docstrings."""
    tree = ast.parse(source.read_text())
    said = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
    ]


@pytest.mark.parametrize("pattern", OTHER_WORDS)
def test_no_view_has_another_word_for_it(pattern: str) -> None:
    views = Path(next(iter(bntui.tui.views.__path__)))
    found = [
        f"{source.name}: {text!r}, not {OTHER_WORDS[pattern]}"
        for source in sorted(views.glob("*.py"))
        for text in shown_by(source)
        if re.search(pattern, text)
    ]
    # The table that is to replace it goes with the view of the layers.
    assert not [line for line in found if not line.startswith("layers.py")], found
