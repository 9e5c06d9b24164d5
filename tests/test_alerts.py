from __future__ import annotations

import math

import pytest

from bntui.alerts import gradient_ratio, of_flow, verdict
from bntui.events import LayerFlow


def layers(first: float, last: float, inactive: float = 0.1) -> tuple[LayerFlow, ...]:
    return tuple(
        LayerFlow(f"linear{i}", norm, norm, (), share)
        for i, (norm, share) in enumerate(((first, inactive), (1.0, 0.0), (last, math.nan)), 1)
    )


@pytest.mark.parametrize(
    ("first", "last", "inactive", "kinds"),
    [
        (1.0, 1.0, 0.1, []), (1e-3, 0.5, 0.1, []), (1e-4, 1.0, 0.1, ["vanishing"]), (2e3, 1.0, 0.1, ["exploding"]),
        (1.0, 1.0, 0.5, ["inactive"]), (0.0, 1.0, 1.0, ["vanishing", "inactive"]), (1.0, 0.0, 0.1, []),
        (math.nan, 1.0, math.nan, []), (math.inf, 1.0, 0.0, ["exploding"]),
    ],
)  # fmt: skip
def test_what_deserves_a_warning(first: float, last: float, inactive: float, kinds: list[str]) -> None:
    found = of_flow("plain", layers(first, last, inactive))
    assert [kind for kind, _ in found] == kinds
    assert all("plain" in message for _, message in found)


def test_the_ratio_is_of_the_first_to_the_last() -> None:
    assert gradient_ratio(layers(3.0, 4.0)) == 0.75
    assert math.isnan(gradient_ratio(())) and math.isnan(gradient_ratio(layers(1.0, 0.0)))
    assert [verdict(ratio) for ratio in (1e-4, 1e-2, 1e4, math.nan)] == ["vanishing", "", "exploding", ""]
