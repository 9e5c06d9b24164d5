from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bntui.config.parsers import norm
from bntui.models.norms import (
    Switchable,
    SwitchableBatchNorm1d,
    SwitchableBatchRenorm1d,
    SwitchableGroupNorm,
    build_norm,
    normalize_in_groups,
)
from bntui.training.fused.norms import NORM_LAYERS, NoiseLayer

CPU = torch.device("cpu")
KINDS = ("batch", "batch-renorm", "layer", "group:3", "instance")
EPS = st.sampled_from([1e-8, 1e-5, 1e-3, 0.5])
MOMENTA = st.sampled_from([None, 0.0, 0.1, 0.37, 1.0])
SEEDS = st.integers(0, 2**32 - 1)
BATCHES = st.integers(2, 40)

Statistics = tuple[Tensor, Tensor]
"""Running mean and variance, float64 [features]."""


def draw(seed: int, *shape: int) -> Tensor:
    """Numbers, each column of which has a mean and a spread of its own."""
    generator = torch.Generator().manual_seed(seed)
    spread, middle = torch.randn(2, shape[-1], generator=generator, dtype=torch.float64)
    values: Tensor = torch.randn(shape, generator=generator, dtype=torch.float64) * spread.exp() + 3 * middle
    return values


def make(kind: str, width: int, eps: float = 1e-5, momentum: float | None = 0.1, seed: int = 0) -> Switchable:
    """A float64 module whose γ, β and running statistics are not those it begins with."""
    module = build_norm(norm(kind), width, eps, momentum)
    assert module is not None
    module.double()
    with torch.no_grad():
        module.weight.copy_(draw(seed + 1, 2, len(module.weight))[0])
        module.bias.copy_(draw(seed + 2, 2, len(module.bias))[0])
        if isinstance(module, SwitchableBatchNorm1d):
            module.running_mean.copy_(draw(seed + 3, 2, width)[0])
            module.running_var.copy_(draw(seed + 4, 2, width)[0].abs() + 0.1)
    return module


def batch_norm(
    module: Switchable, x: Tensor, statistics: Statistics | None, training: bool, momentum: float = 0.0
) -> Tensor:
    mean, var = (None, None) if statistics is None else statistics
    y: Tensor = functional.batch_norm(x, mean, var, module.weight, module.bias, training, momentum, module.eps)
    return y


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@given(BATCHES, st.integers(1, 12), EPS, MOMENTA, SEEDS)
def test_batch_norm_is_pytorchs_in_train_mode_frozen_and_in_eval_mode(
    batch: int, width: int, eps: float, momentum: float | None, seed: int
) -> None:
    module = make("batch", width, eps, momentum, seed)
    assert isinstance(module, SwitchableBatchNorm1d)
    mean, var = module.running_mean.clone(), module.running_var.clone()
    for number in range(1, 4):
        x = draw(seed + 10 + number, batch, width)
        close(module(x), batch_norm(module, x, (mean, var), True, 1 / number if momentum is None else momentum))
        close(module.running_mean, mean)
        close(module.running_var, var)
        assert int(module.num_batches_tracked) == number
    x = draw(seed + 20, batch, width)
    expected = batch_norm(module, x, (mean, var), False)
    module.frozen = True
    close(module(x), expected)
    module.frozen = False
    close(module.eval()(x), expected)
    assert torch.equal(module.running_mean, mean) and torch.equal(module.running_var, var)
    assert int(module.num_batches_tracked) == 3


@given(st.sampled_from(["batch", "batch-renorm"]), BATCHES, st.integers(1, 12), EPS, SEEDS)
def test_in_eval_mode_an_estimate_takes_the_place_of_the_running_statistics(
    kind: str, batch: int, width: int, eps: float, seed: int
) -> None:
    module = make(kind, width, eps, seed=seed).eval()
    assert isinstance(module, SwitchableBatchNorm1d)
    x = draw(seed + 10, batch, width)
    by_running = module(x)
    mean, var = draw(seed + 11, 2, width)[0], draw(seed + 12, 2, width)[0].abs() + 0.1
    module.estimate = mean, var
    close(module(x), (x - mean) / torch.sqrt(var + eps) * module.weight + module.bias)
    module.estimate = None
    assert torch.equal(module(x), by_running)


