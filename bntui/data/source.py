"""Where batches come from, as the loop sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from bntui.config.kinds import Shift

Split: TypeAlias = Literal["train", "validation"]
Batches: TypeAlias = Iterator[tuple[Tensor, Tensor]]
"""Inputs, float32 [batch, *input_shape], and labels, int64 [batch], on the device."""
UNCHANGED = Shift("none")


class Source(Protocol):
    """A training and a validation set, and where in the order of the training samples a run is."""

    name: str
    classes: int
    input_shape: tuple[int, ...]
    """Of one sample."""
    train_samples: int
    validation_samples: int
    sha256: str
    """Over all that is trained and evaluated on."""
    position: int
    """Samples of the epoch under way that were handed out."""

    def describe(self) -> dict[str, Any]:
        """Return the `dataset` part of the results."""

    def begin(self, generator: torch.Generator) -> None:
        """Be before the first epoch, of which the order is drawn from that generator, on the CPU."""

    def epoch(self, batch_size: int) -> Batches:
        """Go on with the epoch under way: yield whole batches, until fewer samples are left than a batch has.

        They are no tensors of inference mode, which autograd could not keep, and nothing writes to them afterwards.
        """

    def end_epoch(self) -> None:
        """Be before the next epoch."""

    def evaluation(self, split: Split, rows: int, shift: Shift = UNCHANGED, samples: int | None = None) -> Batches:
        """Yield every sample of a set once, so many `rows` at a time, the last ones perhaps fewer; always in one order.

        The images are changed by `shift`. With `samples`, at most so many are yielded, chosen evenly from the whole
        set, as that may be sorted.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return where in the order of the samples this is."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Be where another one was. Raises KeyError, TypeError, ValueError or RuntimeError if it can't be."""


def first(source: Source, split: Split, count: int, shift: Shift = UNCHANGED, samples: int | None = None) -> Tensor:
    """Return the inputs of the first samples of a set, or of an even choice of it, at most so many."""
    return next(source.evaluation(split, count, shift, samples))[0]
