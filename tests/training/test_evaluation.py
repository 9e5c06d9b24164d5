from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bntui.config.interventions import Scalar, initial
from bntui.config.options import RunConfig
from bntui.config.parsers import shift as shift_of
from bntui.data.corruptions import shifted
from bntui.data.digits import generate
from bntui.data.resident import ResidentSource
from bntui.data.samples import Samples, to_input
from bntui.messages.events import Metrics
from bntui.models import estimates, mlp
from bntui.models.arms import Arms, modules
from bntui.models.estimates import First, estimate, normalizing, set_running_statistics
from bntui.models.norms import SwitchableBatchNorm1d
from bntui.training import evaluation
from bntui.training.engine import build_engine
from bntui.training.evaluation import Evaluator, Metered
from bntui.training.evaluation import evaluate as evaluate_batches

CPU = torch.device("cpu")
KINDS = [
    {}, {"arms": "batch-renorm,batch"}, {"arms": "layer,batch,none"}, {"arms": "none,none"},
    {"arms": "group:4,instance"}, {"activation": "sigmoid", "hidden": "16x4"}, {"dropout": 0.4},
]  # fmt: skip


def digits(count: int, split: int = 0) -> Samples:
    images, labels = generate(count, seed=1, split=split)
    return Samples(torch.from_numpy(images.reshape(count, -1)), torch.from_numpy(labels).to(torch.int64))


def source(train: int = 640, validation: int = 333) -> ResidentSource:
    return ResidentSource("synthetic", "", "", digits(train), digits(validation, 1), seed=1)


def first_of(samples: Samples) -> First:
    return lambda count: to_input(samples.images[:count])


def evaluate(arms: Arms, samples: Samples) -> Metered:
    batches = zip(torch.split(samples.images, 2_000), torch.split(samples.labels, 2_000), strict=True)
    found = evaluate_batches(arms.by_name, ((to_input(images), labels) for images, labels in batches))
    assert found is not None
    return found


def trained(samples: Samples, steps: int = 5, batch_size: int = 32, **options: Any) -> Arms:
    """Arms after a few steps: their running statistics have not yet arrived at what the data has."""
    config = RunConfig(**{"hidden": (16, 12), "batch_size": batch_size, "lr": 0.02, **options})
    arms = mlp.build(config, CPU)
    engine = build_engine(config, arms)
    for number in range(steps):
        rows = slice(number * batch_size, (number + 1) * batch_size)
        engine.forward_backward(to_input(samples.images[rows]), samples.labels[rows])
        with torch.inference_mode():
            engine.update()
    return arms


def settings(**changed: Scalar) -> dict[str, Scalar]:
    return {**initial({}), **changed}


def results(data: ResidentSource, arms: Arms, **changed: Scalar) -> tuple[Metered, Metered]:
    found = Evaluator(data).evaluate(arms.by_name, settings(**changed), lambda: False)
    assert found is not None
    return found


def norms_of(model: nn.Module) -> list[SwitchableBatchNorm1d]:
    return list(modules(model, SwitchableBatchNorm1d))


