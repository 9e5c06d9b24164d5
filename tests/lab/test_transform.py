from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bntui.lab.transform import BatchNorm, backward, forward, track


@st.composite
def cases(draw: Any) -> tuple[BatchNorm, np.ndarray, np.ndarray]:
    samples, channels = draw(st.integers(2, 9)), draw(st.integers(1, 5))

    def numbers(shape: Any, low: float = -10, high: float = 10) -> np.ndarray:
        return draw(arrays.arrays(np.float64, shape, elements=st.floats(low, high, width=32)))

    layer = BatchNorm(
        numbers(channels), numbers(channels), numbers(channels), numbers(channels, 0, 50),
        draw(st.sampled_from([1e-5, 1e-3, 0.5])), draw(st.sampled_from([0.0, 0.1, 0.37, 1.0])),
    )  # fmt: skip
    return layer, numbers((samples, channels)), numbers((samples, channels))


@given(cases(), st.booleans())
def test_it_is_what_pytorch_and_autograd_compute(
    case: tuple[BatchNorm, np.ndarray, np.ndarray], training: bool
) -> None:
    layer, x, dy = case
    tensors = {name: torch.tensor(getattr(layer, name)) for name in ("weight", "bias", "running_mean", "running_var")}
    leaves = [torch.tensor(x), tensors["weight"], tensors["bias"]]
    for leaf in leaves:
        leaf.requires_grad_()
    y = torch.nn.functional.batch_norm(
        leaves[0], tensors["running_mean"], tensors["running_var"], leaves[1], leaves[2], training, layer.momentum,
        layer.eps,
    )  # fmt: skip
    y.backward(torch.tensor(dy))
    done = forward(layer, x, training)
    ours = backward(layer, done, dy)
    after = track(layer, done) if training else layer
    pairs = [
        (done.y, y), (ours.x, leaves[0].grad), (ours.weight, leaves[1].grad), (ours.bias, leaves[2].grad),
        (after.running_mean, tensors["running_mean"]), (after.running_var, tensors["running_var"]),
    ]  # fmt: skip
    for mine, theirs in pairs:
        assert theirs is not None
        expected = theirs.detach().numpy()
        # Where a channel hardly varies, the terms of dx cancel, and only their size tells how exact it can be.
        scale = 1 + np.abs(expected).max() + np.abs(dy).max() * np.abs(layer.weight).max() / np.sqrt(layer.eps)
        assert np.abs(mine - expected).max() <= 1e-6 * min(scale, 1e3) + 1e-9 * scale


def test_the_worked_example() -> None:
    x = np.arange(1.0, 13.0).reshape(4, 3)
    done = forward(BatchNorm.new(3), x, training=True)
    assert done.mean.tolist() == [5.5, 6.5, 7.5]
    assert done.var.tolist() == [11.25] * 3
    assert done.x_hat[:, 0] == pytest.approx([-1.3416, -0.4472, 0.4472, 1.3416], abs=1e-4)
    after = track(BatchNorm.new(3), done)
    assert after.running_mean == pytest.approx([0.55, 0.65, 0.75])
    assert after.running_var == pytest.approx([0.9 + 0.1 * 15] * 3)


def test_a_single_sample_has_no_variance() -> None:
    with pytest.raises(ValueError, match="two samples"):
        forward(BatchNorm.new(2), np.ones((1, 2)), training=True)
    assert forward(BatchNorm.new(2), np.ones((1, 2)), training=False).y == pytest.approx(1, abs=1e-5)
