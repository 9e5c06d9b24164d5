"""Build the pair: two ordinary PyTorch models that differ in nothing but their normalization."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import torch
from torch import nn

from bntui.config.options import RunConfig
from bntui.data.idx import CLASSES, SIDE
from bntui.models.norms import Switchable, SwitchableBatchNorm1d, build_norm


class SeededDropout(nn.Module):
    """`torch.nn.Dropout` with a random generator of its own, so that both arms can drop the same units."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        super().__init__()
        self.p = p
        self.generator = generator

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        """Draw the next mask in the shape of `x`: 0 with probability p, else 1/(1-p)."""
        return torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator).div_(1 - self.p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop units of `x` in training mode."""
        return x * self.mask(x) if self.training and self.p else x


@dataclass(frozen=True)
class Pair:
    """Both arms, on the device, and the random stream that the run goes on drawing from."""

    bn: nn.Sequential
    plain: nn.Sequential
    generator: torch.Generator
    """CPU generator in the state that building the models left it in; the data order comes from it."""

    @property
    def arms(self) -> dict[str, nn.Sequential]:
        """The two models by the arm's name."""
        return {"bn": self.bn, "plain": self.plain}

    @property
    def normalized(self) -> str:
        """The arm whose normalization can be switched: the first that has one; empty if neither has."""
        return next((arm for arm, model in self.arms.items() if any(isinstance(m, Switchable) for m in model)), "")

    @property
    def norms(self) -> list[Switchable]:
        """The normalizations of that arm, from the input on."""
        return [m for m in self.arms.get(self.normalized, ()) if isinstance(m, Switchable)]

    @property
    def batch_norms(self) -> list[SwitchableBatchNorm1d]:
        """All that keep statistics, in either arm."""
        return [m for model in self.arms.values() for m in model if isinstance(m, SwitchableBatchNorm1d)]

    @property
    def generators(self) -> list[torch.Generator]:
        """The random streams that training draws from, beside that of the data order: dropout's and the noise's."""
        streams = [module.generator for model in self.arms.values() for module in model
                   if isinstance(module, SeededDropout | Switchable) and module.generator is not None]  # fmt: skip
        return list({id(stream): stream for stream in streams}.values())

    @property
    def dropouts(self) -> list[SeededDropout]:
        """All that drop units, in either arm."""
        return [m for model in self.arms.values() for m in model if isinstance(m, SeededDropout)]


def build_pair(config: RunConfig, device: torch.device) -> Pair:
    """Build both arms from the seed; the global random state is left as it was.

    The weights are drawn on the CPU, so that every device starts from the same ones, in the order: the linear layers
    of `bn`, then, unless `weights` is `paired`, those of `plain`. Normalizations draw nothing.
    """
    widths = (SIDE * SIDE, *config.hidden, CLASSES)
    momentum = None if isinstance(config.bn_momentum, str) else config.bn_momentum
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        linear = _linear_layers(widths, config)
        bare = copy.deepcopy(linear) if config.weights == "paired" else _linear_layers(widths, config)
        generator = torch.Generator()
        generator.set_state(torch.get_rng_state())
    norms = [
        [build_norm(kind, w, config.bn_eps, momentum) for w in config.hidden] for kind in (config.norm, config.versus)
    ]
    pair = Pair(_stack(linear, norms[0], config, device), _stack(bare, norms[1], config, device), generator)
    noise = torch.Generator(device).manual_seed(config.seed)
    for norm in pair.norms:
        norm.generator, norm.noise = noise, config.bn_noise
    return pair


def activation(name: str) -> nn.Module:
    """Return the activation module of a name that `--activation` takes."""
    kinds: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "leaky-relu": nn.LeakyReLU,
        "gelu": nn.GELU,
    }
    return kinds[name]()


def _linear_layers(widths: tuple[int, ...], config: RunConfig) -> list[nn.Linear]:
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    if config.init != "default":
        gain = "leaky_relu" if config.activation == "leaky-relu" else config.activation
        for layer in layers:
            nn.init.zeros_(layer.bias)
            if config.init == "xavier":
                nn.init.xavier_uniform_(layer.weight)
            elif config.init == "kaiming":
                # PyTorch has no gain for GELU; ReLU's is the usual stand-in.
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if gain == "gelu" else gain)  # type: ignore[arg-type]
            else:
                nn.init.normal_(layer.weight, std=float(config.init.removeprefix("normal:")))
    return layers


def _stack(
    linear: list[nn.Linear], norms: list[Switchable | None], config: RunConfig, device: torch.device
) -> nn.Sequential:
    model = nn.Sequential()
    # The same seed in both arms: they drop the same units.
    generator = torch.Generator(device).manual_seed(config.seed)
    places = itertools.count()
    for layer, norm in zip(linear[:-1], norms, strict=True):
        for module in (layer, norm, activation(config.activation)):
            if module is not None:
                model.add_module(str(next(places)), module)
        # There in any case, as it may be asked for later; unless it is, the others have the names of a net without.
        name = str(next(places)) if config.dropout else f"dropout{len(model)}"
        model.add_module(name, SeededDropout(config.dropout, generator))
    model.add_module(str(next(places)), linear[-1])
    return model.to(device)
