"""The app over a source that tells what a test gives it: no trainer, no clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bntui.run import control as c
from bntui.run import events as e
from bntui.run.control import Control
from bntui.tui.app import BntuiApp
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


def split(accuracy: float) -> e.Split:
    return e.Split(e.Metrics(1 - accuracy, accuracy), e.Metrics(1.1 - accuracy, accuracy - 0.03))


def run_events(epochs: int = 3) -> list[e.Event]:
    config = {"lr": 0.01, "batch_size": 32, "seed": 1, "epochs": 5, "command": "bntui"}
    dataset = {"name": "fashion-mnist", "train_samples": 60_000, "validation_samples": 10_000}
    environment = {"device": "cpu", "device_name": "x", "threads": 1}
    events: list[e.Event] = [
        e.Started("2026-01-01T00:00:00+00:00", config, environment, dataset, {"bn1": 3, "bn2": 2}, 100, 500)
    ]
    for epoch in range(1, epochs + 1):
        losses = tuple(1 / (step + 1) for step in range(100 * epoch - 99, 100 * epoch + 1))
        events.append(e.Stepped(100 * epoch, 1, losses, tuple(2 * v for v in losses), float(epoch)))
        events.append(
            e.EpochEnded(epoch, 100 * epoch, 0.01, 1.0, 0.1, split(0.8 + epoch / 50), split(0.8 + epoch / 60))
        )
        layers = tuple(
            e.LayerStatistics(name, *[tuple(float(epoch + i) for i in range(n))] * 6)
            for name, n in (("bn1", 3), ("bn2", 2))
        )
        events.append(e.BatchNormRead(epoch, 100 * epoch, layers))
        shares = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), ())
        flow = tuple(e.LayerFlow(f"linear{i}", 0.1**i, 0.2**i, known, 0.5) for i, known in enumerate(shares, 1))
        events.append(e.FlowRead(epoch, 100 * epoch, flow, flow))
    return events


def play(
    script: Script,
    act: Callable[[Any, BntuiApp], Awaitable[None]],
    size: tuple[int, int] = (160, 48),
    look: Look | None = None,
) -> BntuiApp:
    app = BntuiApp(script, look)  # type: ignore[arg-type]

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
