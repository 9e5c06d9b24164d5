from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bntui.config import parsers
from bntui.config.options import RunConfig
from bntui.data import digits, resident
from bntui.data.order import DataOrder
from bntui.data.samples import to_input
from bntui.data.source import first
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


def begun(seed: int = 5, **options: Any) -> resident.ResidentSource:
    source = load(small(**options))
    source.begin(torch.Generator().manual_seed(seed))
    return source


def test_an_epoch_is_handed_out_in_the_order_of_a_dataloader_whatever_the_batch_size() -> None:
    source = begun()
    order = DataOrder(torch.Generator().manual_seed(5))
    for _ in range(2):
        rows = order.next_epoch(200)
        order.skip_evaluation()
        handed: list[torch.Tensor] = []
        for batch_size, count in ((32, 2), (7, 3), (100, 1)):
            batches = source.epoch(batch_size)
            handed += [next(batches)[0] for _ in range(count)]
            assert source.position == sum(map(len, handed))
        # 15 are left.
        assert list(source.epoch(16)) == []
        assert torch.equal(torch.cat(handed), to_input(source.train.images[rows[:185]]))
        source.end_epoch()
        assert source.position == 0


@pytest.mark.parametrize("taken", [0, 2, 6])
def test_a_source_goes_on_where_another_was(taken: int) -> None:
    source = begun()
    for _ in source.epoch(64):
        pass
    source.end_epoch()
    batches = source.epoch(32)
    for _ in range(taken):
        next(batches)
    state = source.state_dict()
    other = begun(seed=99)
    next(other.epoch(100))
    other.load_state_dict(state)
    assert other.position == source.position == 32 * taken
    for _ in range(2):
        for part in (source, other):
            part.end_epoch()
        for (x, y), (their_x, their_y) in zip(source.epoch(50), other.epoch(50), strict=True):
            assert torch.equal(x, their_x) and torch.equal(y, their_y)


@pytest.mark.parametrize("position", [-1, 201])
def test_a_place_beyond_the_data_is_refused(position: int) -> None:
    source = begun()
    with pytest.raises(ValueError, match="beyond"):
        source.load_state_dict({**source.state_dict(), "position": position})


def test_what_is_handed_out_for_training_can_be_kept_by_autograd() -> None:
    with torch.inference_mode():
        source = begun()
        x, y = next(source.epoch(32))
    assert not x.is_inference() and not y.is_inference()


def test_evaluation_goes_over_every_sample_once_and_shifts_what_it_is_asked_to() -> None:
    source = begun()
    parts = list(source.evaluation("train", 64))
    assert [len(y) for _, y in parts] == [64, 64, 64, 8]
    assert torch.equal(torch.cat([x for x, _ in parts]), to_input(source.train.images))
    inverted = parsers.shift("inversion:1")
    for _ in range(2):
        assert torch.equal(first(source, "validation", 20, inverted), to_input(255 - source.validation.images[:20]))
        assert torch.equal(first(source, "train", 20, inverted), to_input(255 - source.train.images[:20]))
        assert torch.equal(first(source, "validation", 99), to_input(source.validation.images))


def test_some_samples_are_chosen_evenly() -> None:
    source = begun()
    for split, samples in (("train", source.train), ("validation", source.validation)):
        parts = list(source.evaluation(split, 4, samples=10))  # type: ignore[arg-type]
        assert [len(y) for _, y in parts] == [4, 4, 2]
        rows = [i * len(samples) // 10 for i in range(10)]
        assert torch.equal(torch.cat([y for _, y in parts]), samples.labels[rows])
        assert torch.equal(torch.cat([x for x, _ in parts]), to_input(samples.images[rows]))
        assert sum(len(y) for _, y in source.evaluation(split, 64, samples=10**6)) == len(samples)  # type: ignore[arg-type]
