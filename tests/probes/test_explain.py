from __future__ import annotations

import pytest
import torch

from bntui.config.options import RunConfig
from bntui.models import mlp
from bntui.models.norms import SwitchableBatchNorm1d
from bntui.probes.explain import explain
from bntui.probes.taps import Taps
from bntui.training.engine import build_engine

CPU = torch.device("cpu")
ENGINES = pytest.mark.parametrize("engine", ["fused", "autograd"])


def tapped(config: RunConfig, steps: int = 1, switch_off: bool = False) -> Taps:
    """Taps of the last of some steps."""
    arms = mlp.build(config, CPU)
    engine = build_engine(config, arms)
    if switch_off:
        engine.switch_norms(arms.normalized, False)
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode(False):
        for _ in range(steps):
            with engine.taps() as taps:
                engine.forward_backward(
                    torch.rand(16, 784, generator=generator), torch.randint(10, (16,), generator=generator)
                )
                with torch.no_grad():
                    engine.update()
    return taps


@ENGINES
def test_layers_are_counted_over_the_batch_norms_of_all_arms(engine: str) -> None:
    taps = tapped(RunConfig(hidden=(6, 4), arms="layer,batch,batch-renorm,none,batch", engine=engine))
    found = [explain(taps, layer, 5, 1, live=True) for layer in range(5)]
    assert [(read.arm, read.layer, read.channel) for read in found if read is not None] == [
        ("batch", "norm1", 5), ("batch", "norm2", 1), ("batch-2", "norm1", 5), ("batch-2", "norm2", 1),
        ("batch", "norm1", 5),
    ]  # fmt: skip


@ENGINES
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_all_else_of_the_channel_follows_from_what_is_told(engine: str, noise: float) -> None:
    config = RunConfig(hidden=(6, 4), bn_noise=noise, engine=engine, bn_momentum="cumulative", optimizer="sgd", lr=0.5)
    taps = tapped(config, steps=3)
    read = explain(taps, 1, 2, 3, live=False)
    tap = taps["batch"]["norm2"]
    norm = tap.module
    assert read is not None and isinstance(norm, SwitchableBatchNorm1d)
    assert tap.input_gradient is not None
    assert (read.momentum, read.by_batch, read.step, read.live) == (pytest.approx(1 / 3), True, 3, False)
    x, dy = torch.tensor(read.x).double(), torch.tensor(read.dy).double()
    mean, var = x.mean(), x.var(unbiased=False)
    normal = (x - mean) / torch.sqrt(var + read.eps)
    dx = read.weight / torch.sqrt(var + read.eps) * (dy - dy.mean() - normal * (dy * normal).mean())
    torch.testing.assert_close(tap.input_gradient[:, 2].double(), dx, rtol=1e-3, atol=1e-6)
    assert float(norm.weight[2].detach()) == pytest.approx(read.weight - 0.5 * float((dy * normal).sum()), abs=1e-5)
    assert float(norm.bias[2].detach()) == pytest.approx(read.bias - 0.5 * float(dy.sum()), abs=1e-5)
    assert float(norm.running_mean[2]) == pytest.approx(read.running_mean + (float(mean) - read.running_mean) / 3)
    moved = read.running_var + (float(x.var()) - read.running_var) / 3
    assert float(norm.running_var[2]) == pytest.approx(moved, rel=1e-4)


@ENGINES
@pytest.mark.parametrize("arms", ["none,none", "batch-renorm,layer"])
def test_where_there_is_no_batch_norm_nothing_is_explained(engine: str, arms: str) -> None:
    assert explain(tapped(RunConfig(hidden=(6,), arms=arms, engine=engine)), 0, 0, 1, live=False) is None


@ENGINES
def test_of_one_that_is_switched_off_nothing_is_explained(engine: str) -> None:
    assert explain(tapped(RunConfig(hidden=(6,), engine=engine), switch_off=True), 0, 0, 1, live=False) is None
