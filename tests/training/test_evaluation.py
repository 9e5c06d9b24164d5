from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bntui.config.interventions import Scalar, initial
from bntui.config.options import RunConfig
from bntui.data.corruptions import shifted
from bntui.data.digits import generate
from bntui.data.resident import Dataset, Samples, to_input
from bntui.models.mlp import Pair, build_pair
from bntui.models.norms import SwitchableBatchNorm1d
from bntui.run.events import Metrics, Split
from bntui.training import evaluation
from bntui.training.evaluation import Evaluator, estimate, evaluate, normalizing, set_running_statistics
from bntui.training.fused.engine import Trainer, state_sha256

CPU = torch.device("cpu")
KINDS = [
    {}, {"norm": "batch-renorm", "versus": "batch"}, {"norm": "layer", "versus": "batch"}, {"norm": "none"},
    {"norm": "group:4", "versus": "instance"}, {"activation": "sigmoid", "hidden": "16x4"}, {"dropout": 0.4},
]  # fmt: skip


def digits(count: int, split: int = 0) -> Samples:
    images, labels = generate(count, seed=1, split=split)
    return Samples(torch.from_numpy(images.reshape(count, -1)), torch.from_numpy(labels).to(torch.int64))


def dataset(train: int = 640, validation: int = 333) -> Dataset:
    return Dataset("synthetic", "", "", digits(train), digits(validation, 1))


def trained(samples: Samples, steps: int = 5, batch_size: int = 32, **options: Any) -> Pair:
    """A pair after a few steps: its running statistics have not yet arrived at what the data has."""
    config = RunConfig(**{"hidden": (16, 12), "batch_size": batch_size, "lr": 0.02, **options})
    pair = build_pair(config, CPU)
    trainer = Trainer(pair, config)
    with torch.inference_mode():
        for number in range(steps):
            rows = slice(number * batch_size, (number + 1) * batch_size)
            trainer.step(to_input(samples.images[rows]), samples.labels[rows])
    return pair


def settings(**changed: Scalar) -> dict[str, Scalar]:
    return {**initial({}), **changed}


def results(data: Dataset, pair: Pair, **changed: Scalar) -> tuple[Split, Split]:
    found = Evaluator(data, seed=1).evaluate(pair, settings(**changed))
    assert found is not None
    return found


def norms_of(model: nn.Sequential) -> list[SwitchableBatchNorm1d]:
    return [module for module in model if isinstance(module, SwitchableBatchNorm1d)]


def as_pytorch(model: nn.Sequential, momentum: float | None) -> nn.Sequential:
    """The same net of PyTorch's own modules, in float64."""
    modules: list[nn.Module] = []
    for module in model:
        if isinstance(module, SwitchableBatchNorm1d):
            norm = nn.BatchNorm1d(module.num_features, module.eps, momentum)
            norm.load_state_dict(module.state_dict())
            modules.append(norm)
        elif isinstance(module, nn.Linear):
            linear = nn.Linear(module.in_features, module.out_features)
            linear.load_state_dict(module.state_dict())
            modules.append(linear)
        elif not type(module).__name__.endswith("Dropout"):
            modules.append(type(module)())
    return nn.Sequential(*modules).double()


def metrics_of(logits: Tensor, labels: Tensor) -> Metrics:
    loss = functional.cross_entropy(logits.double(), labels)
    return Metrics(float(loss), float((logits.argmax(1) == labels).double().mean()))


def assert_close(ours: Metrics, theirs: Metrics) -> None:
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert ours.accuracy == pytest.approx(theirs.accuracy, abs=1e-12)


