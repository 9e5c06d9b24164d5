"""Read the IDX files that MNIST and its relatives come in, plain or gzipped, and trust nothing in them.

The format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, a type, the number of dimensions, each dimension as a
big-endian 32-bit integer, then the values).
"""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError

SIDE = 28
CLASSES = 10
MAX_SAMPLES = 10_000_000
_CHUNK = 1 << 20
MOST_UNPACKED, MOST_PACKED = 64 << 20, 200
"""Bytes that a gzip file may unpack to, or else so many times its own: images are packed to a tenth."""

STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "validation": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Base names of the image and the label file of each split."""


def find_files(folder: Path) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Look for the four files in a folder; an unpacked one is preferred to its .gz.

    Returns
    -------
    found
        For each split whose two files exist: paths of the images and the labels.
    missing
        Base names of the files that do not exist.
    """
    found: dict[str, tuple[Path, Path]] = {}
    missing: list[str] = []
    for split, stems in STEMS.items():
        paths = []
        for stem in stems:
            spellings = [stem, stem.replace("-idx", ".idx")]
            candidates = [folder / f"{name}{ending}" for ending in ("", ".gz") for name in spellings]
            try:
                path = next((c for c in candidates if c.exists()), None)
            except OSError as error:
                why = error.strerror or error
                raise DataError(f"{folder}: can't be read ({why}); check its permissions") from None
            if path is None:
                missing.append(stem)
            else:
                paths.append(path)
        if len(paths) == 2:
            found[split] = (paths[0], paths[1])
    return found, missing


def read_split(images_path: Path, labels_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one split.

    Returns
    -------
    images, labels
        uint8 of shape [samples, 784], 0 background to 255 ink, and uint8 of shape [samples] from 0 to 9.

    Raises
    ------
    DataError
        A file can't be read, is not IDX, has another shape than its header says or than 28×28, a label is not a
        digit, or the two files differ in their number of samples.
    """
    images = read_idx(images_path, 3)
    labels = read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} has {len(images):,} images, {labels_path.name} {len(labels):,} labels; get both again"
        )
    if len(labels) and labels.max() >= CLASSES:
        raise DataError(
            f"{labels_path}: label {labels.max()} of sample {labels.argmax():,} is not in 0 to 9; get it again"
        )
    return images.reshape(len(images), SIDE * SIDE), labels


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes: labels (1 dimension) or images of 28×28 (3 dimensions).

    Raises
    ------
    DataError
        As for `read_split`.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: is not a file; put the IDX file there")
        with path.open("rb") as plain:
            if path.suffix != ".gz":
                return _read_stream(plain, path, dimensions, sys.maxsize)
            with gzip.open(plain) as stream:
                limit = max(MOST_UNPACKED, MOST_PACKED * path.stat().st_size)
                return _read_stream(cast(IO[bytes], stream), path, dimensions, limit)
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: is no gzip file, or a damaged one; get it again") from None
    except EOFError:
        raise DataError(f"{path}: the gzip file is cut short; get it again") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}); check the file's permissions") from None


def _read_stream(stream: IO[bytes], path: Path, dimensions: int, limit: int) -> NDArray[np.uint8]:
    size = 4 + 4 * dimensions
    header = stream.read(size)
    if not header:
        raise DataError(f"{path}: the file is empty; get it again")
    if header[:4] != bytes((0, 0, 8, dimensions)) or len(header) < size:
        raise DataError(f"{path}: not an IDX file of {dimensions}-dimensional bytes; get it again")
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(4, size, 4))
    if shape[1:] not in ((), (SIDE, SIDE)):
        raise DataError(f"{path}: images of {shape[1]}×{shape[2]} pixels; bntui takes sets of 28×28 only")
    if not 0 < shape[0] <= MAX_SAMPLES:
        raise DataError(f"{path}: the header says {shape[0]:,} samples, which is not a data set; get it again")
    expected = int(np.prod(shape, dtype=np.int64))
    # Read piece by piece: a header that promises more than the file holds must not reserve the memory for it.
    values = bytearray()
    while len(values) <= expected and (piece := stream.read(min(_CHUNK, expected + 1 - len(values)))):
        values += piece
        if len(values) > limit:
            raise DataError(f"{path}: unpacks to more than {limit:,} bytes, as no images do; get it again")
    if len(values) != expected:
        said = "is cut short" if len(values) < expected else "goes on after its last value"
        raise DataError(f"{path}: {said} (the header promises {expected:,} values); get it again")
    return np.frombuffer(values, np.uint8).reshape(shape)
