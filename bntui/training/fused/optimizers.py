"""Adam and SGD over one flat vector that holds every parameter of all arms.

The arithmetic, operation by operation, is that of torch.optim's single-tensor code, so on a CPU the bits are the same;
one call does for all parameters what torch.optim does in one call each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bntui.config.kinds import Optimizer


class FlatParameters:
    """Moves parameters into one vector, of which they become views, with another vector for their gradients.

    Parameters
    ----------
    groups
        float32 parameters in groups that an optimizer may skip; each group is contiguous in the vectors. Between
        parameters lie zeros, which no update changes.
    """

    def __init__(self, groups: Iterable[list[nn.Parameter]]) -> None:
        grouped = [list(group) for group in groups]
        everything = [parameter for group in grouped for parameter in group]
        total = sum(_padded(p.numel()) for p in everything)
        self.values = torch.zeros(total, dtype=everything[0].dtype, device=everything[0].device)
        self.gradients = torch.zeros_like(self.values)
        self.gradient_of: dict[Tensor, Tensor] = {}
        self.groups: list[slice] = []
        start = 0
        for group in grouped:
            begin = start
            for p in group:
                where = slice(start, start + p.numel())
                self.values[where] = p.detach().reshape(-1)
                p.data = self.values[where].view(p.shape)
                self.gradient_of[p] = self.gradients[where].view(p.shape)
                start += _padded(p.numel())
            self.groups.append(slice(begin, start))


def _padded(count: int) -> int:
    """Round up to 64 bytes' worth: a matrix product's last bits can depend on where its operands begin."""
    return -(-count // 16) * 16


@dataclass
class _Part:
    """A stretch of the vectors that is updated together, with the number of updates it has had."""

    values: Tensor
    gradients: Tensor
    state: list[Tensor]
    count: int = 0


@dataclass
class FlatOptimizer:
    """What Adam and SGD share: which groups are updated, and with how many steps behind them.

    A group that `active` leaves out is skipped, as torch.optim skips a parameter without gradient: its value and its
    state stand still, and its own step count with them.
    """

    parameters: FlatParameters
    lr: float
    state: list[Tensor] = field(init=False)
    active: list[bool] = field(init=False)
    state_tensors = 0

    def __post_init__(self) -> None:
        self.state = [torch.zeros_like(self.parameters.values) for _ in range(self.state_tensors)]
        self._whole = self._part(slice(None))
        self._parts = [self._part(group) for group in self.parameters.groups]
        self._put([0] * len(self._parts), [True] * len(self._parts))

    def _part(self, where: slice) -> _Part:
        return _Part(
            self.parameters.values[where], self.parameters.gradients[where], [tensor[where] for tensor in self.state]
        )

    def step(self) -> None:
        """Update every active group by its gradients."""
        if self._together:
            self._whole.count += 1
            self.update(self._whole)
            return
        for part, on in zip(self._parts, self.active, strict=True):
            part.count += on
            if on and part.values.numel():
                self.update(part)

    @property
    def counts(self) -> list[int]:
        """How many updates each group has had."""
        return [self._whole.count if self._together else part.count for part in self._parts]

    def switch(self, group: int, on: bool) -> None:
        """Update a group from now on, or no longer."""
        self._put(self.counts, [on if number == group else was for number, was in enumerate(self.active)])

    def _put(self, counts: list[int], active: list[bool]) -> None:
        """Take all groups in one as long as they are alike."""
        self.active = active
        self._together = all(active) and len(set(counts)) == 1
        self._whole.count = counts[0]
        for part, count in zip(self._parts, counts, strict=True):
            part.count = count

    def forget(self, groups: Iterable[int]) -> None:
        """Begin anew with some groups, as if they had never been updated."""
        counts = self.counts
        for group in groups:
            counts[group] = 0
            for tensor in self._parts[group].state:
                tensor.zero_()
        self._put(counts, self.active)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the state, and the counts."""
        return {"state": [tensor.cpu().clone() for tensor in self.state], "counts": list(self.counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises KeyError, TypeError, ValueError or AttributeError otherwise."""
        counts = [int(count) for count in state["counts"]]
        if len(counts) != len(self._parts) or min(counts) < 0:
            raise ValueError("other groups")
        for ours, kept in zip(self.state, state["state"], strict=True):
            if ours.shape != kept.shape:
                raise ValueError("another shape")
            ours.copy_(kept)
        self._put(counts, self.active)

    def update(self, part: _Part) -> None:
        """Update one stretch, whose `count` includes this step."""
        raise NotImplementedError


@dataclass
class FlatAdam(FlatOptimizer):
    """`torch.optim.Adam` with its defaults, β = (0.9, 0.999) and ε = 1e-8 (https://arxiv.org/abs/1412.6980)."""

    state_tensors = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._denominator = torch.empty_like(self.parameters.values)

    def update(self, part: _Part) -> None:
        """As `FlatOptimizer.update`."""
        average, square = part.state
        average.lerp_(part.gradients, 1 - 0.9)
        square.mul_(0.999).addcmul_(part.gradients, part.gradients, value=1 - 0.999)
        denominator = torch.sqrt(square, out=self._denominator[: square.numel()])
        denominator.div_((1 - 0.999**part.count) ** 0.5).add_(1e-8)
        part.values.addcdiv_(average, denominator, value=-(self.lr / (1 - 0.9**part.count)))


@dataclass
class FlatSGD(FlatOptimizer):
    """`torch.optim.SGD` with `momentum` and no dampening."""

    momentum: float = 0.0

    def __post_init__(self) -> None:
        self.state_tensors = 1 if self.momentum else 0
        super().__post_init__()

    def update(self, part: _Part) -> None:
        """As `FlatOptimizer.update`."""
        step = part.gradients
        if self.momentum:
            # From a buffer of zeros, the first update is the plain gradient, as torch.optim has it.
            step = part.state[0].mul_(self.momentum).add_(part.gradients)
        part.values.add_(step, alpha=-self.lr)


def build_optimizer(optimizer: Optimizer, parameters: FlatParameters, lr: float) -> FlatOptimizer:
    """Return what updates the parameters."""
    if optimizer.name == "adam":
        return FlatAdam(parameters, lr)
    return FlatSGD(parameters, lr, momentum=optimizer.momentum or 0.0)
