"""The steps of batch normalization in words, formulas and numbers, for whoever explains it: on paper or in the app.

The arithmetic is in `bntui.lab.transform`. Nothing is imported that takes long: the app starts without numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bntui.lab.transform import Array, Backward, BatchNorm, Forward

X_HAT = "x\u0302"

SENTENCES = (
    "The variance that normalizes is biased (÷ m); the one that is tracked for evaluation is unbiased (÷ (m − 1)).",
    "In train mode a sample's output depends on its whole batch; in eval mode on that sample alone.",
)
FROZEN = "This step was normalized by the running statistics, and they stay as they are."


@dataclass(frozen=True)
class Step:
    """One step of a pass."""

    label: str
    formula: str
    values: Array
    """What it makes: [channels], or [samples, channels]."""
    remark: str = ""


def forward_steps(layer: BatchNorm, done: Forward, after: BatchNorm) -> tuple[Step, ...]:
    """Return the steps of a pass in train mode, to y and then to the layer as it is after it."""
    m, keep, take = len(done.x), f"{1 - layer.momentum:.4g}", f"{layer.momentum:.4g}"
    variance = f"← {keep} · running variance + {take} · σ² · {m} ÷ {m - 1}"
    return (
        Step("1 mean", "μ = Σ x ÷ m", done.mean),
        Step("2 variance", "σ² = Σ (x − μ)² ÷ m", done.var, "biased: normalizes"),
        Step("3 normalize", f"{X_HAT} = (x − μ) ÷ √(σ² + ε)", done.x_hat),
        Step("4 scale and shift", f"y = γ · {X_HAT} + β", done.y),
        Step("running mean", f"← {keep} · running mean + {take} · μ", after.running_mean),
        Step("running variance", variance, after.running_var, "unbiased: is tracked"),
    )


def backward_steps(dy: Array, back: Backward) -> tuple[Step, ...]:
    """Return the steps back in train mode."""
    return (
        *_gradients_of_both_modes(dy, back),
        Step("4 variance", f"∂σ² = −½ · Σ ∂{X_HAT} · (x − μ) · (σ² + ε)^(−3/2)", back.var),
        Step("5 mean", f"∂μ = −Σ ∂{X_HAT} ÷ √(σ² + ε) − 2 · ∂σ² · Σ (x − μ) ÷ m", back.mean),
        Step("6 input", f"∂x = ∂{X_HAT} ÷ √(σ² + ε) + ∂σ² · 2 · (x − μ) ÷ m + ∂μ ÷ m", back.x),
    )


def eval_steps(done: Forward, back: Backward) -> tuple[Step, ...]:
    """Return what a pass in eval mode comes to, there and back."""
    return (
        *_constants(done),
        Step("scaled, shifted", "y = γ · (x − running mean) ÷ √(running variance + ε) + β", done.y),
        Step("backward", "∂x = ∂y · γ ÷ √(running variance + ε)", back.x),
    )


def frozen_forward_steps(done: Forward) -> tuple[Step, ...]:
    """Return the steps of a pass in eval mode."""
    return (
        *_constants(done),
        Step("normalize", f"{X_HAT} = (x − running mean) ÷ √(running variance + ε)", done.x_hat),
        Step("scale and shift", f"y = γ · {X_HAT} + β", done.y),
    )


def frozen_backward_steps(dy: Array, back: Backward) -> tuple[Step, ...]:
    """Return the steps back in eval mode, where the statistics are constants."""
    step = Step("4 input", f"∂x = ∂{X_HAT} ÷ √(running variance + ε)", back.x)
    return (*_gradients_of_both_modes(dy, back), step)


def _gradients_of_both_modes(dy: Array, back: Backward) -> tuple[Step, ...]:
    return (
        Step("from above", "∂y = ∂L/∂y", dy),
        Step("1 shift", "∂β = Σ ∂y", back.bias),
        Step("2 scale", f"∂γ = Σ ∂y · {X_HAT}", back.weight),
        Step("3 normalized", f"∂{X_HAT} = ∂y · γ", back.x_hat),
    )


def _constants(done: Forward) -> tuple[Step, ...]:
    return (
        Step("running mean", "in place of μ, and constant", done.mean),
        Step("running variance", "in place of σ², and constant", done.var),
    )
