"""Every arm as a chain of written-out layers, and the one optimizer that updates them all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bntui.config.kinds import Optimizer
from bntui.models.arms import Arms, copied_state, modules
from bntui.models.norms import Switchable
from bntui.probes.taps import Tap, Taps, make_taps
from bntui.training.fused.layers import LinearLayer, build_layers, cross_entropy, has_form
from bntui.training.fused.norms import BatchNormLayer
from bntui.training.fused.optimizers import FlatParameters, build_optimizer


def can_train(models: Mapping[str, nn.Module]) -> str:
    """Say why the written-out kernels can't train some networks; nothing if they can."""
    for name, model in models.items():
        if type(model) is not nn.Sequential:
            return f"arm {name} is a {type(model).__name__}, not a chain of layers (nn.Sequential)"
        for module in model:
            if not has_form(module):
                return f"arm {name} has a {type(module).__name__}, for which there is no written-out form"
        # A chain of written-out layers has each of them once, with gradients of its own.
        if len({id(module) for module in model}) < len(model):
            return f"arm {name} has a layer in two places"
        parameters = [parameter for module in model for parameter in module.parameters()]
        if len({id(parameter) for parameter in parameters}) < len(parameters):
            return f"arm {name} has weights that two layers share"
        if any(parameter.dtype != torch.float32 for parameter in parameters):
            return f"arm {name} has weights that are not float32"
        if not all(parameter.requires_grad for parameter in parameters):
            return f"arm {name} has weights that are not to be trained"
    return ""


class FusedEngine:
    """As `Engine`. The models' parameters become views of one vector; the models stay usable as they are."""

    name = "fused"

    def __init__(self, arms: Arms, optimizer: Optimizer, learning_rate: float) -> None:
        self.arms = arms.by_name
        groups = []
        for model in self.arms.values():
            norm = [parameter for m in modules(model, Switchable) for parameter in m.parameters()]
            of_norm = set(norm)
            groups += [[p for p in model.parameters() if p not in of_norm], norm]
        self.parameters = FlatParameters(groups)
        self.optimizer = build_optimizer(optimizer, self.parameters, learning_rate)
        self._layers = {
            name: build_layers(model, self.parameters.gradient_of)
            for name, model in self.arms.items()
            if isinstance(model, nn.Sequential)
        }
        self._programs = [([layer.forward for _, layer in layers], [layer.backward for _, layer in reversed(layers)])
                          for layers in self._layers.values()]  # fmt: skip
        """By arm, what is called one after another: to look the methods up anew at every step takes time."""
        self._one = torch.ones((), device=self.parameters.values.device)
        self._taps: dict[str, dict[str, Tap]] | None = None
        self.logits: list[Tensor] = []

    @property
    def learning_rate(self) -> float:
        """As `Engine.learning_rate`."""
        return self.optimizer.lr

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.lr = value

    def forward_backward(self, x: Tensor, y: Tensor) -> Tensor:
        """As `Engine.forward_backward`."""
        self.logits = []
        if self._taps is not None:
            return torch.stack([self._tapped(arm, taps, x, y) for arm, taps in self._taps.items()])
        losses = []
        for forwards, backwards in self._programs:
            h = x
            for forward in forwards:
                h = forward(h)
            self.logits.append(h)
            loss, d = cross_entropy(h, y, self._one)
            for backward in backwards:
                d = backward(d)
            losses.append(loss)
        return torch.stack(losses)

    def _tapped(self, arm: str, taps: Mapping[str, Tap], x: Tensor, y: Tensor) -> Tensor:
        """Do the same for one arm, and keep what goes in and out of its layers."""
        layers, nothing = self._layers[arm], Tap(nn.Identity(), {})
        h = x
        for name, layer in layers:
            tap = taps.get(name, nothing)
            tap.input = h
            h = layer.forward(h)
            tap.output = h
        self.logits.append(h)
        loss, d = cross_entropy(h, y, self._one)
        for name, layer in reversed(layers):
            tap = taps.get(name, nothing)
            tap.output_gradient = d
            if isinstance(layer, LinearLayer):
                tap.input_gradient, tap.weight_gradient = torch.mm(d, layer.weight), layer.weight_gradient
                d = layer.backward(d)
            else:
                d = tap.input_gradient = layer.backward(d)
        return loss

    def update(self) -> None:
        """As `Engine.update`."""
        self.optimizer.step()

    @contextlib.contextmanager
    def taps(self) -> Iterator[Taps]:
        """As `Engine.taps`."""
        self._taps = make_taps(self.arms)
        try:
            yield self._taps
        finally:
            self._taps = None

    def switch_norms(self, arm: str, on: bool) -> None:
        """As `Engine.switch_norms`."""
        for norm in modules(self.arms[arm], Switchable):
            norm.enabled = on
        self.optimizer.switch(self._groups(arm)[1], on)

    def restart(self, arm: str, state: Mapping[str, Tensor]) -> None:
        """As `Engine.restart`."""
        self.arms[arm].load_state_dict(state)
        self._recount()
        self.optimizer.forget(self._groups(arm))

    def state_dict(self) -> dict[str, Any]:
        """As `Engine.state_dict`."""
        return {
            "models": {arm: copied_state(model) for arm, model in self.arms.items()},
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `Engine.load_state_dict`."""
        for arm, model in self.arms.items():
            model.load_state_dict(state["models"][arm])
        self._recount()
        self.optimizer.load_state_dict(state["optimizer"])

    def _recount(self) -> None:
        """Take over from the models how many batches were tracked, after their state was replaced."""
        for layers in self._layers.values():
            for _, layer in layers:
                if isinstance(layer, BatchNormLayer):
                    layer.recount()

    def _groups(self, arm: str) -> tuple[int, int]:
        """Return which groups of parameters hold an arm's weights, and its γ and β."""
        number = list(self.arms).index(arm)
        return 2 * number, 2 * number + 1
