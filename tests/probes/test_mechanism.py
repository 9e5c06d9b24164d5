from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bntui.config.options import RunConfig
from bntui.config.parsers import PROBES
from bntui.data.resident import Samples, to_input
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.models.mlp import Pair, SeededDropout, build_pair
from bntui.models.norms import Switchable, SwitchableBatchNorm1d
from bntui.probes.mechanism import Mechanism, Weights, copy_weights, covariate_shift, gap, landscape, loss_and_gradients
from bntui.training import session
from bntui.training.fused.engine import Trainer, state_sha256

CPU = torch.device("cpu")
KINDS = [
    {}, {"norm": "layer", "versus": "group:4"}, {"norm": "batch-renorm", "versus": "instance"}, {"norm": "none"},
    {"hidden": "12x4", "activation": "sigmoid"}, {"dropout": 0.3, "bn_noise": 0.3}, {"hidden": (8,)},
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Both arms in float64 after a few steps and one more, whose batch and weights before and after are kept."""

    config: RunConfig
    pair: Pair
    x: Tensor
    y: Tensor
    before: dict[str, Weights]
    after: dict[str, Weights]


def batches(count: int, size: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.rand(size, 784, generator=generator), torch.randint(10, (size,), generator=generator))
        for _ in range(count)
    ]


def case(**options: Any) -> Case:
    config = RunConfig(**{"hidden": (16, 12), "lr": 0.05, "optimizer": "sgd:0.9", **options})
    pair = build_pair(config, CPU)
    trainer = Trainer(pair, config)
    *earlier, (x, y) = batches(4, config.batch_size)
    with torch.inference_mode():
        for batch in earlier:
            trainer.step(*batch)
    before = {arm: copy_weights(model) for arm, model in pair.arms.items()}
    with torch.inference_mode():
        trainer.step(x, y)
    after = {arm: copy_weights(model) for arm, model in pair.arms.items()}
    for model in pair.arms.values():
        model.double()
    widened = [
        {arm: {name: value.double() for name, value in w.items()} for arm, w in weights.items()}
        for weights in (before, after)
    ]
    return Case(config, pair, x.double(), y, *widened)


def reference(case: Case, arm: str, weights: Weights) -> nn.Sequential:
    """A model of its own with these weights, that neither drops units nor has noise."""
    model = build_pair(case.config, CPU).arms[arm].double()
    model.load_state_dict({**case.pair.arms[arm].state_dict(), **weights})
    for module in model:
        if isinstance(module, Switchable):
            module.noise = 0.0
        if isinstance(module, SeededDropout):
            module.p = 0.0
    return model.train()


def by_autograd(case: Case, arm: str, weights: Weights) -> tuple[float, Weights]:
    model = reference(case, arm, weights)
    names, parameters = zip(*model.named_parameters(), strict=True)
    loss = functional.cross_entropy(model(case.x), case.y)
    gradients = torch.autograd.grad(loss, parameters)
    return float(loss.detach()), dict(zip(names, gradients, strict=True))


def distance(a: Weights, b: Weights) -> float:
    return float(torch.cat([(a[name] - b[name]).flatten() for name in a]).norm())


@pytest.mark.parametrize("arm", ["bn", "plain"])
@pytest.mark.parametrize("options", KINDS)
def test_loss_and_gradients_are_those_of_a_model_with_these_weights(options: dict[str, Any], arm: str) -> None:
    found = case(**options)
    model = found.pair.arms[arm]
    hashes = state_sha256(model)
    for weights in (found.before[arm], found.after[arm]):
        loss, gradients = loss_and_gradients(model, weights, found.x, found.y)
        expected, theirs = by_autograd(found, arm, weights)
        assert float(loss) == pytest.approx(expected, rel=1e-12)
        assert list(gradients) == list(theirs)
        assert all(torch.allclose(gradients[name], theirs[name], rtol=1e-9, atol=1e-12) for name in theirs)
    assert state_sha256(model) == hashes
    assert not any(value.requires_grad for value in found.before[arm].values())


@pytest.mark.parametrize("arm", ["bn", "plain"])
@pytest.mark.parametrize("options", KINDS)
def test_covariate_shift_is_definition_2_1(options: dict[str, Any], arm: str) -> None:
    found = case(**options)
    before, after = found.before[arm], found.after[arm]
    model = found.pair.arms[arm]
    ours = covariate_shift(model, before, after, found.x, found.y)
    linear = [name for name, module in model.named_children() if isinstance(module, nn.Linear)]
    assert [row.layer for row in ours] == [f"linear{i}" for i in range(1, len(found.config.hidden) + 2)]
    assert ours[0].difference == 0
    assert ours[0].cosine == pytest.approx(1, abs=1e-12)
    g = by_autograd(found, arm, before)[1]
    order = [name for name, _ in model.named_children()]
    for row, name in zip(ours, linear, strict=True):
        below = order[: order.index(name)]
        mixed = {key: (after if key.split(".")[0] in below else before)[key] for key in before}
        first, second = (by_autograd(found, arm, weights)[1][f"{name}.weight"] for weights in (before, mixed))
        assert torch.equal(first, g[f"{name}.weight"])
        assert row.difference == pytest.approx(float((first - second).norm()), rel=1e-6, abs=1e-12)
        cosine = float((first * second).sum() / (first.norm() * second.norm()))
        assert row.cosine == pytest.approx(cosine, abs=1e-6)
    assert all(row.difference > 0 for row in ours[1:])


@pytest.mark.parametrize("arm", ["bn", "plain"])
@pytest.mark.parametrize("options", KINDS)
def test_the_landscape_is_along_the_gradient(options: dict[str, Any], arm: str) -> None:
    found = case(**options)
    before, lr = found.before[arm], 0.3
    ours = landscape(found.pair.arms[arm], before, found.x, found.y, lr)
    _, gradient = by_autograd(found, arm, before)
    losses, changes, ratios = [], [], []
    for factor in (0.5, 1.0, 2.0, 4.0):
        there = {name: before[name] - factor * lr * gradient[name] for name in before}
        loss, other = by_autograd(found, arm, there)
        losses.append(loss)
        changes.append(distance(other, gradient))
        ratios.append(changes[-1] / distance(there, before))
    assert ours.lowest == pytest.approx(min(losses), rel=1e-6)
    assert ours.highest == pytest.approx(max(losses), rel=1e-6)
    assert ours.gradient_change == pytest.approx(max(changes), rel=1e-6)
    assert ours.smoothness == pytest.approx(max(ratios), rel=1e-6)
    assert ours.lowest < ours.highest and ours.smoothness > 0


def test_of_a_quadratic_the_effective_smoothness_is_its_curvature() -> None:
    # Far from any kink and nearly at 0, where the cross-entropy of two equal logits is ln 2 + z²/8 in their difference.
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = nn.Parameter(torch.full((), 1e-4, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x * self.slope / 2, -x * self.slope / 2], 1)

    model = nn.Sequential(Line())
    x = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
    found = landscape(model, copy_weights(model), x, torch.tensor([0, 1]), lr=0.1)
    assert found.smoothness == pytest.approx(1 / 4, rel=1e-6)


def test_a_parameter_that_has_no_part_in_it_has_no_gradient() -> None:
    found = case()
    model, before = found.pair.bn, found.before["bn"]
    for norm in found.pair.norms:
        norm.enabled = False
    gradients = loss_and_gradients(model, before, found.x, found.y)[1]
    of_norm = [f"{name}.{kind}" for name, m in model.named_children() if isinstance(m, Switchable)
               for kind in ("weight", "bias")]  # fmt: skip
    assert [name for name, value in gradients.items() if not value.any()] == of_norm
    assert all(row.cosine == row.cosine for row in covariate_shift(model, before, found.after["bn"], found.x, found.y))


def test_frozen_statistics_are_what_the_probes_normalise_by() -> None:
    found = case()
    for norm in found.pair.batch_norms:
        norm.frozen = True
    loss, _ = loss_and_gradients(found.pair.bn, found.before["bn"], found.x, found.y)
    with torch.no_grad():
        logits = reference(found, "bn", found.before["bn"]).eval()(found.x)
    assert float(loss) == pytest.approx(float(functional.cross_entropy(logits, found.y)), rel=1e-12)


@pytest.mark.parametrize(("norm", "versus"), [("batch", "none"), ("none", "batch-renorm"), ("batch", "batch")])
def test_the_gap_is_between_three_kinds_of_statistics(norm: str, versus: str) -> None:
    found = case(norm=norm, versus=versus)
    for model in found.pair.arms.values():
        model.float()
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(256, (2_300, 784), generator=generator, dtype=torch.uint8)
    train = Samples(images, torch.zeros(2_300, dtype=torch.int64))
    ours = gap(found.pair, found.x.float(), found.y, train)
    for arm, kind in (("bn", norm), ("plain", versus)):
        row = ours[arm]
        if kind == "none":
            assert row is None
            continue
        assert row is not None
        # The precise ones: what one pass over the first 2,000 samples leaves in PyTorch's own layers.
        by_batch, by_running, precise = (reference(found, arm, found.after[arm]) for _ in range(3))
        for own in by_batch, precise:
            for name, module in list(own.named_children()):
                if isinstance(module, SwitchableBatchNorm1d):
                    momentum = 0.0 if own is by_batch else None
                    pytorch = nn.BatchNorm1d(module.num_features, module.eps, momentum).double()
                    pytorch.load_state_dict(module.state_dict())
                    setattr(own, name, pytorch)
        for module in precise:
            if isinstance(module, nn.BatchNorm1d):
                module.reset_running_stats()
        with torch.no_grad():
            precise(to_input(images[:2_000]).double())
            for metrics, model in (
                (row.batch, by_batch), (row.running, by_running.eval()), (row.precise, precise.eval())
            ):  # fmt: skip
                logits = model(found.x)
                assert metrics.loss == pytest.approx(float(functional.cross_entropy(logits, found.y)), rel=1e-4)
                right = float((logits.argmax(1) == found.y).double().mean())
                assert metrics.accuracy == pytest.approx(right, abs=1e-6)
        assert len({row.batch.loss, row.running.loss, row.precise.loss}) == 3


def test_the_probes_of_a_step_are_of_the_weights_before_and_after_it() -> None:
    config = RunConfig(hidden=(16, 12), optimizer="sgd", lr=0.1)
    pair = build_pair(config, CPU)
    trainer = Trainer(pair, config)
    generator = torch.Generator().manual_seed(2)
    train = Samples(torch.randint(256, (300, 784), generator=generator, dtype=torch.uint8), torch.zeros(300).long())
    (x, y), (unused, _) = batches(2, 32)
    with torch.inference_mode():
        given = x.clone()
        mechanism = Mechanism(pair, given, y, PROBES)
        before = {arm: copy_weights(model) for arm, model in pair.arms.items()}
        trainer.step(given, y)
        # The buffer that a batch lies in may be used again.
        given.copy_(unused)
        hashes = [state_sha256(model) for model in pair.arms.values()]
        found = mechanism.probe(0.1, train, 3, 7, live=True)
    assert (found.epoch, found.step, found.live) == (3, 7, True)
    assert list(found.milliseconds) == list(PROBES)
    assert all(value > 0 for value in found.milliseconds.values())
    for arm, model in pair.arms.items():
        probes = getattr(found, arm)
        assert probes.covariate_shift == covariate_shift(model, before[arm], copy_weights(model), x, y)
        assert probes.landscape == landscape(model, before[arm], x, y, 0.1)
        assert probes.gap == gap(pair, x, y, train)[arm]
        gradients = loss_and_gradients(model, before[arm], x, y)[1]
        for parameter, gradient in zip(model.parameters(), gradients.values(), strict=True):
            torch.testing.assert_close(trainer.parameters.gradient_of[parameter], gradient, rtol=1e-4, atol=1e-7)
    assert found.bn.gap is not None and found.plain.gap is None
    assert [state_sha256(model) for model in pair.arms.values()] == hashes


@pytest.mark.parametrize("names", [c for n in range(3) for c in itertools.combinations(PROBES, n)])
def test_only_what_was_asked_for_is_measured(names: tuple[str, ...]) -> None:
    config = RunConfig(hidden=(6,))
    pair = build_pair(config, CPU)
    x, y = batches(1, 8)[0]
    train = Samples(torch.zeros(300, 784, dtype=torch.uint8), torch.zeros(300, dtype=torch.int64))
    found = Mechanism(pair, x, y, names).probe(0.1, train, 1, 1, live=False)
    assert tuple(found.milliseconds) == names
    assert bool(found.bn.covariate_shift) == ("covariate-shift" in names)
    assert (found.bn.landscape is not None) == ("landscape" in names)
    assert (found.bn.gap is not None) == ("gap" in names)


def small(**options: Any) -> RunConfig:
    """Two epochs of 10 steps."""
    base = {"data": "synthetic", "train_samples": 330, "validation_samples": 50, "epochs": 2, "device": "cpu"}
    return RunConfig(**{**base, "hidden": (16, 12), **options})


def run(config: RunConfig, schedule: Iterable[tuple[int, c.Command]] = (), watching: str = "") -> list[e.Event]:
    events: list[e.Event] = []
    control = c.Control(schedule)
    control.watching = frozenset({watching} if watching else ())
    session.run(config, events.append, control)
    return events


LOOKING: list[tuple[int, c.Command]] = [(3, c.Pause(True)), (3, c.Step()), (4, c.Step()), (5, c.Pause(False))]
"""Each step is read for who looks at it while the run is paused."""


def only(events: list[e.Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def numbers(events: list[e.Event]) -> str:
    """Everything of a run that no clock may change, as text, in which NaN equals NaN."""
    losses = [pair for event in only(events, e.Stepped) for pair in zip(event.bn, event.plain, strict=True)]
    epochs = [(row.epoch, row.step, row.lr, row.train, row.validation) for row in only(events, e.EpochEnded)]
    return repr([losses, epochs, only(events, e.BatchNormRead), only(events, e.Finished)[0].state_sha256])


@pytest.mark.parametrize(
    "options",
    [
        {}, {"norm": "batch-renorm", "versus": "batch"}, {"norm": "group:4", "versus": "layer"}, {"norm": "none"},
        {"bn_momentum": "cumulative", "bn_eval": "precise", "adapt_bn": True},
    ],
)  # fmt: skip
def test_probing_changes_no_number_of_a_run(options: dict[str, Any]) -> None:
    config = {"dropout": 0.3, "bn_noise": 0.3, **options}
    schedule: list[tuple[int, c.Command]] = [(8, c.Change("bn", False)), (14, c.Change("bn", True))]
    without, probed = run(small(**config), schedule), run(small(**config, probe="all", probe_every=3), schedule)
    assert numbers(probed) == numbers(without)
    assert only(without, e.Probed) == []
    assert len(only(probed, e.Probed)) == 6


@pytest.mark.parametrize("every", [1, 3, 4, 20, 21])
def test_a_run_probes_at_the_multiples_of_probe_every(every: int) -> None:
    events = run(small(probe="landscape,covariate-shift", probe_every=every))
    found = only(events, e.Probed)
    steps = list(range(every, 21, every))
    assert [row.step for row in found] == steps
    assert [row.epoch for row in found] == [1 if step <= 10 else 2 for step in steps]
    for row in found:
        assert not row.live
        assert list(row.milliseconds) == ["covariate-shift", "landscape"]
        for probes in (row.bn, row.plain):
            assert [shift.layer for shift in probes.covariate_shift] == ["linear1", "linear2", "linear3"]
            assert probes.covariate_shift[0].difference == 0
            assert probes.landscape is not None and probes.gap is None


def test_the_landscape_of_a_run_is_at_its_learning_rate() -> None:
    near, far = (
        only(run(small(probe="landscape", probe_every=9, lr=1e-9), schedule), e.Probed)[0].bn.landscape
        for schedule in ([], [(8, c.Change("learning_rate", 0.1))])
    )
    assert near.highest - near.lowest < 1e-6 < far.highest - far.lowest
    assert near.gradient_change < 1e-4 < far.gradient_change


def test_live_probes_are_made_only_while_somebody_looks_at_them() -> None:
    runs = {watching: run(small(dropout=0.3), LOOKING, watching) for watching in ("", "flow", "batch_norm", "probes")}
    for watching, events in runs.items():
        found = only(events, e.Probed)
        assert bool(found) == (watching == "probes")
        assert all(row.live and list(row.milliseconds) == list(PROBES) for row in found)
        if found:
            assert {4, 5} <= {row.step for row in found}
        reads = [row for row in only(events, e.BatchNormRead) if not row.live]
        assert reads == only(runs[""], e.BatchNormRead)
        assert only(events, e.Finished)[0].state_sha256 == only(runs[""], e.Finished)[0].state_sha256


def test_a_step_that_is_probed_anyway_is_not_probed_again_for_who_looks() -> None:
    found = only(run(small(probe="gap", probe_every=4), LOOKING, "probes"), e.Probed)
    by_step = {row.step: row for row in found}
    assert len(by_step) == len(found)
    assert [step for step, row in by_step.items() if not row.live] == [4, 8, 12, 16, 20]
    assert list(by_step[4].milliseconds) == ["gap"]
    assert by_step[5].live and list(by_step[5].milliseconds) == list(PROBES)
