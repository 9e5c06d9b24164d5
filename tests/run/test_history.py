from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.run import events as e
from bntui.run.history import MAX_BATCH_NORM_NUMBERS, MAX_EPOCHS, MAX_POINTS, History, Series


def epoch_ended(epoch: int, accuracy: float = 0.5) -> e.EpochEnded:
    split = e.Split(e.Metrics(1 - accuracy, accuracy), e.Metrics(1.0, 0.25))
    return e.EpochEnded(epoch, 10 * epoch, 0.1, 1.0, 1.0, split, split)


def started() -> e.Started:
    config = {"lr": 0.1, "batch_size": 32, "command": "bntui --headless"}
    return e.Started("2026-01-01T00:00:00+00:00", config, {}, {"name": "synthetic"}, {"bn1": 2}, 10, 100)


def read(epoch: int, features: int = 2) -> e.BatchNormRead:
    row = (float(epoch),) * features
    return e.BatchNormRead(epoch, 10 * epoch, (e.LayerStatistics("bn1", row, row, row, row, row, row),))


def test_few_losses_are_kept_as_they_are() -> None:
    series = Series()
    series.extend(e.Stepped(3, 1, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 0.0))
    assert series.points() == {"step": [1, 2, 3], "bn_loss": [1.0, 2.0, 3.0], "plain_loss": [4.0, 5.0, 6.0]}


def test_many_losses_are_means_over_equal_buckets() -> None:
    series = Series()
    total = 3 * MAX_POINTS + 5
    values = tuple(float(i) for i in range(1, total + 1))
    series.extend(e.Stepped(total, 1, values, values, 0.0))
    points = series.points()
    assert series.width == 4
    assert len(points["step"]) <= MAX_POINTS
    assert points["step"][:2] == [4, 8]
    assert points["bn_loss"][:2] == [2.5, 6.5]
    assert points["step"][-1] == total
    assert points["bn_loss"][-1] == total


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20), st.integers(1, 50))
def test_points_do_not_depend_on_how_the_losses_arrive(chunks: list[int], seed: int) -> None:
    losses = [math.sin(i * seed) for i in range(sum(chunks))]
    whole, pieces = Series(), Series()
    whole.extend(e.Stepped(len(losses), 1, tuple(losses), tuple(losses), 0.0))
    step = 0
    for count in chunks:
        part = tuple(losses[step : step + count])
        step += count
        pieces.extend(e.Stepped(step, 1, part, part, 0.0))
    assert pieces.points() == whole.points()


def test_epochs_beyond_the_limit_are_thinned_and_the_last_stays() -> None:
    history = History()
    for epoch in range(1, 2 * MAX_EPOCHS + 4):
        history.apply(epoch_ended(epoch))
    kept = [row.epoch for row in history.epochs]
    assert len(kept) <= MAX_EPOCHS + 1
    assert kept[-1] == 2 * MAX_EPOCHS + 3
    assert len({b - a for a, b in zip(kept[:-2], kept[1:-1], strict=True)}) == 1


def test_batch_norm_readings_are_bounded_by_their_numbers() -> None:
    history = History()
    features = 5_000
    for epoch in range(1, 200):
        history.apply(read(epoch, features))
    kept = [reading.epoch for reading in history.batch_norm]
    assert kept[-1] == 199
    assert 6 * features * len(kept) <= MAX_BATCH_NORM_NUMBERS + 12 * features
    assert all(epoch % 16 == 0 for epoch in kept[:-1])


def test_the_best_epoch_is_the_first_of_the_highest_accuracy() -> None:
    history = History()
    for epoch, accuracy in enumerate([0.5, 0.7, 0.7, 0.6], 1):
        history.apply(epoch_ended(epoch, accuracy))
    assert (history.best["bn"].epoch, history.best["bn"].validation_accuracy) == (2, 0.7)
    assert history.best["plain"].epoch == 1


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
    assert history.steps.points()["step"] == []
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
