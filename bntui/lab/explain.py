"""`bntui explain`: a batch through layers of batch normalization and ReLU and back, each step with its numbers."""

from __future__ import annotations

import csv
import io
import math
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from rich.cells import cell_len

from bntui.errors import UsageError
from bntui.lab.batch_norm import SENTENCES, X_HAT, Step, backward_steps, eval_steps, forward_steps
from bntui.lab.transform import Array, BatchNorm, Forward, backward, forward, track
from bntui.stdout import put
from bntui.text import to_ascii

EXAMPLE = np.array([[1.0, 40.0, 2.0], [2.0, 20.0, 1.0], [4.0, 10.0, 3.0], [5.0, 30.0, 30.0]])
"""Four samples of three channels: of small numbers, of large ones, and with one that lies far from the others."""
SIZE_LIMIT = 16 << 20
MAX_ROWS, MAX_CHANNELS = 12, 8
"""Of a matrix, so much is printed; the rest is computed all the same."""
LINE, CELL = 80, 10
"""Cells of a line, and of a number in it."""


def run_explain(data_file: str | None, layers: int, eps: float, momentum: float) -> int:
    """Print the explanation of a CSV file, or of the example, and return the exit code.

    Raises
    ------
    UsageError
        The file can't be read, or is no table of numbers.
    """
    x = EXAMPLE if data_file is None else read_batch(data_file)
    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    for line in explain(x, layers, eps, momentum, ascii_only=not unicode):
        put(line)
    return 0


