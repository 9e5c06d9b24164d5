"""Every arm in eval mode over whole sets of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from bntui.config import parsers
from bntui.config.interventions import Scalar
from bntui.data.source import Batches, Source, Split, first
from bntui.messages.events import Metrics
from bntui.models.estimates import normalizing

_ROWS_AT_ONCE = 2_000

Metered = dict[str, Metrics]
"""By arm."""


class Evaluator:
    """Evaluates arms on a source, with the validation images changed and BN's statistics chosen as asked."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def evaluate(
        self, models: Mapping[str, nn.Module], settings: Mapping[str, Scalar], stopping: Callable[[], bool]
    ) -> tuple[Metered, Metered] | None:
        """Return the metrics on the training and the validation set, or None when `stopping` turns true.

        Of the settings count `shift`, `bn_eval`, `adapt_bn` and `batch_size`. The models stay as they are.
        """
        source, how, rows = self._source, str(settings["bn_eval"]), int(settings["batch_size"])
        at_once = max(1, _ROWS_AT_ONCE // rows) * rows if how == "batch" else _ROWS_AT_ONCE
        unchanged, shift = parsers.shift("none"), parsers.shift(str(settings["shift"]))
        # Re-estimated are the statistics over the training set, but for AdaBN.
        whole: Split = "validation" if settings["adapt_bn"] else "train"
        found = []
        splits: tuple[tuple[Split, Split], ...] = ("train", "train"), ("validation", whole)
        for split, estimated in splits:
            of_split, of_estimate = (shift if name == "validation" else unchanged for name in (split, estimated))
            with normalizing(
                models.values(),
                "precise" if estimated == "validation" else how,
                rows,
                lambda count, name=estimated, by=of_estimate: first(source, name, count, by),  # type: ignore[misc]
            ):
                metrics = evaluate(models, source.evaluation(split, at_once, of_split), stopping)
            if metrics is None:
                return None
            found.append(metrics)
        return found[0], found[1]


def evaluate(
    models: Mapping[str, nn.Module], batches: Batches, stopping: Callable[[], bool] = lambda: False
) -> Metered | None:
    """Return the loss and accuracy of every arm in eval mode over some samples, or None when `stopping` turns true."""
    training = {name: model.training for name, model in models.items()}
    sums, samples = [], 0
    try:
        for model in models.values():
            model.eval()
        with torch.inference_mode():
            for x, y in batches:
                if stopping():
                    return None
                samples += len(y)
                for model in models.values():
                    logits = model(x)
                    sums.append(nn.functional.cross_entropy(logits, y, reduction="sum"))
                    sums.append((logits.argmax(1) == y).sum().to(torch.float32))
            # One transfer for all: every read of a number waits for the device.
            values = torch.stack(sums).view(-1, len(models), 2).permute(1, 2, 0).tolist()
    finally:
        for name, model in models.items():
            model.train(training[name])
    totals = [[math.fsum(column) / samples for column in of_arm] for of_arm in values]
    return {name: Metrics(loss, accuracy) for name, (loss, accuracy) in zip(models, totals, strict=True)}
