"""What happened in a run: frozen dataclasses of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bntui.messages.arms import Arm

Scalar: TypeAlias = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over samples: cross-entropy in nats, and the share classified rightly (0 to 1)."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """One normalization layer, one number a channel; NaN for what its kind does not have.

    `batch_var` is the unbiased variance, as the running variance tracks it; NaN where there was no batch yet.
    """

    layer: str
    running_mean: tuple[float, ...]
    running_var: tuple[float, ...]
    batch_mean: tuple[float, ...]
    batch_var: tuple[float, ...]
    weight: tuple[float, ...]
    bias: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Loading:
    """Work before the first step; `done` of `total` in `unit`, total 0 while unknown."""

    what: str
    done: int = 0
    total: int = 0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know, in one sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """A run begins. The dicts are those of `results.json`."""

    created: str
    config: dict[str, Any]
    environment: dict[str, Any]
    dataset: dict[str, Any]
    arms: tuple[Arm, ...]
    layers: dict[str, dict[str, int]]
    """By arm: the name of every normalization layer, and its number of features."""
    steps_per_epoch: int
    total_steps: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """Training steps up to `step`: each value is the mean loss of `width` steps, the last one ending at `step`."""

    step: int
    width: int
    losses: dict[str, tuple[float, ...]]
    """By arm, equally many."""
    seconds: float
    """Time spent on training steps so far in this run, pauses and evaluation left out."""
    accuracies: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By arm, the share of each training batch that was classified rightly, in train mode and before the update; as
    many as `losses`. Empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Evaluating:
    """An evaluation after `step` goes on: `done` of `total` samples; `done` equals `total` at its end."""

    step: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """All arms evaluated in eval mode within an epoch, on an even choice of the validation samples, always the same."""

    epoch: int
    step: int
    samples: int
    """How many were chosen."""
    seconds: float
    """What it took."""
    validation: dict[str, Metrics]
    """By arm."""


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """All arms evaluated in eval mode after an epoch, or after the last step of a run that ends within one."""

    epoch: int
    step: int
    lr: float
    train_seconds: float
    eval_seconds: float
    train: dict[str, Metrics]
    """By arm."""
    validation: dict[str, Metrics]


@dataclass(frozen=True, slots=True)
class NormalizationRead:
    """The state of every normalization at the end of an epoch, or (`live`) at a moment within one for who watches."""

    epoch: int
    step: int
    arms: dict[str, tuple[LayerStatistics, ...]]
    """By arm, those that have any."""
    live: bool = False


QUANTILES = (0.0, 0.01, 0.02, 0.05, *(i / 20 for i in range(2, 19)), 0.95, 0.98, 0.99, 1.0)
"""Shares at which the distribution of an activation's input is told."""


@dataclass(frozen=True, slots=True)
class LayerFlow:
    """What flows through one linear layer, and the activation after it, in one training step; NaN for what it lacks."""

    layer: str
    weight_gradient: float
    """L2 norm of the gradient by the weights."""
    input_gradient: float
    """L2 norm of the gradient by the layer's input."""
    percentiles: tuple[float, ...]
    """15th, 50th and 85th percentile of the input to the activation; empty for the last layer, which has none."""
    inactive: float
    """Share of ReLU units that are 0 for the whole batch, or of sigmoid or tanh outputs within 0.05 of a limit."""
    unit_percentiles: tuple[float, ...] = ()
    """The same percentiles of one unit over the batch."""
    quantiles: tuple[float, ...] = ()
    """Quantiles at `QUANTILES` of the input to the activation, from which its histogram is drawn; empty where
    `percentiles` is."""
    update_ratio: float = math.nan
    """L2 norm of what the step added to the weights, over the L2 norm of the weights before it."""


@dataclass(frozen=True, slots=True)
class FlowRead:
    """What flowed through the layers in the step that ends at `step`; `live` as in `NormalizationRead`."""

    epoch: int
    step: int
    arms: dict[str, tuple[LayerFlow, ...]]
    live: bool = False
    unit: int = 0
    """Which unit the percentiles of one are of; counted on beyond a layer's last."""
    milliseconds: float = 0.0
    """What it took to read this."""


