from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bntui.config.kinds import SHIFTS
from bntui.config.parsers import shift
from bntui.data import corruptions
from bntui.data.corruptions import shifted
from bntui.data.digits import generate
from bntui.data.samples import Samples

Numbers = NDArray[np.float64]

ROUNDING = 0.5 + 0.02
"""Of a byte, and of a place in an image in float32."""


def random_samples(seed: int = 0, count: int = 4) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 784), generator=generator, dtype=torch.uint8)
    # Black and white, beyond which nothing goes.
    images[0, :100], images[0, 100:200] = 0, 255
    return Samples(images, torch.randint(10, (count,), generator=generator))


def rotated(x: Numbers, degrees: float) -> Numbers:
    """Bilinear, pixel by pixel, in coordinates from the middle whose y axis points up."""
    images = x.reshape(-1, 28, 28)
    turned = np.zeros_like(images)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    for row in range(28):
        for column in range(28):
            right, up = column - 13.5, 13.5 - row
            # Turned back: where the pixel comes from.
            x_from, y_from = 13.5 + cos * right + sin * up, 13.5 - (cos * up - sin * right)
            left, top = math.floor(x_from), math.floor(y_from)
            for i, share_i in ((top, top + 1 - y_from), (top + 1, y_from - top)):
                for j, share_j in ((left, left + 1 - x_from), (left + 1, x_from - left)):
                    if 0 <= i < 28 and 0 <= j < 28:
                        turned[:, row, column] += share_i * share_j * images[:, i, j]
    return turned.reshape(len(x), 784)


FORMULAS: dict[str, Callable[[Numbers, float], Numbers]] = {
    "brightness": lambda x, strength: x + strength,
    "contrast": lambda x, strength: 0.5 + (1 + strength) * (x - 0.5),
    "rotation": rotated,
    "inversion": lambda x, strength: (1 - strength) * x + strength * (1 - x),
}


@pytest.mark.parametrize("kind", [kind for kind in FORMULAS if kind != "rotation"])
@given(share=st.floats(0, 1), seed=st.integers(0, 99))
def test_each_kind_is_its_formula(kind: str, share: float, seed: int) -> None:
    low, high = SHIFTS[kind]
    strength = round(low + share * (high - low), 3)
    samples = random_samples(seed)
    exact = FORMULAS[kind](samples.images.double().numpy() / 255, strength).clip(0, 1) * 255
    ours = shifted(samples, shift(f"{kind}:{strength}"), seed).images
    assert ours.dtype == torch.uint8
    assert np.abs(ours.numpy() - exact).max() <= ROUNDING


@pytest.mark.parametrize("degrees", [-180, -90, -33, 0, 1, 15, 45, 90, 135, 180])
def test_rotation_is_bilinear_about_the_middle(degrees: float) -> None:
    samples = random_samples()
    exact = rotated(samples.images.double().numpy() / 255, degrees) * 255
    assert np.abs(shifted(samples, shift(f"rotation:{degrees}"), 1).images.numpy() - exact).max() <= ROUNDING


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (-180, 2), (-90, 3), (0, 0)])
def test_quarter_turns_are_exact_and_positive_ones_counter_clockwise(degrees: int, quarters: int) -> None:
    samples = random_samples()
    ours = shifted(samples, shift(f"rotation:{degrees}"), 1).images.view(-1, 28, 28)
    assert np.array_equal(ours, np.rot90(samples.images.view(-1, 28, 28), quarters, axes=(1, 2)))


def test_a_bar_at_the_right_moves_to_the_top_when_turned_counter_clockwise() -> None:
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    image[0, 12:16, 22:26] = 255
    turned = shifted(Samples(image.view(1, 784), torch.zeros(1, dtype=torch.int64)), shift("rotation:90"), 1).images
    assert turned.view(28, 28)[2:6, 12:16].min() == 255
    assert turned.sum(dtype=torch.int64) == 255 * 16


def test_noise_is_normal_and_seeded() -> None:
    samples = random_samples(count=20)
    ours = shifted(samples, shift("noise:0.3"), 5).images
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(20, 784, generator=generator).double().numpy()
    exact = (samples.images.double().numpy() / 255 + 0.3 * noise).clip(0, 1) * 255
    assert np.abs(ours.numpy() - exact).max() <= ROUNDING
    assert torch.equal(shifted(samples, shift("noise:0.3"), 5).images, ours)
    assert not torch.equal(shifted(samples, shift("noise:0.3"), 6).images, ours)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    shifted(samples, shift("noise:0.3"), 5)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_has_the_strength_as_its_standard_deviation() -> None:
    grey = Samples(torch.full((200, 784), 128, dtype=torch.uint8), torch.zeros(200, dtype=torch.int64))
    for strength in (0.02, 0.1):
        changed = shifted(grey, shift(f"noise:{strength}"), 1).images.double() / 255
        assert float(changed.std()) == pytest.approx(strength, rel=0.02)
        assert float(changed.mean()) == pytest.approx(128 / 255, abs=1e-3)


def test_no_two_of_many_samples_have_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corruptions, "_ROWS_AT_ONCE", 4)
    grey = Samples(torch.full((10, 784), 128, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64))
    changed = shifted(grey, shift("noise:0.3"), 1).images
    assert len(changed) == 10
    assert len(changed.unique(dim=0)) == 10


@pytest.mark.parametrize("kind", ["brightness", "contrast", "rotation", "inversion"])
def test_many_samples_are_changed_as_few_are(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = random_samples(count=10)
    at_once = shifted(samples, shift(f"{kind}:0.7"), 1).images
    monkeypatch.setattr(corruptions, "_ROWS_AT_ONCE", 4)
    assert torch.equal(shifted(samples, shift(f"{kind}:0.7"), 1).images, at_once)


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_strength_of_0_leaves_the_images_as_they_are(kind: str) -> None:
    samples = random_samples(count=30)
    digits = Samples(torch.from_numpy(generate(30, seed=1)[0].reshape(30, 784)), samples.labels)
    for given_ in (samples, digits):
        assert torch.equal(shifted(given_, shift(f"{kind}:0"), 1).images, given_.images)
    assert shifted(samples, shift("none"), 1) is samples


@pytest.mark.parametrize(
    ("how", "black", "white"),
    [
        ("brightness:1", 255, 255), ("brightness:-1", 0, 0), ("brightness:0.2", 51, 255), ("contrast:4", 0, 255),
        ("contrast:-1", 128, 128), ("inversion:1", 255, 0), ("inversion:0.5", 128, 128),
    ],
)  # fmt: skip
def test_what_goes_beyond_black_and_white_stays_there(how: str, black: int, white: int) -> None:
    images = torch.tensor([[0], [255]], dtype=torch.uint8).expand(2, 784).contiguous()
    changed = shifted(Samples(images, torch.tensor([3, 4])), shift(how), 1).images
    assert changed.tolist() == [[black] * 784, [white] * 784]


@pytest.mark.parametrize("kind", SHIFTS)
def test_labels_and_what_was_given_stay_as_they_are(kind: str) -> None:
    samples = random_samples()
    images, labels = samples.images.clone(), samples.labels.clone()
    changed = shifted(samples, shift(f"{kind}:0.6"), 1)
    assert not torch.equal(changed.images, images)
    assert torch.equal(changed.labels, labels)
    assert torch.equal(samples.images, images) and torch.equal(samples.labels, labels)
    assert changed.images.shape == images.shape and changed.images.is_contiguous()
