"""What the terminal can show: characters, and the colours of a dark or a light background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.scrollbar import ScrollBarRender
from textual.theme import Theme

from bntui.messages.arms import Arm
from bntui.text import to_ascii

COLOURS = {
    "dark": ("#5fafff", "#ff8700", "#5fff87", "#ff0087", "#ffff5f", "#875fff"),
    "light": ("#005fd7", "#d75f00", "#870087", "#d75faf", "#870000", "#0000af"),
}
"""The accents of the arms, in their order. Each is exact in the 256-colour cube. Any two are told apart by people with
any kind of colour blindness, and become two colours, and not the background, where a terminal has only sixteen."""
WARNINGS = {"dark": "#ff5f5f", "light": "#d70000"}
"""What an alert stands out with, beside its sign."""
GLYPHS, ASCII_GLYPHS = "●■▲◆▼★", "*o+x#@"
"""What tells curves apart without colour, in the order of the arms."""

THEMES = {
    "dark": Theme("bntui-dark", primary=COLOURS["dark"][0], secondary=COLOURS["dark"][1], foreground="#e4e4e4",
                  background="#121212", surface="#1c1c1c", panel="#262626", dark=True),
    "light": Theme("bntui-light", primary=COLOURS["light"][0], secondary=COLOURS["light"][1], foreground="#1c1c1c",
                   background="#ffffff", surface="#eeeeee", panel="#e4e4e4", dark=False),
}  # fmt: skip


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
    few_colours: bool = False
    """Whether the terminal has sixteen colours: sizes are then told by characters."""

    @property
    def solid(self) -> bool:
        """Whether a value can be told by the colour of a cell."""
        return self.coloured and not self.few_colours and not self.ascii_only

    @property
    def ascii_only(self) -> bool:
        """Whether nothing but ASCII may be shown."""
        return self.marker == "ascii"

    @property
    def colours(self) -> tuple[str, ...]:
        """`#rrggbb` of each arm in its order, for as many as there can be; empty where there are no colours."""
        colours = COLOURS[self.theme]
        return colours if self.coloured else ("",) * len(colours)

    @property
    def glyphs(self) -> str:
        """What tells the arms apart without colour, in their order."""
        return ASCII_GLYPHS if self.ascii_only else GLYPHS

    @property
    def warning(self) -> str:
        """Style of an alert."""
        return f"bold {WARNINGS[self.theme]}" if self.coloured else "bold"

    def of(self, arms: Sequence[Arm]) -> dict[str, tuple[str, str]]:
        """Return each arm's glyph and colour, by its name."""
        return {arm.name: pair for arm, pair in zip(arms, zip(self.glyphs, self.colours, strict=True), strict=False)}

    def text(self, text: str) -> str:
        """Return the text as it can be shown."""
        return to_ascii(text) if self.ascii_only else text
