"""Values as cells of colour, or of characters where there are no colours: heat maps and their legends."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Span, Text

from bntui.tui.plot.axes import brief
from bntui.tui.theme import Look

DIVERGING = {
    "dark": ("#ff87ff", "#d75fd7", "#af00af", "#870087", "#262626", "#005f00", "#008700", "#00af00", "#5fd75f"),
    "light": ("#870087", "#af00d7", "#d75fd7", "#ffafff", "#eeeeee", "#87d787", "#5faf5f", "#008700", "#005f00"),
}
"""From the most negative value over zero to the most positive one, each exact in the 256-colour cube. Purple and green
of equal sizes are about equally light, and are told apart by people with any kind of colour blindness."""
SEQUENTIAL = {
    "dark": ("#1c1c1c", "#303030", "#4e4e4e", "#767676", "#afaf87", "#d7d787", "#ffff87"),
    "light": ("#eeeeee", "#d0d0d0", "#b2b2b2", "#8a8a8a", "#626262", "#3a3a3a", "#1c1c1c"),
}
"""From nothing to much."""
SHADES = {
    "dark": {
        "#5fafff": ("#00005f", "#000087", "#005faf", "#0087d7"),
        "#ff8700": ("#5f0000", "#870000", "#af5f00", "#d75f00"),
        "#5fff87": ("#005f00", "#008700", "#00af5f", "#00d75f"),
        "#ff0087": ("#5f005f", "#87005f", "#af005f", "#d7005f"),
        "#ffff5f": ("#5f5f00", "#878700", "#afaf00", "#d7d700"),
        "#875fff": ("#00005f", "#5f0087", "#5f00af", "#5f00d7"),
    },
    "light": {
        "#005fd7": ("#d7d7ff", "#afd7ff", "#87afff", "#5f87d7"),
        "#d75f00": ("#ffd7af", "#ffaf87", "#ffaf5f", "#ff875f"),
        "#870087": ("#ffd7ff", "#d7afd7", "#d787d7", "#af5faf"),
        "#d75faf": ("#ffd7d7", "#ffafd7", "#ff87d7", "#d787af"),
        "#870000": ("#ffd7d7", "#d7afaf", "#d78787", "#af5f5f"),
        "#0000af": ("#d7d7ff", "#afafff", "#8787d7", "#5f5faf"),
    },
}
"""From little to much of each arm's accent, which comes after these. The nearest colours of the cube to a mixture have
other hues; these were chosen to look like one colour."""
_SIGNED, _SIGNED_ASCII = "≡=-·░▒█", "E=-.+*#"
"""Strokes are negative, shades or stars positive."""
_SIZED, _SIZED_ASCII = " ·░▒▓█", " .:+*#"
_INKS = ("#e4e4e4", "#121212")
"""Of a number on a dark, and on a light colour."""
_CUBE = (0, 95, 135, 175, 215, 255)


@dataclass(frozen=True, slots=True)
class Scale:
    """Which values get the colours at the ends; where it diverges, these are opposite numbers."""

    low: float
    high: float
    diverging: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, from 0 to 1; NaN stays NaN."""
        if math.isnan(value):
            return value
        if self.high <= self.low:
            return 0.5 if self.diverging else 1.0
        return max(0.0, min(1.0, (value - self.low) / (self.high - self.low)))


def around_zero(values: Sequence[float], least: float = 0.0) -> Scale:
    """Return a scale around zero that reaches to a round number which nine of ten sizes do not pass."""
    sizes = sorted(abs(value) for value in values if math.isfinite(value))
    usual = sizes[int(0.9 * (len(sizes) - 1))] if sizes else 0.0
    end = _round_up(max(usual, least, 1e-12))
    return Scale(-end, end, diverging=True)


def between(values: Sequence[float]) -> Scale:
    """Return a scale from the lowest to the highest finite value."""
    finite = [value for value in values if math.isfinite(value)]
    return Scale(min(finite, default=0.0), max(finite, default=1.0))


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 2, 3, 5) if m * power >= value * (1 - 1e-9)), 10 * power)


def heat_rows(values: Sequence[Sequence[float]], scale: Scale, look: Look, colour: str = "") -> list[Text]:
    """Draw rows of values, one below the other, a cell for each value.

    With colours a line of text shows two rows of values, else one.

    Parameters
    ----------
    values
        Equally long rows; NaN leaves a cell empty.
    scale
        Of the colours.
    look
        How it is drawn.
    colour
        `#rrggbb` of which shades stand for sizes; the grey ones by default.
    """
    choices = _palette(scale, look, colour) if look.solid else _signs(scale, look)
    # Rows are often repeated, to be seen; each is looked at once.
    known: dict[int, list[str]] = {}
    for row in values:
        if id(row) not in known:
            known[id(row)] = _picked(row, scale, choices)
    picked = [known[id(row)] for row in values]
    if not look.solid:
        return [_runs([(sign, "") for sign in row]) for row in picked]
    lines = []
    for i in range(0, len(picked), 2):
        upper, lower = picked[i], picked[i + 1] if i + 1 < len(picked) else [""] * len(picked[i])
        pairs = list(zip(upper, lower, strict=True))
        cells = {pair: _halves(*pair) for pair in set(pairs)}
        lines.append(_runs([cells[pair] for pair in pairs]))
    return lines


