from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bntui.config.options import ACTIVATIONS, RunConfig
from bntui.errors import UsageError
from bntui.models import mlp
from bntui.models.arms import Arms, modules, state_sha256
from bntui.models.norms import Switchable, SwitchableBatchNorm1d
from bntui.training.engine import Engine, build_engine
from bntui.training.fused.engine import can_train

CPU = torch.device("cpu")
ENGINES = ("fused", "autograd")
NORMS = ("batch", "batch-renorm", "layer", "group:2", "instance", "none")
OPTIMIZERS = ("adam", "sgd", "sgd:0.9")


def batches(count: int, size: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.rand(size, 784, generator=generator), torch.randint(10, (size,), generator=generator))
        for _ in range(count)
    ]


def make(config: RunConfig, engine: str) -> tuple[Arms, Engine]:
    arms = mlp.build(config, CPU)
    return arms, build_engine(replace(config, engine=engine), arms)


def train(engine: Engine, x: Tensor, y: Tensor) -> Tensor:
    """One step, as the loop makes it."""
    with torch.inference_mode():
        losses = engine.forward_backward(x, y)
        engine.update()
    return losses


class Reference:
    """The same modules with autograd and an ordinary optimizer each, as people write it."""

    def __init__(self, config: RunConfig) -> None:
        self.arms = mlp.build(config, CPU)
        self.config = config
        self.optimizers = {name: self.optimizer(model) for name, model in self.arms.by_name.items()}

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        if self.config.optimizer.name == "adam":
            return torch.optim.Adam(model.parameters(), lr=self.config.lr, foreach=False)
        momentum = self.config.optimizer.momentum or 0
        return torch.optim.SGD(model.parameters(), lr=self.config.lr, momentum=momentum, foreach=False)

    def train(self, x: Tensor, y: Tensor) -> Tensor:
        losses = []
        for name, model in self.arms.by_name.items():
            self.optimizers[name].zero_grad()
            loss = nn.functional.cross_entropy(model.train()(x), y)
            loss.backward()
            self.optimizers[name].step()
            losses.append(loss.detach())
        return torch.stack(losses)

    def change(self, what: str, value: Any) -> None:
        if what == "restart":
            self.arms.by_name[value].load_state_dict(mlp.build(self.config, CPU).by_name[value].state_dict())
            lr = self.optimizers[value].param_groups[0]["lr"]
            self.optimizers[value] = self.optimizer(self.arms.by_name[value])
            self.optimizers[value].param_groups[0]["lr"] = lr
        elif what == "lr":
            for optimizer in self.optimizers.values():
                optimizer.param_groups[0]["lr"] = value
        elif what == "bn":
            for norm in self.arms.norms:
                norm.enabled = value
        else:
            set_in(self.arms, what, value)


def set_in(arms: Arms, what: str, value: Any) -> None:
    for frozen in arms.batch_norms if what == "freeze" else ():
        frozen.frozen = value
    for noisy in arms.norms if what == "noise" else ():
        noisy.noise = value
    for dropout in arms.dropouts if what == "dropout" else ():
        dropout.p = value


def change(config: RunConfig, arms: Arms, engine: Engine, what: str, value: Any) -> None:
    if what == "restart":
        engine.restart(value, mlp.build(config, CPU).by_name[value].state_dict())
    elif what == "lr":
        engine.learning_rate = value
    elif what == "bn":
        if arms.normalized:
            engine.switch_norms(arms.normalized, value)
    else:
        set_in(arms, what, value)


