"""Build the pair: two ordinary PyTorch models that differ in nothing but batch normalization."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from bntui.config import RunConfig
from bntui.training.idx import CLASSES, SIDE


class SwitchableBatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` that can be switched off or frozen at any time.

    Attributes
    ----------
    enabled : bool
        False: the input passes through and the running statistics stand still.
    frozen : bool
        True: training normalises by the running statistics, as evaluation does, and leaves them as they are.
    """

    def __init__(self, features: int, eps: float, momentum: float | None) -> None:
        super().__init__(features, eps=eps, momentum=momentum)
        self.enabled = True
        self.frozen = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise `x`, float32 [batch, features]."""
        if not self.enabled:
            return x
        if self.frozen:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


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
        return x * self.mask(x) if self.training else x


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
    def norms(self) -> dict[str, SwitchableBatchNorm1d]:
        """The BN layers by their name in the `bn` arm's state_dict."""
        return {name: module for name, module in self.bn.named_modules() if isinstance(module, SwitchableBatchNorm1d)}


def build_pair(config: RunConfig, device: torch.device) -> Pair:
    """Build both arms from the seed; the global random state is left as it was.

    The weights are drawn on the CPU, so that every device starts from the same ones, in the order: the linear layers
    of `bn`, its BN layers (which draw nothing), then, unless `weights` is `paired`, the linear layers of `plain`.
    """
    widths = (SIDE * SIDE, *config.hidden, CLASSES)
    momentum = None if isinstance(config.bn_momentum, str) else config.bn_momentum
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        linear = _linear_layers(widths, config)
        norm = [SwitchableBatchNorm1d(width, config.bn_eps, momentum) for width in config.hidden]
        bare = copy.deepcopy(linear) if config.weights == "paired" else _linear_layers(widths, config)
        generator = torch.Generator()
        generator.set_state(torch.get_rng_state())
    return Pair(_stack(linear, norm, config, device), _stack(bare, [], config, device), generator)


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
    linear: list[nn.Linear], norm: list[SwitchableBatchNorm1d], config: RunConfig, device: torch.device
) -> nn.Sequential:
    modules: list[nn.Module] = []
    # The same seed in both arms: they drop the same units.
    generator = torch.Generator(device).manual_seed(config.seed)
    for index, layer in enumerate(linear[:-1]):
        modules.append(layer)
        if norm:
            modules.append(norm[index])
        modules.append(activation(config.activation))
        if config.dropout:
            modules.append(SeededDropout(config.dropout, generator))
    return nn.Sequential(*modules, linear[-1]).to(device)
