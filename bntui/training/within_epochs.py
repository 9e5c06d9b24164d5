"""When the arms are evaluated within an epoch, and on how many samples.

Only places in the data decide, never the clock: a run that is watched, resumed or replayed tells the same.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

BUDGET = 0.12
"""Samples that may be evaluated for each one that is trained on: 4 % of the work, as a backward pass takes about as
long as two forward passes."""
MOST_TIMES = 7
"""In an epoch."""
FEWEST_SAMPLES, MOST_SAMPLES = 256, 2_000


def chosen(train_samples: int, validation_samples: int) -> int:
    """Return how many validation samples are evaluated each time; in one run always the same number."""
    share = int(BUDGET * train_samples) // MOST_TIMES
    return min(validation_samples, max(FEWEST_SAMPLES, min(MOST_SAMPLES, share)))


@lru_cache(maxsize=64)
def places(epoch: int, train_samples: int, samples: int, estimating: bool) -> tuple[int, ...]:
    """Return after how many training samples of an epoch the arms are evaluated, in ascending order.

    In the first epoch, in which most is learnt at the beginning, these are a half, a quarter, an eighth, … of it; in
    the others they lie evenly. There are fewer, down to none, where the training set is small.

    Parameters
    ----------
    epoch
        From 1 on.
    train_samples
        Of an epoch.
    samples
        How many are evaluated each time.
    estimating
        Whether each time statistics are estimated anew, which takes as long again.
    """
    cost = samples + max(samples, FEWEST_SAMPLES) if estimating else samples
    times = min(MOST_TIMES, int(BUDGET * train_samples) // cost)
    if epoch == 1:
        shares = [2.0**-i for i in range(times, 0, -1)]
    else:
        shares = [i / (times + 1) for i in range(1, times + 1)]
    return tuple(math.ceil(share * train_samples) for share in shares)


def passed(places: tuple[int, ...], before: int, after: int) -> bool:
    """Whether one of the places lies beyond `before` and not beyond `after`."""
    return bisect_right(places, after) > bisect_right(places, before)
