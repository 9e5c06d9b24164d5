"""Handwriting-like digits drawn by the program itself: an offline stand-in for MNIST.

Every image is a pen stroke template (control points of a few curves per digit, jittered into many variants) seen
through a random affine map and a smooth random warp, drawn with a soft-edged pen, plus a few specks, gaps and noise.
The bytes depend on nothing but the seed, the split and the image's position: only exactly rounded elementwise
operations and the stable raw streams of PCG64 are used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["generate"]

_F = np.float32
_Floats = NDArray[np.float32]
_Bytes = NDArray[np.uint8]
_Arc = tuple[int, int, int, int]

_SIDE = 28
_CHUNK = 1000  # images drawn at once; part of what defines a stream
_NORMALS = 33  # normal variates per image
_ROWS, _COLUMNS = 64, 48
_CELL = 2.25  # table cells per pixel of an image at scale 1
_FAR = 100.0  # a distance beyond any pen's reach
_VARIANTS = 12  # jittered copies of each template
_STEP = 1.0  # distance in pixels between the points that stand for a curve

# How varied the digits are, and so how hard to tell apart: standard deviations unless said otherwise, in pixels.
_JITTER = 0.85  # control points
_SHIFT = 1.2  # position
_ROTATION = 0.06  # tangent of half the angle
_SCALE = 0.1  # size, relative
_ASPECT = 0.07  # width against height, relative
_SLANT, _LEAN = 0.2, 0.1  # shear, and its mean
_WARP = 0.55  # knots of the smooth warp
_PEN, _PEN_MEAN, _PEN_LEAST = 0.25, 1.15, 0.6  # half the stroke's width, its mean, its least
_SPECK, _GAP = 0.6, 1.1  # radius (fixed) of a dot of ink and of a hole, one of each in every image
_NOISE = 14  # greatest change of a pixel, in grey levels

# Four templates per digit. A stroke is a smooth curve through points of two base-36 figures each: x in a box 14 wide,
# then y, downwards, in its height of 20. "|" lifts the pen, also to make a corner.
_TEMPLATES = (
    "70241a2g7kcgdac470 90543a3g6kagcac490 c371251c5jbhdab460 71262d7jcec671",
    "707a7k 3480|808a7k 3480|808a7k|3kck 907a5k",
    "154190c4aa5f1k|1k7kdk 1450b1c68d4j1i3f8iej 2370b3a95f1j|1j6hdk 263281c49a2i2k7idi",
    "1260b2a759|59bbdf9j4k0h 1171c1|c168|68cbch7k1i 2370b49869abcf8k1i 2180c48869598acdai2k",
    "31261b|1b7bda|a2ab9k 21184cca|c1baak a0571d|1d7ded|a0aaak 40273b8bc8|c2bb8k",
    "c18131|3129|2987dcai5k0i d061468ace9j2k 4138|3888cd8j1j|4181d0 c152|5238|389abf7k1h",
    "a0461d3j9jcf9b4c2f 60291g6kbhac5b2f c1632a2h7kchbc6b2e 80472f5k9i9d6d3h",
    "1272d1|d18a5k 1271d1|d19a7k|4b8ada 1521|2182d1|d1a99k 1361b1c48b4k",
    "b3602469bdai5k1g4ba7b3 70323779b7b270|792c2i7kcicc79 c1613479be9j4j3f7ac5 a27043689d9i6k4h6ba6a2",
    "b47124398ac5|c2bbak c47024398ac4|c4cd9j3k b261254998b2|b29b7k c380332769b6c3|c3bcck",
)
_PER_DIGIT = 4 * _VARIANTS


def _raw(words: int, *key: int) -> NDArray[np.uint64]:
    """Uint64 ``[words]``, laid out little-endian on every machine: the raw stream of a key of 32-bit integers."""
    stream = np.random.PCG64(np.random.SeedSequence(key)).random_raw(words)
    return np.asarray(stream, dtype="<u8")


def _normal(words: NDArray[np.uint64]) -> _Floats:
    """Float32 of the shape of ``words``: nearly normal(0, 1), never beyond 3.5, as sums of four 16-bit uniforms."""
    low = np.uint64(0xFFFF)
    total = words & low
    for shift in (16, 32, 48):
        total = total + ((words >> np.uint64(shift)) & low)
    # One 16-bit uniform has the variance 65536 ** 2 / 12, so the sum has the standard deviation 65536 / sqrt(3).
    values: _Floats = (total.astype(_F) - _F(131070.0)) * _F(sqrt(3.0) / 65536.0)
    return values


def _below(words: NDArray[np.uint64], bound: int) -> NDArray[np.intp]:
    """Intp of the shape of ``words``: uniform in ``0 .. bound - 1``."""
    half = np.uint64(32)
    values: NDArray[np.intp] = (((words >> half) * np.uint64(bound)) >> half).astype(np.intp)
    return values


def _curve(template: str) -> tuple[list[tuple[float, float]], list[tuple[_Arc, float]]]:
    """Control points in pixels from the centre; per drawn point the controls and parameter of its Catmull-Rom arc."""
    nodes: list[tuple[float, float]] = []
    dots: list[tuple[_Arc, float]] = []
    for stroke in template.split("|"):
        path: list[int] = []
        for x, y in zip(stroke[::2], stroke[1::2], strict=True):
            node = (int(x, 36) - 7.0, int(y, 36) - 10.0)
            if node not in nodes:  # points named twice are joints and must move together
                nodes.append(node)
            path.append(nodes.index(node))
        closed = path[0] == path[-1]
        extended = [path[-2] if closed else path[0], *path, path[1] if closed else path[-1]]
        for k in range(len(path) - 1):
            arc = (extended[k], path[k], path[k + 1], extended[k + 3])
            (x0, y0), (x1, y1) = nodes[arc[1]], nodes[arc[2]]
            pieces = int(sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)) / _STEP) + 1
            dots += [(arc, j / pieces) for j in range(pieces + (k == len(path) - 2))]
    return nodes, dots


@lru_cache(maxsize=1)
def _tables() -> _Floats:
    """Float32, flat ``[digit, template, variant, row, column]``: the distance to the pen's path, in pixels."""
    rows, columns = ((np.arange(size, dtype=_F) + _F(0.5 - size / 2)) / _F(_CELL) for size in (_ROWS, _COLUMNS))
    tables = np.empty((40, _VARIANTS, _ROWS, _COLUMNS), dtype=_F)
    for number, template in enumerate(" ".join(_TEMPLATES).split()):
        nodes, dots = _curve(template)
        jitter = _normal(_raw(_VARIANTS * len(nodes) * 2, 0, number)).reshape(_VARIANTS, len(nodes), 2)
        control = np.asarray(nodes, dtype=_F) + _F(_JITTER) * jitter
        best = tables[number]
        best.fill(_FAR * _FAR)
        scratch = np.empty_like(best)
        a, b, c, d = (control[:, [arc[k] for arc, _ in dots]] for k in range(4))
        t = np.asarray([t for _, t in dots], dtype=_F)[:, None]
        points = b + _F(0.5) * t * ((c - a) + t * ((a * 2 - b * 5 + c * 4 - d) + t * ((b - c) * 3 + d - a)))
        dx, dy = columns - points[:, :, :1], rows - points[:, :, 1:]
        dx *= dx
        dy *= dy
        for k in range(len(dots)):
            np.add(dx[:, k, None, :], dy[:, k, :, None], out=scratch)
            np.minimum(best, scratch, out=best)
        np.sqrt(best, out=best)
    # Whatever lies outside the table is read from its border, which must be empty.
    tables[:, :, [0, -1], :] = _FAR
    tables[:, :, :, [0, -1]] = _FAR
    return tables.reshape(-1)