def same(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and bool(((ours == theirs) | (ours.isnan() & theirs.isnan())).all())


def compare(
    config: RunConfig, steps: int = 12, changes: dict[int, list[tuple[str, Any]]] | None = None, tracked: int = 0
) -> None:
    """Train with both engines and the reference, changing the same things, and want the same bits."""
    reference = Reference(config)
    engines = {}
    for name in ENGINES:
        arms, engine = engines[name] = make(config, name)
        begun = engine.state_dict()
        for norm in arms.batch_norms + reference.arms.batch_norms:
            norm.num_batches_tracked.fill_(tracked)
        begun["models"] = {arm: model.state_dict() for arm, model in arms.by_name.items()}
        engine.load_state_dict(begun)
    assert [engine.name for _, engine in engines.values()] == list(ENGINES)
    for number, (x, y) in enumerate(batches(steps, config.batch_size)):
        for what, value in (changes or {}).get(number, []):
            reference.change(what, value)
            for arms, engine in engines.values():
                change(config, arms, engine, what, value)
        expected = reference.train(x, y)
        for name, (_, engine) in engines.items():
            assert same(train(engine, x, y), expected), (name, number)
    for name, (arms, _) in engines.items():
        for arm, model in arms.by_name.items():
            theirs = reference.arms.by_name[arm].state_dict()
            assert list(model.state_dict()) == list(theirs)
            for part, value in model.state_dict().items():
                assert same(value, theirs[part]), (name, arm, part)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_is_autograd_and_torch_optim_bit_for_bit(activation: str, optimizer: str) -> None:
    compare(RunConfig(activation=activation, optimizer=optimizer, hidden=(24, 16), batch_size=20))


@pytest.mark.parametrize(
    "options",
    [
        {"bn_momentum": "cumulative"},
        {"bn_momentum": 0.9, "bn_eps": 1e-3},
        {"dropout": 0.4, "bn_noise": 0.3},
        {"init": "kaiming", "weights": "independent"},
        {"hidden": (7,), "batch_size": 2},
        {"hidden": (16,) * 6, "activation": "sigmoid", "init": "xavier"},
        {"arms": "batch,batch-renorm,layer,group:4,instance,none"},
        {"arms": "none,none"},
    ],
)
def test_other_networks_too(options: dict[str, Any]) -> None:
    compare(RunConfig(**options))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_is_switched_frozen_and_restarted_is_what_torch_optim_makes_of_it(optimizer: str) -> None:
    changes: dict[int, list[tuple[str, Any]]] = {
        3: [("bn", False)], 5: [("restart", "none")], 8: [("bn", True), ("lr", 0.003)], 11: [("freeze", True)],
        13: [("restart", "batch")], 15: [("freeze", False)],
    }  # fmt: skip
    compare(RunConfig(optimizer=optimizer), steps=18, changes=changes)


@pytest.mark.parametrize("momentum", [0.1, "cumulative"])
@pytest.mark.parametrize("tracked", [15_000, 50_000])
def test_batch_renorm_with_open_limits_trains_as_by_autograd(tracked: int, momentum: float | str) -> None:
    changes: dict[int, list[tuple[str, Any]]] = {6: [("freeze", True)], 9: [("freeze", False)]}
    config = RunConfig(arms="batch-renorm,batch-renorm", bn_momentum=momentum, optimizer="sgd:0.9")
    compare(config, 12, changes, tracked)


CHANGES = st.one_of(
    st.tuples(st.sampled_from(["bn", "freeze"]), st.booleans()),
    st.tuples(st.just("noise"), st.sampled_from([0.0, 0.5])),
    st.tuples(st.just("dropout"), st.sampled_from([0.0, 0.3])),
    st.tuples(st.just("lr"), st.sampled_from([0.001, 0.3])),
    st.tuples(st.just("restart"), st.integers(0, 1)),
)


@given(
    st.lists(st.integers(1, 6).map(lambda n: 2 * n), min_size=1, max_size=3),
    st.integers(2, 9),
    st.sampled_from(ACTIVATIONS),
    st.lists(st.sampled_from(NORMS), min_size=2, max_size=4),
    st.sampled_from(OPTIMIZERS),
    st.dictionaries(st.integers(0, 5), st.lists(CHANGES, max_size=2), max_size=4),
)
def test_whatever_the_written_out_kernels_can_train_autograd_trains_to_the_same_bits(
    hidden: list[int], batch: int, activation: str, norms: list[str], optimizer: str,
    changes: dict[int, list[tuple[str, Any]]],
) -> None:  # fmt: skip
    config = RunConfig(hidden=tuple(hidden), batch_size=batch, activation=activation, arms=norms, optimizer=optimizer)
    names = list(mlp.build(config, CPU).by_name)
    named = {step: [(what, names[value] if what == "restart" else value) for what, value in rows]
             for step, rows in changes.items()}  # fmt: skip
    compare(config, 6, named)


@dataclass
class Watched:
    """What the layers of an arm had in one step, by hand."""

    name: str
    module: nn.Module
    x: Tensor
    y: Tensor


def walk(model: nn.Module, x: Tensor) -> Iterator[Watched]:
    for name, module in model.named_children():
        x.retain_grad()
        y = module(x)
        yield Watched(name, module, x, y)
        x = y


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("norm", NORMS)
def test_taps_hold_what_autograd_computes(name: str, norm: str) -> None:
    config = RunConfig(hidden=(6, 4), arms=(norm, "none"), optimizer="sgd", lr=0.5)
    arms, engine = make(config, name)
    reference = mlp.build(config, CPU)
    ((x, y),) = batches(1, 16)
    with engine.taps() as taps:
        train(engine, x, y)
    assert list(taps) == list(arms.by_name)
    for arm, model in reference.by_name.items():
        seen = list(walk(model.train(), x.clone().requires_grad_()))
        for row in seen:
            row.y.retain_grad()
        nn.functional.cross_entropy(seen[-1].y, y).backward()
        assert list(taps[arm]) == [row.name for row in seen]
        for row in seen:
            tap = taps[arm][row.name]
            assert type(tap.module) is type(row.module)
            assert tap.input is not None and tap.output is not None
            assert same(tap.input, row.x.detach()) and same(tap.output, row.y.detach())
            assert tap.input_gradient is not None and tap.output_gradient is not None
            assert row.x.grad is not None and row.y.grad is not None
            assert same(tap.output_gradient, row.y.grad)
            assert same(tap.input_gradient, row.x.grad)
            if isinstance(row.module, nn.Linear):
                assert tap.weight_gradient is not None and row.module.weight.grad is not None
                assert same(tap.weight_gradient, row.module.weight.grad)


@pytest.mark.parametrize("name", ENGINES)
def test_taps_hold_what_was_before_the_step_and_the_output_without_noise(name: str) -> None:
    config = RunConfig(hidden=(6, 4), bn_noise=2.0)
    arms, engine = make(config, name)
    before = {name: value.clone() for name, value in arms.by_name["batch"].state_dict().items()}
    with engine.taps() as taps:
        train(engine, *batches(1, 16)[0])
    for layer in ("norm1", "norm2"):
        tap = taps["batch"][layer]
        assert all(torch.equal(value, before[f"{layer}.{part}"]) for part, value in tap.before.items())
        assert tap.input is not None and tap.output is not None
        normal = nn.functional.batch_norm(tap.input, None, None, training=True, eps=1e-5)
        torch.testing.assert_close(tap.output, normal)
        following = taps["batch"][layer.replace("norm", "activation")].input
        assert following is not None and not torch.allclose(following, tap.output, atol=0.1)


@pytest.mark.parametrize("name", ENGINES)
def test_tapping_changes_no_number_and_is_gone_afterwards(name: str) -> None:
    config = RunConfig(hidden=(6, 4), dropout=0.2, bn_noise=0.3)
    (tapped_arms, tapped), (arms, engine) = make(config, name), make(config, name)
    for x, y in batches(6, 16):
        with tapped.taps():
            ours = train(tapped, x, y)
        assert torch.equal(ours, train(engine, x, y))
    assert tapped_arms.hashes() == arms.hashes()
    for model in tapped_arms.by_name.values():
        assert not any(module._forward_hooks for module in model.modules())
        assert all(norm.tap is None for norm in modules(model, Switchable))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_engine_goes_on_from_the_state_of_another(name: str, optimizer: str) -> None:
    config = RunConfig(hidden=(6, 4), optimizer=optimizer, arms=("batch", "batch-renorm", "none"))
    steps = batches(9, 16)
    (first_arms, first), (second_arms, second) = make(config, name), make(config, name)
    for x, y in steps[:4]:
        train(first, x, y)
    first.restart("none", mlp.build(config, CPU).by_name["none"].state_dict())
    train(first, *steps[4])
    state = first.state_dict()
    for x, y in steps[5:]:
        train(first, x, y)
    # What was kept is a copy: it is not moved by what follows.
    with torch.no_grad():
        second.load_state_dict(state)
    assert second_arms.hashes() != first_arms.hashes()
    for x, y in steps[5:]:
        train(second, x, y)
    assert second_arms.hashes() == first_arms.hashes()


def test_an_arm_that_is_not_a_number_leaves_the_others_alone() -> None:
    for name in ENGINES:
        (arms, engine), (alone, control) = make(RunConfig(), name), make(RunConfig(), name)
        with torch.inference_mode():
            next(iter(arms.by_name["none"].parameters())).fill_(torch.nan)
        for x, y in batches(5, 32):
            train(engine, x, y)
            train(control, x, y)
        assert state_sha256(arms.by_name["batch"]) == state_sha256(alone.by_name["batch"])
        assert all(p.isnan().any() for p in arms.by_name["none"].parameters())


class Skip(nn.Module):
    """A net that is no chain."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(784, 784), nn.Linear(784, 10)
        self.norm1 = SwitchableBatchNorm1d(784, 1e-5, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear2(torch.relu(self.norm1(self.linear1(x))) + x)
        return y


def chain(*changed: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(784, 8), *changed, nn.Linear(8, 10))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Skip(), "arm b is a Skip, not a chain of layers (nn.Sequential)"),
        (chain(nn.Softplus()), "arm b has a Softplus, for which there is no written-out form"),
        (chain(nn.BatchNorm1d(8)), "arm b has a BatchNorm1d, for which there is no written-out form"),
        (chain(nn.LeakyReLU(0.2)), "arm b has a LeakyReLU, for which there is no written-out form"),
        (chain(nn.Linear(8, 8, bias=False)), "arm b has a Linear, for which there is no written-out form"),
        (chain(nn.ReLU()).double(), "arm b has weights that are not float32"),
    ],
)
def test_the_fused_engine_says_what_it_can_not_train(model: nn.Module, why: str) -> None:
    arms = Arms({"a": chain(nn.ReLU()), "b": model}, torch.Generator())
    with pytest.raises(UsageError) as error:
        build_engine(RunConfig(engine="fused"), arms)
    assert str(error.value) == f"--engine fused: {why}; use --engine autograd"
    assert build_engine(RunConfig(), arms).name == "autograd"
    assert build_engine(RunConfig(), Arms({"a": chain(nn.ReLU())}, torch.Generator())).name == "fused"


def test_autograd_trains_a_net_of_another_shape() -> None:
    torch.manual_seed(0)
    arms = Arms({"skip": Skip()}, torch.Generator())
    engine = build_engine(RunConfig(), arms)
    ((x, y),) = batches(1, 32)
    with engine.taps() as taps:
        first = train(engine, x, y)
    assert [name for name, tap in taps["skip"].items() if tap.input_gradient is not None] == [
        "linear1", "linear2", "norm1",
    ]  # fmt: skip
    for _ in range(20):
        last = train(engine, x, y)
    assert float(last) < float(first) / 2


def test_a_chain_that_has_no_written_out_form_is_refused_and_says_why() -> None:
    shared, linear = nn.ReLU(), nn.Linear(4, 4)
    frozen, tied = nn.Linear(4, 4), nn.Linear(4, 4)
    frozen.weight.requires_grad_(False)
    tied.weight = linear.weight
    for model, why in (
        (nn.Sequential(nn.Linear(4, 4), shared, nn.Linear(4, 4), shared), "a layer in two places"),
        (nn.Sequential(linear, nn.ReLU(), linear), "a layer in two places"),
        (nn.Sequential(linear, nn.ReLU(), tied), "weights that two layers share"),
        (nn.Sequential(frozen, nn.ReLU(), nn.Linear(4, 4)), "weights that are not to be trained"),
        (nn.Sequential(nn.Linear(4, 4).double()), "weights that are not float32"),
    ):
        assert can_train({"a": model}) == f"arm a has {why}"
    assert can_train({"a": nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))}) == ""
