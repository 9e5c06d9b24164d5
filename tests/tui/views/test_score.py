"""How good each arm is: the newest evaluation, in the table of the column, and on the state line at every width."""

from __future__ import annotations

import math
import re

import pytest

from bntui.messages import events as e
from bntui.messages.history import History
from bntui.tui.terminal.machine import Usage
from bntui.tui.theme import Look
from bntui.tui.views.score import accuracy_word, draw_score, leader_of, newest_evaluation, score_height
from bntui.tui.views.status import state, tiny
from bntui.tui.views.view import View
from scripted_app import ZOO, metrics, run_events, started

PAIR = ("batch", "none")
by_arms = pytest.mark.parametrize("norms", [PAIR, ZOO], ids=len)


def history(norms: tuple[str, ...] = PAIR, *more: e.Event, epochs: int = 3) -> History:
    made = History()
    for event in (*run_events(epochs, norms), *more):
        made.apply(event)
    return made


def within(norms: tuple[str, ...] = PAIR, step: int = 350, accuracy: float = 0.7) -> e.Evaluated:
    return e.Evaluated(4, step, 1_000, 0.1, metrics(started(norms).arms, accuracy))


def lines(made: History, width: int = 46, height: int = 20, look: Look | None = None) -> list[str]:
    text = draw_score(made, View(), look or Look(), width, height).text.plain
    assert all(len(line) <= width for line in text.split("\n"))
    assert len(text.split("\n")) <= height
    return [line.rstrip() for line in text.split("\n")]


def test_every_arm_has_a_row_with_its_best_and_the_epoch_of_that() -> None:
    heading, first, second, lead, which, reached = lines(history())
    assert heading.split() == ["accuracy", "train", "valid", "best", "epoch"]
    assert first.split() == ["●", "With", "BN", ".8600", ".8500", ".8500", "3"]
    assert second.split() == ["■", "Without", "BN", ".8300", ".8200", ".8200", "3"]
    assert lead == "With BN ahead by 3.0 points"
    assert which == "end of epoch 3 · all 10,000 samples"
    # The label stands there in full where there is room for both, else both arms' signs.
    assert reached == "reached .8200: ● at epoch 2, ■ at epoch 3"
    assert lines(history(), 60)[-1] == "reached .8200: With BN at epoch 2, Without BN at epoch 3"


def test_an_evaluation_within_an_epoch_is_told_as_soon_as_it_is_the_newest_one() -> None:
    made = history(PAIR, within())
    made.apply(e.Stepped(360, 1, dict.fromkeys(PAIR, (0.5,)), 3.6, {"batch": (0.91,), "none": (0.88,)}))
    _, first, second, lead, which, _ = lines(made)
    # A thousand samples are good for three decimals; the best is still one of whole sets.
    assert first.split()[3:] == [".910", ".700", ".8500", "3"]
    assert second.split()[3:] == [".880", ".670", ".8200", "3"]
    assert (lead, which) == ("With BN ahead by 3.0 points", "step 350 · 1,000 of 10,000 samples")
    assert lines(made, 70)[4] == "step 350 · 1,000 of 10,000 samples · train: batches of late"
    made.apply(e.EpochEnded(4, 400, 0.01, 1, 1, *[metrics(started().arms, 0.9)] * 2))
    # Those of the batches go on, as on the chart.
    assert lines(made)[1].split()[3:] == [".910", ".9000", ".9000", "4"]
    assert newest_evaluation(made) is made.epochs[-1]


def test_before_the_first_evaluation_there_is_the_accuracy_of_the_training_batches() -> None:
    made = history(epochs=0)
    assert lines(made)[-1] == "appears within the first epoch"
    made.apply(e.Stepped(10, 1, dict.fromkeys(PAIR, (0.5,)), 0.1, {"batch": (0.5,), "none": (0.25,)}))
    assert [line.split()[3:] for line in lines(made)[1:3]] == [[".500", "-"], [".250", "-"]]
    assert lines(made)[3] == "train: batches of late; valid: soon"
    assert lines(History()) == ["accuracy", "appears with the first steps"]


@by_arms
@pytest.mark.parametrize("width", [8, 12, 20, 28, *range(34, 50), 60, 160])
def test_the_table_fits_every_width_and_keeps_the_validation_accuracy(norms: tuple[str, ...], width: int) -> None:
    made = history(norms)
    rows = lines(made, width)
    for number, glyph in enumerate(Look().glyphs[: len(norms)], 1):
        assert rows[number].startswith(glyph)
        assert f"{0.85 - 0.03 * (number - 1):.4f}"[1:] in rows[number]
    if width >= 36:
        assert all(arm.label in row for arm, row in zip(made.arms, rows[1:], strict=False))
        assert rows[1].endswith("3") and "best" in rows[0]
    assert len(lines(made, 46)) == score_height(made)


