"""The state of the normalizations of an arm."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bntui.messages.events import LayerStatistics
from bntui.models.norms import Switchable, SwitchableBatchNorm1d
from bntui.probes.taps import Taps

Inputs = dict[str, dict[str, Tensor]]
"""By arm and layer: what went into a normalization in a step, float32 [batch, features, …]."""


def inputs_of(taps: Taps) -> Inputs:
    """Return what went into the normalizations in a step that was tapped."""
    return {arm: {name: tap.input for name, tap in layers.items()
                  if isinstance(tap.module, Switchable) and tap.input is not None}
            for arm, layers in taps.items()}  # fmt: skip


def read_normalizations(models: Mapping[str, nn.Module], inputs: Inputs) -> dict[str, tuple[LayerStatistics, ...]]:
    """Return the running and a batch's statistics, γ and β of every layer by arm, in one transfer a layer.

    What a kind of normalization lacks is NaN, and so are the batch's statistics where there is no input.
    """
    found = {
        arm: tuple(_read(name, module, inputs.get(arm, {}).get(name))
                   for name, module in model.named_modules() if isinstance(module, Switchable))
        for arm, model in models.items()
    }  # fmt: skip
    return {arm: layers for arm, layers in found.items() if layers}


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the unbiased variance of each channel of `x`, float32 [batch, channels, …]."""
    variance, mean = torch.var_mean(x, [0, *range(2, x.dim())])
    return mean, variance


def _read(name: str, module: Switchable, x: Tensor | None) -> LayerStatistics:
    # Instance norm has one weight for all.
    weight, bias = (values.detach().expand(module.features) for values in (module.weight, module.bias))
    unknown = torch.full_like(weight, math.nan)
    running = (unknown, unknown)
    if isinstance(module, SwitchableBatchNorm1d):
        running = module.running_mean, module.running_var
    batch = (unknown, unknown) if x is None else batch_statistics(x)
    rows = torch.stack([*running, *batch, weight, bias]).tolist()
    return LayerStatistics(name, *(tuple(row) for row in rows))
