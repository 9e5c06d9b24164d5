from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bntui.config.options import RunConfig
from bntui.messages.events import QUANTILES
from bntui.models import mlp
from bntui.probes.flow import quantiles, read_flow
from bntui.probes.taps import Tap
from bntui.training.engine import build_engine


@pytest.mark.parametrize("engine", ["fused", "autograd"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "leaky-relu", "gelu"])
def test_the_flow_is_what_autograd_computes(activation: str, engine: str) -> None:
    config = RunConfig(hidden=(6, 5), activation=activation, optimizer="sgd", lr=0.5, engine=engine, arms="batch,none")
    arms, autograd, updated = (mlp.build(config, torch.device("cpu")) for _ in range(3))
    optimizer = torch.optim.SGD([p for model in updated.by_name.values() for p in model.parameters()], lr=0.5)
    trained = build_engine(config, arms)
    torch.manual_seed(3)
    x, y = torch.rand(16, 784), torch.randint(10, (16,))
    with torch.inference_mode():
        with trained.taps() as taps:
            trained.forward_backward(x, y)
            trained.update()
        flows = read_flow(taps, epoch=1, step=1, unit=12, live=False).arms
    assert list(flows) == ["batch", "none"]
    for model in updated.by_name.values():
        nn.functional.cross_entropy(model.train()(x), y).backward()
    optimizer.step()
    for arm, model in autograd.by_name.items():
        inputs: list[tuple[Tensor, nn.Linear]] = []
        before, after = [], []
        h = x.clone().requires_grad_()
        for module in model.train().children():
            if isinstance(module, nn.Linear):
                h.retain_grad()
                inputs.append((h, module))
            if type(module).__module__.startswith("torch.nn.modules.activation"):
                before.append(h)
            h = module(h)
            if len(before) > len(after):
                after.append(h)
        nn.functional.cross_entropy(h, y).backward()
        for i, (flow, (h, linear)) in enumerate(zip(flows[arm], inputs, strict=True)):
            assert flow.layer == f"linear{i + 1}"
            assert h.grad is not None and linear.weight.grad is not None
            assert flow.weight_gradient == pytest.approx(linear.weight.grad.norm().item(), rel=1e-5)
            assert flow.input_gradient == pytest.approx(h.grad.norm().item(), rel=1e-5)
            moved = updated.by_name[arm].get_submodule(flow.layer).weight
            assert isinstance(moved, Tensor)
            ratio = (moved - linear.weight).double().norm() / linear.weight.double().norm()
            assert flow.update_ratio > 1e-6 and flow.update_ratio == pytest.approx(ratio.item(), rel=1e-5, abs=1e-6)
            if i == len(inputs) - 1:
                assert flow.percentiles == flow.quantiles == () and math.isnan(flow.inactive)
                continue
            wanted = [torch.quantile(before[i].detach().double(), share).item() for share in (0.15, 0.5, 0.85)]
            assert flow.percentiles == pytest.approx(wanted, abs=1e-6)
            spread = [torch.quantile(before[i].detach().double(), share).item() for share in QUANTILES]
            assert flow.quantiles == pytest.approx(spread, rel=1e-6, abs=1e-6)
            unit = before[i].detach().double()[:, 12 % linear.out_features]
            of_unit = [torch.quantile(unit, share).item() for share in (0.15, 0.5, 0.85)]
            assert flow.unit_percentiles == pytest.approx(of_unit, abs=1e-6)
            out = after[i].detach()
            shares = {
                "relu": (out == 0).all(0).double().mean(),
                "sigmoid": ((out < 0.05) | (out > 0.95)).double().mean(),
                "tanh": (out.abs() > 0.95).double().mean(),
            }
            assert flow.inactive == pytest.approx(float(shares.get(activation, math.nan)), nan_ok=True)


def test_of_images_a_unit_is_a_channel() -> None:
    x = torch.randn(4, 3, 5, 5)
    x[:, 1] = -1.0
    linear = nn.Linear(1, 1)
    taps = {
        "linear1": Tap(linear, {}, weight_gradient=torch.ones(2), input_gradient=torch.ones(2)),
        "activation1": Tap(nn.ReLU(), {}, input=x, output=x.relu()),
    }
    (flow,) = read_flow({"a": taps}, 1, 1, unit=4, live=False).arms["a"]
    assert flow.inactive == pytest.approx(1 / 3)
    assert flow.unit_percentiles == (-1.0, -1.0, -1.0)
    assert math.isnan(flow.update_ratio)


def test_weights_that_were_zero_have_no_update_ratio() -> None:
    linear = nn.Linear(3, 2)
    ones = torch.ones(2)
    tap = Tap(linear, {"weight": torch.zeros(2, 3)}, weight_gradient=ones, input_gradient=ones)
    (flow,) = read_flow({"a": {"linear1": tap}}, 1, 1, unit=0, live=False).arms["a"]
    assert math.isnan(flow.update_ratio)


def test_of_very_many_values_an_even_choice_is_taken_that_passes_over_no_unit() -> None:
    generator = torch.Generator().manual_seed(1)
    # A million values from the beginning would be of other samples; every fourth one, of every fourth unit.
    x = torch.rand(4_000, 1_024, generator=generator) + torch.arange(4_000)[:, None] + 10_000.0 * torch.arange(1_024)
    found = quantiles(x, QUANTILES)
    wanted = torch.from_numpy(np.quantile(x.double().numpy(), QUANTILES))
    assert (found.double() - wanted).abs().max() < 10_000
    few = torch.rand(10, 100, generator=generator)
    assert torch.equal(quantiles(few, QUANTILES), torch.quantile(few, torch.tensor(QUANTILES)))
