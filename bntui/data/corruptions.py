"""Changes of the validation images, so that they no longer look like those of the training: covariate shift."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bntui.config.kinds import Shift
from bntui.data.idx import SIDE
from bntui.data.samples import Samples, to_input

_ROWS_AT_ONCE = 2_000


def shifted(samples: Samples, shift: Shift, seed: int) -> Samples:
    """Return the samples with their images changed.

    Parameters
    ----------
    samples
        On any device; left as they are.
    shift
        What is done to them.
    seed
        Of the noise.
    """
    strength = shift.strength
    if strength is None:
        return samples
    generator = torch.Generator(samples.images.device).manual_seed(seed)
    changed = []
    for images in torch.split(samples.images, _ROWS_AT_ONCE):
        x = to_input(images)
        x = add_noise(x, strength, generator) if shift.kind == "noise" else _SHIFTS[shift.kind](x, strength)
        changed.append(x.clamp(0, 1).mul(255).round().to(torch.uint8))
    return Samples(torch.cat(changed), samples.labels)


def add_noise(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Add normal noise with that standard deviation to images, float32 [samples, 784] from 0 to 1."""
    return x + torch.empty_like(x).normal_(0, 1, generator=generator) * strength


def rotate(x: Tensor, degrees: float) -> Tensor:
    """Turn images, float32 [samples, 784], counter-clockwise about their middle; what comes in from outside is 0."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    # Where the grid's point is taken from: the y axis points down, hence the signs.
    theta = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]], device=x.device).expand(len(x), 2, 3)
    grid = torch.nn.functional.affine_grid(theta, [len(x), 1, SIDE, SIDE], align_corners=False)
    turned = torch.nn.functional.grid_sample(x.view(-1, 1, SIDE, SIDE), grid, align_corners=False)
    return turned.view(len(x), -1)


_SHIFTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "brightness": lambda x, strength: x + strength,
    "contrast": lambda x, strength: (x - 0.5) * (1 + strength) + 0.5,
    "rotation": rotate,
    "inversion": lambda x, strength: x * (1 - strength) + (1 - x) * strength,
}
