"""What flows through the layers in one step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bntui.messages.events import FlowRead, LayerFlow
from bntui.probes.taps import Tap, Taps

SHARES = (0.15, 0.5, 0.85)
"""Of the percentiles in figure 1 of Ioffe & Szegedy 2015."""
_MOST_VALUES = 1_000_000
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
        activation = next((tap for _, tap in layers[begin:end] if isinstance(tap.module, _ACTIVATIONS)), None)
        rest = [torch.full_like(norms[0], math.nan)] * 7
        if activation is not None:
            x = activation.input
            assert x is not None
            rest = [*percentiles(x), inactive_share(activation), *percentiles(x[:, unit % x.shape[1]])]
        names.append((name, activation is not None))
        rows.append(torch.stack([*norms, *rest]))
    flows = []
    read = torch.stack(rows).tolist() if rows else []
    for (name, activated), (weight, by_input, *rest) in zip(names, read, strict=True):
        shares, of_unit = (tuple(rest[:3]), tuple(rest[4:])) if activated else ((), ())
        flows.append(LayerFlow(name, weight, by_input, shares, rest[3], of_unit))
    return tuple(flows)


def percentiles(x: Tensor) -> Tensor:
    """Return the 15th, 50th and 85th percentile of all values of `x`, float32 [3]; of a million at most."""
    return torch.quantile(x.flatten()[:_MOST_VALUES], torch.tensor(SHARES, dtype=x.dtype, device=x.device))


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
