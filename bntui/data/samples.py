"""Images and labels that live on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Samples:
    """Images, uint8 [samples, 784] from 0 to 255, and labels, int64 [samples], on the device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def to_input(images: Tensor) -> Tensor:
    """Turn uint8 images of any shape into the networks' input: float32 from 0 to 1, as torchvision's ToTensor."""
    return images.to(torch.float32).div_(255)


def evenly(samples: Samples, count: int) -> Samples:
    """Return so many of the samples, at even distances; all of them if there are no more."""
    if count >= len(samples):
        return samples
    rows = torch.arange(count, device=samples.labels.device) * len(samples) // count
    return Samples(torch.index_select(samples.images, 0, rows), torch.index_select(samples.labels, 0, rows))


def batches(samples: Samples, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches in the given order: inputs, float32 [batch, 784], and labels, int64 [batch].

    Several batches are gathered at a time, which costs one batch's overhead and still fits a CPU's cache.
    """
    order = order[: len(order) // batch_size * batch_size].to(samples.labels.device)
    if not len(order):
        return
    for rows in torch.split(order, max(1, _ROWS_AT_ONCE // batch_size) * batch_size):
        images, labels = _gather(samples, rows)
        yield from zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)


@torch.inference_mode(False)
def _gather(samples: Samples, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return some rows; not in inference mode, of which autograd could not keep the tensors."""
    # index_select copies rows whole; indexing by brackets takes six times as long over bytes.
    return to_input(torch.index_select(samples.images, 0, rows)), torch.index_select(samples.labels, 0, rows)
