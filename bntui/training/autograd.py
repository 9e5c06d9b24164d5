"""Every arm as the ordinary PyTorch model that it is: `nn.Module`, `loss.backward()`, `torch.optim`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bntui.config.kinds import Optimizer
from bntui.models.arms import Arms, copied_state, modules
from bntui.models.norms import Switchable
from bntui.probes.taps import Tap, Taps, make_taps


class AutogradEngine:
    """As `Engine`, for networks of any shape."""

    name = "autograd"

    def __init__(self, arms: Arms, optimizer: Optimizer, learning_rate: float) -> None:
        self.arms = arms.by_name
        self._models = [model.train() for model in self.arms.values()]
        self._optimizer = _build_optimizer(
            optimizer, [p for model in self._models for p in model.parameters()], learning_rate
        )
        self._keeps = ["exp_avg", "exp_avg_sq", "step"] if optimizer.name == "adam" else ["momentum_buffer"]
        self._taps: dict[str, dict[str, Tap]] = {}
        self.logits: list[Tensor] = []

    @property
    def learning_rate(self) -> float:
        """As `Engine.learning_rate`."""
        return float(self._optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._optimizer.param_groups[0]["lr"] = value

    def forward_backward(self, x: Tensor, y: Tensor) -> Tensor:
        """As `Engine.forward_backward`."""
        with torch.inference_mode(False), torch.enable_grad():
            self._optimizer.zero_grad()
            losses, self.logits = [], []
            for model in self._models:
                # Of each arm's own, the gradient by the images is worked out too.
                own = x.detach().requires_grad_() if self._taps else x
                logits = model(own)
                loss = nn.functional.cross_entropy(logits, y)
                loss.backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
                self.logits.append(logits.detach())
            for taps in self._taps.values():
                for tap in taps.values():
                    if isinstance(weight := getattr(tap.module, "weight", None), Tensor):
                        tap.weight_gradient = weight.grad
            return torch.stack(losses)

    def update(self) -> None:
        """As `Engine.update`."""
        with torch.inference_mode(False):
            self._optimizer.step()

    @contextlib.contextmanager
    def taps(self) -> Iterator[Taps]:
        """As `Engine.taps`."""
        self._taps = make_taps(self.arms)
        every = [tap for taps in self._taps.values() for tap in taps.values()]
        hooks = [tap.module.register_forward_hook(_fill(tap)) for tap in every]
        norms = [(tap.module, tap) for tap in every if isinstance(tap.module, Switchable)]
        for norm, tap in norms:
            norm.tap = _fill_output(tap)
        try:
            yield self._taps
        finally:
            self._taps = {}
            for hook in hooks:
                hook.remove()
            for norm, _ in norms:
                norm.tap = None

    def switch_norms(self, arm: str, on: bool) -> None:
        """As `Engine.switch_norms`: what has no part in the loss has no gradient, and is left alone."""
        for norm in modules(self.arms[arm], Switchable):
            norm.enabled = on

    def restart(self, arm: str, state: Mapping[str, Tensor]) -> None:
        """As `Engine.restart`."""
        self.arms[arm].load_state_dict(state)
        for parameter in self.arms[arm].parameters():
            self._optimizer.state.pop(parameter, None)

    def state_dict(self) -> dict[str, Any]:
        """As `Engine.state_dict`."""
        kept = self._optimizer.state
        return {
            "models": {arm: copied_state(model) for arm, model in self.arms.items()},
            "optimizer": {arm: {name: {key: value.detach().cpu().clone() for key, value in kept[p].items()
                                       if value is not None}
                                for name, p in model.named_parameters() if p in kept}
                          for arm, model in self.arms.items()},
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `Engine.load_state_dict`."""
        found: dict[Tensor, dict[str, Tensor]] = {}
        for arm, model in self.arms.items():
            model.load_state_dict(state["models"][arm])
            parameters = dict(model.named_parameters())
            for name, kept in state["optimizer"][arm].items():
                # Without momentum, some releases of torch keep an empty place for it.
                if not kept and self._keeps == ["momentum_buffer"]:
                    continue
                if sorted(kept) != self._keeps:
                    raise ValueError("the state of another optimizer")
                found[parameters[name]] = {key: _like(parameters[name], key, value) for key, value in kept.items()}
        self._optimizer.state.clear()
        self._optimizer.state.update(found)


def _like(parameter: nn.Parameter, key: str, value: Tensor) -> Tensor:
    """Return what an optimizer keeps of a parameter, on its device. Raises ValueError if it is of another shape."""
    if key == "step":
        # How many steps there were is asked for at each one, and so stays where that takes no time.
        return torch.tensor(float(value))
    if value.shape != parameter.shape or value.dtype != parameter.dtype:
        raise ValueError("another shape")
    return value.to(parameter.device, copy=True)


def _fill(tap: Tap) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    """Return a forward hook that keeps what goes in and out of a layer."""

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        x = inputs[0]
        tap.input = x.detach()
        if x.requires_grad:
            _watch(x, tap, "input_gradient")
        if not isinstance(module, Switchable):
            _fill_output(tap)(output)

    return hook


def _fill_output(tap: Tap) -> Callable[[Tensor], None]:
    def fill(output: Tensor) -> None:
        tap.output = output.detach()
        if output.requires_grad:
            _watch(output, tap, "output_gradient")

    return fill


def _watch(value: Tensor, tap: Tap, name: str) -> None:
    """Keep the gradient by a value once it is there."""
    value.register_hook(lambda gradient: setattr(tap, name, gradient))  # type: ignore[no-untyped-call]


def _build_optimizer(optimizer: Optimizer, parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return what updates the parameters: on every device by as few calls as torch has the same arithmetic for."""
    if optimizer.name == "adam":
        return torch.optim.Adam(parameters, lr=lr, foreach=True)
    return torch.optim.SGD(parameters, lr=lr, momentum=optimizer.momentum or 0.0, foreach=True)
