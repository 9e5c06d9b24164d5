from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import baseline
from bntui.config.options import RunConfig
from bntui.models.mlp import SeededDropout, SwitchableBatchNorm1d, build_pair

CPU = torch.device("cpu")


@pytest.mark.parametrize("weights", ["paired", "independent"])
def test_a_seed_gives_the_tutorials_weights(weights: str) -> None:
    torch.manual_seed(7)
    bn, plain = baseline.build(paired=weights == "paired")
    pair = build_pair(RunConfig(seed=7, weights=weights), CPU)
    for ours, theirs in ((pair.bn, bn), (pair.plain, plain)):
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert all(
            torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        )


def test_paired_arms_start_equal_and_share_no_memory() -> None:
    pair = build_pair(RunConfig(hidden=(20, 30)), CPU)
    linear = [[m for m in model if isinstance(m, nn.Linear)] for model in (pair.bn, pair.plain)]
    for a, b in zip(*linear, strict=True):
        assert torch.equal(a.weight, b.weight)
        assert torch.equal(a.bias, b.bias)
        assert a.weight.data_ptr() != b.weight.data_ptr()


def test_building_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    build_pair(RunConfig(), CPU)
    assert torch.equal(torch.rand(3), expected)


def test_the_layers_of_an_arm() -> None:
    pair = build_pair(RunConfig(hidden=(8, 4, 2), activation="gelu", dropout=0.5), CPU)
    kinds = [type(m) for m in pair.bn]
    block = [nn.Linear, SwitchableBatchNorm1d, nn.GELU, SeededDropout]
    assert kinds == [*block, *block, *block, nn.Linear]
    assert [type(m) for m in pair.plain] == [kind for kind in kinds if kind is not SwitchableBatchNorm1d]


@pytest.mark.parametrize(
    ("init", "std"), [("xavier", (2 / (784 + 200)) ** 0.5), ("kaiming", (2 / 784) ** 0.5), ("normal:0.05", 0.05)]
)
def test_initial_weights_have_the_spread_that_the_name_promises(init: str, std: float) -> None:
    linear = build_pair(RunConfig(hidden=(200,), init=init), CPU).plain[0]
    assert isinstance(linear, nn.Linear)
    assert float(linear.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert float(linear.weight.detach().mean()) == pytest.approx(0, abs=std / 50)
    assert not linear.bias.any()


@given(
    st.integers(2, 9),
    st.integers(1, 7),
    st.sampled_from([None, 0.0, 0.1, 1.0]),
    st.floats(1e-8, 1.0),
    st.integers(0, 99),
)
def test_batch_norm_is_pytorchs(batch: int, features: int, momentum: float | None, eps: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = SwitchableBatchNorm1d(features, eps, momentum), nn.BatchNorm1d(features, eps, momentum)
    for training in (True, True, False):
        x = torch.randn(batch, features, generator=generator)
        assert torch.equal(ours.train(training)(x), theirs.train(training)(x))
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_switched_off_it_passes_its_input_and_frozen_it_normalises_by_the_running_statistics() -> None:
    norm = SwitchableBatchNorm1d(4, 1e-5, 0.1)
    x = torch.randn(8, 4)
    norm(x)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    norm.enabled = False
    assert norm(x) is x
    norm.enabled, norm.frozen = True, True
    frozen = norm(x)
    assert torch.equal(frozen, norm.eval()(x))
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())


def test_dropout_keeps_the_mean_and_both_arms_drop_the_same() -> None:
    pair = build_pair(RunConfig(hidden=(100,), dropout=0.3), CPU)
    masks = []
    for model in (pair.bn, pair.plain):
        layer = next(m for m in model if isinstance(m, SeededDropout))
        masks.append(layer.mask(torch.ones(500, 100)))
    assert torch.equal(masks[0], masks[1])
    assert float(masks[0].mean()) == pytest.approx(1, abs=0.02)
    assert sorted(set(masks[0].unique().tolist())) == pytest.approx([0, 1 / 0.7])