def as_pytorch(model: nn.Module, momentum: float | None) -> nn.Sequential:
    """The same net of PyTorch's own modules, in float64."""
    found: list[nn.Module] = []
    for module in model.children():
        if isinstance(module, SwitchableBatchNorm1d):
            norm = nn.BatchNorm1d(module.num_features, module.eps, momentum)
            norm.load_state_dict(module.state_dict())
            found.append(norm)
        elif isinstance(module, nn.Linear):
            linear = nn.Linear(module.in_features, module.out_features)
            linear.load_state_dict(module.state_dict())
            found.append(linear)
        elif not type(module).__name__.endswith("Dropout"):
            found.append(type(module)())
    return nn.Sequential(*found).double()


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
    arms = trained(samples, **options)
    reference = as_pytorch(arms.by_name["batch"], momentum=None)
    norms = [module for module in reference if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.reset_running_stats()
    with torch.no_grad():
        reference.train()(to_input(samples.images[:count]).double())
    found = estimate(arms.by_name["batch"], first_of(samples), count)
    assert len(found) == len(norms) == len(norms_of(arms.by_name["batch"]))
    for (mean, variance), norm in zip(found, norms, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        torch.testing.assert_close(mean.double(), norm.running_mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(variance.double(), norm.running_var, rtol=1e-5, atol=1e-6)
    assert estimate(arms.by_name["none"], first_of(samples)) == []


def test_an_estimate_passes_over_what_is_switched_off_and_drops_nothing() -> None:
    samples = digits(400)
    arms = trained(samples, dropout=0.5)
    first = norms_of(arms.by_name["batch"])[0]
    first.enabled = False
    with torch.no_grad():
        before_first = arms.by_name["batch"].get_submodule("linear1")(to_input(samples.images))
        second = arms.by_name["batch"].get_submodule("linear2")(before_first.relu())
    found = estimate(arms.by_name["batch"], first_of(samples))
    for (mean, variance), values in zip(found, (before_first, second), strict=True):
        torch.testing.assert_close(mean, values.mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(variance, values.var(0), rtol=1e-5, atol=1e-6)


def test_very_wide_layers_are_estimated_over_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = digits(600)
    arms = trained(samples)
    monkeypatch.setattr(estimates, "_MOST_VALUES", 16 * 400)
    few = estimate(arms.by_name["batch"], first_of(samples))
    for ours, theirs in zip(
        few, estimate(arms.by_name["batch"], first_of(Samples(samples.images[:400], samples.labels[:400]))), strict=True
    ):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    # No fewer than these, though.
    monkeypatch.setattr(estimates, "_MOST_VALUES", 16)
    with torch.no_grad():
        mean = arms.by_name["batch"].get_submodule("linear1")(to_input(samples.images[:256])).mean(0)
    torch.testing.assert_close(estimate(arms.by_name["batch"], first_of(samples))[0][0], mean, rtol=1e-5, atol=1e-6)


def test_the_running_statistics_are_put_where_the_samples_are_and_nothing_else_is() -> None:
    samples = digits(500)
    arms = trained(samples, arms="batch,batch")
    before = {arm: {k: v.clone() for k, v in model.state_dict().items()} for arm, model in arms.by_name.items()}
    expected = {arm: estimate(model, first_of(samples)) for arm, model in arms.by_name.items()}
    set_running_statistics(arms.by_name.values(), first_of(samples))
    for arm, model in arms.by_name.items():
        for module, (mean, variance) in zip(norms_of(model), expected[arm], strict=True):
            assert torch.equal(module.running_mean, mean) and torch.equal(module.running_var, variance)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[arm][name]) != ("running" in name), name
    with normalizing(arms.by_name.values(), "precise", 0, first_of(samples)):
        precise = evaluate(arms, samples)
    assert evaluate(arms, samples) == precise


@pytest.mark.parametrize(("how", "rows"), [("running", 0), ("batch", 17), ("single", 1), ("precise", 0)])
def test_while_normalizing_otherwise_the_layers_know_and_then_no_longer(how: str, rows: int) -> None:
    samples = digits(300)
    arms = trained(samples, arms="batch,batch-renorm")
    with normalizing(arms.by_name.values(), how, 17, first_of(samples)):
        assert [module.rows for module in arms.batch_norms] == [rows] * 4
        assert [module.estimate is not None for module in arms.batch_norms] == [how == "precise"] * 4
    assert [(module.rows, module.estimate) for module in arms.batch_norms] == [(0, None)] * 4
    with pytest.raises(RuntimeError, match="here"), normalizing(arms.by_name.values(), how, 17, first_of(samples)):
        raise RuntimeError("here")
    assert [(module.rows, module.estimate) for module in arms.batch_norms] == [(0, None)] * 4


def test_an_estimate_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = digits(300)
    arms = trained(samples, arms="batch,batch")
    genuine = estimates.estimate

    def fail_for_the_second(model: nn.Sequential, *rest: Any) -> Any:
        if model is arms.by_name["batch-2"]:
            raise RuntimeError("no memory")
        return genuine(model, *rest)

    monkeypatch.setattr(estimates, "estimate", fail_for_the_second)
    with (
        pytest.raises(RuntimeError, match="no memory"),
        normalizing(arms.by_name.values(), "precise", 0, first_of(samples)),
    ):
        raise AssertionError("not reached")
    assert [(module.rows, module.estimate) for module in arms.batch_norms] == [(0, None)] * 4


@pytest.mark.parametrize("batch_size", [32, 7, 2_500])
def test_batch_statistics_are_those_of_each_batch_in_turn(batch_size: int) -> None:
    data = source()
    arms = trained(data.train)
    by_running, by_batch = results(data, arms), results(data, arms, bn_eval="batch", batch_size=batch_size)
    reference = as_pytorch(arms.by_name["batch"], momentum=0.0).train()
    for samples, running, batch in zip((data.train, data.validation), by_running, by_batch, strict=True):
        assert abs(batch["batch"].loss - running["batch"].loss) > 0.05
        assert batch["none"] == running["none"]
        with torch.no_grad():
            x = to_input(samples.images).double()
            logits = torch.cat([reference(rows) for rows in torch.split(x, batch_size)])
        assert_close(batch["batch"], metrics_of(logits, samples.labels))


def test_whole_batches_stay_together_where_not_all_samples_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = source()
    arms = trained(data.train)
    expected = results(data, arms, bn_eval="batch", batch_size=48)
    for rows in (1, 48, 100):
        monkeypatch.setattr(evaluation, "_ROWS_AT_ONCE", rows)
        for ours, theirs in zip(results(data, arms, bn_eval="batch", batch_size=48), expected, strict=True):
            assert_close(ours["batch"], theirs["batch"])


def test_precise_statistics_are_those_of_the_training_set() -> None:
    data = source()
    arms = trained(data.train)
    running, precise = results(data, arms), results(data, arms, bn_eval="precise")
    reference = as_pytorch(arms.by_name["batch"], momentum=None)
    for module in reference:
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
    with torch.no_grad():
        reference.train()(to_input(data.train.images).double())
        for samples, split in zip((data.train, data.validation), precise, strict=True):
            assert_close(
                split["batch"], metrics_of(reference.eval()(to_input(samples.images).double()), samples.labels)
            )
    assert precise[0]["batch"].loss < running[0]["batch"].loss
    assert precise[0]["none"] == running[0]["none"]


def test_alone_every_sample_gets_the_same_prediction() -> None:
    data = source()
    arms = trained(data.train)
    single, running = results(data, arms, bn_eval="single"), results(data, arms)
    with normalizing(arms.by_name.values(), "single", 0, first_of(data.train)), torch.inference_mode():
        logits = arms.by_name["batch"].eval()(to_input(data.validation.images))
    assert torch.equal(logits, logits[:1].expand_as(logits))
    predicted = int(logits[0].argmax())
    for samples, split, usual in zip((data.train, data.validation), single, running, strict=True):
        share = float((samples.labels == predicted).double().mean())
        assert 0 < share < 0.3
        assert split["batch"].accuracy == pytest.approx(share, abs=1e-12)
        assert split["none"] == usual["none"]


@pytest.mark.parametrize("how", ["running", "batch", "single", "precise"])
def test_adapting_touches_the_validation_numbers_alone(how: str) -> None:
    data = source()
    arms = trained(data.train)
    shift = "brightness:0.4"
    adapted, usual = (results(data, arms, bn_eval=how, shift=shift, adapt_bn=on) for on in (True, False))
    assert adapted[0] == usual[0]
    assert adapted[1]["none"] == usual[1]["none"]
    assert adapted[1]["batch"] != usual[1]["batch"]
    changed = shifted(data.validation, shift_of(shift), 1)
    with normalizing(arms.by_name.values(), "precise", 0, first_of(changed)):
        expected = evaluate(arms, changed)
    assert expected is not None and adapted[1]["batch"] == pytest.approx(expected["batch"])


def test_adapted_statistics_make_up_for_a_shift() -> None:
    data = source(1_280, 500)
    arms = trained(data.train, steps=40)
    shifted_alone, adapted = (
        results(data, arms, shift="brightness:0.4", adapt_bn=on)[1]["batch"] for on in (False, True)
    )
    assert adapted.accuracy > shifted_alone.accuracy + 0.05


@pytest.mark.parametrize("shift", ["brightness:-0.5", "contrast:1", "noise:0.5", "rotation:40", "inversion:1"])
def test_a_shift_changes_the_validation_numbers_alone(shift: str) -> None:
    data = source()
    arms = trained(data.train)
    before, changed, after = (results(data, arms, shift=name) for name in ("none", shift, "none"))
    assert changed[0] == before[0] == results(data, arms)[0]
    assert changed[1]["batch"] != before[1]["batch"] and changed[1]["none"] != before[1]["none"]
    assert after == before
    expected = evaluate(arms, shifted(data.validation, shift_of(shift), 1))
    assert expected is not None
    assert_close(changed[1]["batch"], expected["batch"])
    assert_close(changed[1]["none"], expected["none"])


@pytest.mark.parametrize("options", KINDS)
def test_evaluation_of_every_kind_leaves_the_models_as_they_are(options: dict[str, Any]) -> None:
    data = source(200, 100)
    arms = trained(data.train, **options)
    hashes = arms.hashes()
    drawn = [dropout.generator.get_state() for dropout in arms.dropouts]
    usual = results(data, arms)
    for how in ("running", "batch", "single", "precise"):
        for shift in ("none", "noise:0.2"):
            for adapt in (False, True):
                results(data, arms, bn_eval=how, shift=shift, adapt_bn=adapt)
    assert arms.hashes() == hashes
    assert all(torch.equal(d.generator.get_state(), before) for d, before in zip(arms.dropouts, drawn, strict=True))
    assert results(data, arms) == usual


@pytest.mark.parametrize("how", ["batch", "single", "precise"])
def test_normalizations_that_keep_no_statistics_evaluate_as_ever(how: str) -> None:
    data = source(200, 100)
    arms = trained(data.train, arms="group:4,layer")
    assert results(data, arms, bn_eval=how, adapt_bn=True) == results(data, arms)


@pytest.mark.parametrize("after", range(4))
def test_an_evaluation_that_is_stopped_has_no_result_and_leaves_nothing_behind(after: int) -> None:
    data = source(200, 100)
    arms = trained(data.train)
    asked: list[int] = []

    def stopping() -> bool:
        asked.append(1)
        return len(asked) > after

    found = Evaluator(data).evaluate(arms.by_name, settings(bn_eval="precise"), stopping)
    assert (found is None) == (after < 2)
    assert [(module.rows, module.estimate) for module in arms.batch_norms] == [(0, None)] * 2


@pytest.mark.parametrize("changed", [{}, {"shift": "inversion:1"}, {"bn_eval": "batch"}])
def test_some_are_an_even_choice_of_the_validation_samples(changed: dict[str, Any]) -> None:
    data = source(validation=333)
    arms = trained(data.train)
    evaluator = Evaluator(data)
    rows = [i * 333 // 100 for i in range(100)]
    some = ResidentSource(
        "", "", "", data.train, Samples(data.validation.images[rows], data.validation.labels[rows]), 1
    )
    expected = results(some, arms, **changed)[1]
    assert evaluator.evaluate_some(arms.by_name, settings(**changed), 100) == expected
    everything = evaluator.evaluate_some(arms.by_name, settings(**changed), 333)
    assert everything == results(data, arms, **changed)[1]


def test_for_some_the_statistics_are_estimated_over_as_many_evenly_chosen() -> None:
    data = source(train=900, validation=600)
    arms = trained(data.train)
    rows = {count: [i * count // 300 for i in range(300)] for count in (900, 600)}
    parts = [Samples(part.images[rows[len(part)]], part.labels[rows[len(part)]])
             for part in (data.train, data.validation)]  # fmt: skip
    some = ResidentSource("", "", "", *parts, seed=1)
    for changed in ({"bn_eval": "precise"}, {"adapt_bn": True, "shift": "contrast:0.5"}):
        found = Evaluator(data).evaluate_some(arms.by_name, settings(**changed), 300)
        assert found == results(some, arms, **changed)[1]
        assert found["batch"] != Evaluator(data).evaluate_some(arms.by_name, settings(), 300)["batch"]
