"""Look inside the layers between two steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bntui.events import LayerStatistics
from bntui.training.layers import BatchNormLayer


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
