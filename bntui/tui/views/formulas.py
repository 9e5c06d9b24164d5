"""Formulas as lines: each with a label, and with a number at the right."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping

from rich.cells import cell_len
from rich.text import Text

from bntui.lab.batch_norm import Step
from bntui.tui.theme import Look

BLOCK = 78
"""Cells of a block; two of them stand side by side where there is room."""
GAP = 2
"""Cells between two blocks; a scroll bar takes as many."""
LABEL, CELL = 18, 12
"""Cells of a label, and of a number with what is before it."""


class FormulaBlock:
    """Lines of steps, each a label, a formula and, at the right, a number."""

    def __init__(self, look: Look, colour: str, width: int) -> None:
        self.lines: list[Text] = []
        self._look, self._colour, self._width = look, colour, width

    def title(self, text: str) -> None:
        """Add what the steps below it are of."""
        self.lines.append(Text().append(written(text, self._look), style="bold"))

    def tell(self, steps: Iterable[Step], filled: Mapping[str, str] | None = None, gradients: bool = False) -> None:
        """Add steps; those of a number a channel with it, and below it the formula with numbers in it if there is one.

        A remark stands beside the formula, or below the one with numbers.
        """
        for step in steps:
            value = float(step.values[0]) if step.values.ndim == 1 else None
            number = "" if value is None else gradient_cells(value) if gradients else ten_cells(value)
            numbers = (filled or {}).get(step.label, "")
            beside = f"   {step.remark}" if step.remark and not numbers else ""
            self.step(step.label, step.formula + beside, "" if numbers else number)
            if numbers:
                self.step("", numbers, number, self._colour)
                if step.remark:
                    self.remark(step.remark, LABEL)

    def step(self, label: str, formula: str, number: str = "", style: str = "") -> None:
        """Add a formula, on as many lines as it needs."""
        for line in self._wrap(formula, self._width - LABEL):
            self.lines.append(Text(label.ljust(LABEL)).append(line, style=style))
            label = ""
        if number:
            if self.lines[-1].cell_len > self._width - CELL:
                self.lines.append(Text())
            self.lines[-1].pad_right(self._width - self.lines[-1].cell_len - len(number))
            self.lines[-1].append(number, style=self._colour)

    def remark(self, text: str, indent: int = 0) -> None:
        """Add a sentence, on as many lines as it needs."""
        for line in self._wrap(text, self._width - indent):
            self.lines.append(Text(" " * indent).append(line, style="dim"))

    def end(self) -> None:
        """Leave a line free."""
        self.lines.append(Text())

    def _wrap(self, text: str, width: int) -> list[str]:
        text = written(text, self._look)
        if cell_len(text) <= width:
            return [text]
        # A number stays with the spaces that fill it up, and where there is room what is in parentheses together.
        text = re.sub(r"(?<= ) +", lambda padding: "\xa0" * len(padding[0]), text)
        if width > 30:
            text = re.sub(r"\([^()]*\)", lambda group: group[0].replace(" ", "\xa0"), text)
        lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
        return [line.replace("\xa0", " ") for line in lines]


def beside(left: list[Text], right: list[Text], room: int) -> list[Text]:
    """Return two blocks side by side, or one below the other where there is no room."""
    if room < 2 * BLOCK + GAP:
        return [*left, *right]
    lines = []
    for one, other in itertools.zip_longest(left, right, fillvalue=Text()):
        line = one.copy()
        line.pad_right(BLOCK + GAP - one.cell_len)
        lines.append(line.append_text(other))
    return lines


def written(text: str, look: Look) -> str:
    """Return a formula as it can be shown; in ASCII the dot is a product, not a dash."""
    return look.text(text.replace("·", "*") if look.ascii_only else text)


def ten_cells(value: float) -> str:
    """Write a number in ten cells."""
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value + 0.0:>10.4f}" if plain else f"{value:>10.3e}"


def gradient_cells(value: float) -> str:
    """Write a number in ten cells, always as a power of ten: gradients are small, and their sizes lie far apart."""
    return f"{value + 0.0:>10.3e}"


def minus(value: float) -> str:
    """Write that a number is taken away; of a negative one, that its size is added."""
    return f"{'+' if value < 0 else '−'} {ten_cells(abs(value)).strip():>9}"
