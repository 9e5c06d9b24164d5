"""What curves are drawn with: glyphs, markers, colours."""

from __future__ import annotations

from rich.cells import cell_len

from bntui.tui.plot.raster import DOTS
from bntui.tui.theme import ASCII_GLYPHS, GLYPHS

GREY = "#767676"
_CUBE = (0, 95, 135, 175, 215, 255)
"""Levels of the colours that 256-colour terminals have."""


def glyph_of(glyph: str, marker: str, index: int, ascii_only: bool) -> str:
    """Return what tells a curve apart: its own glyph, or that of its place among the curves."""
    if not ascii_only:
        return glyph or GLYPHS[index % len(GLYPHS)]
    own = next((c for c in (glyph, marker) if len(c) == 1 and c.isascii() and c.isprintable() and c != " "), "")
    return own or ASCII_GLYPHS[index % len(ASCII_GLYPHS)]


def marker_of(marker: str, glyph: str, ascii_only: bool) -> str:
    """Return the name of a fine marker, or a character."""
    if ascii_only:
        return glyph
    usable = marker in DOTS or (len(marker) == 1 and marker.isprintable() and cell_len(marker) == 1)
    return marker if usable else "hd"


def style_of(colour: str, colours: bool, light: bool, few_colours: bool, *, faint: bool) -> str:
    """Return the colour; of what is faint half of it, towards the background, or grey where there are no halves."""
    if not colours or not colour:
        return "dim" if faint else ""
    if not faint:
        return colour
    if few_colours:
        return GREY
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    halves = [min(_CUBE, key=lambda level: abs(level - (part + 255 * light) / 2)) for part in parts]
    return "#{:02x}{:02x}{:02x}".format(*halves)
