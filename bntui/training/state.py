"""A run between two steps: all that the rest of its numbers depends on, and what changes it beside the training."""

from __future__ import annotations

import math

import torch

from bntui.config.interventions import SETTINGS, Scalar, initial
from bntui.config.options import RunConfig
from bntui.data.order import DataOrder
from bntui.data.resident import Dataset
from bntui.models import mlp
from bntui.run.events import Planned
from bntui.training.fused.engine import Trainer, state_sha256
from bntui.training.stopwatch import Stopwatch


class State:
    """Both arms, the optimizer, the data order, and where in it the run is.

    Attributes
    ----------
    step, epoch
        Steps done, and the epoch under way, from 1 on.
    position
        Samples of the epoch that were trained on.
    evaluated
        Step of the last evaluation: the run is over when its last step is evaluated, not when it is done.
    settings
        What can be changed while a run goes on, as it stands.
    epoch_end, last_step
        With which step the epoch and the run end, at the batch size there is.
    epoch_generator
        State of the data order's generator before the epoch's order was drawn.
    watch, epoch_seconds
        Training seconds, and how many of them lie before the epoch.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, device: torch.device) -> None:
        self.config, self.dataset, self.device = config, dataset, device
        self.settings = initial(config.to_dict())
        self.begin()

    def begin(self) -> None:
        """Set everything but the settings to where it is before the first step."""
        self.pair = mlp.build_pair(self.config, self.device)
        self.trainer = Trainer(self.pair, self.config)
        self.order = DataOrder(self.pair.generator)
        self.step, self.epoch, self.position = 0, 1, 0
        self.evaluated = 0
        self.batch_size = self.config.batch_size
        self.watch = Stopwatch()
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Be before the first step of the epoch."""
        self.position = 0
        self.epoch_generator = self.order.generator.get_state()
        self.epoch_seconds = self.watch.seconds()
        self.plan()

    def plan(self) -> None:
        """Work out with which step the epoch and the run end, from where they are and at the batch size there is."""
        samples = len(self.dataset.train)
        self.steps_per_epoch = samples // self.batch_size
        self.epoch_end = self.step + (samples - self.position) // self.batch_size
        rest = (self.config.epochs - self.epoch) * self.steps_per_epoch
        self.last_step = int(min(self.epoch_end + rest, self.config.max_steps or math.inf))

    def planned(self) -> Planned:
        """Return the event that tells of the plan."""
        epochs = self.epoch - 1 + self.position / len(self.dataset.train)
        return Planned(self.step, epochs, self.batch_size, self.steps_per_epoch, self.last_step)

    def parse(self, name: str, value: object) -> Scalar:
        """Return the value that a setting takes.

        Raises
        ------
        ValueError
            It takes no such value; the text says what it would have.
        """
        parsed: Scalar = SETTINGS[name][1](str(value))
        if name == "batch_size" and int(parsed) > len(self.dataset.train):
            raise ValueError(f"at most the {len(self.dataset.train):,} training samples")
        return parsed

    def missing_for(self, action: str) -> str:
        """Say what an intervention would act on, and there is none of in this run; nothing if there is."""
        if action in ("bn", "bn_noise") and not self.pair.normalized:
            return "neither arm has a normalization"
        if action in ("freeze", "bn_eval", "adapt_bn", "precise_bn") and not self.pair.batch_norms:
            return "neither arm has a normalization that keeps statistics"
        return ""

    def put_into_force(self, name: str, value: Scalar) -> None:
        """Have a setting's value act."""
        self.settings[name] = value
        if name == "learning_rate":
            self.trainer.optimizer.lr = float(value)
        elif name == "bn":
            self.trainer.switch_norm(bool(value))
        elif name == "freeze":
            for norm in self.pair.batch_norms:
                norm.frozen = bool(value)
        elif name == "bn_noise":
            for module in self.pair.norms:
                module.noise = float(value)
        elif name == "dropout":
            for dropout in self.pair.dropouts:
                dropout.p = float(value)
        elif name == "batch_size":
            self.batch_size = int(value)
            self.plan()

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each arm's state_dict."""
        return {arm: state_sha256(model) for arm, model in self.pair.arms.items()}
