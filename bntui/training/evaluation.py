"""Both arms in eval mode over whole sets of samples, and the statistics by which batch norm normalises there."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from bntui.data.corruptions import shifted
from bntui.data.resident import Dataset, Samples, to_input
from bntui.models.mlp import Pair
from bntui.models.norms import SwitchableBatchNorm1d
from bntui.run.events import Metrics, Scalar, Split

_ROWS_AT_ONCE = 2_000
PRECISE_SAMPLES = 10_000
"""Over so many samples statistics are estimated anew (Wu & Johnson 2021, https://arxiv.org/abs/2105.07576)."""
_MOST_VALUES = 1 << 26
"""Activations of one layer that are held at once for it."""

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and unbiased variance of each BN layer of an arm, float32 [features]."""


class Evaluator:
    """Evaluates a pair on a data set, with the validation images changed and BN's statistics chosen as asked."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self._dataset, self._seed = dataset, seed
        self._shift = "none"
        self._validation = dataset.validation

    def evaluate(
        self, pair: Pair, settings: Mapping[str, Scalar], stopping: Callable[[], bool] = lambda: False
    ) -> tuple[Split, Split] | None:
        """Return the metrics on the training and the validation set, or None when `stopping` turns true.

        Of the settings count `shift`, `bn_eval`, `adapt_bn` and `batch_size`. The models stay as they are.
        """
        train, validation = self._dataset.train, self._shifted(str(settings["shift"]))
        how, rows = str(settings["bn_eval"]), int(settings["batch_size"] or 0)
        adapted = validation if settings["adapt_bn"] else train
        results = []
        for samples, source in ((train, train), (validation, adapted)):
            adapting = source is validation and source is not train
            with normalizing(pair, "precise" if adapting else how, rows, source):
                results.append(evaluate(pair, samples, stopping, rows if how == "batch" else 1))
        if results[0] is None or results[1] is None:
            return None
        return results[0], results[1]

    def _shifted(self, shift: str) -> Samples:
        if shift != self._shift:
            self._shift, self._validation = shift, shifted(self._dataset.validation, shift, self._seed)
        return self._validation


def evaluate(
    pair: Pair, samples: Samples, stopping: Callable[[], bool] = lambda: False, batch_size: int = 1
) -> Split | None:
    """Return both arms' loss and accuracy in eval mode over every sample, or None when `stopping` turns true.

    Whole batches of `batch_size` stay together, for who normalises by them.
    """
    at_once = max(1, _ROWS_AT_ONCE // batch_size) * batch_size
    for model in pair.arms.values():
        model.eval()
    sums = []
    with torch.inference_mode():
        for images, labels in zip(
            torch.split(samples.images, at_once), torch.split(samples.labels, at_once), strict=True
        ):
            if stopping():
                return None
            x = to_input(images)
            for model in pair.arms.values():
                logits = model(x)
                sums.append(nn.functional.cross_entropy(logits, labels, reduction="sum"))
                sums.append((logits.argmax(1) == labels).sum().to(torch.float32))
        # One transfer for all: every read of a number waits for the device.
        values = torch.stack(sums).view(-1, 4).tolist()
    totals = [math.fsum(column) / len(samples) for column in zip(*values, strict=True)]
    return Split(bn=Metrics(totals[0], totals[1]), plain=Metrics(totals[2], totals[3]))


@contextlib.contextmanager
def normalizing(pair: Pair, how: str, rows: int, samples: Samples, count: int = PRECISE_SAMPLES) -> Iterator[None]:
    """Have batch norm evaluate, for a while, by other statistics than the running ones.

    Parameters
    ----------
    pair
        Of which every BN layer is meant, in either arm.
    how
        `running`; `batch`, as training does, so many `rows` at a time; `single`, each sample alone; `precise`, by what
        the first `count` of the `samples` have.
    """
    try:
        for model in pair.arms.values():
            own = [module for module in model if isinstance(module, SwitchableBatchNorm1d)]
            estimates = estimate(model, samples, count) if how == "precise" else [None] * len(own)
            for module, statistics in zip(own, estimates, strict=True):
                module.estimate = statistics
                module.rows = {"batch": rows, "single": 1}.get(how, 0)
        yield
    finally:
        for module in pair.batch_norms:
            module.estimate, module.rows = None, 0


def estimate(model: nn.Sequential, samples: Samples, count: int = PRECISE_SAMPLES) -> Statistics:
    """Return the statistics that the layers of an arm have over its first samples, taken as one batch.

    Each layer normalises by them, so that the next one sees what it will see by them. Fewer samples are taken where the
    layers are very wide.
    """
    found: Statistics = []
    if not any(isinstance(module, SwitchableBatchNorm1d) for module in model):
        return found
    widest = max(m.out_features for m in model if isinstance(m, nn.Linear))
    model.eval()
    with torch.inference_mode():
        x = to_input(samples.images[: max(256, min(count, _MOST_VALUES // widest))])
        for module in model:
            if isinstance(module, SwitchableBatchNorm1d):
                biased, mean = torch.var_mean(x, 0, correction=0)
                found.append((mean, biased * (len(x) / max(1, len(x) - 1))))
                if module.enabled:
                    x = nn.functional.batch_norm(x, mean, biased, module.weight, module.bias, False, 0.0, module.eps)
            else:
                x = module(x)
    return found


def set_running_statistics(pair: Pair, samples: Samples) -> None:
    """Put the running statistics of every BN layer at what the samples have (PreciseBN)."""
    for model in pair.arms.values():
        own = [module for module in model if isinstance(module, SwitchableBatchNorm1d)]
        for module, (mean, variance) in zip(own, estimate(model, samples), strict=True):
            module.running_mean.copy_(mean)
            module.running_var.copy_(variance)