@given(st.sampled_from(["batch", "batch-renorm"]), BATCHES, st.integers(1, 12), st.integers(1, 45), EPS, SEEDS)
def test_in_eval_mode_rows_are_normalised_so_many_at_a_time_as_in_training(
    kind: str, batch: int, width: int, rows: int, eps: float, seed: int
) -> None:
    module = make(kind, width, eps, seed=seed)
    assert isinstance(module, SwitchableBatchNorm1d)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x = draw(seed + 10, batch, width)
    module.rows = rows
    y = module.eval()(x)
    assert y.shape == x.shape
    for ours, chunk in zip(torch.split(y, rows), torch.split(x, rows), strict=True):
        if len(chunk) == 1:
            assert torch.equal(ours[0], module.bias)
        else:
            close(ours, batch_norm(module, chunk, None, True))
    assert torch.equal(normalize_in_groups(x, rows, module.weight, module.bias, eps), y)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_sample_alone_becomes_beta() -> None:
    module = make("batch", 5)
    assert isinstance(module, SwitchableBatchNorm1d)
    module.rows = 1
    assert torch.equal(module.eval()(draw(1, 7, 5)), module.bias.expand(7, 5))


@given(BATCHES, st.integers(1, 6), st.integers(1, 6), EPS, SEEDS)
def test_the_kinds_over_features_are_pytorchs(batch: int, groups: int, each: int, eps: float, seed: int) -> None:
    width = groups * each
    x = draw(seed + 10, batch, width)
    layer, group, instance = (make(kind, width, eps, seed=seed) for kind in ("layer", f"group:{groups}", "instance"))
    assert instance.weight.shape == instance.bias.shape == (1,)
    expected = {
        layer: functional.layer_norm(x, (width,), layer.weight, layer.bias, eps),
        group: functional.group_norm(x, groups, group.weight, group.bias, eps),
    }
    if width > 1:
        one = x[:, None]
        normal = functional.instance_norm(one, None, None, instance.weight, instance.bias, True, 0.0, eps)
        expected[instance] = normal[:, 0]
    for module, theirs in expected.items():
        assert isinstance(module, SwitchableGroupNorm)
        close(module(x), theirs)
        assert torch.equal(module.eval()(x), module.train()(x))


def renormalize(
    module: Switchable, x: Tensor, running: Statistics, r_max: float, d_max: float, momentum: float
) -> tuple[Tensor, Statistics]:
    """Algorithm 1 of Ioffe 2017, and the moved statistics."""
    mean, std = x.mean(0), torch.sqrt(((x - x.mean(0)) ** 2).mean(0) + module.eps)
    running_std = torch.sqrt(running[1] + module.eps)
    r = torch.clamp((std / running_std).detach(), 1 / r_max, r_max)
    d = torch.clamp(((mean - running[0]) / running_std).detach(), -d_max, d_max)
    y = ((x - mean) / std * r + d) * module.weight + module.bias
    moved = [(1 - momentum) * old + momentum * new.detach() for old, new in zip(running, (mean, x.var(0)), strict=True)]
    return y, (moved[0], moved[1])


@given(
    BATCHES,
    st.integers(1, 8),
    EPS,
    MOMENTA,
    st.sampled_from([(5_000, 1, 0), (15_000, 11 / 7, 2.5), (25_000, 15 / 7, 5), (39_999, 3, 5), (10**6, 3, 5)]),
    SEEDS,
)
def test_batch_renorm_is_the_papers_formula_with_r_and_d_constant_for_the_gradient(
    batch: int, width: int, eps: float, momentum: float | None, limits: tuple[int, float, float], seed: int
) -> None:
    tracked, r_max, d_max = limits
    module = make("batch-renorm", width, eps, momentum, seed)
    assert isinstance(module, SwitchableBatchRenorm1d)
    module.num_batches_tracked.fill_(tracked)
    running = module.running_mean.clone(), module.running_var.clone()
    x, dy = draw(seed + 10, batch, width).requires_grad_(), draw(seed + 11, batch, width)
    share = 1 / (tracked + 1) if momentum is None else momentum
    if tracked == 39_999:
        r_max = 1 + 2 * 34_999 / 35_000
    expected, moved = renormalize(module, x, running, r_max, d_max, share)
    leaves = [x, module.weight, module.bias]
    theirs = torch.autograd.grad(expected, leaves, dy)
    y = module(x)
    ours = torch.autograd.grad(y, leaves, dy)
    close(y, expected)
    for mine, other in zip(ours, theirs, strict=True):
        # By the input, what is left of dy is divided by the batch's spread.
        scale = 1 + float(other.abs().max())
        close(mine / scale, other / scale)
    close(module.running_mean, moved[0])
    close(module.running_var, moved[1])
    assert int(module.num_batches_tracked) == tracked + 1


