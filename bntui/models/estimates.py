"""By which statistics batch norm normalises while a network is evaluated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bntui.models.arms import modules
from bntui.models.norms import SwitchableBatchNorm1d

PRECISE_SAMPLES = 10_000
"""Over so many samples statistics are estimated anew (Wu & Johnson 2021, https://arxiv.org/abs/2105.07576)."""
_MOST_VALUES = 1 << 26
"""Activations of one layer that are held at once for it."""

First = Callable[[int], Tensor]
"""Returns the inputs of the first samples of a set, as many as are asked for, in the network's own form."""
Statistics = list[tuple[Tensor, Tensor]]
"""Mean and unbiased variance of each batch norm of an arm, float32 [features]."""


@contextlib.contextmanager
def normalizing(
    models: Iterable[nn.Module], how: str, rows: int, first: First, count: int = PRECISE_SAMPLES
) -> Iterator[None]:
    """Have batch norm evaluate, for a while, by other statistics than the running ones.

    Parameters
    ----------
    models
        Every batch norm in them is meant.
    how
        `running`; `batch`, as training does, so many `rows` at a time; `single`, each sample alone; `precise`, by what
        the `first` samples have, `count` of them.
    """
    own = [(model, list(modules(model, SwitchableBatchNorm1d))) for model in models]
    try:
        for model, norms in own:
            estimates = estimate(model, first, count) if how == "precise" else [None] * len(norms)
            for norm, statistics in zip(norms, estimates, strict=True):
                norm.estimate = statistics
                norm.rows = {"batch": rows, "single": 1}.get(how, 0)
        yield
    finally:
        for _, norms in own:
            for norm in norms:
                norm.estimate, norm.rows = None, 0


def estimate(model: nn.Module, first: First, count: int = PRECISE_SAMPLES) -> Statistics:
    """Return the statistics that the batch norms of an arm have over the first samples, taken as one batch.

    Each layer normalises by them, so that the next one sees what it will see by them. Fewer samples are taken where the
    layers are very wide.
    """
    found: Statistics = []
    norms = list(modules(model, SwitchableBatchNorm1d))
    if not norms:
        return found

    def look(norm: SwitchableBatchNorm1d, inputs: tuple[Any, ...]) -> None:
        (x,) = inputs
        biased, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
        values = x.numel() // x.shape[1]
        found.append((mean, biased * (values / max(1, values - 1))))
        norm.estimate = mean, biased

    widest = max(parameter.shape[0] for parameter in model.parameters())
    training = model.training
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    try:
        with torch.inference_mode():
            model.eval()(first(max(256, min(count, _MOST_VALUES // widest))))
    finally:
        model.train(training)
        for hook, norm in zip(hooks, norms, strict=True):
            hook.remove()
            norm.estimate = None
    return found


def set_running_statistics(models: Iterable[nn.Module], first: First) -> None:
    """Put the running statistics of every batch norm at what the first samples have (PreciseBN)."""
    for model in models:
        estimates = estimate(model, first)
        for norm, (mean, variance) in zip(modules(model, SwitchableBatchNorm1d), estimates, strict=True):
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
