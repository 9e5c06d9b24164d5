"""Look inside the layers between two steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bntui.events import LayerFlow, LayerStatistics
from bntui.training.layers import ActivationLayer, BatchNormLayer, Layer, LinearLayer

SHARES = (0.15, 0.5, 0.85)
"""Of the percentiles in figure 1 of Ioffe & Szegedy 2015."""
_MOST_VALUES = 1_000_000


def read_batch_norm(layers: list[BatchNormLayer]) -> tuple[LayerStatistics, ...]:
    """Return the running and the last batch's statistics, γ and β of every layer, in one transfer a layer.

    The layers are named `bn1`, `bn2`, … from the input on.
    """
    return tuple(_read(f"bn{number}", layer) for number, layer in enumerate(layers, 1))


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the unbiased variance of each column of `x`, float32 [batch, features]."""
    variance, mean = torch.var_mean(x, 0)
    return mean, variance


def _read(name: str, layer: BatchNormLayer) -> LayerStatistics:
    unknown = torch.full_like(layer.running_mean, math.nan)
    batch = (unknown, unknown) if layer.input is None else batch_statistics(layer.input)
    rows = torch.stack([layer.running_mean, layer.running_var, *batch, layer.weight, layer.bias]).tolist()
    return LayerStatistics(name, *(tuple(row) for row in rows))


def read_flow(layers: list[Layer]) -> tuple[LayerFlow, ...]:
    """Return what flowed through an arm's layers in the last step, which must have been looked at; in one transfer."""
    linear = [i for i, layer in enumerate(layers) if isinstance(layer, LinearLayer)]
    rows = []
    for begin, end in zip(linear, [*linear[1:], len(layers)], strict=True):
        activation = next((layer for layer in layers[begin:end] if isinstance(layer, ActivationLayer)), None)
        layer = layers[begin]
        assert isinstance(layer, LinearLayer) and layer.input_gradient is not None
        norms = [torch.linalg.vector_norm(gradient) for gradient in (layer.weight_gradient, layer.input_gradient)]
        unknown = torch.full_like(norms[0], math.nan)
        rest = [unknown] * 4
        if activation is not None:
            assert activation.input is not None
            rest = [*percentiles(activation.input), inactive_share(activation)]
        rows.append(torch.stack([*norms, *rest]))
    flows = []
    for number, (weight, by_input, *shares, inactive) in enumerate(torch.stack(rows).tolist(), 1):
        known = tuple(shares) if number < len(rows) else ()
        flows.append(LayerFlow(f"linear{number}", weight, by_input, known, inactive))
    return tuple(flows)


def percentiles(x: Tensor) -> Tensor:
    """Return the 15th, 50th and 85th percentile of all values of `x`, float32 [3]; of a million at most."""
    return torch.quantile(x.flatten()[:_MOST_VALUES], torch.tensor(SHARES, dtype=x.dtype, device=x.device))


def inactive_share(layer: ActivationLayer) -> Tensor:
    """Return the share of dead ReLU units or saturated sigmoid or tanh outputs, float32 []; NaN of the others."""
    y = layer.output
    assert y is not None
    if layer.kind is nn.ReLU:
        return (y.amax(0) == 0).to(y.dtype).mean()
    if layer.kind is nn.Sigmoid:
        return ((y - 0.5).abs() > 0.45).to(y.dtype).mean()
    if layer.kind is nn.Tanh:
        return (y.abs() > 0.95).to(y.dtype).mean()
    return torch.full((), math.nan, dtype=y.dtype, device=y.device)
