from __future__ import annotations

import pytest

from bntui.config.options import RunConfig
from bntui.config.parsers import NORMS
from bntui.run.arms import ARMS, labels, norm_names

KINDS = {
    "batch": ("batch norm", "Batch norm"),
    "layer": ("layer norm", "Layer norm"),
    "group:8": ("group norm 8", "Group norm 8"),
    "instance": ("instance norm", "Instance norm"),
    "batch-renorm": ("batch renorm", "Batch renorm"),
    "none": ("none", "No norm"),
}
"""What each value of `--norm` and `--versus` is called, in words and on the screen."""


def test_there_is_a_name_for_every_kind() -> None:
    assert [kind.replace("8", "G") for kind in KINDS] == list(NORMS)


@pytest.mark.parametrize("versus", KINDS)
@pytest.mark.parametrize("norm", KINDS)
def test_the_names_say_what_each_arm_normalises_by(norm: str, versus: str) -> None:
    config = RunConfig(norm=norm, versus=versus).to_dict()
    assert norm_names(config) == {"bn": KINDS[norm][0], "plain": KINDS[versus][0]}
    shown = labels(config)
    assert list(shown) == list(ARMS) == ["bn", "plain"]
    assert len(set(shown.values())) == 2
    if (norm, versus) == ("batch", "none"):
        assert shown == {"bn": "With BN", "plain": "Without BN"}
    elif norm == versus:
        assert shown == {"bn": f"{KINDS[norm][1]} (1)", "plain": f"{KINDS[norm][1]} (2)"}
    else:
        assert shown == {"bn": KINDS[norm][1], "plain": KINDS[versus][1]}


def test_results_from_before_there_was_a_choice_are_of_batch_norm_and_none() -> None:
    assert norm_names({}) == {"bn": "batch norm", "plain": "none"}
    assert labels({}) == labels(RunConfig().to_dict()) == {"bn": "With BN", "plain": "Without BN"}


def test_two_sizes_of_group_are_told_apart() -> None:
    shown = labels({"norm": "group:4", "versus": "group:16"})
    assert shown == {"bn": "Group norm 4", "plain": "Group norm 16"}
    assert labels({"norm": "none", "versus": "batch"}) == {"bn": "No norm", "plain": "Batch norm"}
