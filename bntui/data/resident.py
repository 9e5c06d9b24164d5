"""Data sets as tensors that live on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray

from bntui.config.options import RunConfig
from bntui.data import digits, idx
from bntui.data.download import FOLDERS, Report, download
from bntui.errors import DataError, UsageError

SYNTHETIC_TRAIN, SYNTHETIC_VALIDATION = 60_000, 10_000

_FASHION_TRAIN_LABELS = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"
"""SHA-256 of the 60,000 label bytes: Fashion-MNIST's files have the same names as MNIST's."""


@dataclass(frozen=True)
class Samples:
    """Images, uint8 [samples, 784] from 0 to 255, and labels, int64 [samples], on the device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """The two sets of samples and where they came from. `sha256` covers the images and labels used."""

    name: str
    source: str
    sha256: str
    train: Samples
    validation: Samples


def to_input(images: torch.Tensor) -> torch.Tensor:
    """Turn uint8 images of any shape into the networks' input: float32 from 0 to 1, as torchvision's ToTensor."""
    return images.to(torch.float32).div_(255)


def load(config: RunConfig, device: torch.device, report: Report, notice: Callable[[str], None]) -> Dataset:
    """Read, download or generate the data set that the configuration asks for.

    Where none is asked for by name and MNIST can't be had, generated digits take its place, with a notice.

    Raises
    ------
    DataError
        The data set is not available or damaged.
    UsageError
        The data set is smaller than a batch.
    """
    name = config.data or "mnist"
    if name == "synthetic":
        splits, source = _generate(config, report)
    else:
        try:
            splits, source = _read_or_download(name, config.data_dir, report)
        except DataError as error:
            if config.data is not None or config.data_dir is not None:
                raise
            notice(f"{error}. Training on generated digits instead (--data synthetic)")
            name = "synthetic"
            splits, source = _generate(config, report)
    if name != "fashion-mnist" and _sha256(splits["train"][1]) == _FASHION_TRAIN_LABELS:
        notice(f"these files are Fashion-MNIST, not {name}; say --data fashion-mnist to label the results rightly")
    limits = {"train": config.train_samples, "validation": config.validation_samples}
    for split, (images, labels) in splits.items():
        limit = limits[split]
        if limit is not None and limit > len(labels):
            flag = f"--{split}-samples {limit:,}"
            raise UsageError(f"{flag}: {name} has {len(labels):,} {split} samples; ask for fewer")
        images = images[:limit]
        splits[split] = (
            np.where(images > 127, np.uint8(255), np.uint8(0)) if config.binary else images,
            labels[:limit],
        )
    train, validation = splits["train"], splits["validation"]
    if len(train[1]) < config.batch_size:
        raise UsageError(
            f"--batch-size {config.batch_size:,} is more than the {len(train[1]):,} training samples of {name}; "
            "take a smaller one"
        )
    report("preparing the data", 0, 0, "")
    return Dataset(name, source, _sha256(*train, *validation), _to_device(*train, device),
                   _to_device(*validation, device))  # fmt: skip


Splits = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def _generate(config: RunConfig, report: Report) -> tuple[Splits, str]:
    counts = {
        "train": config.train_samples or SYNTHETIC_TRAIN,
        "validation": config.validation_samples or SYNTHETIC_VALIDATION,
    }
    total = sum(counts.values())
    splits: Splits = {}
    before = 0
    for number, (split, count) in enumerate(counts.items()):

        def progress(done: int, _: int, before: int = before) -> None:
            report("generating digits", before + done, total, "images")

        images, labels = digits.generate(count, seed=config.seed, split=number, progress=progress)
        splits[split] = (images.reshape(count, -1), labels)
        before += count
    return splits, f"generated, seed {config.seed}"


def _read_or_download(name: str, data_dir: str | None, report: Report) -> tuple[Splits, str]:
    root = _root(name, data_dir)
    raw = root / FOLDERS[name] / "raw"
    partial = ""
    for folder in (raw, root):
        found, missing = idx.find_files(folder)
        if not missing:
            return _read(folder, found, report)
        if len(missing) < 4:
            named = "" if data_dir is None else f"--data-dir {data_dir}: "
            partial = f"{named}{', '.join(missing)} (or .gz) is missing in {folder}"
            if folder is root:
                raise DataError(f"{partial}; put it there")
    try:
        download(name, root, report)
    except DataError as error:
        raise DataError(f"{partial}; {error}" if partial else str(error)) from None
    found, missing = idx.find_files(raw)
    if missing:
        raise DataError(f"{raw}: {', '.join(missing)} is missing after the download; try again")
    return _read(raw, found, report)


def _root(name: str, data_dir: str | None) -> Path:
    """Return the folder to look into: the one that was named, which must exist, or the user's cache."""
    try:
        if data_dir is None:
            return platformdirs.user_cache_path("bntui") / "data"
        root = Path(data_dir).expanduser()
        if root.is_dir():
            return root
        if root.exists():
            raise DataError(f"--data-dir {data_dir}: is not a folder; name the folder that holds the files")
        raise DataError(f"--data-dir {data_dir}: does not exist; make it to download {name} into it, or name another")
    except (OSError, RuntimeError) as error:
        where = "the user's cache folder" if data_dir is None else f"--data-dir {data_dir}"
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{where}: can't be read ({why}); name another --data-dir") from None


def _read(folder: Path, files: dict[str, tuple[Path, Path]], report: Report) -> tuple[Splits, str]:
    splits: Splits = {}
    for number, (split, (images, labels)) in enumerate(files.items()):
        report(f"reading {folder}", number, len(files), "sets")
        splits[split] = idx.read_split(images, labels)
    return splits, str(folder.resolve())


def _sha256(*arrays: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(np.ascontiguousarray(values).data.cast("B"))
    return digest.hexdigest()


def _to_device(images: NDArray[np.uint8], labels: NDArray[np.uint8], device: torch.device) -> Samples:
    return Samples(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device, torch.int64))