def _halves(top: str, bottom: str) -> tuple[str, str]:
    """Return the sign and the style that show a colour above another; an empty one leaves its half as it is."""
    if top and bottom:
        return ("█", top) if top == bottom else ("▀", f"{top} on {bottom}")
    return ("▀", top) if top else ("▄", bottom) if bottom else (" ", "")


def rows_in(lines: int, look: Look) -> int:
    """Return how many rows of values so many lines of text show."""
    return 2 * lines if look.solid else lines


def legend(scale: Scale, look: Look, colour: str = "", ends: tuple[str, str] | None = None) -> Text:
    """Write the scale: its ends, or what is written in their place, and the colours or characters between them."""
    plus = "+" if scale.diverging and not look.ascii_only else ""
    low, high = ends or (brief(scale.low), f"{plus}{brief(scale.high)}")
    text = Text().append(f"{low} ")
    for sign, style in (
        (("█", style) for style in _palette(scale, look, colour))
        if look.solid
        else ((sign, "") for sign in _signs(scale, look))
    ):
        text.append(sign, style=style)
    return text.append(f" {high}")


def cell_style(value: float, scale: Scale, look: Look) -> str:
    """Return the style of a number that stands on the colour of its value; empty without colours, and for NaN."""
    ground = colour_of(value, scale, look)
    if not ground:
        return ""
    red, green, blue = (int(ground[i : i + 2], 16) for i in (1, 3, 5))
    return f"{_INKS[0.3 * red + 0.59 * green + 0.11 * blue > 110]} on {ground}"


def colour_of(value: float, scale: Scale, look: Look) -> str:
    """Return the colour of a value; empty without colours, and for NaN."""
    return _picked([value], scale, _palette(scale, look, ""))[0] if look.solid else ""


def spread(x: Sequence[float], low: float, high: float, columns: int) -> list[int | None]:
    """Return for each of so many columns between two x which point is shown there: the last one up to its end.

    None before the first point, and in columns that begin beyond the last one.
    """
    if not x or high <= low:
        return [None] * columns
    width = (high - low) / columns
    shown: list[int | None] = []
    for column in range(columns):
        end = low + (column + 1) * width
        i = bisect_right(x, end) - 1
        shown.append(i if i >= 0 and end - width <= max(x[-1], low) else None)
    return shown


def shade(colour: str, share: float, light: bool) -> str:
    """Return so much of a colour over the background of a theme, as the nearest one in the 256-colour cube."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    ground = 255 if light else 0
    mixed = (min(_CUBE, key=lambda level: abs(level - (ground + share * (part - ground)))) for part in parts)
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _palette(scale: Scale, look: Look, colour: str) -> Sequence[str]:
    if scale.diverging:
        return DIVERGING[look.theme]
    if colour:
        light = look.theme == "light"
        known = SHADES[look.theme].get(colour)
        return [
            SEQUENTIAL[look.theme][0],
            *(known or [shade(colour, share, light) for share in (0.35, 0.5, 0.65, 0.8)]),
            colour,
        ]
    return SEQUENTIAL[look.theme]


def _signs(scale: Scale, look: Look) -> str:
    if scale.diverging:
        return _SIGNED_ASCII if look.ascii_only else _SIGNED
    return _SIZED_ASCII if look.ascii_only else _SIZED


def _picked(row: Sequence[float], scale: Scale, choices: Sequence[str]) -> list[str]:
    """Return the choice that each value falls on; nothing for NaN."""
    last = len(choices) - 1
    shares = map(scale.share, row)
    return ["" if math.isnan(share) else choices[min(last, int(share * (last + 1)))] for share in shares]


def _runs(cells: Sequence[tuple[str, str]]) -> Text:
    """Return cells of a character and a style as a line, a span for each run of one style."""
    spans, start = [], 0
    for i in range(1, len(cells) + 1):
        if i == len(cells) or cells[i][1] != cells[start][1]:
            if cells and cells[start][1]:
                spans.append(Span(start, i, cells[start][1]))
            start = i
    return Text("".join(sign or " " for sign, _ in cells), spans=spans, no_wrap=True, overflow="crop", end="")
