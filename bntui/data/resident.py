"""Data sets as tensors that live on the device: read, downloaded or generated whole before the first step."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray

from bntui.config.kinds import DATASETS, Shift
from bntui.config.options import RunConfig
from bntui.data import idx
from bntui.data.corruptions import shifted
from bntui.data.download import Report, class_of, download
from bntui.data.order import DataOrder
from bntui.data.samples import Samples, batches, evenly, to_input
from bntui.data.source import UNCHANGED, Batches, Split
from bntui.errors import DataError, UsageError

SYNTHETIC_TRAIN, SYNTHETIC_VALIDATION = 60_000, 10_000

_FASHION_TRAIN_LABELS = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"
"""SHA-256 of the 60,000 label bytes: Fashion-MNIST's files have the same names as MNIST's."""


class ResidentSource:
    """A `Source` whose samples all live on the device.

    Parameters
    ----------
    name, origin
        What the data set is called, and where it came from.
    sha256
        Over the images and labels used.
    train, validation
        The samples.
    seed
        Of the noise that the images may be disturbed by.
    """

    classes = idx.CLASSES
    input_shape: tuple[int, ...] = (idx.SIDE * idx.SIDE,)

    def __init__(self, name: str, origin: str, sha256: str, train: Samples, validation: Samples, seed: int) -> None:
        self.name, self.origin, self.sha256 = name, origin, sha256
        self.train, self.validation, self._seed = train, validation, seed
        self._shifted: tuple[Split, Shift, Samples] | None = None
        self.train_samples, self.validation_samples = len(train), len(validation)

    def describe(self) -> dict[str, Any]:
        """As `Source.describe`."""
        return {
            "name": self.name,
            "source": self.origin,
            "train_samples": self.train_samples,
            "validation_samples": self.validation_samples,
            "sha256": self.sha256,
        }

    def begin(self, generator: torch.Generator) -> None:
        """As `Source.begin`."""
        self._order = DataOrder(generator)
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.position = 0
        self._before = self._order.generator.get_state()
        self._rows: torch.Tensor | None = None

    def epoch(self, batch_size: int) -> Batches:
        """As `Source.epoch`."""
        for batch in batches(self.train, self._permutation()[self.position :], batch_size):
            self.position += batch_size
            yield batch

    def _permutation(self) -> torch.Tensor:
        """Return the order of the epoch under way, int64 [samples], drawn once."""
        if self._rows is None:
            self._rows = self._order.next_epoch(self.train_samples)
        return self._rows

    def end_epoch(self) -> None:
        """As `Source.end_epoch`."""
        # A run that went on after the last step of the epoch has not asked for it.
        self._permutation()
        self._order.skip_evaluation()
        self._begin_epoch()

    def evaluation(self, split: Split, rows: int, shift: Shift = UNCHANGED, samples: int | None = None) -> Batches:
        """As `Source.evaluation`."""
        whole = self.train if split == "train" else self.validation
        if shift != UNCHANGED:
            if self._shifted is None or self._shifted[:2] != (split, shift):
                self._shifted = split, shift, shifted(whole, shift, self._seed)
            whole = self._shifted[2]
        asked = whole if samples is None else evenly(whole, samples)
        parts = zip(torch.split(asked.images, rows), torch.split(asked.labels, rows), strict=True)
        return ((to_input(images), labels) for images, labels in parts)

    def state_dict(self) -> dict[str, Any]:
        """As `Source.state_dict`."""
        return {"position": self.position, "generator": self._before}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `Source.load_state_dict`."""
        position = int(state["position"])
        # A place beyond the data would never come to the end of the epoch.
        if not 0 <= position <= self.train_samples:
            raise ValueError("a place beyond the data")
        self._order.generator.set_state(state["generator"])
        self._begin_epoch()
        self.position = position


def load(config: RunConfig, device: torch.device, report: Report, notice: Callable[[str], None]) -> ResidentSource:
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
    if not DATASETS[name].startswith("torchvision."):
        splits, source = _generate(name, config, report)
    else:
        try:
            splits, source = _read_or_download(name, config.data_dir, report)
        except DataError as error:
            if config.data is not None or config.data_dir is not None:
                raise
            notice(f"{error}. Training on generated digits instead (--data synthetic)")
            name = "synthetic"
            splits, source = _generate(name, config, report)
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
    return ResidentSource(name, source, _sha256(*train, *validation), _to_device(*train, device),
                          _to_device(*validation, device), config.seed)  # fmt: skip


Splits = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def _generate(name: str, config: RunConfig, report: Report) -> tuple[Splits, str]:
    module = importlib.import_module(DATASETS[name])
    counts = {
        "train": config.train_samples or SYNTHETIC_TRAIN,
        "validation": config.validation_samples or SYNTHETIC_VALIDATION,
    }
    total = sum(counts.values())
    splits: Splits = {}
    before = 0
    for number, (split, count) in enumerate(counts.items()):

        def progress(done: int, _: int, before: int = before) -> None:
            report(f"generating {DATASETS[name].rpartition('.')[2]}", before + done, total, "images")

        images, labels = module.generate(count, seed=config.seed, split=number, progress=progress)
        splits[split] = (images.reshape(count, -1), labels)
        before += count
    return splits, f"generated, seed {config.seed}"


def _read_or_download(name: str, data_dir: str | None, report: Report) -> tuple[Splits, str]:
    root = _root(name, data_dir)
    raw = root / class_of(name) / "raw"
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
