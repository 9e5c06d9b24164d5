"""Look inside the layers between two steps; no number of the run changes by it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bntui.models.norms import Switchable
from bntui.run.events import Explained, FlowRead, LayerFlow, LayerStatistics
from bntui.training.fused.layers import ActivationLayer, Layer, LinearLayer
from bntui.training.fused.norms import BatchNormLayer, BatchRenormLayer, NormLayer

SHARES = (0.15, 0.5, 0.85)
"""Of the percentiles in figure 1 of Ioffe & Szegedy 2015."""
_MOST_VALUES = 1_000_000


def read_norms(layers: Sequence[NormLayer[Switchable]]) -> tuple[LayerStatistics, ...]:
    """Return the running and the last batch's statistics, γ and β of every layer, in one transfer a layer.

    The layers are named `bn1`, `bn2`, … from the input on. What a kind of normalization lacks is NaN.
    """
    return tuple(_read(f"bn{number}", layer) for number, layer in enumerate(layers, 1))


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the unbiased variance of each column of `x`, float32 [batch, features]."""
    variance, mean = torch.var_mean(x, 0)
    return mean, variance


def _read(name: str, layer: NormLayer[Switchable]) -> LayerStatistics:
    weight, bias = layer.weight, layer.bias
    if layer.input is not None:
        # Instance norm has one for all.
        weight, bias = weight.expand(layer.input.shape[1]), bias.expand(layer.input.shape[1])
    unknown = torch.full_like(weight, math.nan)
    running = (layer.running_mean, layer.running_var) if isinstance(layer, BatchNormLayer) else (unknown, unknown)
    batch = (unknown, unknown) if layer.input is None else batch_statistics(layer.input)
    rows = torch.stack([*running, *batch, weight, bias]).tolist()
    return LayerStatistics(name, *(tuple(row) for row in rows))


def read_flow(arms: dict[str, list[Layer]], epoch: int, step: int, unit: int, live: bool) -> FlowRead:
    """Return what flowed through both arms' layers in the last step, which must have been looked at."""
    begun = time.perf_counter()
    bn, plain = (_flow_of(layers, unit) for layers in arms.values())
    return FlowRead(epoch, step, bn, plain, live, unit, 1e3 * (time.perf_counter() - begun))


def _flow_of(layers: list[Layer], unit: int) -> tuple[LayerFlow, ...]:
    """Read an arm, in one transfer."""
    linear = [i for i, layer in enumerate(layers) if isinstance(layer, LinearLayer)]
    rows = []
    for begin, end in zip(linear, [*linear[1:], len(layers)], strict=True):
        activation = next((layer for layer in layers[begin:end] if isinstance(layer, ActivationLayer)), None)
        layer = layers[begin]
        assert isinstance(layer, LinearLayer) and layer.input_gradient is not None
        norms = [torch.linalg.vector_norm(gradient) for gradient in (layer.weight_gradient, layer.input_gradient)]
        unknown = torch.full_like(norms[0], math.nan)
        rest = [unknown] * 7
        if activation is not None:
            x = activation.input
            assert x is not None
            rest = [*percentiles(x), inactive_share(activation), *percentiles(x[:, unit % x.shape[1]])]
        rows.append(torch.stack([*norms, *rest]))
    flows = []
    for number, (weight, by_input, *rest) in enumerate(torch.stack(rows).tolist(), 1):
        last = number == len(rows)
        shares, of_unit = (() if last else tuple(rest[:3])), (() if last else tuple(rest[4:]))
        flows.append(LayerFlow(f"linear{number}", weight, by_input, shares, rest[3], of_unit))
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


def explain(
    layers: Sequence[NormLayer[Switchable]], layer: int, channel: int, step: int, live: bool
) -> Explained | None:
    """Return what went through one channel of a batch norm layer in the last step, which must have been looked at.

    None where there is nothing of that kind: another normalization, or one that is switched off.
    """
    if not layers:
        return None
    index = layer % len(layers)
    chosen = layers[index]
    if not isinstance(chosen, BatchNormLayer) or isinstance(chosen, BatchRenormLayer):
        return None
    if chosen.output_gradient is None or chosen.input is None or chosen.before is None:
        return None
    c = channel % len(chosen.weight)
    weight, bias, running_mean, running_var = torch.stack([values[c] for values in chosen.before]).tolist()
    columns = torch.stack([chosen.input[:, c], chosen.output_gradient[:, c]]).tolist()
    return Explained(
        step, f"bn{index + 1}", c, chosen.momentum, chosen.module.eps, chosen.by_batch, weight, bias, running_mean,
        running_var, tuple(columns[0]), tuple(columns[1]), live)  # fmt: skip