def _chunk(seed: int, split: int, index: int) -> tuple[_Bytes, _Bytes]:
    """Images uint8 ``[_CHUNK, 28, 28]`` and labels uint8 ``[_CHUNK]``: one whole chunk of a stream."""
    n = _CHUNK
    words = _raw(n * (2 + _NORMALS + _SIDE * _SIDE // 8), 1, seed & 0xFFFFFFFF, seed >> 32, split, index)
    labels = _below(words[:n], 10)
    variants = labels * _PER_DIGIT + _below(words[n : 2 * n], _PER_DIGIT)
    z = iter(_normal(words[2 * n : (2 + _NORMALS) * n]).reshape(_NORMALS, n, 1))
    noise = words[(2 + _NORMALS) * n :].view(np.uint8).reshape(n, _SIDE, _SIDE)

    # From pixels to table cells: scale, shear, then a rotation by the rational half-angle formulas. The column is
    # across_x(x) + across_y(y) and the row down_x(x) + down_y(y), which leaves one addition per pixel and axis.
    axis = np.arange(_SIDE, dtype=_F) - _F((_SIDE - 1) / 2)
    half = next(z) * _F(_ROTATION)
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    size, aspect = 1 + next(z) * _F(_SCALE), next(z) * _F(_ASPECT)
    wide, high = (size + aspect) * _F(_CELL), (size - aspect) * _F(_CELL)
    slant = next(z) * _F(_SLANT) + _F(_LEAN)
    x, y = axis - next(z) * _F(_SHIFT), axis - next(z) * _F(_SHIFT)
    across_x, across_y = (cosine + slant * sine) * wide * x, (slant * cosine - sine) * wide * y + _F(_COLUMNS / 2)
    down_x, down_y = sine * high * x, cosine * high * y + _F(_ROWS / 2)
    # The smooth warp: random heights at five knots, blended by a cubic, for each of the four functions.
    knots = (axis + _F(_SIDE / 2)) * _F(4 / _SIDE)
    for line in (across_x, across_y, down_x, down_y):
        for knot in range(5):
            hat = np.maximum(1 - np.abs(knots - _F(knot)), 0)
            line += next(z) * (hat * hat * (3 - 2 * hat) * _F(_WARP * _CELL))

    work = np.empty((n, _SIDE, _SIDE), dtype=_F)
    cells = np.empty(work.shape, dtype=np.intp)
    np.add(down_x[:, None, :], down_y[:, :, None], out=work)
    np.clip(work, 0, _ROWS - 1, out=work)
    cells[...] = work.astype(np.int32)
    cells *= _COLUMNS
    np.add(across_x[:, None, :], across_y[:, :, None], out=work)
    np.clip(work, 0, _COLUMNS - 1, out=work)
    cells += work.astype(np.int32)
    cells += (variants * (_ROWS * _COLUMNS))[:, None, None]
    ink = _tables().take(cells, mode="clip")

    # From here on ``ink`` is the distance to the ink's edge, negative inside.
    ink -= np.maximum(_F(_PEN_MEAN) + next(z) * _F(_PEN), _F(_PEN_LEAST))[:, :, None]
    for radius, merge, sign in ((_SPECK, np.minimum, 1), (_GAP, np.maximum, -1)):
        x, y = axis - next(z) * _F(6), axis - next(z) * _F(6)
        np.add((x * x)[:, None, :], (y * y)[:, :, None], out=work)
        np.sqrt(work, out=work)
        work -= _F(radius)
        work *= _F(sign)
        merge(ink, work, out=ink)
    ink *= (next(z) * _F(0.1) - _F(0.85))[:, :, None]
    ink += _F(0.5)
    np.clip(ink, 0, 1, out=ink)
    ink *= (next(z) * _F(10) + _F(235))[:, :, None]
    np.multiply(noise, _F(2 * _NOISE / 255), out=work)
    work -= _F(_NOISE)
    ink += work
    np.clip(ink, 0, 255, out=ink)
    return ink.astype(np.uint8), labels.astype(np.uint8)


def generate(
    count: int, *, seed: int, split: int = 0, progress: Callable[[int, int], None] | None = None
) -> tuple[_Bytes, _Bytes]:
    """Draw ``count`` digits, the first ones of an endless stream chosen by ``seed`` and ``split``.

    Parameters
    ----------
    count
        Number of images, at least 1.
    seed
        Any integer from 0 to ``2**64 - 1``.
    split
        0 for training, 1 for validation: independent streams of one seed (up to ``2**32 - 1``).
    progress
        Called with the numbers of images done and wanted after each chunk; an exception from it ends the work.

    Returns
    -------
    images, labels
        uint8 ``[count, 28, 28]``, 0 for the background and 255 for ink; uint8 ``[count]``, 0 to 9, equally likely.

    Raises
    ------
    ValueError
        If ``count``, ``seed`` or ``split`` is out of range.

    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, not {seed}")
    if not 0 <= split < 1 << 32:
        raise ValueError(f"split must be from 0 to 2**32 - 1, not {split}")
    images = np.empty((count, _SIDE, _SIDE), dtype=np.uint8)
    labels = np.empty(count, dtype=np.uint8)
    for index, start in enumerate(range(0, count, _CHUNK)):
        stop = min(start + _CHUNK, count)
        # A partial chunk is drawn whole and cut, so that a shorter run is a prefix of a longer one.
        drawn, named = _chunk(seed, split, index)
        images[start:stop], labels[start:stop] = drawn[: stop - start], named[: stop - start]
        if progress is not None:
            progress(stop, count)
    return images, labels
