from __future__ import annotations

import math

import pytest
import torch

from bntui.config import RunConfig
from bntui.training.models import build_pair
from bntui.training.probes import read_batch_norm
from bntui.training.step import Trainer


def test_the_reading_is_what_pytorch_computes() -> None:
    config = RunConfig(hidden=(6, 5), bn_momentum=0.25)
    pair = build_pair(config, torch.device("cpu"))
    trainer = Trainer(pair, config)
    first = read_batch_norm(trainer.batch_norm_layers)
    assert [layer.layer for layer in first] == ["bn1", "bn2"]
    assert first[0].running_mean == (0,) * 6
    assert all(math.isnan(value) for value in first[0].batch_mean)
    x, y = torch.rand(16, 784), torch.randint(10, (16,))
    h = pair.bn[0](x).detach()
    with torch.inference_mode():
        trainer.step(x, y)
    reading = read_batch_norm(trainer.batch_norm_layers)[0]
    assert reading.batch_mean == pytest.approx(h.mean(0).tolist(), abs=1e-6)
    assert reading.batch_var == pytest.approx(h.var(0, unbiased=True).tolist(), abs=1e-6)
    # One step of the moving average, from 0 and 1.
    assert reading.running_mean == pytest.approx([0.25 * m for m in reading.batch_mean], abs=1e-6)
    assert reading.running_var == pytest.approx([0.75 + 0.25 * v for v in reading.batch_var], abs=1e-6)
    assert reading.weight == tuple(pair.bn.state_dict()["1.weight"].tolist())
    assert reading.bias == tuple(pair.bn.state_dict()["1.bias"].tolist())