def test_who_leads_needs_a_tenth_of_a_point_and_numbers() -> None:
    def of(*values: float) -> tuple[str, float]:
        return leader_of({str(i): e.Metrics(1.0, value) for i, value in enumerate(values)})

    assert of(0.5, 0.5) == of(0.5, 0.5004) == of(0.9) == of() == of(0.9, math.nan) == ("", 0.0)
    assert of(0.5, math.nan, 0.512) == ("2", pytest.approx(1.2))
    made = history(PAIR, e.EpochEnded(4, 400, 0.01, 1, 1, *[dict.fromkeys(PAIR, e.Metrics(1, 0.8))] * 2))
    assert lines(made)[3] == "no leader"


@pytest.mark.parametrize(
    ("value", "samples", "word"),
    [
        (0.9621, 10_000, ".9621"), (0.9621, 1_000, ".962"), (1.0, 10_000, "1.000"), (0.99999, 10_000, "1.000"),
        (0.9999, 10_000, ".9999"), (0.0, 1_000, ".000"), (math.nan, 10_000, "    -"), (0.1, 4_999, ".100"),
    ],
)  # fmt: skip
def test_an_accuracy_has_as_many_decimals_as_its_samples_are_good_for(value: float, samples: int, word: str) -> None:
    assert accuracy_word(value, samples) == word


# The state line


@by_arms
@pytest.mark.parametrize("status", ["running", "paused", "completed", "evaluating"])
def test_the_accuracies_are_cut_last_of_all_at_every_width(norms: tuple[str, ...], status: str) -> None:
    made = history(norms)
    ways = ("r run again", "k more epochs", "q quit") if status == "completed" else ()
    made.status = "running" if status == "evaluating" else status
    if status == "evaluating":
        made.evaluating = e.Evaluating(300, 43, 100)
    usage = Usage(98.0, 2**29)
    seen = []
    for width in range(40, 201):
        line = state(made, Look(), "", width, usage, ways).plain
        assert len(line) <= width
        # Every arm's, in full or at least with two decimals.
        found = [float(value) for value in re.findall(r"\.\d\d+", line)]
        exact = [0.85 - 0.03 * i for i in range(len(norms))]
        assert [value for value in found if value > 0.1][-len(norms) :] == pytest.approx(exact, abs=0.0051), line
        assert line.startswith(" eval" if status == "evaluating" else f" {status}")
        seen.append((("cpu" in line), ("statistics" in line), all(arm.label in line for arm in made.arms)))
    # What appears with more room stays with still more; usage needs less room than the settings that are as usual.
    assert seen[0] == (False, False, False) and seen[-1] != seen[0]
    labelled = [labels for *_, labels in seen]
    assert labelled == sorted(labelled)


def test_what_is_not_as_usual_stays_longer_than_what_is() -> None:
    made = history(PAIR, e.Intervened(300, 3, "bn", True, False), e.Intervened(300, 3, "learning_rate", 0.01, 0.03375))
    wide = state(made, Look(), "", 160, Usage(98.0, 2**29)).plain
    assert "lr 0.0338  BN off  statistics live" in wide and wide.endswith("cpu  98 %  512 MiB")
    assert "BN off" in (narrow := state(made, Look(), "", 80).plain) and "statistics" not in narrow
    assert "With BN +3.0" in narrow


def test_at_the_end_the_line_says_what_can_be_done() -> None:
    made, ways = history(), ("r run again", "k more epochs", "q quit")
    made.status = "completed"
    for width in (115, 120, 160):
        line = state(made, Look(), "", width, None, ways).plain
        assert line.startswith(" completed · r run again · k more epochs · q quit "), line
        assert ".8500" in line and ".8200" in line
    assert state(made, Look(), "", 80, None, ways).plain.startswith(" completed · r run again ")
    assert state(made, Look("ascii"), "", 160, None, ways).plain.isascii()
    assert "r run again" not in state(made, Look(), "zoomed to everything", 160, None, ways).plain


def test_an_evaluation_within_an_epoch_is_on_the_state_line_too() -> None:
    line = state(history(PAIR, within()), Look(), "", 160).plain
    assert "● With BN .700  ■ Without BN .670  With BN ahead by 3.0 points" in line


def test_a_tiny_terminal_has_the_labels_or_the_signs_alone() -> None:
    assert tiny(history(), Look(), 20, 5) == ["running 300", "● With BN .8500", "■ Without BN .8200"]
    assert tiny(history(ZOO), Look(), 20, 5) == [
        "running 300 ● .8500", "■ .8200 ▲ .7900", "◆ .7600 ▼ .7300", "★ .7000",
    ]  # fmt: skip
    assert tiny(History(), Look(), 20, 1) == ["loading step 0"]
