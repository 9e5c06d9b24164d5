"""A chain of linear layers as every arm: ordinary PyTorch models that differ in nothing but their normalization."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from bntui.config.kinds import Init, Norm, arm_names
from bntui.config.options import RunConfig
from bntui.data.idx import CLASSES, SIDE
from bntui.models.arms import Arms
from bntui.models.dropout import SeededDropout
from bntui.models.norms import build_norm

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "leaky-relu": nn.LeakyReLU, "gelu": nn.GELU,
}  # fmt: skip


def build(config: RunConfig, device: torch.device) -> Arms:
    """Build every arm from the seed; the global random state is left as it was.

    The weights are drawn on the CPU, so that every device starts from the same ones, in the order: the linear layers
    of the first arm, then, unless `weights` is `paired`, those of the next. Normalizations draw nothing.
    """
    widths = (SIDE * SIDE, *config.hidden, CLASSES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        first = _linear_layers(widths, config.init, config.activation)
        rest = [copy.deepcopy(first) if config.weights == "paired" else
                _linear_layers(widths, config.init, config.activation) for _ in config.arms[1:]]  # fmt: skip
        generator = torch.Generator()
        generator.set_state(torch.get_rng_state())
    nets = [_stack(linear, norm, config, device) for linear, norm in zip([first, *rest], config.arms, strict=True)]
    arms = Arms(dict(zip(arm_names(config.arms), nets, strict=True)), generator)
    noise = torch.Generator(device).manual_seed(config.seed)
    for norm in arms.norms:
        norm.generator, norm.noise = noise, config.bn_noise
    return arms


def activation(name: str) -> nn.Module:
    """Return the activation module of a name that `--activation` takes."""
    return _ACTIVATIONS[name]()


def _linear_layers(widths: Sequence[int], init: Init, activation: str) -> list[nn.Linear]:
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    if init.name == "default":
        return layers
    for layer in layers:
        nn.init.zeros_(layer.bias)
        match init:
            case Init("xavier"):
                nn.init.xavier_uniform_(layer.weight)
            case Init("kaiming"):
                # PyTorch has no gain for GELU; ReLU's is the usual stand-in.
                gain = {"gelu": "relu", "leaky-relu": "leaky_relu"}.get(activation, activation)
                nn.init.kaiming_normal_(layer.weight, nonlinearity=gain)  # type: ignore[arg-type]
            case Init(std=float(std)):
                nn.init.normal_(layer.weight, std=std)
    return layers


def _stack(linear: list[nn.Linear], kind: Norm, config: RunConfig, device: torch.device) -> nn.Sequential:
    """Return `linear1`, `norm1`, `activation1`, `dropout1`, `linear2`, … up to the last linear layer."""
    model = nn.Sequential()
    # The same seed in every arm: they drop the same units.
    generator = torch.Generator(device).manual_seed(config.seed)
    momentum = None if isinstance(config.bn_momentum, str) else config.bn_momentum
    for number, (layer, width) in enumerate(zip(linear, config.hidden, strict=False), 1):
        norm = build_norm(kind, width, config.bn_eps, momentum)
        model.add_module(f"linear{number}", layer)
        if norm is not None:
            model.add_module(f"norm{number}", norm)
        model.add_module(f"activation{number}", activation(config.activation))
        # There in any case, as it may be asked for later.
        model.add_module(f"dropout{number}", SeededDropout(config.dropout, generator))
    model.add_module(f"linear{len(linear)}", linear[-1])
    return model.to(device)
