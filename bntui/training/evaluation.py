"""Every arm in eval mode over whole sets of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bntui.config import parsers
from bntui.config.interventions import Scalar
from bntui.data.source import UNCHANGED, Batches, Source, Split, first
from bntui.messages.events import Metrics
from bntui.models.estimates import PRECISE_SAMPLES, normalizing

_ROWS_AT_ONCE = 2_000

Metered = dict[str, Metrics]
"""By arm."""
Told: TypeAlias = Callable[[int, int], None]
"""Called with how many of how many samples are evaluated."""


def estimating(settings: Mapping[str, Scalar]) -> bool:
    """Whether, by these settings, an evaluation works out statistics of its own."""
    return bool(settings["adapt_bn"]) or settings["bn_eval"] in ("precise", "batch")


class Evaluator:
    """Evaluates arms on a source, with the validation images changed and BN's statistics chosen as asked.

    Of the settings count `shift`, `bn_eval`, `adapt_bn` and `batch_size`. The models stay as they are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def evaluate(
        self,
        models: Mapping[str, nn.Module],
        settings: Mapping[str, Scalar],
        stopping: Callable[[], bool],
        told: Told = lambda done, total: None,
    ) -> tuple[Metered, Metered] | None:
        """Return the metrics on the training and the validation set, or None when `stopping` turns true."""
        trained, total = self._source.train_samples, self._source.train_samples + self._source.validation_samples
        train = self._evaluate(models, settings, "train", stopping, lambda done: told(done, total))
        if train is None:
            return None
        validation = self._evaluate(models, settings, "validation", stopping, lambda done: told(trained + done, total))
        return None if validation is None else (train, validation)

    def evaluate_some(self, models: Mapping[str, nn.Module], settings: Mapping[str, Scalar], samples: int) -> Metered:
        """Return the metrics on an even choice of so many validation samples; statistics are estimated over as many."""
        metrics = self._evaluate(models, settings, "validation", lambda: False, lambda done: None, samples)
        assert metrics is not None
        return metrics

    def _evaluate(
        self,
        models: Mapping[str, nn.Module],
        settings: Mapping[str, Scalar],
        split: Split,
        stopping: Callable[[], bool],
        told: Callable[[int], None],
        samples: int | None = None,
    ) -> Metered | None:
        source, how, rows = self._source, str(settings["bn_eval"]), int(settings["batch_size"] or 1)
        at_once = max(1, _ROWS_AT_ONCE // rows) * rows if how == "batch" else _ROWS_AT_ONCE
        shift = parsers.shift(str(settings["shift"]))
        # Re-estimated are the statistics over the training set, but for AdaBN.
        estimated: Split = "validation" if split == "validation" and settings["adapt_bn"] else "train"

        def first_samples(count: int) -> Tensor:
            if estimated == "validation":
                return first(source, "validation", count, shift, samples)
            return first(source, "train", count, samples=None if samples is None else count)

        with normalizing(
            models.values(),
            "precise" if estimated == "validation" else how,
            rows,
            first_samples,
            PRECISE_SAMPLES if samples is None else samples,
        ):
            of_split = shift if split == "validation" else UNCHANGED
            return evaluate(models, source.evaluation(split, at_once, of_split, samples), stopping, told)


def evaluate(
    models: Mapping[str, nn.Module],
    batches: Batches,
    stopping: Callable[[], bool] = lambda: False,
    told: Callable[[int], None] = lambda done: None,
) -> Metered | None:
    """Return the loss and accuracy of every arm in eval mode over some samples, or None when `stopping` turns true.

    After each batch `told` is called with the number of samples so far.
    """
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
                told(samples)
            # One transfer for all: every read of a number waits for the device.
            values = torch.stack(sums).view(-1, len(models), 2).permute(1, 2, 0).tolist()
    finally:
        for name, model in models.items():
            model.train(training[name])
    totals = [[math.fsum(column) / samples for column in of_arm] for of_arm in values]
    return {name: Metrics(loss, accuracy) for name, (loss, accuracy) in zip(models, totals, strict=True)}
