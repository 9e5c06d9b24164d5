"""How far an arm's metrics depend on the statistics that batch norm is evaluated by."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bntui.data.source import Source, first
from bntui.messages.events import Gap, Metrics
from bntui.models.arms import modules
from bntui.models.estimates import normalizing
from bntui.models.norms import SwitchableBatchNorm1d

GAP_SAMPLES = 2_000
"""Over so many training samples the statistics are re-estimated."""


def gap(models: Mapping[str, nn.Module], x: Tensor, y: Tensor, source: Source) -> dict[str, Gap | None]:
    """Return, for each arm that has batch norm, one batch's metrics by three kinds of statistics, all in eval mode.

    The re-estimated ones are over the first samples of the training set.
    """
    rows: dict[str, list[Tensor]] = {arm: [] for arm in models}
    for how in ("batch", "running", "precise"):
        count = GAP_SAMPLES
        with normalizing(models.values(), how, len(x), lambda most: first(source, "train", most), count):
            for arm, model in models.items():
                rows[arm].append(_metrics(model, x, y))
    return {
        arm: Gap(*(Metrics(*row) for row in torch.stack(rows[arm]).tolist()))
        if any(modules(model, SwitchableBatchNorm1d))
        else None
        for arm, model in models.items()
    }


def _metrics(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    training = model.training
    try:
        with torch.inference_mode():
            logits = model.eval()(x)
            right = (logits.argmax(1) == y).to(torch.float32).mean()
            return torch.stack([nn.functional.cross_entropy(logits, y), right])
    finally:
        model.train(training)
