from __future__ import annotations

import numpy as np
import pytest

from bntui.config.parsers import arms
from bntui.lab.batch_norm import SENTENCES, Step, backward_steps, eval_steps, forward_steps
from bntui.lab.explain import explain
from bntui.lab.transform import BatchNorm, backward, forward, track
from bntui.messages.arms import build_arms
from bntui.messages.events import Explained, Started
from bntui.messages.history import History
from bntui.tui.theme import Look
from bntui.tui.views.explanation import explain_book

X = np.array([[1.0], [4.0], [7.0], [11.0]])

ARMS = build_arms(arms("batch,none"))


def steps() -> tuple[Step, ...]:
    layer = BatchNorm.new(1)
    done = forward(layer, X, training=True)
    after = track(layer, done)
    evaluated = forward(after, X, training=False)
    in_eval = eval_steps(evaluated, backward(after, evaluated, X))
    return (*forward_steps(layer, done, after), *backward_steps(X, backward(layer, done, X)), *in_eval)


def page(width: int) -> str:
    history = History()
    history.apply(Started("", {"lr": 0.01, "batch_size": 4}, {}, {}, ARMS, {"batch": {"norm1": 1}}, 50, 200))
    values = tuple(X[:, 0].tolist())
    read = Explained(1, "batch", "norm1", 0, 0.1, 1e-5, True, 1.0, 0.0, 0.0, 1.0, values, values, True)
    history.apply(read)
    book = explain_book(read, history, Look(), width, 400)
    return "\n".join(line.plain for page in range(book.pages) for line in book.lines(page))


@pytest.mark.parametrize("where", ["command", "view"])
def test_the_command_and_the_view_tell_of_every_step_in_the_same_words(where: str) -> None:
    """In so many cells that no formula is broken; the sentences are, where two blocks stand side by side."""
    text, narrow = ("\n".join(explain(X, 1)),) * 2 if where == "command" else (page(160), page(80))
    for step in steps():
        assert f"{step.label:<18}{step.formula}" in text
        assert step.remark in text
    for sentence in SENTENCES:
        assert sentence in " ".join(narrow.split())
