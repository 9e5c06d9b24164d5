from __future__ import annotations

import math

import pytest

from bntui.training.within_epochs import MOST_SAMPLES, chosen, passed, places


def test_in_the_first_epoch_they_are_log_spaced_and_then_even() -> None:
    samples = chosen(60_000, 10_000)
    assert samples == 1_028
    assert places(1, 60_000, samples, False) == (469, 938, 1_875, 3_750, 7_500, 15_000, 30_000)
    assert places(2, 60_000, samples, False) == places(9, 60_000, samples, False)
    assert places(2, 60_000, samples, False) == (7_500, 15_000, 22_500, 30_000, 37_500, 45_000, 52_500)


def test_where_statistics_are_estimated_too_there_are_fewer_on_the_same_samples() -> None:
    assert places(1, 60_000, 1_028, True) == (7_500, 15_000, 30_000)
    assert places(2, 60_000, 1_028, True) == (15_000, 30_000, 45_000)


@pytest.mark.parametrize("train", [16, 650, 2_134, 6_000, 60_000, 1_281_167])
@pytest.mark.parametrize("validation", [1, 100, 256, 10_000, 50_000])
@pytest.mark.parametrize("estimating", [False, True])
def test_they_cost_four_percent_of_the_work_at_most(train: int, validation: int, estimating: bool) -> None:
    samples = chosen(train, validation)
    assert min(256, validation) <= samples <= min(MOST_SAMPLES, validation)
    for epoch in (1, 2):
        found = places(epoch, train, samples, estimating)
        passes = len(found) * samples + (len(found) * max(256, samples) if estimating else 0)
        assert passes <= 0.04 * 3 * train
        assert list(found) == sorted(found) and all(0 < place < train for place in found)


def test_where_the_training_set_is_small_there_are_few_or_none() -> None:
    assert chosen(6_000, 1_000) == 256
    assert places(1, 6_000, 256, False) == (1_500, 3_000)
    assert places(2, 6_000, 256, False) == (2_000, 4_000)
    assert places(1, 650, chosen(650, 100), False) == ()


@pytest.mark.parametrize("batch_size", [1, 2, 32, 100, 5_000])
def test_each_place_is_passed_once_whatever_the_batch_size(batch_size: int) -> None:
    found = places(1, 60_000, 1_028, False)
    steps = [end for end in range(batch_size, 60_001, batch_size) if passed(found, end - batch_size, end)]
    assert steps == sorted({batch_size * math.ceil(place / batch_size) for place in found})
    assert not passed((), 0, 60_000)
