from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.data.idx import find_files, read_idx, read_split
from bntui.errors import DataError


def idx(values: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return header + values.astype(np.uint8).tobytes()


IMAGES = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
LABELS = np.array([3, 9], np.uint8)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("stem", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
def test_a_split_is_found_and_read(tmp_path: Path, ending: str, stem: str) -> None:
    pack = gzip.compress if ending else bytes
    (tmp_path / f"{stem}{ending}").write_bytes(pack(idx(IMAGES)))
    (tmp_path / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(idx(LABELS)))
    found, missing = find_files(tmp_path)
    assert missing == ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    images, labels = read_split(*found["train"])
    assert images.dtype == labels.dtype == np.uint8
    assert (images == IMAGES.reshape(2, 784)).all()
    assert labels.tolist() == [3, 9]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello world", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x08\x01\0\0", "not an IDX file"),
        (idx(IMAGES), "not an IDX file of 1-dimensional"),
        (b"\0\0\x09\x01\0\0\0\x01\0", "not an IDX file"),
        (idx(LABELS)[:-1], "cut short"),
        (idx(LABELS) + b"x", "goes on after"),
        (b"\0\0\x08\x01\0\0\0\0", "not a data set"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "not a data set"),
    ],
)
def test_a_damaged_file_is_said_to_be(tmp_path: Path, content: bytes, said: str) -> None:
    for name, data in (("labels", content), ("labels.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=said) as error:
            read_idx(tmp_path / name, 1)
        assert str(tmp_path / name) in str(error.value)


def test_damaged_compression_is_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "labels.gz"
    whole = gzip.compress(idx(np.zeros(10_000)))
    for content, said in (
        (whole[:-20], "cut short"),
        (b"no gzip", "is no gzip file"),
        (whole[:10] + b"\xff" * 40, "gzip"),
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_idx(file, 1)


def test_images_of_another_size_labels_out_of_range_and_unequal_counts(tmp_path: Path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    # Refused by its header alone: the values that it promises are not there.
    images.write_bytes(idx(np.zeros((2, 27, 28)))[:16])
    labels.write_bytes(idx(LABELS))
    with pytest.raises(DataError, match="images of 27×28 pixels; bntui takes"):
        read_split(images, labels)
    images.write_bytes(idx(IMAGES))
    labels.write_bytes(idx(np.array([1, 10])))
    with pytest.raises(DataError, match="label 10 of sample 1 is not in 0 to 9"):
        read_split(images, labels)
    labels.write_bytes(idx(np.array([1, 2, 3])))
    with pytest.raises(DataError, match="has 2 images, labels 3 labels"):
        read_split(images, labels)


@given(st.binary(max_size=64), st.sampled_from([1, 3]))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, ndim: int) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    for prefix in (b"", bytes((0, 0, 8, ndim)), bytes((0, 0, 8, ndim, 0, 0, 0, 1))):
        file.write_bytes(prefix + content)
        try:
            assert read_idx(file, ndim).ndim == ndim
        except DataError as error:
            assert str(file) in str(error)


def test_the_real_files(fashion_mnist: Path) -> None:
    found, missing = find_files(fashion_mnist)
    assert not missing
    for split, count in (("train", 60_000), ("validation", 10_000)):
        images, labels = read_split(*found[split])
        assert images.shape == (count, 784)
        assert np.bincount(labels).tolist() == [count // 10] * 10
