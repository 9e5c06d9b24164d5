from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bntui.config.options import RunConfig
from bntui.models import mlp
from bntui.models.norms import SwitchableGroupNorm
from bntui.probes.statistics import batch_statistics, inputs_of, read_normalizations
from bntui.training.engine import build_engine


@pytest.mark.parametrize("engine", ["fused", "autograd"])
def test_the_reading_is_what_pytorch_computes(engine: str) -> None:
    config = RunConfig(hidden=(6, 5), bn_momentum=0.25, arms="none,batch,batch", engine=engine)
    arms = mlp.build(config, torch.device("cpu"))
    trained = build_engine(config, arms)
    first = read_normalizations(arms.by_name, {})
    assert list(first) == ["batch", "batch-2"]
    assert [layer.layer for layer in first["batch"]] == ["norm1", "norm2"]
    assert first["batch"][0].running_mean == (0,) * 6
    assert all(math.isnan(value) for value in first["batch"][0].batch_mean)
    x, y = torch.rand(16, 784), torch.randint(10, (16,))
    model = arms.by_name["batch"]
    h = model.get_submodule("linear1")(x).detach()
    with torch.inference_mode(), trained.taps() as taps:
        trained.forward_backward(x, y)
        trained.update()
    reading = read_normalizations(arms.by_name, inputs_of(taps))["batch"][0]
    assert reading.batch_mean == pytest.approx(h.mean(0).tolist(), abs=1e-6)
    assert reading.batch_var == pytest.approx(h.var(0, unbiased=True).tolist(), abs=1e-6)
    # One step of the moving average, from 0 and 1.
    assert reading.running_mean == pytest.approx([0.25 * m for m in reading.batch_mean], abs=1e-6)
    assert reading.running_var == pytest.approx([0.75 + 0.25 * v for v in reading.batch_var], abs=1e-6)
    assert reading.weight == tuple(model.state_dict()["norm1.weight"].tolist())
    assert reading.bias == tuple(model.state_dict()["norm1.bias"].tolist())


@pytest.mark.parametrize(("norm", "weights"), [("layer", 6), ("group:3", 6), ("instance", 1), ("batch-renorm", 6)])
def test_what_a_kind_lacks_is_not_a_number(norm: str, weights: int) -> None:
    arms = mlp.build(RunConfig(hidden=(6,), arms=(norm, "none")), torch.device("cpu"))
    (module,) = arms.norms
    assert len(module.weight) == weights
    with torch.no_grad():
        module.weight.fill_(0.5)
    (layers,) = read_normalizations(arms.by_name, {arm: {"norm1": torch.rand(4, 6)} for arm in arms.by_name}).values()
    assert layers[0].weight == (0.5,) * 6
    assert all(map(math.isfinite, layers[0].batch_mean + layers[0].batch_var))
    assert any(map(math.isnan, layers[0].running_mean)) == (norm != "batch-renorm")


def test_statistics_are_over_every_dimension_but_the_channels() -> None:
    x = torch.randn(4, 3, 5, 5)
    module = nn.BatchNorm2d(3, momentum=1.0)
    module(x)
    mean, variance = batch_statistics(x)
    torch.testing.assert_close(mean, module.running_mean)
    torch.testing.assert_close(variance, module.running_var)
    noisy = SwitchableGroupNorm(3, 3, 1e-5)
    noisy.noise, noisy.generator = 0.5, torch.Generator().manual_seed(1)
    assert all(drawn.shape == x.shape for drawn in noisy.draw_noise(x))
