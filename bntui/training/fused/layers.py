"""Forward and backward of each kind of layer, by the ATen kernels that PyTorch's autograd would call.

Written out, a training step needs no graph: it takes about a third of autograd's time on small networks and gives the
same bits. What a layer keeps between forward and backward (its input, the batch statistics) is there to be looked at.
Formulas: https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from bntui.models.mlp import SeededDropout
from bntui.models.norms import Switchable
from bntui.training.fused.norms import build_norm_layer

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
        self.look(False)

    def look(self, on: bool) -> None:
        """Keep, or no longer, the gradient by the input, of the first layer too, for who looks after the step."""
        self.looking = on
        self.input_gradient: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self.input = x
        return torch.addmm(self.bias, x, self.weight_transposed)

    def backward(self, d: Tensor) -> Tensor:
        """As `Layer.backward`; the first layer leaves out the gradient by the images, which nobody asks for."""
        torch.mm(d.t(), self.input, out=self.weight_gradient)
        torch.sum(d, 0, out=self.bias_gradient)
        if self.looking:
            self.input_gradient = torch.mm(d, self.weight)
        return d if self.first else torch.mm(d, self.weight)


class ActivationLayer:
    """An activation; its backward kernel takes the output (`relu`, `sigmoid`, `tanh`) or the input (the others)."""

    def __init__(self, module: nn.Module) -> None:
        forward, self.gradient, self.needs_output = _ACTIVATIONS[type(module)]
        self.function: Callable[[Tensor], Tensor] = forward
        self.kind = type(module)
        self.look(False)

    def look(self, on: bool) -> None:
        """Keep, or no longer, input and output for who looks at them after the step."""
        self.looking = on
        self.input: Tensor | None = None
        self.output: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """As `Layer.forward`."""
        y = self.function(x)
        if self.looking:
            self.input, self.output = x, y
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


def build_layer(module: nn.Module, gradients: Mapping[Tensor, Tensor], first: bool) -> Layer:
    """Return the written-out form of a module of an arm; `gradients` is where its parameters' gradients go."""
    if isinstance(module, nn.Linear):
        return LinearLayer(module, gradients, first)
    if isinstance(module, Switchable):
        return build_norm_layer(module, gradients)
    if isinstance(module, SeededDropout):
        return DropoutLayer(module)
    return ActivationLayer(module)
