from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bntui.config.options import ACTIVATIONS, RunConfig
from bntui.data.resident import Samples, to_input
from bntui.models.mlp import SeededDropout, build_pair
from bntui.training.evaluation import evaluate
from bntui.training.fused.engine import Trainer, state_sha256

CPU = torch.device("cpu")


def batches(count: int, size: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.rand(size, 784, generator=generator), torch.randint(10, (size,), generator=generator))
        for _ in range(count)
    ]


def make_optimizer(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(model.parameters(), lr=lr)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=float(name.partition(":")[2] or 0))


def compare(config: RunConfig, steps: int = 12, switches: dict[int, tuple[str, bool]] | None = None) -> None:
    """Train with the written-out step, and the same modules with autograd and torch.optim; want the same bits."""
    pair, reference = build_pair(config, CPU), build_pair(config, CPU)
    trainer = Trainer(pair, config)
    optimizers = {arm: make_optimizer(config.optimizer, model, config.lr) for arm, model in reference.arms.items()}
    for number, (x, y) in enumerate(batches(steps, config.batch_size)):
        if switches and number in switches:
            what, on = switches[number]
            if what == "enabled":
                trainer.switch_norm(on)
            for norm in [*pair.norms, *reference.norms]:
                setattr(norm, what, on)
        with torch.inference_mode():
            losses = trainer.step(x, y)
        for (arm, model), loss in zip(reference.arms.items(), losses, strict=True):
            optimizers[arm].zero_grad()
            expected = nn.functional.cross_entropy(model.train()(x), y)
            expected.backward()
            optimizers[arm].step()
            assert float(loss) == float(expected.detach())
    for arm, model in pair.arms.items():
        for (name, ours), theirs in zip(
            model.state_dict().items(), reference.arms[arm].state_dict().values(), strict=True
        ):
            assert torch.equal(ours, theirs), (arm, name)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "sgd:0.9"])
def test_the_step_is_autograd_and_torch_optim_bit_for_bit(activation: str, optimizer: str) -> None:
    compare(RunConfig(activation=activation, optimizer=optimizer, hidden=(24, 16), batch_size=20))


@pytest.mark.parametrize(
    "options",
    [
        {"bn_momentum": "cumulative"},
        {"bn_momentum": 0.9, "bn_eps": 1e-3},
        {"dropout": 0.4},
        {"init": "kaiming", "weights": "independent"},
        {"hidden": (7,), "batch_size": 2},
        {"hidden": (16,) * 6, "activation": "sigmoid", "init": "xavier"},
    ],
)
def test_other_networks_too(options: dict[str, Any]) -> None:
    compare(RunConfig(**options))


@pytest.mark.parametrize("optimizer", ["adam", "sgd:0.9"])
def test_switching_and_freezing_batch_norm_is_what_torch_optim_makes_of_it(optimizer: str) -> None:
    switches = {3: ("enabled", False), 8: ("enabled", True), 11: ("frozen", True), 15: ("frozen", False)}
    compare(RunConfig(optimizer=optimizer), steps=18, switches=switches)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(2, 9), st.sampled_from(ACTIVATIONS))
def test_random_shapes(hidden: list[int], batch: int, activation: str) -> None:
    compare(RunConfig(hidden=tuple(hidden), batch_size=batch, activation=activation), steps=3)


def test_an_arm_that_is_not_a_number_leaves_the_other_alone() -> None:
    pair, alone = build_pair(RunConfig(), CPU), build_pair(RunConfig(), CPU)
    trainer, control = Trainer(pair, RunConfig()), Trainer(alone, RunConfig())
    with torch.inference_mode():
        next(iter(pair.plain.parameters())).fill_(torch.nan)
        for x, y in batches(5, 32):
            trainer.step(x, y)
            control.step(x, y)
    assert state_sha256(pair.bn) == state_sha256(alone.bn)
    assert all(p.isnan().any() for p in pair.plain.parameters())


def test_evaluation_is_the_mean_over_every_sample_in_eval_mode() -> None:
    config = RunConfig(dropout=0.5, hidden=(16,))
    pair = build_pair(config, CPU)
    trainer = Trainer(pair, config)
    with torch.inference_mode():
        for x, y in batches(3, 32):
            trainer.step(x, y)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (4_321, 784), generator=generator, dtype=torch.uint8)
    samples = Samples(images, torch.randint(10, (4_321,), generator=generator))
    split = evaluate(pair, samples)
    assert split is not None
    for metrics, model in ((split.bn, pair.bn), (split.plain, pair.plain)):
        with torch.no_grad():
            logits = model.eval()(to_input(images))
        assert metrics.loss == pytest.approx(
            float(nn.functional.cross_entropy(logits.double(), samples.labels)), rel=1e-6
        )
        assert metrics.accuracy == float((logits.argmax(1) == samples.labels).double().mean())
    assert evaluate(pair, samples, lambda: True) is None


def test_the_models_stay_usable_and_their_parameters_are_views_of_one_vector() -> None:
    config = RunConfig()
    pair = build_pair(config, CPU)
    before = state_sha256(pair.bn)
    trainer = Trainer(pair, config)
    assert state_sha256(pair.bn) == before
    trainer.parameters.values.zero_()
    assert not any(p.any() for model in pair.arms.values() for p in model.parameters())


def test_no_layer_knows_a_kind_of_module_by_accident() -> None:
    kinds = {type(m) for name in ACTIVATIONS for m in build_pair(RunConfig(activation=name, dropout=0.1), CPU).bn}
    assert len(kinds) == len(ACTIVATIONS) + 3
    assert SeededDropout in kinds
