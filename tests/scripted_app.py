"""The app over a source that tells what a test gives it: no trainer, no clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

from bntui.config import parsers
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.arms import Arm, build_arms
from bntui.messages.control import Control
from bntui.tui.app import BntuiApp
from bntui.tui.keys import KEYS, Key
from bntui.tui.theme import Look


class Script:
    """A source that tells what it is given and remembers what it is asked."""

    def __init__(self, *events: e.Event, running: bool = True) -> None:
        self.waiting = list(events)
        self.running = running
        self.control = Control()
        self.error: Exception | None = None
        self.discard = False
        self.problem = ""
        self.stopped = False

    def start(self) -> None:
        pass

    def poll(self) -> list[e.Event]:
        told, self.waiting = self.waiting, []
        return told

    def stop(self) -> None:
        self.stopped = True
        self.running = False

    def asked(self) -> list[c.Command]:
        commands = []
        while (command := self.control.poll(0)) is not None:
            commands.append(command)
        return commands


ZOO = ("batch", "group:8", "layer", "instance", "batch-renorm", "none")
"""One arm of each kind."""


def metrics(arms: tuple[Arm, ...], accuracy: float) -> dict[str, e.Metrics]:
    """Each arm is 3 points behind the one before."""
    return {arm.name: e.Metrics(1 - accuracy + 0.1 * i, accuracy - 0.03 * i) for i, arm in enumerate(arms)}


def started(norms: Sequence[str] = ("batch", "none"), **config: Any) -> e.Started:
    arms = build_arms(parsers.arms(",".join(norms)))
    told = {"lr": 0.01, "batch_size": 32, "seed": 1, "epochs": 5, "command": "bntui", "arms": list(norms), **config}
    dataset = {"name": "fashion-mnist", "train_samples": 60_000, "validation_samples": 10_000}
    environment = {"device": "cpu", "device_name": "x", "threads": 1}
    layers = {arm.name: {"norm1": 3, "norm2": 2} for arm in arms if arm.normalized}
    return e.Started("2026-01-01T00:00:00+00:00", told, environment, dataset, arms, layers, 100, 500)


def run_events(epochs: int = 3, norms: Sequence[str] = ("batch", "none")) -> list[e.Event]:
    begun = started(norms)
    arms = begun.arms
    events: list[e.Event] = [begun]
    for epoch in range(1, epochs + 1):
        losses = tuple(1 / (step + 1) for step in range(100 * epoch - 99, 100 * epoch + 1))
        by_arm = {arm.name: tuple((i + 1) * loss for loss in losses) for i, arm in enumerate(arms)}
        events.append(e.Stepped(100 * epoch, 1, by_arm, float(epoch)))
        train, validation = metrics(arms, 0.8 + epoch / 50), metrics(arms, 0.8 + epoch / 60)
        events.append(e.EpochEnded(epoch, 100 * epoch, 0.01, 1.0, 0.1, train, validation))
        read = {
            arm: tuple(
                e.LayerStatistics(name, *[tuple(float(epoch + i) for i in range(n))] * 6) for name, n in of.items()
            )
            for arm, of in begun.layers.items()
        }
        if read:
            events.append(e.NormalizationRead(epoch, 100 * epoch, read))
        events.append(e.FlowRead(epoch, 100 * epoch, dict.fromkeys(by_arm, flow())))
        events.append(e.Probed(epoch, 100 * epoch, {arm.name: probes(arm, epoch) for arm in arms}, {"gap": 1.5}))
    return events


@cache
def flow(
    layers: int = 3, first: float = 0.1, each: float = 0.1, middle: float = 0.0, spread: float = 1.0
) -> tuple[e.LayerFlow, ...]:
    """What flows through an arm: each layer's gradient is `each` times the one before, its activation's input normal.

    That of layer i, counted from 1, has the mean `middle` and the standard deviation `i * spread`. Half of the units do
    nothing. An update is a thousandth of the weights, in the first layer; each layer's is ten times smaller.
    """
    made = []
    for i in range(layers):
        shares = {}
        if i < layers - 1:
            of = NormalDist(middle, (i + 1) * spread)
            shares["percentiles"] = tuple(of.inv_cdf(level) for level in (0.15, 0.5, 0.85))
            shares["quantiles"] = tuple(of.inv_cdf(max(1e-4, min(1 - 1e-4, level))) for level in e.QUANTILES)
        gradient = first * each**i
        made.append(
            e.LayerFlow(f"linear{i + 1}", gradient, 2 * gradient, shares.get("percentiles", ()),
                        0.5 if shares else math.nan, quantiles=shares.get("quantiles", ()), update_ratio=1e-3 / 10**i)
        )  # fmt: skip
    return tuple(made)


def probes(arm: Arm, epoch: int) -> e.Probes:
    """Of a batch norm the gap too."""
    shifts = tuple(e.LayerShift(f"linear{i}", epoch / i, 0.9) for i in (1, 2, 3))
    gap = e.Gap(e.Metrics(0.1, 0.963), e.Metrics(0.2, 0.951), e.Metrics(0.15, 0.96)) if arm.norm == "batch" else None
    return e.Probes(shifts, e.Landscape(0.1, 0.4, 0.5, 2.0), gap)


def explained(arm: str = "batch") -> e.Explained:
    return e.Explained(300, arm, "norm1", 0, 0.1, 1e-5, True, 1.5, 0.5, 0.1, 2.0, (1.0, 2.0, 4.0), (0.1, 0.2, 0.3))


def play(
    script: Script,
    act: Callable[[Any, BntuiApp], Awaitable[None]],
    size: tuple[int, int] = (160, 48),
    look: Look | None = None,
    keys: Sequence[Key] = KEYS,
) -> BntuiApp:
    app = BntuiApp(script, look, keys)  # type: ignore[arg-type]

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            await act(pilot, app)

    asyncio.run(run())
    return app


async def settle(pilot: Any) -> None:
    """Let every chart be drawn: one a tick."""
    for _ in range(6):
        pilot.app._urgent = True
        pilot.app.tick()
        await pilot.pause()


def screen_text(app: BntuiApp) -> str:
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def dialog_says(app: BntuiApp, sentence: str) -> bool:
    """Whether the dialog has a sentence, wherever it breaks it: that depends on what stands before, such as a path."""
    place = app._dialog.region.shrink((1, 1, 1, 1))
    rows = screen_text(app).split("\n")[place.y : place.bottom]
    said = "".join(row[place.x : place.right] for row in rows)
    return "".join(sentence.split()) in "".join(said.split())
