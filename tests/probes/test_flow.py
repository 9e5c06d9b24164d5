from __future__ import annotations

import math

import pytest
import torch

from bntui.config.options import RunConfig
from bntui.models.mlp import build_pair
from bntui.probes.flow import read_flow, read_norms
from bntui.training.fused.engine import Trainer, state_sha256


def test_the_reading_is_what_pytorch_computes() -> None:
    config = RunConfig(hidden=(6, 5), bn_momentum=0.25)
    pair = build_pair(config, torch.device("cpu"))
    trainer = Trainer(pair, config)
    first = read_norms(trainer.norm_layers)
    assert [layer.layer for layer in first] == ["bn1", "bn2"]
    assert first[0].running_mean == (0,) * 6
    assert all(math.isnan(value) for value in first[0].batch_mean)
    x, y = torch.rand(16, 784), torch.randint(10, (16,))
    h = pair.bn[0](x).detach()
    with torch.inference_mode():
        trainer.step(x, y)
    reading = read_norms(trainer.norm_layers)[0]
    assert reading.batch_mean == pytest.approx(h.mean(0).tolist(), abs=1e-6)
    assert reading.batch_var == pytest.approx(h.var(0, unbiased=True).tolist(), abs=1e-6)
    # One step of the moving average, from 0 and 1.
    assert reading.running_mean == pytest.approx([0.25 * m for m in reading.batch_mean], abs=1e-6)
    assert reading.running_var == pytest.approx([0.75 + 0.25 * v for v in reading.batch_var], abs=1e-6)
    assert reading.weight == tuple(pair.bn.state_dict()["1.weight"].tolist())
    assert reading.bias == tuple(pair.bn.state_dict()["1.bias"].tolist())


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "leaky-relu", "gelu"])
def test_the_flow_is_what_autograd_computes(activation: str) -> None:
    config = RunConfig(hidden=(6, 5), activation=activation, optimizer="sgd", lr=0.5)
    pair, autograd = (build_pair(config, torch.device("cpu")) for _ in range(2))
    trainer = Trainer(pair, config)
    torch.manual_seed(3)
    x, y = torch.rand(16, 784), torch.randint(10, (16,))
    trainer.look(True)
    with torch.inference_mode():
        trainer.step(x, y)
        read = read_flow(trainer.layers, epoch=1, step=1, unit=12, live=False)
        flows = {"bn": read.bn, "plain": read.plain}
    for arm, model in autograd.arms.items():
        model.train()
        inputs, before, after = [], [], []
        h = x.clone().requires_grad_()
        for module in model:
            if isinstance(module, torch.nn.Linear):
                h.retain_grad()
                inputs.append((h, module))
            if type(module).__module__.startswith("torch.nn.modules.activation"):
                before.append(h)
            h = module(h)
            if len(before) > len(after):
                after.append(h)
        torch.nn.functional.cross_entropy(h, y).backward()
        for i, (flow, (h, module)) in enumerate(zip(flows[arm], inputs, strict=True)):
            assert flow.layer == f"linear{i + 1}"
            assert h.grad is not None and module.weight.grad is not None
            assert flow.weight_gradient == pytest.approx(module.weight.grad.norm().item(), rel=1e-5)
            assert flow.input_gradient == pytest.approx(h.grad.norm().item(), rel=1e-5)
            if i == len(inputs) - 1:
                assert flow.percentiles == () and math.isnan(flow.inactive)
                continue
            wanted = [torch.quantile(before[i].detach().double(), share).item() for share in (0.15, 0.5, 0.85)]
            assert flow.percentiles == pytest.approx(wanted, abs=1e-6)
            unit = before[i].detach().double()[:, 12 % module.out_features]
            of_unit = [torch.quantile(unit, share).item() for share in (0.15, 0.5, 0.85)]
            assert flow.unit_percentiles == pytest.approx(of_unit, abs=1e-6)
            out = after[i].detach()
            shares = {
                "relu": (out == 0).all(0).double().mean(),
                "sigmoid": ((out < 0.05) | (out > 0.95)).double().mean(),
                "tanh": (out.abs() > 0.95).double().mean(),
            }
            assert flow.inactive == pytest.approx(float(shares.get(activation, math.nan)), nan_ok=True)


def test_looking_changes_no_number() -> None:
    config = RunConfig(hidden=(6, 5))
    hashes = []
    for looking in (False, True):
        pair = build_pair(config, torch.device("cpu"))
        trainer = Trainer(pair, config)
        torch.manual_seed(3)
        with torch.inference_mode():
            for _ in range(20):
                trainer.look(looking)
                trainer.step(torch.rand(16, 784), torch.randint(10, (16,)))
        hashes.append([state_sha256(model) for model in pair.arms.values()])
    assert hashes[0] == hashes[1]