def read_batch(path: str) -> Array:
    """Return the numbers of a CSV file, [samples, channels]; a first row of names is passed over.

    Raises
    ------
    UsageError
        The file can't be read, or is no table of at least two rows of finite numbers.
    """
    named = f"--data-file {path}"
    try:
        with Path(path).open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
        if len(raw) > SIZE_LIMIT:
            raise UsageError(f"{named}: larger than 16 MiB; a batch of some hundred rows tells as much")
        rows = [row for row in csv.reader(io.StringIO(raw.decode("utf-8-sig")), strict=True) if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or "not text" if not isinstance(error, csv.Error) else str(error)
        raise UsageError(f"{named}: can't be read ({why}); name a CSV file with a row a sample") from None
    if rows and not any(_number(cell) is not None for cell in rows[0]):
        del rows[0]
    if len(rows) < 2:
        raise UsageError(f"{named}: has {len(rows)} rows of numbers; a batch needs two at least")
    values: list[list[float]] = []
    for i, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise UsageError(f"{named}: row {i} has {len(row)} columns, the first has {len(rows[0])}")
        numbers = [_number(cell) for cell in row]
        for j, number in enumerate(numbers, 1):
            if number is None or not abs(number) < 1e100:
                raise UsageError(f"{named}: row {i}, column {j} is {row[j - 1][:20]!r}; write a finite number")
        values.append([number for number in numbers if number is not None])
    return np.array(values)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else math.inf


_Told: TypeAlias = tuple[str, list[str]]
"""A line, and rows of numbers at the right: the first stands beside it if there is room."""


def explain(
    x: Array, layers: int = 1, eps: float = 1e-5, momentum: float = 0.1, *, ascii_only: bool = False
) -> Iterator[str]:
    """Yield the lines of the explanation.

    Parameters
    ----------
    x
        Batch, [samples, channels], of at least two samples.
    layers
        How many times batch normalization and ReLU follow each other. All have γ 1 and β 0, but of several the last
        γ 0.8 and β -0.2, so that these can be seen at work.
    eps, momentum
        Of every layer.
    ascii_only
        Whether formulas are written in ASCII.
    """
    for line, rows in _explain(x, layers, eps, momentum):
        title = to_ascii(line.replace("·", "*")) if ascii_only else line
        free = LINE - cell_len(title)
        if rows and free >= len(rows[0]):
            yield title + rows[0].rjust(free)
            rows = rows[1:]
        else:
            yield title
        for row in rows:
            yield (to_ascii(row) if ascii_only else row).rjust(LINE)


def _explain(x: Array, layers: int, eps: float, momentum: float) -> Iterator[_Told]:
    m, channels = x.shape
    times = "" if layers == 1 else f"{layers} × "
    yield from _say(
        f"{m} samples × {channels} channels through {times}(batch normalization, ReLU), and back.",
        "A row is a sample, a column is a channel: each channel is normalized on its own.",
    )
    new = BatchNorm.new(channels, eps, momentum)
    last = BatchNorm(0.8 * new.weight, new.bias - 0.2, new.running_mean, new.running_var, eps, momentum)
    stack = [new] * (layers - 1) + [last if layers > 1 else new]
    passes: list[Forward] = []
    z = x
    for number, layer in enumerate(stack, 1):
        done = forward(layer, z, training=True)
        passes.append(done)
        z = np.maximum(done.y, 0)
        yield from _say("", f"Layer {number}, forward, train mode")
        yield from _tell_forward(layer, done, z)
    dz = np.broadcast_to(np.arange(1, m + 1)[:, None] / m, x.shape)
    loss = float((dz * z).sum())
    yield from _say(
        "",
        f"Loss: L = Σ i · z ÷ m, where i is the number of the sample: {loss:.6g}",
        "So ∂L/∂z = i ÷ m. Where y > 0, ∂y is the same; elsewhere the ReLU makes it 0.",
    )
    for number, (layer, done) in reversed(list(enumerate(zip(stack, passes, strict=True), 1))):
        dy = dz * (done.y > 0)
        back = backward(layer, done, dy)
        yield from _say("", f"Layer {number}, backward, train mode")
        yield from _tell(backward_steps(dy, back), layer)
        dz = back.x
    after = track(stack[0], passes[0])
    done = forward(after, x, training=False)
    *steps, step = eval_steps(done, backward(after, done, np.ones_like(x)))
    yield from _say("", "Layer 1, eval mode, after this one batch")
    yield from _tell((*steps, replace(step, values=step.values[0], remark="of each sample, for ∂y = 1")), after)
    yield from _say("", *SENTENCES)


def _say(*lines: str) -> Iterator[_Told]:
    for line in lines:
        yield from ((part, []) for part in textwrap.wrap(line, LINE) or [""])


def _tell_forward(layer: BatchNorm, done: Forward, z: Array) -> Iterator[_Told]:
    *steps, scale, mean, variance = forward_steps(layer, done, track(layer, done))
    scale = replace(scale, remark=f"γ {layer.weight[0]:g}, β {layer.bias[0]:g}")
    told = (Step("input", "x", done.x), *steps, scale, Step("ReLU", "z = max(0, y)", z), mean, variance)
    yield from _tell(told, layer)


def _tell(steps: Iterable[Step], layer: BatchNorm) -> Iterator[_Told]:
    """Yield the lines of steps; of what equals the step before, as γ is 1 and β 0, no number is repeated."""
    same = {
        "4 scale and shift": (f"the same as {X_HAT}", (layer.weight == 1).all() and (layer.bias == 0).all()),
        "3 normalized": ("the same as ∂y, as γ is 1", (layer.weight == 1).all()),
    }
    for step in steps:
        said, repeated = same.get(step.label, ("", False))
        remark = "; ".join(part for part in (step.remark, said if repeated else "") if part)
        title, rows = f"  {step.label:<18}{step.formula}", [] if repeated else _rows(step.values)
        beside = f"{title}   {remark}" if remark else title
        if cell_len(beside) > LINE:
            yield title, []
            beside = f"{'':<20}{remark}"
        yield beside, rows


def _rows(values: Array) -> list[str]:
    """Write a vector or a matrix as far as it is shown."""
    matrix = np.atleast_2d(values)
    more = f"  … {matrix.shape[1] - MAX_CHANNELS:,} more" if matrix.shape[1] > MAX_CHANNELS else ""
    rows = ["".join(_cell(float(value)) for value in row[:MAX_CHANNELS]) + more for row in matrix[:MAX_ROWS]]
    return rows if len(matrix) <= MAX_ROWS else [*rows, f"… {len(matrix) - MAX_ROWS:,} more rows"]


def _cell(value: float) -> str:
    plain = f"{value + 0.0:.4f}"
    fits = value == 0 or (abs(value) >= 1e-3 and len(plain) < CELL)
    return (plain if fits else f"{value:.2e}").rjust(CELL)
