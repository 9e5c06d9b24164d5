from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bntui.config.options import RunConfig
from bntui.data import digits, resident
from bntui.data.samples import to_input
from bntui.errors import DataError, UsageError

CPU = torch.device("cpu")


def load(config: RunConfig, notices: list[str] | None = None) -> resident.ResidentSource:
    return resident.load(config, CPU, lambda *_: None, ([] if notices is None else notices).append)


def small(**options: Any) -> RunConfig:
    return RunConfig(**{"data": "synthetic", "train_samples": 200, "validation_samples": 50, **options})


def test_input_equals_dividing_the_image_by_255() -> None:
    images = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_input(images), torch.arange(256, dtype=torch.float32) / 255)
    assert images.dtype == torch.uint8


def test_synthetic_digits_become_tensors() -> None:
    dataset = load(small())
    assert (dataset.train.images.shape, dataset.train.images.dtype) == ((200, 784), torch.uint8)
    assert (dataset.train.labels.shape, dataset.train.labels.dtype) == ((200,), torch.int64)
    assert len(dataset.validation) == 50
    images, labels = digits.generate(200, seed=1)
    assert torch.equal(dataset.train.images, torch.from_numpy(images).view(200, 784))
    assert torch.equal(dataset.train.labels, torch.from_numpy(labels).long())


def test_the_fingerprint_covers_images_and_labels_of_both_sets() -> None:
    dataset = load(small())
    digest = hashlib.sha256()
    for split, count in ((0, 200), (1, 50)):
        for array in digits.generate(count, seed=1, split=split):
            digest.update(array.tobytes())
    assert dataset.sha256 == digest.hexdigest()
    assert load(small(seed=2)).sha256 != dataset.sha256


@pytest.mark.parametrize("threads", [1, 2])
def test_the_fingerprint_does_not_depend_on_the_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    assert load(small()).sha256 == "f44e0acfb5a151d6f7bc65851b12a9952253377c1f2e9ea27b878be08de4ab25"


def test_progress_is_reported_over_both_sets() -> None:
    seen: list[tuple[str, int, int, str]] = []
    resident.load(small(), CPU, lambda *progress: seen.append(progress), print)
    generating = [row for row in seen if row[0] == "generating digits"]
    assert generating[-1] == ("generating digits", 250, 250, "images")


def test_a_batch_larger_than_the_data_is_refused(fashion_mnist: Path) -> None:
    with pytest.raises(UsageError, match="--batch-size 60,001 is more than the 60,000 training samples"):
        load(RunConfig(data="fashion-mnist", data_dir=str(fashion_mnist), batch_size=60_001))


def test_a_bare_folder_and_a_torchvision_root_give_the_same(fashion_mnist: Path, tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in fashion_mnist.glob("*.gz"):
        shutil.copy(file, raw)
    bare = load(RunConfig(data="fashion-mnist", data_dir=str(fashion_mnist)))
    root = load(RunConfig(data="fashion-mnist", data_dir=str(tmp_path)))
    assert bare.sha256 == root.sha256
    assert (bare.origin, root.origin) == (str(fashion_mnist), str(raw))
    assert (len(bare.train), len(bare.validation)) == (60_000, 10_000)
    first = load(RunConfig(data="fashion-mnist", data_dir=str(fashion_mnist), train_samples=100))
    assert torch.equal(first.train.images, bare.train.images[:100])


def test_fashion_mnist_under_another_name_is_noticed(fashion_mnist: Path) -> None:
    notices: list[str] = []
    load(RunConfig(data="mnist", data_dir=str(fashion_mnist), train_samples=64), notices)
    assert len(notices) == 1
    assert "--data fashion-mnist" in notices[0]


def test_a_folder_without_some_of_the_files_names_them(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(DataError, match="train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"):
        load(RunConfig(data="mnist", data_dir=str(tmp_path)))


def test_a_folder_that_does_not_exist_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load(RunConfig(data_dir=str(tmp_path / "typo")))
    assert not (tmp_path / "typo").exists()


def test_without_mnist_generated_digits_take_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DataError("mnist can't be downloaded (no network)")

    monkeypatch.setattr(resident, "download", fail)
    notices: list[str] = []
    dataset = load(RunConfig(train_samples=64, validation_samples=10), notices)
    assert dataset.name == "synthetic"
    assert notices == [
        "mnist can't be downloaded (no network). Training on generated digits instead (--data synthetic)"
    ]
    with pytest.raises(DataError, match="no network"):
        load(RunConfig(data="mnist"))
