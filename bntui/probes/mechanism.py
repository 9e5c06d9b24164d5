"""Why batch norm helps: probes that try out other weights on the same batch, by autograd, and leave the run as it is.

Santurkar et al. 2018, https://arxiv.org/abs/1805.11604.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bntui.data.source import Source
from bntui.messages.events import Landscape, LayerShift, Probed, Probes
from bntui.models.arms import modules
from bntui.models.dropout import SeededDropout
from bntui.models.norms import Switchable
from bntui.probes.gap import gap

Weights = dict[str, Tensor]
"""Every parameter of an arm by its name."""
FACTORS = (0.5, 1.0, 2.0, 4.0)
"""Steps along the gradient, in learning rates."""


class Mechanism:
    """The probes of one step: made before it, asked after it.

    Parameters
    ----------
    models
        Every arm, before the step.
    x, y
        The step's batch: inputs, float32 [batch, …], and labels, int64 [batch].
    names
        Of the probes.
    """

    def __init__(self, models: Mapping[str, nn.Module], x: Tensor, y: Tensor, names: Collection[str]) -> None:
        self._models, self._names = models, names
        with torch.inference_mode(False):
            # The buffer that a batch lies in may be used again.
            self._x, self._y = x.clone(), y.clone()
            self._before = {arm: copy_weights(model) | {name: value.clone() for name, value in model.named_buffers()}
                            for arm, model in models.items()}  # fmt: skip

    def probe(self, lr: float, source: Source, epoch: int, step: int, live: bool) -> Probed:
        """Return what the probes find, after the step.

        Parameters
        ----------
        lr
            Of the step.
        source
            Of the samples over which statistics are re-estimated.
        epoch, step, live
            As in `Probed`.
        """
        models, x, y, before = self._models, self._x, self._y, self._before
        found: dict[str, dict[str, Any]] = {arm: {} for arm in models}
        milliseconds: dict[str, float] = {}

        def measure(name: str, field: str, read: Callable[[], Mapping[str, object]]) -> None:
            if name in self._names:
                begun = time.perf_counter()
                with torch.inference_mode(False), torch.no_grad():
                    for arm, result in read().items():
                        found[arm][field] = result
                milliseconds[name] = 1e3 * (time.perf_counter() - begun)

        measure("covariate-shift", "covariate_shift",
                lambda: {arm: covariate_shift(model, before[arm], copy_weights(model), x, y)
                         for arm, model in models.items()})  # fmt: skip
        measure("landscape", "landscape",
                lambda: {arm: landscape(model, before[arm], x, y, lr) for arm, model in models.items()})  # fmt: skip
        measure("gap", "gap", lambda: gap(models, x, y, source))
        return Probed(epoch, step, {arm: Probes(**fields) for arm, fields in found.items()}, milliseconds, live)


def copy_weights(model: nn.Module) -> Weights:
    """Return copies of an arm's parameters, outside inference mode."""
    with torch.inference_mode(False), torch.no_grad():
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@contextlib.contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Put an arm in train mode without dropout and noise, which would draw random numbers that the run goes on with."""
    norms, dropouts = list(modules(model, Switchable)), list(modules(model, SeededDropout))
    noises, shares, training = [norm.noise for norm in norms], [dropout.p for dropout in dropouts], model.training
    try:
        for norm in norms:
            norm.noise = 0.0
        for dropout in dropouts:
            dropout.p = 0.0
        model.train()
        yield
    finally:
        for norm, noise in zip(norms, noises, strict=True):
            norm.noise = noise
        for dropout, share in zip(dropouts, shares, strict=True):
            dropout.p = share
        model.train(training)


def loss_and_gradients(model: nn.Module, weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, Weights]:
    """Return the mean cross-entropy of a batch in train mode with other weights, and the gradients by them.

    Running statistics stay as they are. A parameter that has no part in it, as γ while batch norm is off, has a
    gradient of zeros.
    """
    with torch.inference_mode(False), torch.enable_grad(), _undisturbed(model):
        own = {name: weights[name].detach().requires_grad_() for name, _ in model.named_parameters()}
        buffers = {name: weights.get(name, buffer).clone() for name, buffer in model.named_buffers()}
        logits = torch.func.functional_call(model, {**own, **buffers}, (x,))
        loss = nn.functional.cross_entropy(logits, y)
        gradients = torch.autograd.grad(loss, list(own.values()), materialize_grads=True)
    return loss.detach(), dict(zip(own, gradients, strict=True))


def covariate_shift(model: nn.Module, before: Weights, after: Weights, x: Tensor, y: Tensor) -> tuple[LayerShift, ...]:
    """Return how far each linear layer's gradient is moved by the update of the layers below it.

    Definition 2.1 of Santurkar et al.: G is the gradient by the layer's weights before the update, G' that after the
    update of all parameters of earlier layers, and of these alone.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    order = [name for name, _ in model.named_parameters()]
    _, g = loss_and_gradients(model, before, x, y)
    pairs = []
    for name in linear:
        below = order[: order.index(f"{name}.weight")]
        moved = loss_and_gradients(model, before | {key: after[key] for key in below}, x, y)[1] if below else g
        own, other = (gradients[f"{name}.weight"].flatten().double() for gradients in (g, moved))
        cosine = nn.functional.cosine_similarity(own, other, dim=0, eps=0.0).clamp(-1, 1)
        pairs.append(torch.stack([torch.linalg.vector_norm(own - other), cosine]))
    rows = torch.stack(pairs).tolist() if pairs else []
    return tuple(LayerShift(name, *row) for name, row in zip(linear, rows, strict=True))


def landscape(model: nn.Module, weights: Weights, x: Tensor, y: Tensor, lr: float) -> Landscape:
    """Return how loss and gradient change along the gradient of a batch, at so many learning rates from the weights."""
    _, gradient = loss_and_gradients(model, weights, x, y)
    length = _norm(gradient)
    rows = []
    for factor in FACTORS:
        there = weights | {name: weights[name] - factor * lr * value for name, value in gradient.items()}
        loss, other = loss_and_gradients(model, there, x, y)
        change = _norm({name: other[name] - gradient[name] for name in gradient})
        rows.append(torch.stack([loss, change, change / (factor * lr * length)]))
    losses, changes, ratios = zip(*torch.stack(rows).tolist(), strict=True)
    return Landscape(min(losses), max(losses), max(changes), max(ratios))


def _norm(gradients: Weights) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients.values()]))
    return norm