@pytest.mark.parametrize("options", [{}, {"activation": "tanh"}, {"hidden": (20,) * 4}, {"bn_eps": 0.1}])
@pytest.mark.parametrize("count", [300, 500])
def test_an_estimate_is_what_pytorch_tracks_in_one_pass_in_train_mode(options: dict[str, Any], count: int) -> None:
    samples = digits(500)
    pair = trained(samples, **options)
    reference = as_pytorch(pair.bn, momentum=None)
    norms = [module for module in reference if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.reset_running_stats()
    with torch.no_grad():
        reference.train()(to_input(samples.images[:count]).double())
    found = estimate(pair.bn, samples, count)
    assert len(found) == len(norms) == len(norms_of(pair.bn))
    for (mean, variance), norm in zip(found, norms, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        torch.testing.assert_close(mean.double(), norm.running_mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(variance.double(), norm.running_var, rtol=1e-5, atol=1e-6)
    assert estimate(pair.plain, samples) == []


def test_an_estimate_passes_over_what_is_switched_off_and_drops_nothing() -> None:
    samples = digits(400)
    pair = trained(samples, dropout=0.5)
    first = norms_of(pair.bn)[0]
    first.enabled = False
    with torch.no_grad():
        before_first = pair.bn[0](to_input(samples.images))
        second = [module for module in pair.bn if isinstance(module, nn.Linear)][1](before_first.relu())
    found = estimate(pair.bn, samples)
    for (mean, variance), values in zip(found, (before_first, second), strict=True):
        torch.testing.assert_close(mean, values.mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(variance, values.var(0), rtol=1e-5, atol=1e-6)


def test_very_wide_layers_are_estimated_over_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = digits(600)
    pair = trained(samples)
    monkeypatch.setattr(evaluation, "_MOST_VALUES", 16 * 400)
    few = estimate(pair.bn, samples)
    for ours, theirs in zip(few, estimate(pair.bn, Samples(samples.images[:400], samples.labels[:400])), strict=True):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    # No fewer than these, though.
    monkeypatch.setattr(evaluation, "_MOST_VALUES", 16)
    with torch.no_grad():
        mean = pair.bn[0](to_input(samples.images[:256])).mean(0)
    torch.testing.assert_close(estimate(pair.bn, samples)[0][0], mean, rtol=1e-5, atol=1e-6)


def test_the_running_statistics_are_put_where_the_samples_are_and_nothing_else_is() -> None:
    samples = digits(500)
    pair = trained(samples, versus="batch")
    before = {arm: {k: v.clone() for k, v in model.state_dict().items()} for arm, model in pair.arms.items()}
    expected = {arm: estimate(model, samples) for arm, model in pair.arms.items()}
    set_running_statistics(pair, samples)
    for arm, model in pair.arms.items():
        for module, (mean, variance) in zip(norms_of(model), expected[arm], strict=True):
            assert torch.equal(module.running_mean, mean) and torch.equal(module.running_var, variance)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[arm][name]) != ("running" in name), name
    with normalizing(pair, "precise", 0, samples):
        precise = evaluate(pair, samples)
    assert evaluate(pair, samples) == precise


@pytest.mark.parametrize(("how", "rows"), [("running", 0), ("batch", 17), ("single", 1), ("precise", 0)])
def test_while_normalizing_otherwise_the_layers_know_and_then_no_longer(how: str, rows: int) -> None:
    samples = digits(300)
    pair = trained(samples, versus="batch-renorm")
    with normalizing(pair, how, 17, samples):
        assert [module.rows for module in pair.batch_norms] == [rows] * 4
        assert [module.estimate is not None for module in pair.batch_norms] == [how == "precise"] * 4
    assert [(module.rows, module.estimate) for module in pair.batch_norms] == [(0, None)] * 4
    with pytest.raises(RuntimeError, match="here"), normalizing(pair, how, 17, samples):
        raise RuntimeError("here")
    assert [(module.rows, module.estimate) for module in pair.batch_norms] == [(0, None)] * 4


def test_an_estimate_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = digits(300)
    pair = trained(samples, versus="batch")
    genuine = evaluation.estimate

    def fail_for_the_second(model: nn.Sequential, *rest: Any) -> Any:
        if model is pair.plain:
            raise RuntimeError("no memory")
        return genuine(model, *rest)

    monkeypatch.setattr(evaluation, "estimate", fail_for_the_second)
    with pytest.raises(RuntimeError, match="no memory"), normalizing(pair, "precise", 0, samples):
        raise AssertionError("not reached")
    assert [(module.rows, module.estimate) for module in pair.batch_norms] == [(0, None)] * 4


@pytest.mark.parametrize("batch_size", [32, 7, 2_500])
def test_batch_statistics_are_those_of_each_batch_in_turn(batch_size: int) -> None:
    data = dataset()
    pair = trained(data.train)
    by_running, by_batch = results(data, pair), results(data, pair, bn_eval="batch", batch_size=batch_size)
    reference = as_pytorch(pair.bn, momentum=0.0).train()
    for samples, running, batch in zip((data.train, data.validation), by_running, by_batch, strict=True):
        assert abs(batch.bn.loss - running.bn.loss) > 0.05
        assert batch.plain == running.plain
        with torch.no_grad():
            x = to_input(samples.images).double()
            logits = torch.cat([reference(rows) for rows in torch.split(x, batch_size)])
        assert_close(batch.bn, metrics_of(logits, samples.labels))


def test_whole_batches_stay_together_where_not_all_samples_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset()
    pair = trained(data.train)
    expected = results(data, pair, bn_eval="batch", batch_size=48)
    for rows in (1, 48, 100):
        monkeypatch.setattr(evaluation, "_ROWS_AT_ONCE", rows)
        for ours, theirs in zip(results(data, pair, bn_eval="batch", batch_size=48), expected, strict=True):
            assert_close(ours.bn, theirs.bn)


def test_precise_statistics_are_those_of_the_training_set() -> None:
    data = dataset()
    pair = trained(data.train)
    running, precise = results(data, pair), results(data, pair, bn_eval="precise")
    reference = as_pytorch(pair.bn, momentum=None)
    for module in reference:
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
    with torch.no_grad():
        reference.train()(to_input(data.train.images).double())
        for samples, split in zip((data.train, data.validation), precise, strict=True):
            assert_close(split.bn, metrics_of(reference.eval()(to_input(samples.images).double()), samples.labels))
    assert precise[0].bn.loss < running[0].bn.loss
    assert precise[0].plain == running[0].plain


def test_alone_every_sample_gets_the_same_prediction() -> None:
    data = dataset()
    pair = trained(data.train)
    single, running = results(data, pair, bn_eval="single"), results(data, pair)
    with normalizing(pair, "single", 0, data.train), torch.inference_mode():
        logits = pair.bn.eval()(to_input(data.validation.images))
    assert torch.equal(logits, logits[:1].expand_as(logits))
    predicted = int(logits[0].argmax())
    for samples, split, usual in zip((data.train, data.validation), single, running, strict=True):
        share = float((samples.labels == predicted).double().mean())
        assert 0 < share < 0.3
        assert split.bn.accuracy == pytest.approx(share, abs=1e-12)
        assert split.plain == usual.plain


@pytest.mark.parametrize("how", ["running", "batch", "single", "precise"])
def test_adapting_touches_the_validation_numbers_alone(how: str) -> None:
    data = dataset()
    pair = trained(data.train)
    shift = "brightness:0.4"
    adapted, usual = (results(data, pair, bn_eval=how, shift=shift, adapt_bn=on) for on in (True, False))
    assert adapted[0] == usual[0]
    assert adapted[1].plain == usual[1].plain
    assert adapted[1].bn != usual[1].bn
    changed = shifted(data.validation, shift, 1)
    with normalizing(pair, "precise", 0, changed):
        expected = evaluate(pair, changed)
    assert expected is not None and adapted[1].bn == pytest.approx(expected.bn)


def test_adapted_statistics_make_up_for_a_shift() -> None:
    data = dataset(1_280, 500)
    pair = trained(data.train, steps=40)
    shifted_alone, adapted = (results(data, pair, shift="brightness:0.4", adapt_bn=on)[1].bn for on in (False, True))
    assert adapted.accuracy > shifted_alone.accuracy + 0.05


@pytest.mark.parametrize("shift", ["brightness:-0.5", "contrast:1", "noise:0.5", "rotation:40", "inversion:1"])
def test_a_shift_changes_the_validation_numbers_alone(shift: str) -> None:
    data = dataset()
    pair = trained(data.train)
    evaluator = Evaluator(data, seed=1)
    before, changed, after = (evaluator.evaluate(pair, settings(shift=name)) for name in ("none", shift, "none"))
    assert before is not None and changed is not None
    assert changed[0] == before[0] == results(data, pair)[0]
    assert changed[1].bn != before[1].bn and changed[1].plain != before[1].plain
    assert after == before
    expected = evaluate(pair, shifted(data.validation, shift, 1))
    assert expected is not None
    assert_close(changed[1].bn, expected.bn)
    assert_close(changed[1].plain, expected.plain)


@pytest.mark.parametrize("options", KINDS)
def test_evaluation_of_every_kind_leaves_the_models_as_they_are(options: dict[str, Any]) -> None:
    data = dataset(200, 100)
    pair = trained(data.train, **options)
    hashes = {arm: state_sha256(model) for arm, model in pair.arms.items()}
    drawn = [dropout.generator.get_state() for dropout in pair.dropouts]
    usual = results(data, pair)
    for how in ("running", "batch", "single", "precise"):
        for shift in ("none", "noise:0.2"):
            for adapt in (False, True):
                results(data, pair, bn_eval=how, shift=shift, adapt_bn=adapt)
    assert {arm: state_sha256(model) for arm, model in pair.arms.items()} == hashes
    assert all(torch.equal(d.generator.get_state(), before) for d, before in zip(pair.dropouts, drawn, strict=True))
    assert results(data, pair) == usual


@pytest.mark.parametrize("how", ["batch", "single", "precise"])
def test_normalizations_that_keep_no_statistics_evaluate_as_ever(how: str) -> None:
    data = dataset(200, 100)
    pair = trained(data.train, norm="group:4", versus="layer")
    assert results(data, pair, bn_eval=how, adapt_bn=True) == results(data, pair)


@pytest.mark.parametrize("after", range(4))
def test_an_evaluation_that_is_stopped_has_no_result_and_leaves_nothing_behind(after: int) -> None:
    data = dataset(200, 100)
    pair = trained(data.train)
    asked: list[int] = []

    def stopping() -> bool:
        asked.append(1)
        return len(asked) > after

    found = Evaluator(data, seed=1).evaluate(pair, settings(bn_eval="precise"), stopping)
    assert (found is None) == (after < 2)
    assert [(module.rows, module.estimate) for module in pair.batch_norms] == [(0, None)] * 2
