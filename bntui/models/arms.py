"""The networks of a run by the name of their arm, and what of them can be changed while it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bntui.models.dropout import SeededDropout
from bntui.models.norms import Switchable, SwitchableBatchNorm1d

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Arms:
    """Every arm on the device, and the random stream that the run goes on drawing from."""

    by_name: Mapping[str, nn.Module]
    generator: torch.Generator
    """CPU generator in the state that building the networks left it in; the data order comes from it."""

    @property
    def normalized(self) -> str:
        """The arm of which the normalization can be switched: the first that has one; empty if none has."""
        return next((name for name, model in self.by_name.items() if any(modules(model, Switchable))), "")

    @property
    def norms(self) -> list[Switchable]:
        """The normalizations of that arm, from the input on."""
        return list(modules(self.by_name[self.normalized], Switchable)) if self.normalized else []

    @property
    def batch_norms(self) -> list[SwitchableBatchNorm1d]:
        """All that keep statistics, in every arm."""
        return [norm for model in self.by_name.values() for norm in modules(model, SwitchableBatchNorm1d)]

    @property
    def dropouts(self) -> list[SeededDropout]:
        """All that drop units, in every arm."""
        return [dropout for model in self.by_name.values() for dropout in modules(model, SeededDropout)]

    @property
    def layers(self) -> dict[str, dict[str, int]]:
        """By arm, those that have any: the name of each normalization, and its number of features."""
        found = {
            name: {layer: m.features for layer, m in model.named_modules() if isinstance(m, Switchable)}
            for name, model in self.by_name.items()
        }
        return {name: layers for name, layers in found.items() if layers}

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each arm's state_dict."""
        return {name: state_sha256(model) for name, model in self.by_name.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return where the random streams are that training draws from; the weights are the engine's to tell."""
        return {"generators": [generator.get_state() for generator in self._generators()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on drawing where another run was. Raises KeyError, TypeError, ValueError or RuntimeError."""
        for generator, kept in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(kept)

    def _generators(self) -> list[torch.Generator]:
        """Return the streams of dropout and of noise, each once."""
        streams = [module.generator for model in self.by_name.values() for module in model.modules()
                   if isinstance(module, SeededDropout | Switchable) and module.generator is not None]  # fmt: skip
        return list({id(stream): stream for stream in streams}.values())


def modules(model: nn.Module, kind: type[Module]) -> Iterator[Module]:
    """Yield the modules of a kind in a network, from the input on."""
    return (module for module in model.modules() if isinstance(module, kind))


def copied_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the tensors of a model's state_dict, on the CPU, that no step changes."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def state_sha256(model: nn.Module) -> str:
    """Return the SHA-256 over the tensors of a model's state_dict, in order, as raw bytes without names."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
