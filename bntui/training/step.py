"""One training step of both arms, and their evaluation: no input or output, no clock."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bntui.config import RunConfig
from bntui.events import Metrics, Split
from bntui.training.data import Samples, to_input
from bntui.training.layers import ActivationLayer, BatchNormLayer, LinearLayer, build_layer, cross_entropy
from bntui.training.models import Pair
from bntui.training.optimizers import FlatParameters, build_optimizer

_ROWS_AT_ONCE = 2_000


class Trainer:
    """Both arms as lists of written-out layers, and the one optimizer that updates them.

    The models' parameters become views of the optimizer's vector; the models stay usable as they are.
    """

    def __init__(self, pair: Pair, config: RunConfig) -> None:
        self.pair = pair
        norm = [p for module in pair.norms.values() for p in module.parameters()]
        of_norm = set(norm)
        rest = [p for model in pair.arms.values() for p in model.parameters() if p not in of_norm]
        self.parameters = FlatParameters([rest, norm])
        self.optimizer = build_optimizer(config.optimizer, self.parameters, config.lr)
        self.layers = {
            arm: [build_layer(m, self.parameters.gradient_of, i == 0) for i, m in enumerate(model)]
            for arm, model in pair.arms.items()
        }
        self._programs = list(self.layers.values())
        self._one = torch.ones((), device=self.parameters.values.device)

    def step(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Update both arms on one batch.

        Parameters
        ----------
        x, y
            Inputs, float32 [batch, 784], and labels, int64 [batch].

        Returns
        -------
        list of Tensor
            The batch's mean cross-entropy, float32 [], of `bn` and of `plain`, before the update.
        """
        losses = []
        for program in self._programs:
            h = x
            for layer in program:
                h = layer.forward(h)
            loss, d = cross_entropy(h, y, self._one)
            for layer in reversed(program):
                d = layer.backward(d)
            losses.append(loss)
        self.optimizer.step()
        return losses

    @property
    def batch_norm_layers(self) -> list[BatchNormLayer]:
        """The BN layers of the `bn` arm, from the input on."""
        return [layer for layer in self.layers["bn"] if isinstance(layer, BatchNormLayer)]

    def look(self, on: bool) -> None:
        """Keep, or no longer, what `probes.read_flow` reads after a step; changes no number."""
        for program in self._programs:
            for layer in program:
                if isinstance(layer, LinearLayer | ActivationLayer):
                    layer.look(on)

    def switch_batch_norm(self, on: bool) -> None:
        """Switch the BN layers on or off; while off, γ and β are not trained."""
        for layer in self.batch_norm_layers:
            layer.module.enabled = on
        self.optimizer.active[1] = on

    def freeze_batch_norm(self, on: bool) -> None:
        """Freeze the running statistics and normalise by them, or go back to the batch's."""
        for layer in self.batch_norm_layers:
            layer.module.frozen = on


def evaluate(pair: Pair, samples: Samples, stopping: Callable[[], bool] = lambda: False) -> Split | None:
    """Return both arms' loss and accuracy in eval mode over every sample, or None when `stopping` turns true."""
    for model in pair.arms.values():
        model.eval()
    sums = []
    with torch.inference_mode():
        for images, labels in zip(
            torch.split(samples.images, _ROWS_AT_ONCE), torch.split(samples.labels, _ROWS_AT_ONCE), strict=True
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


def state_sha256(model: nn.Module) -> str:
    """Return the SHA-256 over the tensors of a model's state_dict, in order, as raw bytes without names."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
