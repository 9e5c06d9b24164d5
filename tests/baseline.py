"""The tutorial's training loop as people write it by hand: a DataLoader, two models, two optimizers, autograd.

It shares no code with bntui, so that equal results mean something.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Images(Dataset[tuple[Tensor, Tensor]]):
    """uint8 images [samples, 784] that become float32 one by one.

    `through_pil` takes the way of torchvision's MNIST with ToTensor: tensor, PIL image, array, tensor. The numbers are
    the same; the time is not.
    """

    def __init__(self, images: Tensor, labels: Tensor, through_pil: bool = False) -> None:
        self.images, self.labels, self.through_pil = images, labels, through_pil

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self.through_pil:
            picture = Image.fromarray(self.images[index].view(28, 28).numpy())
            pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(28, 28, 1).permute(2, 0, 1)
            return pixels.contiguous().to(torch.float32).div(255).view(784), self.labels[index]
        return self.images[index].to(torch.float32).div(255), self.labels[index]


def read_idx_folder(folder: Path) -> tuple[Images, Images]:
    """Read the four gzipped IDX files of a folder, believing every word of them."""

    def read(name: str, offset: int) -> Tensor:
        return torch.frombuffer(
            bytearray(gzip.decompress((folder / f"{name}.gz").read_bytes())), dtype=torch.uint8, offset=offset
        )

    sets = []
    for split in ("train", "t10k"):
        images = read(f"{split}-images-idx3-ubyte", 16).view(-1, 784)
        sets.append(Images(images, read(f"{split}-labels-idx1-ubyte", 8).long()))
    return sets[0], sets[1]


def build(paired: bool) -> tuple[nn.Sequential, nn.Sequential]:
    linear = [nn.Linear(784, 32), nn.Linear(32, 32), nn.Linear(32, 10)]
    norm = [nn.BatchNorm1d(32), nn.BatchNorm1d(32)]
    bare = [nn.Linear(784, 32), nn.Linear(32, 32), nn.Linear(32, 10)]
    if paired:
        for to, source in zip(bare, linear, strict=True):
            to.load_state_dict(source.state_dict())
    relu = nn.ReLU()
    return (
        nn.Sequential(linear[0], norm[0], relu, linear[1], norm[1], relu, linear[2]),
        nn.Sequential(bare[0], relu, bare[1], relu, bare[2]),
    )


def digest(model: nn.Module) -> str:
    sha = hashlib.sha256()
    for tensor in model.state_dict().values():
        sha.update(tensor.detach().contiguous().numpy().tobytes())
    return sha.hexdigest()


def train(
    train_set: Images, validation_set: Images, epochs: int, seed: int, batch_size: int = 32, lr: float = 0.01
) -> dict[str, Any]:
    """Train both models as the tutorial does and return its metrics, seconds per epoch and the models' hashes.

    As the tutorial does, the last partial batch is dropped from training and from evaluation alike.
    """
    torch.manual_seed(seed)
    loaders = {
        "train": DataLoader(train_set, batch_size, shuffle=True, drop_last=True),
        "validation": DataLoader(validation_set, batch_size, shuffle=False, drop_last=True),
    }
    bn, plain = build(paired=False)
    criterion = nn.CrossEntropyLoss()
    bn_optimizer = torch.optim.Adam(bn.parameters(), lr=lr)
    plain_optimizer = torch.optim.Adam(plain.parameters(), lr=lr)
    rows = []
    for epoch in range(1, epochs + 1):
        begun = time.perf_counter()
        bn.train()
        for x, y in loaders["train"]:
            for model, optimizer in ((bn, bn_optimizer), (plain, plain_optimizer)):
                optimizer.zero_grad()
                criterion(model(x), y).backward()
                optimizer.step()
        row: dict[str, Any] = {"epoch": epoch}
        bn.eval()
        with torch.no_grad():
            for split, loader in loaders.items():
                totals = torch.zeros(4)
                for x, y in loader:
                    for i, model in enumerate((bn, plain)):
                        z = model(x)
                        totals[2 * i] += criterion(z, y)
                        totals[2 * i + 1] += (z.argmax(1) == y).float().mean()
                means = (totals / len(loader)).tolist()
                row[split] = {
                    "batch": {"loss": means[0], "accuracy": means[1]},
                    "none": {"loss": means[2], "accuracy": means[3]},
                }
        row["seconds"] = time.perf_counter() - begun
        rows.append(row)
    return {"epochs": rows, "state_sha256": {"batch": digest(bn), "none": digest(plain)}, "models": (bn, plain)}
