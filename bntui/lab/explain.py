"""`bntui explain`: a batch through layers of batch normalization and ReLU and back, each step with its numbers."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bntui.errors import UsageError
from bntui.lab.batch_norm import SENTENCES, Step, backward_steps, eval_steps, forward_steps
from bntui.lab.transform import Array, BatchNorm, Forward, backward, forward, track
from bntui.stdout import put
from bntui.text import to_ascii

EXAMPLE = np.arange(1.0, 13.0).reshape(4, 3)
"""Four samples of three channels."""
SIZE_LIMIT = 16 << 20
MAX_ROWS, MAX_CHANNELS = 12, 8
"""Of a matrix, so much is printed; the rest is computed all the same."""


def run_explain(data_file: str | None, layers: int, eps: float, momentum: float) -> int:
    """Print the explanation of a CSV file, or of the example, and return the exit code.

    Raises
    ------
    UsageError
        The file can't be read, or is no table of numbers.
    """
    x = EXAMPLE if data_file is None else read_batch(data_file)
    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    for line in explain(x, layers, eps, momentum):
        put(line if unicode else to_ascii(line.replace("·", "*")))
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


def explain(x: Array, layers: int = 3, eps: float = 1e-5, momentum: float = 0.1) -> Iterator[str]:
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
    """
    m, channels = x.shape
    yield f"A batch of {m} samples × {channels} channels through {layers} × (batch normalization, ReLU), and back."
    new = BatchNorm.new(channels, eps, momentum)
    last = BatchNorm(0.8 * new.weight, new.bias - 0.2, new.running_mean, new.running_var, eps, momentum)
    stack = [new] * (layers - 1) + [last if layers > 1 else new]
    passes: list[Forward] = []
    z = x
    for number, layer in enumerate(stack, 1):
        done = forward(layer, z, training=True)
        passes.append(done)
        z = np.maximum(done.y, 0)
        yield from ("", f"Layer {number}, forward, train mode", "")
        yield from _tell_forward(layer, done, z)
    loss = float((z**2).mean())
    yield from ("", f"Loss: mean squared error against 0, L = Σ z² ÷ {z.size} = {loss:.6g}")
    dz = 2 * z / z.size
    for number, (layer, done) in reversed(list(enumerate(zip(stack, passes, strict=True), 1))):
        dy = dz * (done.y > 0)
        back = backward(layer, done, dy)
        yield from ("", f"Layer {number}, backward, train mode", "")
        yield from _tell(backward_steps(dy, back))
        dz = back.x
    after = track(stack[0], passes[0])
    done = forward(after, x, training=False)
    *steps, step = eval_steps(done, backward(after, done, np.ones_like(x)))
    yield from ("", "Layer 1, eval mode, after this one batch", "")
    yield from _tell((*steps, replace(step, remark="for ∂y = 1")))
    yield from ("", *SENTENCES)


def _tell_forward(layer: BatchNorm, done: Forward, z: Array) -> Iterator[str]:
    *steps, scale, mean, variance = forward_steps(layer, done, track(layer, done))
    scale = replace(scale, remark=f"γ {_same(layer.weight)}, β {_same(layer.bias)}")
    yield from _tell((Step("input", "x", done.x), *steps, scale, Step("ReLU", "z = max(0, y)", z), mean, variance))


def _tell(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield from _table(f"{step.label:<18}{step.formula}" + (f"   {step.remark}" if step.remark else ""), step.values)


def _same(values: Array) -> str:
    """Write the one value that all channels share."""
    return f"{values[0]:g}"


def _table(title: str, values: Array) -> Iterator[str]:
    """Yield a line of title and, indented, the rows of a vector or a matrix as far as they are shown."""
    yield f"  {title}"
    rows = np.atleast_2d(values)
    for row in rows[:MAX_ROWS]:
        shown = "".join(_cell(float(value)) for value in row[:MAX_CHANNELS])
        yield f"  {'':<16}{shown}" + (f"  … {len(row) - MAX_CHANNELS:,} more" if len(row) > MAX_CHANNELS else "")
    if len(rows) > MAX_ROWS:
        yield f"  {'':<18}… {len(rows) - MAX_ROWS:,} more rows"


def _cell(value: float) -> str:
    plain = value == 0 or 1e-3 <= abs(value) < 1e6
    return f"{value + 0.0:>12.4f}" if plain else f"{value:>12.3e}"
