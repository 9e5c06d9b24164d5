from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.config.parsers import arms
from bntui.messages import events as e
from bntui.messages.arms import build_arms
from bntui.messages.history import MAX_BRANCHES, MAX_EPOCHS, MAX_MARKS, MAX_NORMALIZATION_NUMBERS, History
from bntui.messages.series import MAX_POINTS, Series

ARMS = build_arms(arms("batch,none"))


def epoch_ended(epoch: int, accuracy: float = 0.5) -> e.EpochEnded:
    split = {"batch": e.Metrics(1 - accuracy, accuracy), "none": e.Metrics(1.0, 0.25)}
    return e.EpochEnded(epoch, 10 * epoch, 0.1, 1.0, 1.0, split, split)


def started() -> e.Started:
    config = {"lr": 0.1, "batch_size": 32, "command": "bntui --headless"}
    return e.Started("2026-01-01T00:00:00+00:00", config, {}, {"name": "synthetic"}, ARMS,
                     {"batch": {"norm1": 2}}, 10, 100)  # fmt: skip


def read(epoch: int, features: int = 2) -> e.NormalizationRead:
    row = (float(epoch),) * features
    return e.NormalizationRead(epoch, 10 * epoch, {"batch": (e.LayerStatistics("norm1", *[row] * 6),)})


def test_few_losses_are_kept_as_they_are() -> None:
    series = Series("ab")
    series.extend(e.Stepped(3, 1, {"a": (1.0, 2.0, 3.0), "b": (4.0, 5.0, 6.0)}, 0.0))
    assert series.points() == ([1, 2, 3], {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})


def test_many_losses_are_means_over_equal_buckets() -> None:
    series = Series("a")
    total = 3 * MAX_POINTS + 5
    values = tuple(float(i) for i in range(1, total + 1))
    series.extend(e.Stepped(total, 1, {"a": values}, 0.0))
    steps, losses = series.points()
    assert series.width == 4
    assert len(steps) == len(losses["a"]) <= MAX_POINTS
    assert (steps[:2], steps[-1]) == ([4, 8], total)
    assert (losses["a"][:2], losses["a"][-1]) == ([2.5, 6.5], total)
    again = Series("a")
    again.load_state_dict(json.loads(json.dumps(series.state_dict())))
    assert again.points() == series.points() and again.seconds == series.seconds
    with pytest.raises(KeyError):
        Series("ab").load_state_dict(series.state_dict())


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20), st.integers(1, 50))
def test_points_do_not_depend_on_how_the_losses_arrive(chunks: list[int], seed: int) -> None:
    losses = [math.sin(i * seed) for i in range(sum(chunks))]
    whole, pieces = Series("abc"), Series("abc")
    whole.extend(e.Stepped(len(losses), 1, dict.fromkeys("abc", tuple(losses)), 0.0))
    step = 0
    for count in chunks:
        part = tuple(losses[step : step + count])
        step += count
        pieces.extend(e.Stepped(step, 1, dict.fromkeys("abc", part), 0.0))
    assert pieces.points() == whole.points()


def test_epochs_beyond_the_limit_are_thinned_and_the_last_stays() -> None:
    history = History()
    for epoch in range(1, 2 * MAX_EPOCHS + 4):
        history.apply(epoch_ended(epoch))
    kept = [row.epoch for row in history.epochs]
    assert len(kept) <= MAX_EPOCHS + 1
    assert kept[-1] == 2 * MAX_EPOCHS + 3
    assert len({b - a for a, b in zip(kept[:-2], kept[1:-1], strict=True)}) == 1


def test_readings_are_bounded_by_their_numbers() -> None:
    history = History()
    features = 5_000
    for epoch in range(1, 200):
        history.apply(read(epoch, features))
    kept = [reading.epoch for reading in history.normalization]
    assert kept[-1] == 199
    assert 6 * features * len(kept) <= MAX_NORMALIZATION_NUMBERS + 12 * features
    assert all(epoch % 16 == 0 for epoch in kept[:-1])


