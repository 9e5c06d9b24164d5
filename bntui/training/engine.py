"""What trains the arms on one batch, as the loop sees it, and which one a run gets."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor, nn

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.models.arms import Arms
from bntui.probes.taps import Taps
from bntui.training import fused
from bntui.training.autograd import AutogradEngine
from bntui.training.fused.engine import FusedEngine


class Engine(Protocol):
    """Trains every arm on the same batches, each by an optimizer that knows nothing of the others."""

    name: str
    """As `--engine` spells it."""
    arms: Mapping[str, nn.Module]
    """In their order; in train mode but while something else is done with them."""
    learning_rate: float
    logits: list[Tensor]
    """What the arms put out in the last step, in train mode and before its update: of each, float32 [batch, classes],
    detached. A step puts new ones here, and leaves the old ones as they are."""

    def forward_backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Put the gradients of a batch in their places; return the mean cross-entropy, float32 [arms], in nats.

        Parameters
        ----------
        x, y
            Inputs, float32 [batch, …], and labels, int64 [batch], on the device and outside inference mode.
        """

    def update(self) -> None:
        """Move the weights by the gradients."""

    def taps(self) -> AbstractContextManager[Taps]:
        """Keep what flows through the layers in the step that is made meanwhile; changes no number."""

    def switch_norms(self, arm: str, on: bool) -> None:
        """Switch the normalizations of an arm on or off; while off, γ and β are not trained."""

    def restart(self, arm: str, state: Mapping[str, Tensor]) -> None:
        """Put an arm at weights and statistics, and forget what the optimizer knows of it; outside inference mode."""

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and statistics of every arm, and what the optimizer knows of them, as copies."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises KeyError, TypeError, ValueError, AttributeError or RuntimeError for anything else.
        """


def build_engine(config: RunConfig, arms: Arms) -> Engine:
    """Return the engine that a configuration asks for.

    Raises
    ------
    UsageError
        The written-out kernels are asked for, and can't train these networks.
    """
    why_not = fused.engine.can_train(arms.by_name)
    if config.engine == "autograd" or (config.engine == "auto" and why_not):
        return AutogradEngine(arms, config.optimizer, config.lr)
    if why_not:
        raise UsageError(f"--engine fused: {why_not}; use --engine autograd")
    return FusedEngine(arms, config.optimizer, config.lr)
