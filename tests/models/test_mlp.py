from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import baseline
from bntui.config.options import RunConfig
from bntui.models import mlp
from bntui.models.arms import modules
from bntui.models.dropout import SeededDropout
from bntui.models.norms import SwitchableBatchNorm1d

CPU = torch.device("cpu")


@pytest.mark.parametrize("weights", ["paired", "independent"])
def test_a_seed_gives_the_tutorials_weights(weights: str) -> None:
    torch.manual_seed(7)
    bn, plain = baseline.build(paired=weights == "paired")
    arms = mlp.build(RunConfig(seed=7, weights=weights), CPU)
    for ours, theirs in zip(arms.by_name.values(), (bn, plain), strict=True):
        assert all(
            torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        )


def test_paired_arms_start_equal_and_share_no_memory() -> None:
    arms = mlp.build(RunConfig(hidden=(20, 30), arms="batch,none,group:10"), CPU)
    for layers in zip(*(modules(model, nn.Linear) for model in arms.by_name.values()), strict=True):
        assert all(torch.equal(layer.weight, layers[0].weight) for layer in layers)
        assert all(torch.equal(layer.bias, layers[0].bias) for layer in layers)
        assert len({layer.weight.data_ptr() for layer in layers}) == 3


def test_independent_arms_draw_their_own_weights_in_order() -> None:
    torch.manual_seed(1)
    drawn = [nn.Linear(a, b) for _ in range(3) for a, b in ((784, 32), (32, 32), (32, 10))]
    arms = mlp.build(RunConfig(weights="independent", arms="layer,batch,none"), CPU)
    ours = [layer for model in arms.by_name.values() for layer in modules(model, nn.Linear)]
    for layer, expected in zip(ours, drawn, strict=True):
        assert torch.equal(layer.weight, expected.weight) and torch.equal(layer.bias, expected.bias)
    assert torch.equal(arms.generator.get_state(), torch.get_rng_state())


def test_building_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    mlp.build(RunConfig(), CPU)
    assert torch.equal(torch.rand(3), expected)


def test_the_layers_of_an_arm() -> None:
    arms = mlp.build(RunConfig(hidden=(8, 4), activation="gelu"), CPU)
    batch, none = ([(name, type(m)) for name, m in model.named_children()] for model in arms.by_name.values())
    assert batch == [
        ("linear1", nn.Linear), ("norm1", SwitchableBatchNorm1d), ("activation1", nn.GELU), ("dropout1", SeededDropout),
        ("linear2", nn.Linear), ("norm2", SwitchableBatchNorm1d), ("activation2", nn.GELU), ("dropout2", SeededDropout),
        ("linear3", nn.Linear),
    ]  # fmt: skip
    assert none == [row for row in batch if not row[0].startswith("norm")]
    assert arms.layers == {"batch": {"norm1": 8, "norm2": 4}}


@pytest.mark.parametrize(
    ("init", "std"), [("xavier", (2 / (784 + 200)) ** 0.5), ("kaiming", (2 / 784) ** 0.5), ("normal:0.05", 0.05)]
)
def test_initial_weights_have_the_spread_that_the_name_promises(init: str, std: float) -> None:
    linear = mlp.build(RunConfig(hidden=(200,), init=init), CPU).by_name["none"].get_submodule("linear1")
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
    arms = mlp.build(RunConfig(hidden=(100,), dropout=0.3), CPU)
    masks = [dropout.mask(torch.ones(500, 100)) for dropout in arms.dropouts]
    assert torch.equal(masks[0], masks[1])
    assert float(masks[0].mean()) == pytest.approx(1, abs=0.02)
    assert sorted(set(masks[0].unique().tolist())) == pytest.approx([0, 1 / 0.7])
