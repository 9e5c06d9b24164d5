"""Dropout that every arm can draw alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeededDropout(nn.Module):
    """`torch.nn.Dropout` with a random generator of its own, so that all arms can drop the same units."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        super().__init__()
        self.p = p
        self.generator = generator

    def mask(self, x: Tensor) -> Tensor:
        """Draw the next mask in the shape of `x`: 0 with probability p, else 1/(1-p)."""
        return torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator).div_(1 - self.p)

    def forward(self, x: Tensor) -> Tensor:
        """Drop units of `x` in training mode."""
        return x * self.mask(x) if self.training and self.p else x