def test_the_limits_of_batch_renorm_open_as_in_the_paper() -> None:
    module = SwitchableBatchRenorm1d(4, 1e-5, 0.1)
    mean, var = torch.tensor([1e3, -1e3, 0.0, 2.0]), torch.tensor([1e6, 0.0, 1.0, 4.0])
    for tracked, r_max, d_max in [(0, 1, 0), (5_000, 1, 0), (22_500, 2, 4.375), (40_000, 3, 5), (10**9, 3, 5)]:
        r, d = module.correction(mean, var, tracked)
        assert r.tolist() == pytest.approx([r_max, 1 / r_max, 1, min(2, r_max)], rel=1e-4)
        assert d.tolist() == pytest.approx([d_max, -d_max, 0, min(2, d_max)], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_renorm_begins_as_batch_norm_bit_for_bit(dtype: torch.dtype) -> None:
    ours, theirs = (make(kind, 7).to(dtype) for kind in ("batch-renorm", "batch"))
    for number in range(5):
        x = draw(number, 16, 7).to(dtype)
        assert torch.equal(ours(x), theirs(x))
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_once_its_limits_are_open_batch_renorm_trains_with_what_it_evaluates_by() -> None:
    module = make("batch-renorm", 6)
    assert isinstance(module, SwitchableBatchRenorm1d)
    x = draw(1, 200, 6)
    module.num_batches_tracked.fill_(40_000)
    module.running_mean.copy_(x.mean(0) + 0.3 * x.std(0))
    module.running_var.copy_(x.var(0) * 1.5)
    by_running = module.eval()(x)
    close(module.train()(x), by_running)


@pytest.mark.parametrize("kind", KINDS)
def test_switched_off_every_kind_passes_its_input_and_learns_nothing(kind: str) -> None:
    module = make(kind, 6)
    module.enabled, module.noise, module.generator = False, 1.0, torch.Generator()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    drawn = module.generator.get_state()
    x = draw(1, 8, 6).requires_grad_()
    assert module(x) is x
    assert module.eval()(x) is x
    layer, noisy = (
        NORM_LAYERS[type(module)](module.train(), {module.weight: torch.zeros(6), module.bias: torch.zeros(6)}),
        NoiseLayer(module),
    )
    assert layer.forward(x) is x
    assert layer.backward(x) is x
    assert not layer.weight_gradient.any() and not layer.bias_gradient.any()
    assert torch.equal(module.generator.get_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_there_in_train_mode_alone_and_drawn_anew_each_time(kind: str) -> None:
    module, quiet = make(kind, 6), make(kind, 6)
    module.noise, module.generator = 0.5, torch.Generator().manual_seed(3)
    x = draw(1, 8, 6)
    first, second, without = module(x), module(x), quiet(x)
    assert not torch.equal(first, second)
    assert not torch.isclose(first, without).any()
    quiet(x)
    drawn = module.generator.get_state()
    assert torch.equal(module.eval()(x), quiet.eval()(x))
    assert torch.equal(module.generator.get_state(), drawn)
    module.train().generator.manual_seed(3)  # type: ignore[union-attr]
    if isinstance(module, SwitchableBatchNorm1d):
        module.num_batches_tracked.zero_()
    if kind != "batch-renorm":
        assert torch.equal(module(x), first)
    module.noise = 0.0
    assert torch.equal(module(x), quiet.train()(x))


def test_noise_follows_a_frozen_normalization_too() -> None:
    module = make("batch", 6)
    assert isinstance(module, SwitchableBatchNorm1d)
    module.frozen, module.noise, module.generator = True, 0.5, torch.Generator().manual_seed(3)
    x = draw(1, 8, 6)
    y = module(x)
    module.generator.manual_seed(3)
    scale, shift = module.draw_noise(x)
    close(y, module.eval()(x) * scale + shift)


@pytest.mark.parametrize("noise", [0.1, 0.5, 3.0])
def test_noise_has_the_middles_and_spreads_that_its_docstring_says(noise: float) -> None:
    module = make("batch", 1)
    module.noise, module.generator = noise, torch.Generator().manual_seed(1)
    scale, shift = module.draw_noise(torch.empty(400, 5_000))
    middles = shift.mean(0)
    # Uniform within ±1: a standard deviation of 1/√3. Uniform within 0 and 1: of 1/√12.
    assert float(middles.mean()) == pytest.approx(0, abs=0.03 * noise)
    assert float(middles.std()) == pytest.approx(noise / 3**0.5, rel=0.02)
    assert noise * 0.97 < float(middles.abs().max()) < noise * 1.03
    around = shift - middles
    assert float(around.std()) == pytest.approx(noise / 5 / 3**0.5, rel=0.01)
    assert float(around.abs().max()) <= noise / 5 * 1.2
    assert float((shift.amax(0) - shift.amin(0)).max()) <= 2 * noise / 5 + 1e-5
    middles = scale.mean(0)
    assert float(middles.mean()) == pytest.approx(1 + noise / 4, abs=0.02 * noise)
    assert float(middles.std()) == pytest.approx(noise / 2 / 12**0.5, rel=0.03)
    assert 1 - 0.05 * noise < float(middles.min()) < float(middles.max()) < 1 + 0.55 * noise
    assert float((scale - middles).std()) == pytest.approx(noise / 5, rel=0.01)


def test_the_same_seed_draws_the_same_noise_and_another_another() -> None:
    module = make("layer", 6)
    module.noise = 0.5
    drawn = []
    for seed in (1, 1, 2):
        module.generator = torch.Generator().manual_seed(seed)
        drawn.append(torch.stack(module.draw_noise(torch.empty(4, 6))))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_names_that_norm_takes() -> None:
    kinds = {
        "batch": SwitchableBatchNorm1d, "batch-renorm": SwitchableBatchRenorm1d, "layer": SwitchableGroupNorm,
        "group:4": SwitchableGroupNorm, "instance": SwitchableGroupNorm,
    }  # fmt: skip
    for name, kind in kinds.items():
        module = build_norm(norm(name), 8, 1e-3, 0.2)
        assert module is not None and type(module) is kind
        assert module.eps == 1e-3
        assert module.weight.tolist() == [1.0] * len(module.weight) and not module.bias.any()
    groups = [build_norm(norm(name), 8, 1e-3, 0.2) for name in ("layer", "group:4", "instance")]
    sizes = [(m.num_groups, m.num_channels) for m in groups if isinstance(m, SwitchableGroupNorm)]
    assert sizes == [(1, 8), (4, 8), (1, 1)]
    assert build_norm(norm("none"), 8, 1e-3, 0.2) is None


@settings(max_examples=150)
@given(
    st.sampled_from(KINDS),
    BATCHES,
    st.integers(1, 4),
    EPS,
    MOMENTA,
    st.sampled_from([0, 15_000, 39_999, 50_000]),
    st.lists(st.sampled_from(["train", "frozen", "off"]), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.4]),
    SEEDS,
)
def test_the_written_out_layers_are_autograd_through_the_modules(
    kind: str,
    batch: int,
    thirds: int,
    eps: float,
    momentum: float | None,
    tracked: int,
    states: list[str],
    noise: float,
    seed: int,
) -> None:
    width = 3 * thirds
    ours, theirs = (make(kind, width, eps, momentum, seed) for _ in range(2))
    for module in (ours, theirs):
        module.noise, module.generator = noise, torch.Generator().manual_seed(seed)
        if isinstance(module, SwitchableBatchNorm1d):
            module.num_batches_tracked.fill_(tracked)
    gradients: dict[Tensor, Tensor] = {p: torch.zeros_like(p) for p in (ours.weight, ours.bias)}
    layer, noisy = NORM_LAYERS[type(ours)](ours, gradients), NoiseLayer(ours)
    for number, state in enumerate(states):
        for module in (ours, theirs):
            module.enabled = state != "off"
            if isinstance(module, SwitchableBatchNorm1d):
                module.frozen = state == "frozen"
        x, dy = (draw(seed + 10 + number + 10 * i, batch, width) for i in range(2))
        leaf = x.clone().requires_grad_()
        expected = theirs(leaf)
        wanted = torch.autograd.grad(expected, [leaf, theirs.weight, theirs.bias], dy, materialize_grads=True)
        with torch.inference_mode():
            y = noisy.forward(layer.forward(x))
            dx = layer.backward(noisy.backward(dy))
        close(y, expected.detach())
        for mine, other in zip((dx, gradients[ours.weight], gradients[ours.bias]), wanted, strict=True):
            scale = 1 + float(other.abs().max())
            if state != "off" or mine is dx:
                close(mine / scale, other / scale)
        for (name, value), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert torch.allclose(value, other, rtol=1e-9, atol=1e-12), name
    assert ours.generator is not None and theirs.generator is not None
    assert torch.equal(ours.generator.get_state(), theirs.generator.get_state())
