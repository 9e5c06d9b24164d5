"""Forward and backward of the kinds of normalization, written out as in `layers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from bntui.models.norms import Switchable, SwitchableBatchNorm1d, SwitchableBatchRenorm1d, SwitchableGroupNorm

_batch_norm_backward = torch.ops.aten.native_batch_norm_backward.default
_group_norm_backward = torch.ops.aten.native_group_norm_backward.default

Module = TypeVar("Module", bound=Switchable)


class NormLayer(Generic[Module]):
    """A normalization that can be switched off."""

    def __init__(self, module: Module, gradients: Mapping[Tensor, Tensor]) -> None:
        self.module = module
        self.weight, self.bias = module.weight.data, module.bias.data
        self.weight_gradient, self.bias_gradient = gradients[module.weight], gradients[module.bias]

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        if not self.module.enabled:
            return x
        self.input = x
        return self.normalize(x)

    def backward(self, d: Tensor) -> Tensor:
        """As `Layer.backward`."""
        return self.propagate(d) if self.module.enabled else d

    def normalize(self, x: Tensor) -> Tensor:
        """Return what `x`, float32 [batch, features], becomes."""
        raise NotImplementedError

    def propagate(self, d: Tensor) -> Tensor:
        """Store the gradients by γ and β and return that by the input, given that by what `normalize` returned."""
        raise NotImplementedError


class NoiseLayer:
    """The noise after a normalization: y = x s + t, with s and t drawn anew each step."""

    def __init__(self, module: Switchable) -> None:
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        if not (self.module.noise and self.module.enabled):
            self.scale: Tensor | None = None
            return x
        self.scale, shift = self.module.draw_noise(x)
        return x * self.scale + shift

    def backward(self, d: Tensor) -> Tensor:
        """As `Layer.backward`."""
        return d if self.scale is None else d * self.scale


class BatchNormLayer(NormLayer[SwitchableBatchNorm1d]):
    """y = γ (x - μ) / √(σ² + ε) + β (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167).

    The biased batch variance normalises; the unbiased one goes into the running variance.
    """

    def __init__(self, module: SwitchableBatchNorm1d, gradients: Mapping[Tensor, Tensor]) -> None:
        super().__init__(module, gradients)
        self.running_mean, self.running_var = module.running_mean, module.running_var
        self.recount()

    def recount(self) -> None:
        """Take over from the module how many batches were tracked: to ask it at each step would wait for the device."""
        self.tracked = int(self.module.num_batches_tracked)

    def normalize(self, x: Tensor) -> Tensor:
        """As `NormLayer.normalize`."""
        module = self.module
        self.by_batch = not module.frozen
        momentum = 0.0
        if self.by_batch:
            module.num_batches_tracked.add_(1)
            self.tracked += 1
            momentum = self.momentum
        y, self.mean, self.inverse_std = torch.native_batch_norm(
            x, self.weight, self.bias, self.running_mean, self.running_var, self.by_batch, momentum, module.eps
        )
        return y

    @property
    def momentum(self) -> float:
        """Share of the newest batch in the running statistics; of an average, 1 before there was any."""
        return 1 / max(1, self.tracked) if self.module.momentum is None else self.module.momentum

    def propagate(self, d: Tensor) -> Tensor:
        """As `NormLayer.propagate`."""
        d, weight_gradient, bias_gradient = self._backward(d, self.weight)
        self.weight_gradient.copy_(weight_gradient)
        self.bias_gradient.copy_(bias_gradient)
        return d

    def _backward(self, d: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradients: tuple[Tensor, Tensor, Tensor] = _batch_norm_backward(
            d, self.input, weight, self.running_mean, self.running_var, self.mean, self.inverse_std,
            self.by_batch, self.module.eps, (True, True, True))  # fmt: skip
        return gradients


class BatchRenormLayer(BatchNormLayer):
    """y = γ (r x̂ + d) + β: batch norm with γ r in place of γ, and γ d + β in place of β."""

    module: SwitchableBatchRenorm1d

    def normalize(self, x: Tensor) -> Tensor:
        """As `NormLayer.normalize`."""
        module = self.module
        if module.frozen:
            return super().normalize(x)
        self.by_batch = True
        var, mean = torch.var_mean(x, 0, correction=0)
        self.r, self.d = module.correction(mean, var, self.tracked)
        module.num_batches_tracked.add_(1)
        self.tracked += 1
        self.scaled = self.weight * self.r
        y, self.mean, self.inverse_std = torch.native_batch_norm(
            x, self.scaled, self.weight * self.d + self.bias, self.running_mean, self.running_var, True,
            self.momentum, module.eps)  # fmt: skip
        return y

    def propagate(self, d: Tensor) -> Tensor:
        """As `NormLayer.propagate`."""
        if not self.by_batch:
            return super().propagate(d)
        d, by_scaled, by_bias = self._backward(d, self.scaled)
        torch.add(by_scaled * self.r, by_bias * self.d, out=self.weight_gradient)
        self.bias_gradient.copy_(by_bias)
        return d


class GroupNormLayer(NormLayer[SwitchableGroupNorm]):
    """As batch norm, but over the features of a group within one sample (Wu & He 2018, https://arxiv.org/abs/1803.08494)."""

    def normalize(self, x: Tensor) -> Tensor:
        """As `NormLayer.normalize`."""
        module = self.module
        self.sizes = len(x), module.num_channels, x.shape[1] // module.num_channels, module.num_groups
        y, self.mean, self.inverse_std = torch.native_group_norm(x, self.weight, self.bias, *self.sizes, module.eps)
        return y

    def propagate(self, d: Tensor) -> Tensor:
        """As `NormLayer.propagate`."""
        d, weight_gradient, bias_gradient = _group_norm_backward(
            d, self.input, self.mean, self.inverse_std, self.weight, *self.sizes, (True, True, True)
        )
        self.weight_gradient.copy_(weight_gradient)
        self.bias_gradient.copy_(bias_gradient)
        return d


NORM_LAYERS: dict[type[nn.Module], Callable[[Any, Mapping[Tensor, Tensor]], NormLayer[Any]]] = {
    SwitchableBatchNorm1d: BatchNormLayer,
    SwitchableBatchRenorm1d: BatchRenormLayer,
    SwitchableGroupNorm: GroupNormLayer,
}
"""The written-out form of each kind of normalization, made of its module and of where the gradients go."""
