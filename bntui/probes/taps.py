"""What is kept of one training step for who looks into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from bntui.models.norms import Switchable


@dataclass
class Tap:
    """One layer in one training step: what an engine has kept of it is there after the step, the rest is None."""

    module: nn.Module
    before: Mapping[str, Tensor]
    """Copies of what the step changes: of a normalization γ, β and the running statistics, of a linear layer its
    weights."""
    input: Tensor | None = None
    output: Tensor | None = None
    """Of a normalization without the noise that follows it."""
    input_gradient: Tensor | None = None
    """Of the loss, as the next."""
    output_gradient: Tensor | None = None
    weight_gradient: Tensor | None = None
    """Whole until the next step."""


Taps: TypeAlias = Mapping[str, Mapping[str, Tap]]
"""By the name of the arm, and of the layer in it, from the input on."""


def make_taps(models: Mapping[str, nn.Module]) -> dict[str, dict[str, Tap]]:
    """Return empty taps for all modules that have no others inside, for an engine to fill."""
    return {arm: {name: Tap(module, _copies(module)) for name, module in leaves(model)}
            for arm, model in models.items()}  # fmt: skip


def leaves(model: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Yield the modules of a network that have no others inside, by name."""
    return ((name, module) for name, module in model.named_modules() if not any(True for _ in module.children()))


def _copies(module: nn.Module) -> dict[str, Tensor]:
    if isinstance(module, nn.Linear):
        return {"weight": module.weight.detach().clone()}
    if not isinstance(module, Switchable):
        return {}
    return {name: value.detach().clone() for name, value in [*module.named_parameters(), *module.named_buffers()]}
