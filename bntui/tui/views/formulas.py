"""Formulas as lines: each with a label, and with a number at the right."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping

from rich.cells import cell_len
from rich.text import Text

from bntui.lab.batch_norm import Step
from bntui.tui.theme import Look

BLOCK = 78
"""Cells of a block; several stand side by side where there is room."""
GAP = 2
"""Cells between two blocks."""
LABEL, CELL = 18, 12
"""Cells of a label, and of a number with what is before it."""
_NUMBER = r"-?\d+\.\d{4}\b|-?\d\.\d{3}e[+-]\d+|-?\b(?:nan|inf)\b"
"""A number that `ten_cells` wrote."""


class FormulaBlock:
    """Lines of steps, each a label, a formula and, at the right, a number."""

    def __init__(self, title: str, look: Look, colour: str, width: int) -> None:
        self._look, self._colour, self._width = look, colour, width
        self.lines = [Text().append(written(title, look)[:width], style="bold")]

    def tell(
        self, steps: Iterable[Step], samples: int, filled: Mapping[str, str] | None = None, gradients: bool = False
    ) -> None:
        """Add steps, each with its number, or with how many values it has.

        Below a formula stands the same with numbers in it, if there is one. A remark stands beside the formula, or
        below the one with numbers.
        """
        for step in steps:
            value = float(step.values[0]) if step.values.ndim == 1 else None
            write = gradient_cells if gradients else ten_cells
            number = f"{samples:,} values" if value is None else write(value)
            style = "dim" if value is None else self._colour
            numbers = (filled or {}).get(step.label, "")
            beside = f"   {step.remark}" if step.remark and not numbers else ""
            self._step(step.label, step.formula + beside, "" if numbers else number, style)
            if numbers:
                self._step("", numbers, number, style)
                if step.remark:
                    self.remark(step.remark, LABEL)

    def _step(self, label: str, formula: str, number: str, style: str) -> None:
        """Add a formula, on as many lines as it needs, and at the right of the last a number."""
        for line in self._wrap(self._written(formula), self._width - LABEL):
            text = Text(label.ljust(LABEL) + line)
            if self._colour:
                # Of what stands in a formula the values alone have the arm's colour.
                text.highlight_regex(_NUMBER, self._colour)
            self.lines.append(text)
            label = ""
        if number:
            if self.lines[-1].cell_len > self._width - CELL:
                self.lines.append(Text())
            self.lines[-1].pad_right(self._width - self.lines[-1].cell_len - len(number))
            self.lines[-1].append(number, style=style or None)

    def remark(self, text: str, indent: int = 0) -> None:
        """Add a sentence, on as many lines as it needs."""
        for line in self._wrap(self._written(text), self._width - indent):
            self.lines.append(Text(" " * indent).append(line, style="dim"))

    def _written(self, text: str) -> str:
        return written(text, self._look)

    def _wrap(self, text: str, width: int) -> list[str]:
        if cell_len(text) <= width:
            return [text]
        # A number stays with the spaces that fill it up, and where there is room what is in parentheses together.
        text = re.sub(r"(?<= ) +", lambda padding: "\xa0" * len(padding[0]), text)
        if width > 30:
            text = re.sub(r"\([^()]*\)", lambda group: group[0].replace(" ", "\xa0"), text)
        lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
        return [line.replace("\xa0", " ") for line in lines]


def written(text: str, look: Look) -> str:
    """Return a formula as it can be shown; in ASCII the dot is a product, not a dash."""
    return look.text(text.replace("·", "*") if look.ascii_only else text)


def ten_cells(value: float) -> str:
    """Write a number in ten cells."""
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value + 0.0:>10.4f}" if plain else f"{value:>10.3e}"


def gradient_cells(value: float) -> str:
    """Write a number in ten cells; unless it is 0, as a power of ten: gradients are small, of sizes far apart."""
    return f"{value:>10.3e}" if value else f"{'0':>10}"


def minus(value: float) -> str:
    """Write that a number is taken away; of a negative one, that its size is added."""
    return f"{'+' if value < 0 else '−'} {ten_cells(abs(value)).strip():>9}"
