"""Every panel of every view, drawn of histories, sizes and ways to look that are chosen by chance."""

from __future__ import annotations

import math
import random
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.theme import Look
from bntui.tui.views.channels import LAYERS
from bntui.tui.views.charts import CHARTS
from bntui.tui.views.explanation import EXPLAIN
from bntui.tui.views.flow import FLOW
from bntui.tui.views.panel import PanelKind
from bntui.tui.views.view import AXES, QUANTITIES, SMOOTHINGS, SORTS, View
from bntui.tui.views.why import WHY
from lively_run import lively_run
from scripted_app import ZOO

KINDS = {kind.name: kind for view in (CHARTS, LAYERS, FLOW, WHY, EXPLAIN) for kinds in view.values() for kind in kinds}
NORMS = (("batch", "none"), ("none", "batch"), ZOO, ("batch", "layer", "batch"), ("group:8", "none"), ("none", "none"))
LOOKS = (
    Look(), Look("block", "light"), Look("ascii", "light", coloured=False), Look(few_colours=True), Look(coloured=False)
)  # fmt: skip
ODD = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-320, 1e30, -3e38)
AS_IT_IS = ("seconds", "train_seconds", "before", "after", "lr", "eps", "momentum", "accuracy")
"""Fields that hold no measured numbers, or none that could be odd."""
LEAST, LEAST_OF_WORDS = (20, 3), (38, 3)
"""Cells and lines from which on a panel keeps to its size; in fewer it is cut by the screen, and must not fail."""


@cache
def run(norms: tuple[str, ...]) -> tuple[e.Event, ...]:
    return tuple(lively_run(norms))


def spoiled(value: Any, rng: random.Random, share: float) -> Any:
    """Return an event with such a share of its numbers replaced by odd ones, as of an arm that diverges."""
    match value:
        case float():
            return rng.choice(ODD) if rng.random() < share else value
        case tuple():
            return tuple(spoiled(item, rng, share) for item in value)
        case dict():
            return {key: spoiled(item, rng, share) for key, item in value.items()}
    if not is_dataclass(value) or isinstance(value, type | e.Started):
        return value
    names = [field.name for field in fields(value) if field.name not in AS_IT_IS]
    return replace(value, **{name: spoiled(getattr(value, name), rng, share) for name in names})


def random_history(rng: random.Random) -> History:
    """Return what is known of a run at any moment, with events left out and numbers replaced."""
    made, events = History(), run(rng.choice(NORMS))
    share, dropped = rng.choice((0.0, 0.0, 0.01, 0.3, 1.0)), rng.choice((0.0, 0.0, 0.3, 0.9))
    for event in events[: rng.choice((0, 1, 2, rng.randrange(len(events)), len(events)))]:
        if isinstance(event, e.Started) or rng.random() >= dropped:
            made.apply(spoiled(event, rng, share) if share else event)
    if rng.random() < 0.2:
        made.apply(e.Paused(made.step))
    if rng.random() < 0.2:
        made.apply(e.Finished(rng.choice(("completed", "interrupted", "failed")), made.step, {}, 1.0))
    return made


def random_view(rng: random.Random) -> View:
    return View(
        rng.random() < 0.5, rng.choice(SMOOTHINGS), rng.choice(AXES), rng.random() < 0.5,
        rng.choice((None, rng.randrange(1, 1_300))), rng.randrange(9), rng.choice((None, rng.randrange(40))),
        rng.random() < 0.3, rng.choice(QUANTITIES), rng.choice(SORTS), rng.randrange(-3, 9),
    )  # fmt: skip


def check(kind: PanelKind, made: History, view: View, look: Look, width: int, height: int) -> None:
    text = kind.draw(made, view, look, width, height).text.plain
    lines, where = text.split("\n"), (kind.name, view, look, width, height)
    least = LEAST_OF_WORDS if kind.of_words else LEAST
    if width >= least[0] and height >= least[1]:
        assert len(lines) <= height and max(map(cell_len, lines)) <= width, where
    assert not look.ascii_only or text.isascii(), where
    assert all(line.isprintable() for line in lines), where


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_whatever_is_known_a_panel_shows_it_in_its_place(name: str, seed: int) -> None:
    rng = random.Random(seed)
    made = random_history(rng)
    for _ in range(2):
        size = rng.choice(((rng.randint(1, 220), rng.randint(1, 70)), (160, 45), (80, 21), (40, 9)))
        check(KINDS[name], made, random_view(rng), rng.choice(LOOKS), *size)


def test_a_batch_of_thousands_is_paged() -> None:
    made, kind = History(), KINDS["explanation"]
    begun, explained = run(NORMS[0])[0], next(event for event in run(NORMS[0]) if isinstance(event, e.Explained))
    made.apply(begun)
    made.apply(replace(explained, x=explained.x * 400, dy=explained.dy * 400))
    for size in ((80, 22), (160, 45)):
        for page in (0, 7, -1):
            check(kind, made, View(page=page), Look(), *size)
    assert "4800 " in kind.draw(made, View(page=-1), Look(), 80, 22).text.plain


def test_a_net_of_fifty_layers_has_a_shift_of_each() -> None:
    made = History()
    made.apply(run(NORMS[0])[0])
    shifts = tuple(e.LayerShift(f"linear{i}", float(i), 0.9) for i in range(1, 51))
    read = e.Probes(shifts, e.Landscape(0.1, 0.4, 0.5, 2.0), None)
    made.apply(e.Probed(1, 1, dict.fromkeys(("batch", "none"), read), {}, live=True))
    for layer in (0, 48, 49, 500):
        for name in (kind.name for kinds in WHY.values() for kind in kinds):
            check(KINDS[name], made, View(layer=layer), Look(), 52, 45)
    text = KINDS["internal-covariate-shift"].draw(made, View(layer=48), Look(), 52, 45).text.plain
    assert "linear 50" in text.split("\n")[0] and "50.0" in text
