"""One training step of both arms, and what can be changed between two: no input or output, no clock."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from bntui.config.options import RunConfig
from bntui.models.mlp import Pair, build_pair
from bntui.models.norms import Switchable
from bntui.training.fused.layers import ActivationLayer, LinearLayer, build_layer, cross_entropy
from bntui.training.fused.norms import BatchNormLayer, NormLayer
from bntui.training.fused.optimizers import FlatParameters, build_optimizer


class Trainer:
    """Both arms as lists of written-out layers, and the one optimizer that updates them.

    The models' parameters become views of the optimizer's vector; the models stay usable as they are.
    """

    def __init__(self, pair: Pair, config: RunConfig) -> None:
        self.pair = pair
        self.config = config
        groups = []
        for model in pair.arms.values():
            norm = [p for module in model if isinstance(module, Switchable) for p in module.parameters()]
            of_norm = set(norm)
            groups += [[p for p in model.parameters() if p not in of_norm], norm]
        self.parameters = FlatParameters(groups)
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
    def norm_layers(self) -> list[NormLayer[Switchable]]:
        """The normalizations of the arm of which they can be switched, from the input on."""
        return [layer for layer in self.layers.get(self.pair.normalized, ()) if isinstance(layer, NormLayer)]

    def look(self, on: bool) -> None:
        """Keep, or no longer, what the probes read after a step; changes no number."""
        for program in self._programs:
            for layer in program:
                if isinstance(layer, LinearLayer | ActivationLayer | NormLayer):
                    layer.look(on)

    def switch_norm(self, on: bool) -> None:
        """Switch the normalizations of an arm on or off; while off, γ and β are not trained."""
        for module in self.pair.norms:
            module.enabled = on
        if self.pair.normalized:
            self.optimizer.active[self._groups(self.pair.normalized)[1]] = on

    def restart(self, arm: str) -> None:
        """Put an arm back to where it began: weights, statistics, and what the optimizer knows of them."""
        model, device = self.pair.arms[arm], self.parameters.values.device
        with torch.inference_mode(False):
            model.load_state_dict(build_pair(self.config, device).arms[arm].state_dict())
        self.recount()
        self.optimizer.forget(self._groups(arm))

    def recount(self) -> None:
        """Take over from the models how many batches were tracked, after their state was replaced."""
        for program in self._programs:
            for layer in program:
                if isinstance(layer, BatchNormLayer):
                    layer.tracked = int(layer.module.num_batches_tracked)

    @staticmethod
    def _groups(arm: str) -> tuple[int, int]:
        """Return which groups hold an arm's weights and its γ and β."""
        return (0, 1) if arm == "bn" else (2, 3)


def state_sha256(model: nn.Module) -> str:
    """Return the SHA-256 over the tensors of a model's state_dict, in order, as raw bytes without names."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