@dataclass(frozen=True, slots=True)
class LayerShift:
    """Internal covariate shift of one linear layer in one step (Santurkar et al. 2018, definition 2.1)."""

    layer: str
    difference: float
    """L2 norm of G - G', the gradients by its weights before and after the layers below were updated."""
    cosine: float
    """Of the angle between them."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Loss and gradient of one batch at steps of ½, 1, 2 and 4 times the learning rate along its gradient."""

    lowest: float
    highest: float
    gradient_change: float
    """Largest L2 distance of a gradient there from that at the start."""
    smoothness: float
    """Effective β: largest ratio of that distance to the length of the step."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One batch's metrics by its own statistics, by the running ones, and by re-estimated ones."""

    batch: Metrics
    running: Metrics
    precise: Metrics


@dataclass(frozen=True, slots=True)
class Probes:
    """What the probes found in an arm; empty or None for one that was not asked for, or has nothing to find."""

    covariate_shift: tuple[LayerShift, ...] = ()
    landscape: Landscape | None = None
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """What the probes found in the step that ends at `step`; `live` as in `NormalizationRead`."""

    epoch: int
    step: int
    arms: dict[str, Probes]
    milliseconds: dict[str, float]
    """What each probe took, by its name."""
    live: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """One channel of a batch norm layer in the step that ends at `step`, as far as the rest follows from it."""

    step: int
    arm: str
    layer: str
    channel: int
    momentum: float
    eps: float
    by_batch: bool
    """Whether the batch's own statistics normalised, not the running ones."""
    weight: float
    bias: float
    running_mean: float
    """Before the step, as the next."""
    running_var: float
    x: tuple[float, ...]
    """Input, a value a sample."""
    dy: tuple[float, ...]
    """Gradient of the loss by the output."""
    live: bool = False
    """As in `NormalizationRead`."""


@dataclass(frozen=True, slots=True)
class Continued:
    """A run goes on from a checkpoint, perhaps for more epochs; what came after that step before is abandoned."""

    step: int
    config: dict[str, Any]
    """As in `Started`."""


@dataclass(frozen=True, slots=True)
class Planned:
    """How the run goes on from a step: how far the epochs were then, and at what batch size it ends when."""

    step: int
    epochs: float
    batch_size: int
    steps_per_epoch: int
    total_steps: int


@dataclass(frozen=True, slots=True)
class Paused:
    """Training waits after `step`."""

    step: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Training goes on after `step`."""

    step: int


@dataclass(frozen=True, slots=True)
class Intervened:
    """A person changed something; in force from the step after `step`."""

    step: int
    epoch: int
    action: str
    before: Scalar
    after: Scalar


@dataclass(frozen=True, slots=True)
class Branch:
    """What came after an intervention that was taken back: a future that was abandoned."""

    undone: Intervened
    """The intervention; the branch leaves the run after its step."""
    until: int
    """Step at which it was abandoned."""
    steps: tuple[int, ...]
    """At most `MOST_BRANCH_POINTS`, after the intervention's."""
    losses: dict[str, tuple[float, ...]]
    """By arm, the mean training loss up to each of `steps`."""
    accuracies: dict[str, tuple[float, ...]]
    """The same of the training batches' accuracy."""
    evaluations: tuple[Evaluated, ...]
    epochs: tuple[EpochEnded, ...]
    interventions: tuple[Intervened, ...]
    """Those that followed."""


MOST_BRANCH_POINTS = 200


@dataclass(frozen=True, slots=True)
class Undone:
    """The newest intervention was taken back: the run goes on from the step of it, as if it had never been made."""

    step: int
    """At which it was taken back."""
    to: int
    """From which the run goes on."""
    action: str
    """Of the intervention."""
    branch: Branch | None = None
    """What was abandoned, where that does not follow from the events before, as in results."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something about an arm, by its name, or about the whole run, if that is empty, worth a warning."""

    step: int
    arm: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The run begins again at step 0; what came before is abandoned."""

    step: int


@dataclass(frozen=True, slots=True)
class Hashed:
    """SHA-256 of each arm's parameters and buffers after `step`, made for an export while the run goes on."""

    step: int
    state_sha256: dict[str, str]
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over: `completed`, `interrupted` or `failed`."""

    status: str
    step: int
    state_sha256: dict[str, str]
    wall_seconds: float
    error: str = ""


Event: TypeAlias = (
    Loading | Notice | Started | Continued | Planned | Stepped | Evaluating | Evaluated | EpochEnded | NormalizationRead
    | FlowRead | Probed | Explained | Paused | Resumed | Intervened | Undone | Alert | Restarted | Hashed | Finished
)  # fmt: skip
Emit: TypeAlias = Callable[[Event], None]