def test_the_best_epoch_is_the_first_of_the_highest_accuracy() -> None:
    history = History()
    for epoch, accuracy in enumerate([0.5, 0.7, 0.7, 0.6], 1):
        history.apply(epoch_ended(epoch, accuracy))
    assert (history.best["batch"].epoch, history.best["batch"].validation_accuracy) == (2, 0.7)
    assert history.best["none"].epoch == 1


def test_the_learning_rate_follows_interventions() -> None:
    history = History()
    history.apply(started())
    assert history.lr == 0.1
    history.apply(e.Intervened(3, 1, "learning_rate", 0.1, 0.2))
    assert history.lr == 0.2


def test_a_restart_forgets_the_numbers_but_not_the_run() -> None:
    history = History()
    for event in (e.Notice("hello"), started(), epoch_ended(1), e.Intervened(3, 1, "bn", True, False), e.Restarted(9)):
        history.apply(event)
    assert history.epochs == history.interventions == []
    assert history.steps.points() == ([], {"batch": [], "none": []})
    assert history.best == {}
    assert history.started == started()
    assert history.notices == ["hello"]


@pytest.mark.parametrize(
    ("event", "status"),
    [(e.Paused(1), "paused"), (e.Resumed(1), "running"), (e.Finished("failed", 1, {}, 1.0), "failed")],
)
def test_status(event: e.Event, status: str) -> None:
    history = History()
    history.apply(started())
    assert history.status == "running"
    history.apply(event)
    assert history.status == status


def test_an_evaluation_that_goes_on_is_known_until_its_end_or_that_of_the_run() -> None:
    history = History()
    history.apply(started())
    for event, known in (
        (e.Evaluating(3, 10, 20), True), (e.Evaluating(3, 20, 20), False), (e.Evaluating(6, 10, 20), True),
        (epoch_ended(1), False), (e.Evaluating(7, 10, 20), True), (e.Finished("interrupted", 7, {}, 1.0), False),
    ):  # fmt: skip
        history.apply(event)
        assert (history.evaluating is not None) is known


def stepped(step: int, count: int, width: int = 1) -> e.Stepped:
    """Losses that are the step's number."""
    losses = tuple(float(step - width * i) for i in reversed(range(count)))
    accuracies = tuple(loss / 1_000 for loss in losses)
    names = [arm.name for arm in ARMS]
    return e.Stepped(step, width, dict.fromkeys(names, losses), step / 10, dict.fromkeys(names, accuracies))


