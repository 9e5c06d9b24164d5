"""One channel of a batch norm in one step, as far as the rest follows from it."""

from __future__ import annotations

import torch

from bntui.messages.events import Explained
from bntui.models.norms import SwitchableBatchNorm1d, SwitchableBatchRenorm1d
from bntui.probes.taps import Taps


def explain(taps: Taps, layer: int, channel: int, step: int, live: bool) -> Explained | None:
    """Return what went through one channel of a batch norm in a step that was tapped.

    Parameters
    ----------
    taps
        Of the step.
    layer, channel
        Which batch norm, counted over those of all arms, and which channel; counted on beyond the last. Batch renorm,
        which does something else, is none of them.
    step, live
        As in `Explained`.

    Returns
    -------
    Explained or None
        None where there is no batch norm, and of one that is switched off.
    """
    found = [(arm, name, tap) for arm, layers in taps.items() for name, tap in layers.items()
             if isinstance(tap.module, SwitchableBatchNorm1d)
             and not isinstance(tap.module, SwitchableBatchRenorm1d)]  # fmt: skip
    if not found:
        return None
    arm, name, tap = found[layer % len(found)]
    norm = tap.module
    assert isinstance(norm, SwitchableBatchNorm1d)
    if not norm.enabled or tap.input is None or tap.output_gradient is None:
        return None
    c = channel % norm.features
    kept = [tap.before[part] for part in ("weight", "bias", "running_mean", "running_var")]
    weight, bias, running_mean, running_var = torch.stack([values[c] for values in kept]).tolist()
    x, dy = torch.stack([tap.input[:, c].flatten(), tap.output_gradient[:, c].flatten()]).tolist()
    momentum = 1 / max(1, int(norm.num_batches_tracked)) if norm.momentum is None else norm.momentum
    return Explained(
        step, arm, name, c, momentum, norm.eps, not norm.frozen, weight, bias, running_mean, running_var, tuple(x),
        tuple(dy), live)  # fmt: skip
