"""The order of the training samples: the draws that torch.utils.data.DataLoader makes, without the loader."""

from __future__ import annotations

import torch
from torch import Tensor


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
