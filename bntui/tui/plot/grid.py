"""A rectangle of characters and their styles."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Span, Text

from bntui.text import to_ascii


class Grid:
    """Characters and their styles by row and column; what falls outside is cut."""

    def __init__(self, width: int, height: int, ascii_only: bool) -> None:
        self.width, self.height, self.ascii_only = width, height, ascii_only
        self._chars = [[" "] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]

    def clean(self, string: str) -> str:
        """Replace what does not take exactly one cell, or is not ASCII where it has to be."""
        if self.ascii_only:
            string = to_ascii(string)
        if string.isascii() and string.isprintable():
            return string
        return "".join(
            c if c.isprintable() and cell_len(c) == 1 and (c.isascii() or not self.ascii_only) else "?" for c in string
        )

    def put(self, row: int, column: int, string: str, style: str) -> None:
        """Write from a cell to the right."""
        if 0 <= row < self.height:
            for i, char in enumerate(self.clean(string), column):
                if 0 <= i < self.width:
                    self._chars[row][i], self._styles[row][i] = char, style

    def lay(self, row: int, column: int, line: Text) -> None:
        """Lay a line of one-cell characters over what is there; its spaces leave that as it was."""
        if not 0 <= row < self.height:
            return
        plain, styles = line.plain, [""] * len(line.plain)
        for span in line.spans:
            styles[span.start : span.end] = [str(span.style)] * (min(span.end, len(plain)) - span.start)
        for i, (char, style) in enumerate(zip(plain, styles, strict=True), column):
            if 0 <= i < self.width and char != " ":
                self._chars[row][i], self._styles[row][i] = char, style

    def set(self, row: int, column: int, char: str, style: str) -> None:
        """Write a character of one cell that can be shown, within the rectangle."""
        self._chars[row][column], self._styles[row][column] = char, style

    def text(self) -> Text:
        """Return all of it, a span for each run of one style."""
        spans, at = [], 0
        for chars, styles in zip(self._chars, self._styles, strict=True):
            start = 0
            for i in range(1, len(styles) + 1):
                if i == len(styles) or styles[i] != styles[start]:
                    if styles[start]:
                        spans.append(Span(at + start, at + i, styles[start]))
                    start = i
            at += len(chars) + 1
        plain = "\n".join("".join(chars) for chars in self._chars)
        return Text(plain, spans=spans, no_wrap=True, overflow="crop", end="")
