"""What interventions act on, and how every setting stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bntui.config import interventions
from bntui.config.interventions import INTERVENTIONS, SETTINGS, Intervention, Scalar
from bntui.config.options import RunConfig
from bntui.data.source import Source, first
from bntui.models import mlp
from bntui.models.arms import Arms
from bntui.models.dropout import SeededDropout
from bntui.models.estimates import set_running_statistics
from bntui.models.norms import Switchable, SwitchableBatchNorm1d
from bntui.training.engine import Engine
from bntui.training.progress import Progress

_MISSING = {"norms": "no arm has a normalization", "batch_norms": "no arm has a normalization that keeps statistics"}
"""Part of `Steered`: what is said where it is empty."""


class Steering:
    """A run between two steps, as interventions see it; a `Steered`."""

    def __init__(self, config: RunConfig, arms: Arms, engine: Engine, source: Source, progress: Progress) -> None:
        self._config, self._arms, self._engine = config, arms, engine
        self._source, self._progress = source, progress
        self.settings = interventions.initial(config.to_dict())
        """What can be changed while a run goes on, as it stands."""

    def parse(self, name: str, value: object) -> Scalar | None:
        """Return the value that an intervention takes; of a switch, None turns it over.

        Raises
        ------
        ValueError
            It takes no such value; the text says what it would have.
        """
        now = self.settings.get(name)
        parsed = not now if value is None and isinstance(now, bool) else interventions.parse(name, value)
        if name == "batch_size" and int(parsed or 0) > self._source.train_samples:
            raise ValueError(f"at most the {self._source.train_samples:,} training samples")
        if name == "restart_arm" and parsed not in self._arms.by_name:
            raise ValueError(f"one of {', '.join(self._arms.by_name)}")
        return parsed

    def missing_for(self, row: Intervention) -> str:
        """Say what an intervention would act on, and there is none of in this run; nothing if there is."""
        return "" if not row.acts_on or getattr(self, row.acts_on) else _MISSING[row.acts_on]

    def carry_out(self, name: str, value: Scalar | None) -> None:
        """Have an intervention act, with a value that it takes."""
        row = INTERVENTIONS[name]
        if row.is_setting and value is not None:
            self.settings[name] = value
        if row.apply is not None:
            row.apply(self, value)

    @property
    def norms(self) -> Sequence[Switchable]:
        """As `Steered.norms`."""
        return self._arms.norms

    @property
    def batch_norms(self) -> Sequence[SwitchableBatchNorm1d]:
        """As `Steered.batch_norms`."""
        return self._arms.batch_norms

    @property
    def dropouts(self) -> Sequence[SeededDropout]:
        """As `Steered.dropouts`."""
        return self._arms.dropouts

    def set_learning_rate(self, value: float) -> None:
        """As `Steered.set_learning_rate`."""
        self._engine.learning_rate = value

    def set_batch_size(self, value: int) -> None:
        """As `Steered.set_batch_size`."""
        self._progress.batch_size = value
        self._progress.plan()

    def switch_norms(self, on: bool) -> None:
        """As `Steered.switch_norms`."""
        self._engine.switch_norms(self._arms.normalized, on)

    def set_running_statistics(self) -> None:
        """As `Steered.set_running_statistics`."""
        set_running_statistics(self._arms.by_name.values(), lambda count: first(self._source, "train", count))

    def restart_arm(self, name: str) -> None:
        """As `Steered.restart_arm`."""
        device = next(self._arms.by_name[name].parameters()).device
        with torch.inference_mode(False):
            self._engine.restart(name, mlp.build(self._config, device).by_name[name].state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return every setting."""
        return dict(self.settings)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put other settings into force. Raises KeyError or ValueError if they are none."""
        for name in SETTINGS:
            if state[name] is None:
                raise ValueError("no value")
            value = self.parse(name, state[name])
            if value != self.settings[name]:
                self.carry_out(name, value)
