"""Forward and backward of each kind of layer, by the ATen kernels that PyTorch's autograd would call.

Written out, a training step needs no graph: it takes about a third of autograd's time on small networks and gives the
same bits.
Formulas: https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from bntui.models.dropout import SeededDropout
from bntui.models.norms import Switchable
from bntui.training.fused.norms import NORM_LAYERS, NoiseLayer

# One overload each: to look it up anew at every call takes longer than some of the kernels.
_threshold_backward = torch.ops.aten.threshold_backward.default
_sigmoid_backward = torch.ops.aten.sigmoid_backward.default
_tanh_backward = torch.ops.aten.tanh_backward.default
_leaky_relu_backward = torch.ops.aten.leaky_relu_backward.default
_gelu_backward = torch.ops.aten.gelu_backward.default
_nll_loss_forward = torch.ops.aten.nll_loss_forward.default
_nll_loss_backward = torch.ops.aten.nll_loss_backward.default
_log_softmax_backward = torch.ops.aten._log_softmax_backward_data.default


class Layer(Protocol):
    """One layer in training mode."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for `x`, float32 [batch, in], and keep what `backward` needs."""

    def backward(self, d: Tensor) -> Tensor:
        """Store the parameters' gradients and return the gradient by the input, given that by the output."""


class LinearLayer:
    """`torch.nn.Linear`: y = x Wᵀ + b."""

    def __init__(self, module: nn.Linear, gradients: Mapping[Tensor, Tensor], first: bool) -> None:
        self.weight, self.bias = module.weight.data, module.bias.data
        self.weight_transposed = self.weight.t()
        self.weight_gradient, self.bias_gradient = gradients[module.weight], gradients[module.bias]
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self.input = x
        return torch.addmm(self.bias, x, self.weight_transposed)

    def backward(self, d: Tensor) -> Tensor:
        """As `Layer.backward`; the first layer leaves out the gradient by the images, which nobody asks for."""
        torch.mm(d.t(), self.input, out=self.weight_gradient)
        torch.sum(d, 0, out=self.bias_gradient)
        return d if self.first else torch.mm(d, self.weight)


class ActivationLayer:
    """An activation; its backward kernel takes the output (`relu`, `sigmoid`, `tanh`) or the input (the others)."""

    def __init__(self, module: nn.Module) -> None:
        forward, self.gradient, self.needs_output = _ACTIVATIONS[type(module)]
        self.function: Callable[[Tensor], Tensor] = forward

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        y = self.function(x)
        self.kept = y if self.needs_output else x
        return y

    def backward(self, d: Tensor) -> Tensor:
        """As `Layer.backward`."""
        return self.gradient(d, self.kept)


class DropoutLayer:
    """`SeededDropout`: y = x m, with m drawn anew each step."""

    def __init__(self, module: SeededDropout) -> None:
        self.module = module
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self.mask = self.module.mask(x) if self.module.p else None
        return x if self.mask is None else x * self.mask

    def backward(self, d: Tensor) -> Tensor:
        """As `Layer.backward`."""
        return d if self.mask is None else d * self.mask


_LEAK = 0.01
_ACTIVATIONS: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor], bool]] = {
    nn.ReLU: (torch.relu, lambda d, y: _threshold_backward(d, y, 0), True),
    nn.Sigmoid: (torch.sigmoid, _sigmoid_backward, True),
    nn.Tanh: (torch.tanh, _tanh_backward, True),
    nn.LeakyReLU: (
        lambda x: nn.functional.leaky_relu(x, _LEAK),
        lambda d, x: _leaky_relu_backward(d, x, _LEAK, False),
        False,
    ),
    nn.GELU: (nn.functional.gelu, _gelu_backward, False),
}


def cross_entropy(logits: Tensor, labels: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy and its gradient by the logits.

    Parameters
    ----------
    logits
        float32 [batch, classes].
    labels
        int64 [batch].
    one
        A float32 scalar 1 on the same device: the gradient of the loss by itself.

    Returns
    -------
    loss, gradient
        float32 [], in nats, and float32 [batch, classes].
    """
    log_softmax = torch.log_softmax(logits, 1)
    loss, weight = _nll_loss_forward(log_softmax, labels, None, 1, -100)
    d = _nll_loss_backward(one, log_softmax, labels, None, 1, -100, weight)
    return loss, _log_softmax_backward(d, log_softmax, 1, torch.float32)


def has_form(module: nn.Module) -> bool:
    """Whether there is a written-out form of a module of a chain."""
    match module:
        case nn.Linear():
            return type(module) is nn.Linear and module.bias is not None
        case nn.LeakyReLU():
            return type(module) is nn.LeakyReLU and module.negative_slope == _LEAK
        case nn.GELU():
            return type(module) is nn.GELU and module.approximate == "none"
    return type(module) in (SeededDropout, *_ACTIVATIONS, *NORM_LAYERS)


def build_layers(model: nn.Sequential, gradients: Mapping[Tensor, Tensor]) -> list[tuple[str, Layer]]:
    """Return the written-out form of an arm, by the names of its modules; the noise after a normalization has none.

    Parameters
    ----------
    model
        Of modules that have a form.
    gradients
        Where the gradients of its parameters go.
    """
    layers: list[tuple[str, Layer]] = []
    for name, module in model.named_children():
        match module:
            case nn.Linear():
                layers.append((name, LinearLayer(module, gradients, first=not layers)))
            case Switchable():
                layers += [(name, NORM_LAYERS[type(module)](module, gradients)), ("", NoiseLayer(module))]
            case SeededDropout():
                layers.append((name, DropoutLayer(module)))
            case _:
                layers.append((name, ActivationLayer(module)))
    return layers
