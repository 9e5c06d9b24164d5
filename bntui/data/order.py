"""The order of the training samples: the draws that torch.utils.data.DataLoader makes, without the loader."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bntui.data.resident import Samples, to_input

_ROWS_AT_ONCE = 512


class DataOrder:
    """Permutations equal to those of a shuffling DataLoader that is also iterated for evaluation.

    Each pass over such a loader draws a base seed and then a seed for its sampler from the global generator; one
    over a loader without shuffling draws a base seed alone.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def next_epoch(self, samples: int) -> Tensor:
        """Return the next permutation, int64 [samples], on the CPU."""
        self._draw()
        return torch.randperm(samples, generator=torch.Generator().manual_seed(self._draw()))

    def skip_evaluation(self) -> None:
        """Make the draws of a pass over the shuffled training set and one over the validation set."""
        for _ in range(3):
            self._draw()

    def _draw(self) -> int:
        return int(torch.empty((), dtype=torch.int64).random_(generator=self.generator))


def batches(samples: Samples, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches in the given order: inputs, float32 [batch, 784], and labels, int64 [batch].

    There must be samples for one batch at least.
    Several batches are gathered at a time, which costs one batch's overhead and still fits a CPU's cache.
    """
    order = order[: len(order) // batch_size * batch_size].to(samples.labels.device)
    for rows in torch.split(order, max(1, _ROWS_AT_ONCE // batch_size) * batch_size):
        # index_select copies rows whole; indexing by brackets takes six times as long over bytes.
        images = to_input(torch.index_select(samples.images, 0, rows))
        labels = torch.index_select(samples.labels, 0, rows)
        yield from zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
