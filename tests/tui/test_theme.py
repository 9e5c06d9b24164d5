"""The accents of the arms: told apart by everybody, on every terminal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem

from bntui.messages.arms import MOST
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
