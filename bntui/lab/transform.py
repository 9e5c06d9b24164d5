"""The batch-norm transform, forward and backward, a formula at a time.

Names and order of the steps are those of Ioffe & Szegedy 2015 (https://arxiv.org/abs/1502.03167), algorithm 1 and the
gradients after it; what is tracked for evaluation is as in ``torch.nn.BatchNorm1d``. All arrays are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BatchNorm:
    """A layer: what it learns and what it tracks, one number a channel."""

    weight: Array
    """γ, [channels]."""
    bias: Array
    """β, [channels]."""
    running_mean: Array
    """[channels]."""
    running_var: Array
    """[channels]; moves towards the unbiased variance of the batches."""
    eps: float = 1e-5
    momentum: float = 0.1
    """Share of the newest batch in the running statistics."""

    @staticmethod
    def new(channels: int, eps: float = 1e-5, momentum: float = 0.1) -> BatchNorm:
        """Return a layer as it is made: γ 1, β 0, running mean 0, running variance 1."""
        ones, zeros = np.ones(channels), np.zeros(channels)
        return BatchNorm(ones, zeros, zeros, ones, eps, momentum)


@dataclass(frozen=True)
class Forward:
    """Every step of a pass through a layer."""

    x: Array
    """[samples, channels]."""
    mean: Array
    """μ, [channels]: of the batch in train mode, the running mean in eval mode."""
    var: Array
    """σ², [channels]: the biased variance of the batch in train mode, the running variance in eval mode."""
    x_hat: Array
    """x̂, [samples, channels]."""
    y: Array
    """[samples, channels]."""
    training: bool


@dataclass(frozen=True)
class Backward:
    """Every step of the way back: gradients of the loss with respect to each quantity."""

    x_hat: Array
    """[samples, channels]."""
    var: Array
    """[channels]; 0 in eval mode, where it is a constant."""
    mean: Array
    """[channels]; 0 in eval mode."""
    x: Array
    """[samples, channels]."""
    weight: Array
    """[channels]."""
    bias: Array
    """[channels]."""


def forward(layer: BatchNorm, x: Array, training: bool) -> Forward:
    """Pass a batch, [samples, channels], through a layer.

    Raises
    ------
    ValueError
        In train mode, of a single sample: it has no variance.
    """
    if training and len(x) < 2:
        raise ValueError("in train mode batch normalization needs at least two samples")
    mean, var = (x.mean(0), x.var(0)) if training else (layer.running_mean, layer.running_var)
    x_hat = (x - mean) / np.sqrt(var + layer.eps)
    return Forward(x, mean, var, x_hat, layer.weight * x_hat + layer.bias, training)


def backward(layer: BatchNorm, done: Forward, dy: Array) -> Backward:
    """Return the gradients, given that with respect to y, [samples, channels]."""
    dx_hat = dy * layer.weight
    inverse = 1 / np.sqrt(done.var + layer.eps)
    dvar = dmean = np.zeros_like(done.mean)
    dx = dx_hat * inverse
    if done.training:
        centred, m = done.x - done.mean, len(done.x)
        dvar = (dx_hat * centred).sum(0) * -0.5 * inverse**3
        dmean = -(dx_hat * inverse).sum(0) - 2 * dvar * centred.mean(0)
        dx = dx + dvar * 2 * centred / m + dmean / m
    return Backward(dx_hat, dvar, dmean, dx, (dy * done.x_hat).sum(0), dy.sum(0))


def track(layer: BatchNorm, done: Forward) -> BatchNorm:
    """Return the layer after a batch in train mode: its running statistics moved towards the batch's.

    The variance that is tracked is unbiased (divided by m - 1), the one that normalises is biased (divided by m).
    """
    keep, take, m = 1 - layer.momentum, layer.momentum, len(done.x)
    return BatchNorm(
        layer.weight,
        layer.bias,
        keep * layer.running_mean + take * done.mean,
        keep * layer.running_var + take * done.var * m / (m - 1),
        layer.eps,
        layer.momentum,
    )
