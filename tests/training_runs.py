"""Small runs, and what several tests ask of their events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bntui.config.options import RunConfig
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.training import session
from bntui.training.checkpoint import Store


def small(**options: Any) -> RunConfig:
    """Three epochs of 20 steps, and 10 samples that are left over, on generated digits."""
    base = {"data": "synthetic", "train_samples": 650, "validation_samples": 100, "epochs": 3, "device": "cpu"}
    return RunConfig(**{**base, **options})


def run(
    config: RunConfig,
    schedule: Iterable[tuple[int, c.Command]] = (),
    store: Store | None = None,
    watching: Iterable[str] = (),
) -> list[e.Event]:
    """Train, obey what is scheduled, and return every event; the parts that are watched are read within epochs too."""
    events: list[e.Event] = []
    control = c.Control(schedule)
    control.watching = frozenset(watching)
    session.run(config, events.append, control, store)
    return events


class Person(c.Control):
    """Asks for each thing once, in this order, when the run comes to that step; None has one that is paused wait."""

    def __init__(
        self, asked: Iterable[tuple[int, c.Command | None]], schedule: Iterable[tuple[int, c.Command]] = ()
    ) -> None:
        super().__init__(schedule)
        self.asked = list(asked)

    def poll(self, step: int) -> c.Command | None:
        if self.asked and self.asked[0][0] == step:
            return self.asked.pop(0)[1]
        return super().poll(step)

    def wait(self) -> c.Command:
        command = self.asked.pop(0)[1]
        assert command is not None
        return command


def only(events: Iterable[e.Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def losses(events: Iterable[e.Event]) -> list[tuple[float, ...]]:
    """Of every step, in the order of the arms."""
    return [row for event in only(events, e.Stepped) for row in zip(*event.losses.values(), strict=True)]


def losses_of(events: Iterable[e.Event], arm: str) -> list[float]:
    return [loss for event in only(events, e.Stepped) for loss in event.losses[arm]]


def hashes(events: Iterable[e.Event]) -> dict[str, str]:
    found: dict[str, str] = only(events, e.Finished)[-1].state_sha256
    return found


def accuracies(events: Iterable[e.Event]) -> list[tuple[float, ...]]:
    """Of the batch of every step, in the order of the arms."""
    return [row for event in only(events, e.Stepped) for row in zip(*event.accuracies.values(), strict=True)]


def within_epochs(events: Iterable[e.Event]) -> list[e.Evaluated]:
    """What was evaluated within epochs, without what it took."""
    return [replace(event, seconds=0.0) for event in only(events, e.Evaluated)]


def evaluations(events: Iterable[e.Event]) -> list[tuple[Any, ...]]:
    return [(row.epoch, row.step, row.lr, row.train, row.validation) for row in only(events, e.EpochEnded)]


def readings(events: Iterable[e.Event], kind: type[Any]) -> list[Any]:
    """Those at the end of epochs, or asked for by an option, without what the clock had to say."""
    clocks: dict[type[Any], dict[str, Any]] = {e.FlowRead: {"milliseconds": 0.0}, e.Probed: {"milliseconds": {}}}
    return [replace(event, **clocks.get(kind, {})) for event in only(events, kind) if not event.live]


def numbers(events: Iterable[e.Event]) -> str:
    """Everything of a run that no clock may change, as text, in which NaN equals NaN."""
    events = list(events)
    read = readings(events, e.NormalizationRead)
    told = [losses(events), accuracies(events), within_epochs(events), evaluations(events), read, hashes(events)]
    return repr(told)