def evaluated(step: int) -> e.Evaluated:
    return e.Evaluated(1 + step // 10, step, 50, 0.01, dict.fromkeys((arm.name for arm in ARMS), e.Metrics(1.0, 0.5)))


def applied(*events: e.Event) -> History:
    history = History()
    for event in (started(), *events):
        history.apply(event)
    return history


BEFORE = [stepped(10, 10), evaluated(5), epoch_ended(1), read(1), e.Alert(7, "none", "inactive", "few"), stepped(14, 4)]
CHANGE = e.Intervened(14, 2, "batch_size", 32, 16)
ABANDONED = [
    e.Planned(14, 1.4, 16, 20, 200), stepped(20, 6), evaluated(15), epoch_ended(2, 0.9), read(2), e.Paused(20),
    e.Alert(18, "batch", "diverged", "gone"), e.Intervened(20, 3, "pause", False, True),
]  # fmt: skip


def known(history: History) -> dict[str, object]:
    """Everything but what stays known of an abandoned future, and how the run stands."""
    apart = ("steps", "branches", "notices", "_marks", "status")
    return {"steps": history.steps.state_dict(), **{k: v for k, v in vars(history).items() if k not in apart}}


def test_what_is_taken_back_leaves_a_branch_and_nothing_else() -> None:
    history = applied(*BEFORE, CHANGE, *ABANDONED, e.Notice("hello"), e.Undone(20, 14, "batch_size"))
    assert known(history) == known(applied(*BEFORE))
    assert (history.status, history.notices, history.undoable) == ("paused", ["hello"], None)
    (branch,) = history.branches
    assert (branch.undone, branch.until, branch.steps) == (CHANGE, 20, tuple(range(15, 21)))
    assert branch.losses["none"] == tuple(map(float, range(15, 21)))
    assert branch.accuracies["batch"] == tuple(step / 1_000 for step in range(15, 21))
    assert [row.step for row in branch.evaluations] == [15]
    assert [row.epoch for row in branch.epochs] == [2]
    assert [row.action for row in branch.interventions] == ["pause"]
    # And goes on alike, in the midst of the lists that were copied.
    for event in (stepped(20, 6), epoch_ended(2), e.Intervened(20, 3, "bn", True, False)):
        history.apply(event)
    assert history.epochs[-1] == epoch_ended(2) and len(history.branches) == 1


def test_interventions_are_taken_back_one_after_another() -> None:
    first, second, third = (e.Intervened(14, 2, "learning_rate", 0.1 * 2**i, 0.2 * 2**i) for i in range(3))
    history = applied(*BEFORE, first, second, stepped(16, 2), third)
    assert history.undoable == third
    for step, undone, lr in ((16, third, 0.4), (16, second, 0.2), (14, first, 0.1)):
        history.apply(e.Undone(step, undone.step, undone.action))
        assert history.lr == lr
        assert history.branches[-1].undone == undone
    assert [row.action for row in history.branches[1].interventions] == []
    assert known(history) == known(applied(*BEFORE))
    # There is nothing more; a line of a damaged journal may say so all the same.
    history.apply(e.Undone(14, 14, "bn"))
    assert known(history) == known(applied(*BEFORE)) and len(history.branches) == 3


def test_what_was_evaluated_at_the_very_step_belongs_to_where_it_came() -> None:
    """A larger batch can end the epoch at once: its evaluation has the step of the intervention, and comes after it."""
    change = e.Intervened(10, 1, "batch_size", 32, 600)
    (branch,) = applied(stepped(10, 10), change, epoch_ended(1), e.Undone(10, 10, "batch_size")).branches
    assert branch.epochs == (epoch_ended(1),)
    (branch,) = applied(stepped(10, 10), epoch_ended(1), change, e.Undone(10, 10, "batch_size")).branches
    assert branch.epochs == ()


def test_branches_and_marks_are_bounded() -> None:
    history = applied()
    for step in range(3 * MAX_MARKS):
        history.apply(e.Intervened(step, 1, "learning_rate", 0.1, 0.2))
    history.apply(stepped(5_000, 5_000 - 3 * MAX_MARKS))
    undone = 0
    while (newest := history.undoable) is not None:
        history.apply(e.Undone(5_000, newest.step, "learning_rate"))
        undone += 1
    assert undone == MAX_MARKS and len(history.branches) == MAX_BRANCHES
    history = applied(e.Intervened(0, 1, "bn", True, False), stepped(5_000, 5_000), e.Undone(5_000, 0, "bn"))
    (branch,) = history.branches
    assert 100 <= len(branch.steps) == len(branch.losses["none"]) <= e.MOST_BRANCH_POINTS


def test_a_restart_leaves_nothing_to_take_back() -> None:
    history = applied(CHANGE, e.Restarted(14))
    assert history.undoable is None


def test_a_branch_that_is_told_changes_nothing_else() -> None:
    (branch,) = applied(*BEFORE, CHANGE, *ABANDONED, e.Undone(20, 14, "batch_size")).branches
    history = applied(*BEFORE, CHANGE, e.Undone(20, 14, "batch_size", branch))
    assert known(history) == known(applied(*BEFORE, CHANGE))
    assert history.branches == [branch] and history.undoable == CHANGE
