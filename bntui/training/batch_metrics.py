"""Loss and accuracy of every training batch, kept on the device until somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

MOST_LOGITS = 1 << 22
"""Numbers that wait for their accuracy: 16 MiB of them."""

ByArm = dict[str, tuple[float, ...]]


class BatchMetrics:
    """Collects what an engine returns of each step; a few calls for many steps, and one transfer, make numbers of it.

    Parameters
    ----------
    arms
        Their names.
    """

    def __init__(self, arms: Iterable[str]) -> None:
        self._arms = list(arms)
        self._clear()

    def _clear(self) -> None:
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []
        """How many samples each arm classified rightly, float32 [steps, arms]."""
        self._sizes: list[int] = []
        self._logits: list[Tensor] = []
        """Of the steps that are not counted yet, all arms of a step after each other."""
        self._labels: list[Tensor] = []
        self._waiting = 0

    def add(self, losses: Tensor, logits: Sequence[Tensor], y: Tensor) -> None:
        """Take what a step returned.

        Parameters
        ----------
        losses
            float32 [arms].
        logits
            Of each arm, float32 [batch, classes].
        y
            The labels, int64 [batch]. None of the three may change afterwards.
        """
        if self._labels and len(self._labels[-1]) != len(y):
            self._count()
        self._losses.append(losses)
        self._sizes.append(len(y))
        self._logits.extend(logits)
        self._labels.append(y)
        self._waiting += logits[0].numel() * len(logits)
        if self._waiting >= MOST_LOGITS:
            self._count()

    def _count(self) -> None:
        """Count what is right, and let go of the logits."""
        found = torch.stack(self._logits).argmax(2).view(len(self._labels), len(self._arms), -1)
        right = (found == torch.stack(self._labels)[:, None]).sum(2)
        self._right.append(right.to(torch.float32))
        self._logits, self._labels, self._waiting = [], [], 0

    def take(self) -> tuple[ByArm, ByArm] | None:
        """Return the loss and the accuracy of each step since the last time, by arm; None if there was none."""
        if not self._losses:
            return None
        if self._labels:
            self._count()
        losses, right = torch.stack([torch.stack(self._losses), torch.cat(self._right)]).transpose(1, 2).tolist()
        shares = [[count / size for count, size in zip(row, self._sizes, strict=True)] for row in right]
        self._clear()
        return self._by_arm(losses), self._by_arm(shares)

    def _by_arm(self, rows: list[list[float]]) -> ByArm:
        return {name: tuple(row) for name, row in zip(self._arms, rows, strict=True)}
