"""Tests of the digit generator: its contract, its exact bytes and how hard its digits are."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bntui.data.digits import generate

_SHA256 = "96f01d91ec5115e26a8b0aecbc2f88f1848a46bf84dfea40edc530a3d981fead"


def test_shapes_types_and_range() -> None:
    """Images and labels have the promised shapes and types, and use the range like pen on paper."""
    images, labels = generate(1500, seed=5)
    assert images.shape == (1500, 28, 28)
    assert labels.shape == (1500,)
    assert images.dtype == labels.dtype == np.uint8
    assert images.min() == 0
    assert images.max() > 240
    assert 0.10 < images.mean() / 255 < 0.16


def test_bytes_are_fixed() -> None:
    """The bytes are the same on every machine."""
    images, labels = generate(2000, seed=1)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == _SHA256


@pytest.mark.parametrize("count", [1, 7, 1000, 1001])
def test_shorter_is_a_prefix(count: int) -> None:
    """Fewer images are the first ones of more images."""
    images, labels = generate(2100, seed=2, split=1)
    fewer, named = generate(count, seed=2, split=1)
    assert fewer.shape == (count, 28, 28)
    assert np.array_equal(fewer, images[:count])
    assert np.array_equal(named, labels[:count])


def test_streams_differ() -> None:
    """Every seed, split and chunk has its own labels and images, large seeds included."""
    keys = [(1, 0), (1, 1), (2, 0), (2, 1), (1 << 32, 0), ((1 << 64) - 1, 0)]
    runs = [generate(2000, seed=seed, split=split) for seed, split in keys]
    chunks = [(images[k : k + 1000], labels[k : k + 1000]) for images, labels in runs for k in (0, 1000)]
    for i, (images, labels) in enumerate(chunks):
        assert len(np.unique(images.reshape(1000, -1), axis=0)) == 1000
        for other, named in chunks[:i]:
            assert 0.04 < np.mean(labels == named) < 0.16
            assert not np.any(np.all(images == other, axis=(1, 2)))


def test_labels_are_balanced() -> None:
    """Each of the ten digits has about a tenth of the images."""
    _, labels = generate(10_000, seed=3)
    counts = np.bincount(labels, minlength=10)
    assert counts.shape == (10,)
    assert counts.min() > 870
    assert counts.max() < 1130


def test_border_does_not_tell_the_class() -> None:
    """The background's noise has the same level in every class."""
    images, labels = generate(10_000, seed=3)
    corner = images[:, :3, :3].reshape(len(images), -1)
    level = np.array([np.median(corner[labels == digit], axis=0).mean() for digit in range(10)])
    assert level.max() - level.min() < 1.5


def test_difficulty() -> None:
    """The nearest class mean is often right, and often wrong."""
    images, labels = generate(5000, seed=4)
    others, truth = generate(1000, seed=4, split=1)
    points, queries = (part.reshape(len(part), -1) / 255 for part in (images, others))
    means = np.stack([points[labels == digit].mean(axis=0) for digit in range(10)])
    distances = ((queries[:, None, :] - means) ** 2).sum(axis=2)
    assert 0.4 < np.mean(distances.argmin(axis=1) == truth) < 0.9


def test_progress() -> None:
    """Progress grows to the whole count."""
    seen: list[tuple[int, int]] = []
    generate(2500, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1000, 2500), (2000, 2500), (2500, 2500)]


def test_progress_may_cancel() -> None:
    """An exception from progress ends the work at once and reaches the caller; a new run is not affected."""
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        generate(50_000, seed=1, progress=stop)
    assert calls == [1000]
    images, labels = generate(2000, seed=1)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == _SHA256


@pytest.mark.parametrize(
    ("count", "seed", "split"), [(0, 1, 0), (-1, 1, 0), (1, -1, 0), (1, 1 << 64, 0), (1, 1, -1), (1, 1, 1 << 32)]
)
def test_refuses_bad_arguments(count: int, seed: int, split: int) -> None:
    """Numbers out of range are refused."""
    with pytest.raises(ValueError, match="must be"):
        generate(count, seed=seed, split=split)
