"""The table of the explain view: what goes through one channel of a BN layer, a row a sample."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from bntui.lab.batch_norm import X_HAT
from bntui.tui.theme import Look
from bntui.tui.views.formulas import CELL, gradient_cells, ten_cells, written

if TYPE_CHECKING:
    from bntui.lab.transform import Array, Backward, Forward

_SAMPLE = 6
"""Cells of the number of a sample."""
ZERO = "0 (ReLU)"
"""A gradient that is 0 as the ReLU passed nothing on."""
ZEROS = f"{ZERO}: y ≤ 0, so the ReLU passes nothing on, and no gradient comes back."
STILL = "∂x is not 0 there: in train mode μ and σ² depend on every sample."


@dataclass(frozen=True)
class _Column:
    """One of the table's, a number a sample; where there is no room, those that rank highest are left out."""

    title: str
    values: Array
    rank: int
    gradient: bool = False
    zeros: bool = False
    """Whether it is 0 where the gradient from above is."""


@dataclass(frozen=True)
class SampleTable:
    """Rows of samples, of which a line is only made when it is asked for."""

    columns: Sequence[_Column]
    silent: Sequence[bool]
    """Of which samples the ReLU passed nothing on."""
    first: int
    samples: int
    notes: Sequence[str]
    look: Look
    colour: str
    width: int

    def within(self, width: int) -> SampleTable:
        """Return the columns that fit so many cells."""
        fitting = sorted(column.rank for column in self.columns)[: max(1, (width - _SAMPLE) // CELL)]
        return replace(self, columns=[column for column in self.columns if column.rank in fitting], width=width)

    def part(self, first: int, count: int) -> SampleTable:
        """Return some of the rows."""
        return replace(self, first=first, samples=min(count, len(self.silent) - first))

    @property
    def lines_around(self) -> list[Text]:
        """The titles of the columns, and what the marks mean."""
        names = [written(column.title, self.look) for column in self.columns]
        titles = "sample".rjust(_SAMPLE) + "".join(" " * (CELL - cell_len(name)) + name for name in names)
        told = [line for note in self.notes for line in textwrap.wrap(self.look.text(note), self.width)]
        return [Text().append(titles, style="bold"), *(Text().append(line, style="dim") for line in told)]

    def lines(self) -> list[Text]:
        """Return the lines of the table, what the marks mean in the last ones."""
        titles, *notes = self.lines_around
        return [titles, *(self._row(i) for i in range(self.first, self.first + self.samples)), *notes]

    def _row(self, sample: int) -> Text:
        text = Text().append(f"{sample + 1:>{_SAMPLE}}", style="dim")
        run = ""
        for column in self.columns:
            value = float(column.values[sample, 0])
            if column.zeros and value == 0 and self.silent[sample]:
                text.append(run, style=self.colour or None).append(f"{ZERO:>{CELL}}")
                run = ""
                continue
            run += f"{gradient_cells(value) if column.gradient else ten_cells(value):>{CELL}}"
        return text.append(run, style=self.colour or None)


def sample_table(
    passes: Sequence[tuple[Forward, Backward]], dy: Array, look: Look, colour: str, *, width: int, relu: bool
) -> SampleTable:
    """Return the table.

    Parameters
    ----------
    passes
        What happened, and then what would have in the other mode: forward and back.
    dy
        Gradient by y, [samples, 1].
    look, colour
        How it is drawn, and the arm's colour.
    width
        Cells there are.
    relu
        Whether y goes into a ReLU.
    """
    (done, back), (other, other_back) = passes
    mode, other_mode = ("train", "eval") if done.training else ("eval", "train")
    silent = [relu and bool(y <= 0) and bool(d == 0) for y, d in zip(done.y[:, 0], dy[:, 0], strict=True)]
    columns = [
        _Column("x", done.x, 0),
        _Column(f"{X_HAT} {mode}", done.x_hat, 3),
        _Column(f"y {mode}", done.y, 1),
        _Column(f"y {other_mode}", other.y, 5),
        _Column("∂y", dy, 4, gradient=True, zeros=True),
        _Column(f"∂{X_HAT}", back.x_hat, 7, gradient=True, zeros=True),
        _Column(f"∂x {mode}", back.x, 2, gradient=True, zeros=not done.training),
        _Column(f"∂x {other_mode}", other_back.x, 6, gradient=True, zeros=done.training),
    ]
    notes = [ZEROS, *([STILL] if done.training else [])] if relu else []
    return SampleTable(columns, silent, 0, len(silent), notes, look, colour, width).within(width)
