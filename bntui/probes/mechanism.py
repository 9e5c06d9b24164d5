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

from bntui.data.resident import Samples
from bntui.models.mlp import Pair, SeededDropout
from bntui.models.norms import Switchable, SwitchableBatchNorm1d
from bntui.run.events import Gap, Landscape, LayerShift, Metrics, Probed, Probes
from bntui.training.evaluation import normalizing

Weights = dict[str, Tensor]
"""Every parameter of an arm by its name."""
FACTORS = (0.5, 1.0, 2.0, 4.0)
"""Steps along the gradient, in learning rates."""
GAP_SAMPLES = 2_000
"""Over so many training samples the statistics are re-estimated for the gap."""


class Mechanism:
    """The probes of one step: made before it, asked after it.

    Parameters
    ----------
    pair
        Both arms, before the step.
    x, y
        The step's batch: inputs, float32 [batch, 784], and labels, int64 [batch].
    names
        Of the probes.
    """

    def __init__(self, pair: Pair, x: Tensor, y: Tensor, names: Collection[str]) -> None:
        self._pair, self._names = pair, names
        with torch.inference_mode(False):
            # Tensors of inference mode have no gradients; copies made outside it do.
            self._x, self._y = x.clone(), y.clone()
            buffers = {arm: {name: value.clone() for name, value in m.named_buffers()} for arm, m in pair.arms.items()}
        self._before = {arm: copy_weights(model) | buffers[arm] for arm, model in pair.arms.items()}

    def probe(self, lr: float, train: Samples, epoch: int, step: int, live: bool) -> Probed:
        """Return what the probes find, after the step.

        Parameters
        ----------
        lr
            Of the step.
        train
            Samples over which statistics are re-estimated.
        epoch, step, live
            As in `Probed`.
        """
        arms = self._pair.arms
        found: dict[str, dict[str, Any]] = {arm: {} for arm in arms}
        milliseconds: dict[str, float] = {}

        def measure(name: str, field: str, read: Callable[[], Mapping[str, object]]) -> None:
            if name in self._names:
                begun = time.perf_counter()
                with torch.inference_mode(False), torch.no_grad():
                    for arm, result in read().items():
                        found[arm][field] = result
                milliseconds[name] = 1e3 * (time.perf_counter() - begun)

        x, y, before = self._x, self._y, self._before
        measure(
            "covariate-shift",
            "covariate_shift",
            lambda: {
                arm: covariate_shift(model, before[arm], copy_weights(model), x, y) for arm, model in arms.items()
            },
        )
        measure(
            "landscape",
            "landscape",
            lambda: {arm: landscape(model, before[arm], x, y, lr) for arm, model in arms.items()},
        )
        measure("gap", "gap", lambda: gap(self._pair, x, y, train))
        return Probed(epoch, step, Probes(**found["bn"]), Probes(**found["plain"]), milliseconds, live)


def copy_weights(model: nn.Sequential) -> Weights:
    """Return copies of an arm's parameters, outside inference mode."""
    with torch.inference_mode(False), torch.no_grad():
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@contextlib.contextmanager
def _undisturbed(model: nn.Sequential) -> Iterator[None]:
    """Put an arm in train mode without dropout and noise, which would draw random numbers that the run goes on with."""
    noises = [module.noise for module in model if isinstance(module, Switchable)]
    drops = [module.p for module in model if isinstance(module, SeededDropout)]
    try:
        for module in model:
            if isinstance(module, Switchable):
                module.noise = 0.0
            elif isinstance(module, SeededDropout):
                module.p = 0.0
        model.train()
        yield
    finally:
        for module in model:
            if isinstance(module, Switchable):
                module.noise = noises.pop(0)
            elif isinstance(module, SeededDropout):
                module.p = drops.pop(0)


def loss_and_gradients(model: nn.Sequential, weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, Weights]:
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


def covariate_shift(
    model: nn.Sequential, before: Weights, after: Weights, x: Tensor, y: Tensor
) -> tuple[LayerShift, ...]:
    """Return how far each linear layer's gradient is moved by the update of the layers below it.

    Definition 2.1 of Santurkar et al.: G is the gradient by the layer's weights before the update, G' that after the
    update of all parameters of earlier layers, and of these alone.
    """
    linear = [name for name, module in model.named_children() if isinstance(module, nn.Linear)]
    _, first = loss_and_gradients(model, before, x, y)
    pairs = []
    for name in linear:
        own = int(name)
        mixed = before | {key: value for key, value in after.items() if int(key.partition(".")[0]) < own}
        moved = first if name == linear[0] else loss_and_gradients(model, mixed, x, y)[1]
        g, other = (gradients[f"{name}.weight"].flatten().double() for gradients in (first, moved))
        cosine = nn.functional.cosine_similarity(g, other, dim=0, eps=0.0).clamp(-1, 1)
        pairs.append(torch.stack([torch.linalg.vector_norm(g - other), cosine]))
    rows = torch.stack(pairs).tolist()
    return tuple(LayerShift(f"linear{i}", *row) for i, row in enumerate(rows, 1))


def landscape(model: nn.Sequential, weights: Weights, x: Tensor, y: Tensor, lr: float) -> Landscape:
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


def gap(pair: Pair, x: Tensor, y: Tensor, train: Samples) -> dict[str, Gap | None]:
    """Return, for each arm that has batch norm, one batch's metrics by three kinds of statistics, all in eval mode.

    The re-estimated ones are over the first samples of the training set.
    """
    rows: dict[str, list[Tensor]] = {arm: [] for arm in pair.arms}
    for how in ("batch", "running", "precise"):
        with normalizing(pair, how, len(x), train, GAP_SAMPLES), torch.inference_mode():
            for arm, model in pair.arms.items():
                logits = model.eval()(x)
                right = (logits.argmax(1) == y).to(torch.float32).mean()
                rows[arm].append(torch.stack([nn.functional.cross_entropy(logits, y), right]))
    return {
        arm: Gap(*(Metrics(*row) for row in torch.stack(rows[arm]).tolist()))
        if any(isinstance(m, SwitchableBatchNorm1d) for m in model)
        else None
        for arm, model in pair.arms.items()
    }
