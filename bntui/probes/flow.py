"""What flows through the layers in one step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bntui.messages.events import QUANTILES, FlowRead, LayerFlow
from bntui.probes.taps import Tap, Taps

SHARES = (0.15, 0.5, 0.85)
"""Of the percentiles in figure 1 of Ioffe & Szegedy 2015."""
MOST_VALUES = 1_000_000
_ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.GELU)


def read_flow(taps: Taps, epoch: int, step: int, unit: int, live: bool) -> FlowRead:
    """Return what flowed through the layers of every arm in a step that was tapped."""
    begun = time.perf_counter()
    arms = {arm: _flow_of(layers, unit) for arm, layers in taps.items()}
    return FlowRead(epoch, step, arms, live, unit, 1e3 * (time.perf_counter() - begun))


def _flow_of(taps: Mapping[str, Tap], unit: int) -> tuple[LayerFlow, ...]:
    """Read an arm, in one transfer: each linear layer, and the first activation between it and the next."""
    layers = list(taps.items())
    linear = [place for place, (_, tap) in enumerate(layers) if isinstance(tap.module, nn.Linear)]
    names, rows = [], []
    for begin, end in zip(linear, [*linear[1:], len(layers)], strict=True):
        name, tap = layers[begin]
        assert tap.weight_gradient is not None and tap.input_gradient is not None
        norms = [torch.linalg.vector_norm(gradient) for gradient in (tap.weight_gradient, tap.input_gradient)]
        row = [torch.stack([*norms, update_ratio(tap)])]
        activation = next((tap for _, tap in layers[begin:end] if isinstance(tap.module, _ACTIVATIONS)), None)
        if activation is not None:
            x = activation.input
            assert x is not None
            row += [
                inactive_share(activation)[None],
                quantiles(x[:, unit % x.shape[1]], SHARES),
                quantiles(x, (*SHARES, *QUANTILES)),
            ]
        names.append(name)
        rows.append(torch.cat(row))
    read = torch.cat(rows).tolist() if rows else []
    flows = []
    for name, row_length in zip(names, map(len, rows), strict=True):
        (weight, by_input, ratio, *rest), read = read[:row_length], read[row_length:]
        if not rest:
            flows.append(LayerFlow(name, weight, by_input, (), math.nan, update_ratio=ratio))
            continue
        inactive, (of_unit, shares, spread) = rest[0], (rest[1:4], rest[4:7], rest[7:])
        # Between two values that are all but equal, rounding may turn neighbours round.
        told = (tuple(shares), inactive, tuple(of_unit), tuple(sorted(spread)))
        flows.append(LayerFlow(name, weight, by_input, *told, update_ratio=ratio))
    return tuple(flows)


def quantiles(x: Tensor, shares: Sequence[float]) -> Tensor:
    """Return the quantiles of all values of `x`, [batch, units, …], at some shares, float32 [shares].

    Of more than a million values, an even choice is taken, which passes over no unit.
    """
    a_sample = x[0].numel()
    distance = -(-x.numel() // MOST_VALUES)
    while distance > 1 and math.gcd(distance, a_sample) > 1:
        distance += 1
    return torch.quantile(x.flatten()[::distance], torch.tensor(shares, dtype=x.dtype, device=x.device))


def update_ratio(tap: Tap) -> Tensor:
    """Return how large the update of a linear layer's weights was against the weights before it, float32 []."""
    weight, before = getattr(tap.module, "weight", None), tap.before.get("weight")
    if not isinstance(weight, Tensor) or before is None:
        return torch.tensor(math.nan, device=getattr(tap.weight_gradient, "device", None))
    norm = torch.linalg.vector_norm(before)
    ratio = torch.linalg.vector_norm(weight.detach() - before) / norm
    return torch.where(norm > 0, ratio, math.nan)


def inactive_share(tap: Tap) -> Tensor:
    """Return the share of dead ReLU units or saturated sigmoid or tanh outputs, float32 []; NaN of the others."""
    y = tap.output
    assert y is not None
    match tap.module:
        case nn.ReLU():
            return (y.amax([0, *range(2, y.dim())]) == 0).to(y.dtype).mean()
        case nn.Sigmoid():
            return ((y - 0.5).abs() > 0.45).to(y.dtype).mean()
        case nn.Tanh():
            return (y.abs() > 0.95).to(y.dtype).mean()
    return torch.full((), math.nan, dtype=y.dtype, device=y.device)
