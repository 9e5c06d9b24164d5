"""The accents of the arms: told apart by everybody, on every terminal."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem

from bntui.messages.arms import MOST
from bntui.tui.plot.heat import DIVERGING, SEQUENTIAL, around_zero, between, heat_rows
from bntui.tui.theme import ASCII_GLYPHS, COLOURS, GLYPHS, THEMES, Look

# Machado, Oliveira & Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
# severity 1.0: https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
LEAST_DISTANCE = 24.0
"""Delta E (CIE 1976) between any two; 2.3 is a just noticeable difference."""
LEAST_CONTRAST = 3.0
"""Against the background, as WCAG 2.1 asks of graphics."""


def linear(colour: str) -> np.ndarray:
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """Linear sRGB in CIE Lab, white D65."""
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = to_xyz @ light / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(colour: str) -> float:
    return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour))


def test_lab_is_lab() -> None:
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", COLOURS)
def test_any_two_arms_are_told_apart(theme: str, sight: str) -> None:
    seen = [lab(np.clip(SIGHTS[sight] @ linear(colour), 0, 1)) for colour in COLOURS[theme]]
    assert len(seen) == MOST
    for one, other in itertools.combinations(range(MOST), 2):
        distance = float(np.linalg.norm(seen[one] - seen[other]))
        assert distance >= LEAST_DISTANCE, (COLOURS[theme][one], COLOURS[theme][other], distance)


@pytest.mark.parametrize("theme", COLOURS)
def test_every_arm_stands_out_from_the_background_and_is_in_the_cube(theme: str) -> None:
    background = luminance(str(THEMES[theme].background))
    for colour in COLOURS[theme]:
        low, high = sorted((luminance(colour), background))
        assert (high + 0.05) / (low + 0.05) >= LEAST_CONTRAST, colour
        eight_bit = Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT)
        assert eight_bit.get_truecolor().hex == colour and 16 <= int(eight_bit.number or 0) < 232


@pytest.mark.parametrize(("theme", "unseen"), [("dark", {0, 8}), ("light", {7, 10, 11, 14, 15})])
def test_sixteen_colours_have_one_for_each_arm(theme: str, unseen: set[int]) -> None:
    numbers = [Color.parse(colour).downgrade(ColorSystem.STANDARD).number for colour in COLOURS[theme]]
    assert len(set(numbers)) == MOST and not unseen & set(numbers), numbers


def test_every_arm_has_a_sign_of_its_own_in_one_cell() -> None:
    for glyphs in (GLYPHS, ASCII_GLYPHS):
        assert len(set(glyphs)) == len(glyphs) == MOST
        assert all(cell_len(glyph) == 1 for glyph in glyphs)
    assert ASCII_GLYPHS.isascii()
    assert Look("ascii").glyphs == ASCII_GLYPHS and Look().glyphs == GLYPHS
    assert set(Look(coloured=False).colours) == {""}


# Heat maps

LEAST_STEP = 6.0
"""Delta E between neighbours on a scale."""
SAME_LIGHTNESS = 15.0
"""Of equal sizes of opposite signs."""
RAMP = {f"#{level:02x}{level:02x}{level:02x}" for level in range(8, 239, 10)}
CUBE_LEVELS = {"00", "5f", "87", "af", "d7", "ff"}


def seen_by(sight: str, colours: tuple[str, ...]) -> list[np.ndarray]:
    return [lab(np.clip(SIGHTS[sight] @ linear(colour), 0, 1)) for colour in colours]


@pytest.mark.parametrize("theme", COLOURS)
def test_the_colours_of_heat_maps_are_exact_in_256_colours(theme: str) -> None:
    for colour in (*DIVERGING[theme], *SEQUENTIAL[theme]):
        assert colour in RAMP or {colour[1:3], colour[3:5], colour[5:]} <= CUBE_LEVELS, colour
        # Rich counts light greys one step too low.
        written = np.array(Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT).get_truecolor())
        wanted = np.array(Color.parse(colour).get_truecolor())
        assert np.abs(written - wanted).max() <= (10 if colour in RAMP else 0), colour


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", COLOURS)
def test_lightness_tells_sizes_and_hue_tells_signs(theme: str, sight: str) -> None:
    palette = seen_by(sight, DIVERGING[theme])
    middle = len(palette) // 2
    away = 1 if theme == "dark" else -1
    for side in (palette[middle::-1], palette[middle:]):
        lightness = [away * colour[0] for colour in side]
        assert lightness == sorted(lightness), DIVERGING[theme]
        assert all(np.linalg.norm(a - b) >= LEAST_STEP for a, b in itertools.pairwise(side))
    for i in range(middle):
        assert abs(palette[i][0] - palette[-1 - i][0]) <= SAME_LIGHTNESS
    for negative, positive in itertools.product(palette[:middle], palette[middle + 1 :]):
        assert np.linalg.norm(negative - positive) >= LEAST_DISTANCE
    sizes = [away * colour[0] for colour in seen_by(sight, SEQUENTIAL[theme])]
    assert all(b - a >= LEAST_STEP for a, b in itertools.pairwise(sizes))


@pytest.mark.parametrize(
    "look", [Look(coloured=False), Look(few_colours=True), Look("ascii"), Look("block", "light", few_colours=True)]
)
def test_without_colours_signs_are_strokes_and_shades(look: Look) -> None:
    values = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    (row,) = heat_rows([values], around_zero(values), look)
    negative, zero, positive = row.plain[:3], row.plain[3], row.plain[4:]
    assert not row.spans and len(set(row.plain)) == 7 and cell_len(row.plain) == 7
    assert set(negative) <= set("≡E=-") and set(positive) <= set("░▒█+*#") and zero in "·."
    assert look.ascii_only == row.plain.isascii()
    (row,) = heat_rows([[0.0, 1.0, math.nan]], between([0.0, 1.0]), look)
    assert row.plain in ("  █ "[1:], " # ") and row.plain[2] == " "
