from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from bntui.config.kinds import NORMS, arm_names
from bntui.config.parsers import arms as parse_arms
from bntui.messages.arms import build_arms, first_normalized

KINDS = {
    "batch": ("batch norm", "Batch norm"),
    "layer": ("layer norm", "Layer norm"),
    "group:8": ("group norm 8", "Group norm 8"),
    "instance": ("instance norm", "Instance norm"),
    "batch-renorm": ("batch renorm", "Batch renorm"),
    "none": ("no norm", "No norm"),
}
"""What each kind of `--arms` is called, in words and on the screen."""


def test_there_is_a_name_for_every_kind() -> None:
    assert [kind.replace("8", "G") for kind in KINDS] == list(NORMS)


@pytest.mark.parametrize("kinds", [*combinations_with_replacement(KINDS, 2), tuple(KINDS), ("group:4",) * 3])
def test_names_are_unique_and_labels_say_what_each_arm_normalizes_by(kinds: tuple[str, ...]) -> None:
    arms = build_arms(parse_arms(",".join(kinds)))
    assert [arm.norm for arm in arms] == list(kinds)
    assert len({arm.name for arm in arms}) == len({arm.label for arm in arms}) == len(kinds)
    if sorted(kinds) == ["batch", "none"]:
        assert [arm.label for arm in arms] == [{"batch": "With BN", "none": "Without BN"}[kind] for kind in kinds]
        return
    for arm in arms:
        words, label = KINDS.get(arm.norm, ("group norm 4", "Group norm 4"))
        assert arm.words == words
        assert arm.label == label or (kinds.count(arm.norm) > 1 and arm.label.startswith(f"{label} ("))


def test_a_kind_that_comes_again_gets_a_number() -> None:
    norms = parse_arms("batch,none,batch,batch")
    assert arm_names(norms) == ("batch", "none", "batch-2", "batch-3")
    assert [arm.label for arm in build_arms(norms)] == [
        "Batch norm (1)", "No norm", "Batch norm (2)", "Batch norm (3)",
    ]  # fmt: skip


def test_the_first_normalization_is_the_one_that_is_switched() -> None:
    assert first_normalized(build_arms(parse_arms("none,group:2,batch"))).norm == "group:2"  # type: ignore[union-attr]
    assert first_normalized(build_arms(parse_arms("none,none"))) is None
    assert build_arms(parse_arms("batch,layer"))[0].short == "BN"
    assert build_arms(parse_arms("batch,layer"))[1].short == "Layer norm"
