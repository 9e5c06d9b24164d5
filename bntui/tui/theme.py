"""What the terminal can show: characters, and the colours of a dark or a light background."""

from __future__ import annotations

from dataclasses import dataclass

from textual.scrollbar import ScrollBarRender
from textual.theme import Theme

from bntui.text import to_ascii

THEMES = {
    "dark": Theme("bntui-dark", primary="#5fafff", secondary="#ff8700", foreground="#e4e4e4", background="#121212",
                  surface="#1c1c1c", panel="#262626", dark=True),
    "light": Theme("bntui-light", primary="#005fd7", secondary="#d75f00", foreground="#1c1c1c", background="#ffffff",
                   surface="#eeeeee", panel="#e4e4e4", dark=False),
}  # fmt: skip
"""Primary and secondary are the accents of the `bn` and the `plain` arm: a blue and an orange that colour-blind people
tell apart. Every colour is exact in the 256-colour cube."""

GLYPHS, ASCII_GLYPHS = "●■▲◆", "*o+x"
"""What tells curves apart without colour, in their order: the first two are the arms'."""


class AsciiScrollBar(ScrollBarRender):
    """A scroll bar without the eighths of blocks at its ends."""

    VERTICAL_BARS = HORIZONTAL_BARS = [" "] * 8


@dataclass(frozen=True)
class Look:
    """How things are drawn."""

    marker: str = "braille"
    """`braille`, `block` or `ascii`."""
    theme: str = "dark"
    """`dark` or `light`, as the terminal's background is."""
    coloured: bool = True

    @property
    def ascii_only(self) -> bool:
        """Whether nothing but ASCII may be shown."""
        return self.marker == "ascii"

    @property
    def colours(self) -> tuple[str, str]:
        """`#rrggbb` of the `bn` and the `plain` arm, empty where there are none."""
        theme = THEMES[self.theme]
        return (theme.primary, theme.secondary or "") if self.coloured else ("", "")

    @property
    def glyphs(self) -> tuple[str, str]:
        """What tells the arms apart without colour."""
        glyphs = ASCII_GLYPHS if self.ascii_only else GLYPHS
        return glyphs[0], glyphs[1]

    def text(self, text: str) -> str:
        """Return the text as it can be shown."""
        return to_ascii(text) if self.ascii_only else text
