"""The kinds of normalization as PyTorch modules that can be switched off, frozen and disturbed while a run goes on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bntui.config.kinds import Norm


class Switchable(nn.Module):
    """What all kinds have in common.

    Attributes
    ----------
    features : int
        Of its input, the size of dimension 1.
    enabled : bool
        False: the input passes through, and what is learned or tracked stands still.
    noise : float
        Strength of the noise that follows in training; 0 for none.
    generator : torch.Generator or None
        Where the noise is drawn from; on the device.
    tap : callable or None
        Is shown what was normalized, before the noise.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    eps: float
    features: int
    enabled = True
    noise = 0.0
    generator: torch.Generator | None = None
    tap: Callable[[Tensor], None] | None = None

    def draw_noise(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Draw scale and shift for each value of `y`, float32 [batch, features, …].

        Both have, for each feature, a middle that is redrawn each step: the shift's is uniform within ± noise, the
        scale's between 1 and 1 + noise / 2. The single values lie around these, the shifts within ± noise / 5, the
        scales with a standard deviation of noise / 5. So the noise has neither mean 0 nor variance 1, as in the
        "noisy" batch norm of Santurkar et al. 2018 (https://arxiv.org/abs/1805.11604).
        """
        own, each = torch.empty(2, y.shape[1], *[1] * (y.dim() - 2), device=y.device), torch.empty_like(y)
        own.uniform_(generator=self.generator)
        shift = each.uniform_(-self.noise / 5, self.noise / 5, generator=self.generator) + (2 * own[0] - 1) * self.noise
        scale = torch.empty_like(y).normal_(1, self.noise / 5, generator=self.generator) + own[1] * (self.noise / 2)
        return scale, shift

    def disturb(self, y: Tensor) -> Tensor:
        """Return the normalized values with noise, if there is to be some now."""
        if self.tap is not None:
            self.tap(y)
        if not (self.training and self.noise):
            return y
        scale, shift = self.draw_noise(y)
        return y * scale + shift


class SwitchableBatchNorm1d(Switchable, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d`.

    Attributes
    ----------
    frozen : bool
        True: training normalises by the running statistics, as evaluation does, and leaves them as they are.
    estimate : (mean, variance) or None
        Statistics that evaluation takes in place of the running ones; each float32 [features].
    rows : int
        If not 0, evaluation normalises so many samples at a time by their own statistics, as training does.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, features: int, eps: float, momentum: float | None) -> None:
        super().__init__(features, eps=eps, momentum=momentum)
        self.features = features
        self.frozen = False
        self.estimate: tuple[Tensor, Tensor] | None = None
        self.rows = 0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`, float32 [batch, features]."""
        if not self.enabled:
            return x
        if self.training and not self.frozen:
            return self.disturb(self.normalize_by_batch(x))
        if self.rows and not self.training:
            return normalize_in_groups(x, self.rows, self.weight, self.bias, self.eps)
        mean, var = (self.running_mean, self.running_var) if self.estimate is None else self.estimate
        return self.disturb(nn.functional.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.eps))

    def normalize_by_batch(self, x: Tensor) -> Tensor:
        """Normalise a training batch and track its statistics."""
        return nn.BatchNorm1d.forward(self, x)


class SwitchableBatchRenorm1d(SwitchableBatchNorm1d):
    """Batch renormalization (Ioffe 2017, https://arxiv.org/abs/1702.03275): y = γ (r x̂ + d) + β.

    r and d make the output what it would be by the running statistics, as far as their limits allow, and are constants
    for the gradient. The limits are the paper's: 5,000 steps of batch norm, from there up to r = 3 at step 40,000 and
    d = 5 at step 25,000.
    """

    def correction(self, mean: Tensor, var: Tensor, tracked: int) -> tuple[Tensor, Tensor]:
        """Return r and d, [features], for a batch's mean and biased variance after so many tracked batches."""
        r_max = 1 + 2 * min(1.0, max(0.0, (tracked - 5_000) / 35_000))
        d_max = 5 * min(1.0, max(0.0, (tracked - 5_000) / 20_000))
        std = torch.sqrt(self.running_var + self.eps)
        r = (torch.sqrt(var + self.eps) / std).clamp(1 / r_max, r_max)
        d = ((mean - self.running_mean) / std).clamp(-d_max, d_max)
        return r, d

    def normalize_by_batch(self, x: Tensor) -> Tensor:
        """As `SwitchableBatchNorm1d.normalize_by_batch`."""
        var, mean = torch.var_mean(x.detach(), 0, correction=0)
        r, d = self.correction(mean, var, int(self.num_batches_tracked))
        self.num_batches_tracked.add_(1)
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight * r,
            self.weight * d + self.bias,
            True,
            momentum,
            self.eps,
        )


class SwitchableGroupNorm(Switchable, nn.GroupNorm):
    """`torch.nn.GroupNorm` over the features of a sample; with one group it is layer norm.

    As instance norm the features of a sample are one channel with a single γ and β, as `torch.nn.InstanceNorm1d` has it
    of an input [batch, 1, features]: of a channel for each feature a single value would be left, and nothing of it.
    """

    def __init__(self, features: int, groups: int, eps: float, instance: bool = False) -> None:
        super().__init__(groups, 1 if instance else features, eps=eps)
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`, float32 [batch, features]."""
        if not self.enabled:
            return x
        y = nn.functional.group_norm(
            x.view(len(x), self.num_channels, -1), self.num_groups, self.weight, self.bias, self.eps
        )
        return self.disturb(y.view_as(x))


def normalize_in_groups(x: Tensor, rows: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Normalise so many samples at a time by their own mean and biased variance; the last ones may be fewer.

    A sample alone has no variance: what remains of it is β.
    """
    whole = len(x) // rows * rows
    parts = [part for part in (x[:whole].view(-1, rows, x.shape[1]), x[whole:][None]) if part.numel()]
    done = []
    for part in parts:
        var, mean = torch.var_mean(part, 1, correction=0, keepdim=True)
        done.append(((part - mean) * torch.rsqrt(var + eps) * weight + bias).view(-1, x.shape[1]))
    return torch.cat(done)


_KINDS: dict[str, Callable[[Norm, int, float, float | None], Switchable]] = {
    "batch": lambda norm, features, eps, momentum: SwitchableBatchNorm1d(features, eps, momentum),
    "batch-renorm": lambda norm, features, eps, momentum: SwitchableBatchRenorm1d(features, eps, momentum),
    "layer": lambda norm, features, eps, momentum: SwitchableGroupNorm(features, 1, eps),
    "group": lambda norm, features, eps, momentum: SwitchableGroupNorm(features, norm.groups, eps),
    "instance": lambda norm, features, eps, momentum: SwitchableGroupNorm(features, 1, eps, instance=True),
}


def build_norm(norm: Norm, features: int, eps: float, momentum: float | None) -> Switchable | None:
    """Return a normalization, None for `none`; draws no random number.

    Parameters
    ----------
    norm
        Its kind.
    features, eps
        Size of dimension 1 of its input, and what is added to the variance before the square root.
    momentum
        Of the running statistics; None for their plain average.
    """
    return None if norm.kind == "none" else _KINDS[norm.kind](norm, features, eps, momentum)
