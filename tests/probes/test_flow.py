from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bntui.config.options import RunConfig
from bntui.models import mlp
from bntui.probes.flow import read_flow
from bntui.probes.taps import Tap
from bntui.training.engine import build_engine


@pytest.mark.parametrize("engine", ["fused", "autograd"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "leaky-relu", "gelu"])
def test_the_flow_is_what_autograd_computes(activation: str, engine: str) -> None:
    config = RunConfig(hidden=(6, 5), activation=activation, optimizer="sgd", lr=0.5, engine=engine, arms="batch,none")
    arms, autograd = (mlp.build(config, torch.device("cpu")) for _ in range(2))
    trained = build_engine(config, arms)
    torch.manual_seed(3)
    x, y = torch.rand(16, 784), torch.randint(10, (16,))
    with torch.inference_mode():
        with trained.taps() as taps:
            trained.forward_backward(x, y)
            trained.update()
        flows = read_flow(taps, epoch=1, step=1, unit=12, live=False).arms
    assert list(flows) == ["batch", "none"]
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
            if i == len(inputs) - 1:
                assert flow.percentiles == () and math.isnan(flow.inactive)
                continue
            wanted = [torch.quantile(before[i].detach().double(), share).item() for share in (0.15, 0.5, 0.85)]
            assert flow.percentiles == pytest.approx(wanted, abs=1e-6)
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
