"""The events of a run in which everything happens that a view can show, made by formulas: the same in every run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bntui.messages import events as e
from bntui.messages.arms import Arm
from scripted_app import started

STEPS, EPOCHS, CHANNELS = 400, 3, 16
LAYERS = {"norm1": CHANNELS, "norm2": CHANNELS}


def lively_run(norms: Sequence[str] = ("batch", "none"), epochs: int = EPOCHS) -> Iterator[e.Event]:
    """Yield a run of three epochs of 400 steps, the second with an intervention that is undone and one that stays."""
    begun = started(norms, epochs=EPOCHS, activation="relu", optimizer="adam", hidden=[CHANNELS, CHANNELS])
    layers = {arm.name: dict(LAYERS) for arm in begun.arms if arm.normalized}
    begun = e.Started(begun.created, begun.config, begun.environment, begun.dataset, begun.arms, layers, STEPS,
                      EPOCHS * STEPS)  # fmt: skip
    arms = begun.arms
    yield begun
    for step in range(20, epochs * STEPS + 1, 20):
        epoch = (step - 1) // STEPS + 1
        yield steps(arms, step)
        if step == 100:
            yield e.Alert(100, arms[-1].name, "inactive",
                          f"{arms[-1].label}: 52 % of the units after linear 1 are dead or saturated")  # fmt: skip
        if step == 560:
            yield e.Intervened(560, 2, "learning_rate", 0.01, 0.1)
        if step == 640:
            yield e.Undone(640, 560, "learning_rate")
            for again in range(580, 641, 20):
                yield steps(arms, again)
            yield e.Intervened(640, 2, "freeze", False, True)
        if step % 40 == 0:
            yield e.NormalizationRead(epoch, step, {arm: readings(step) for arm in layers}, live=step % STEPS != 0)
            yield e.FlowRead(epoch, step, {arm.name: flow(i, step) for i, arm in enumerate(arms)},
                             live=step % STEPS != 0, milliseconds=1.5)  # fmt: skip
            yield e.Probed(epoch, step, {arm.name: probes(arm, i, step) for i, arm in enumerate(arms)},
                           {"covariate-shift": 4.2, "landscape": 6.1, "gap": 1.5}, live=True)  # fmt: skip
        if step % STEPS == 0:
            yield e.EpochEnded(epoch, step, 0.01, 0.9 * epoch, 0.1, metrics(arms, step, 0.02), metrics(arms, step, 0.0))
        elif step % 80 == 0 or step in (20, 40):
            yield e.Evaluated(epoch, step, 1_000, 0.004, metrics(arms, step, -0.004))
        if step % 40 == 0 and any(arm.norm == "batch" for arm in arms):
            yield explained(step)


def metrics(arms: Sequence[Arm], step: int, more: float) -> dict[str, e.Metrics]:
    """Each arm is a little worse than the one before."""
    return {
        arm.name: e.Metrics(loss(i, step) + 0.05 - more, 0.95 - 0.03 * i - 0.8 * math.exp(-step / 90) + more)
        for i, arm in enumerate(arms)
    }


def loss(arm: int, step: int) -> float:
    return 0.25 + 0.1 * arm + (2.05 - 0.1 * arm) * math.exp(-step / (60 + 20 * arm))


def steps(arms: Sequence[Arm], last: int) -> e.Stepped:
    wobble = [0.15 * math.sin(1.7 * step) for step in range(last - 19, last + 1)]
    losses = {
        arm.name: tuple(loss(i, last - 19 + k) * (1 + w) for k, w in enumerate(wobble)) for i, arm in enumerate(arms)
    }
    right = {name: tuple(max(0.0, min(1.0, 1 - 0.39 * value)) for value in values) for name, values in losses.items()}
    return e.Stepped(last, 1, losses, last / 400, right)


def readings(step: int) -> tuple[e.LayerStatistics, ...]:
    """The batch wobbles around running statistics that settle."""
    found = []
    for number, name in enumerate(LAYERS):
        mean = [3 * math.sin(c + number) * (1 - math.exp(-step / 200)) for c in range(CHANNELS)]
        var = [1 + 0.5 * c * (1 - math.exp(-step / 200)) for c in range(CHANNELS)]
        batch = [
            m + math.sqrt(v) * 0.8 * math.sin(0.05 * step + c) for c, (m, v) in enumerate(zip(mean, var, strict=True))
        ]
        found.append(
            e.LayerStatistics(
                name,
                tuple(mean),
                tuple(var),
                tuple(batch),
                tuple(v * (1 + 0.2 * math.cos(0.03 * step + c)) for c, v in enumerate(var)),
                tuple(1 + 0.3 * math.sin(2 * c) * step / 1_200 for c in range(CHANNELS)),
                tuple(0.4 * math.cos(3 * c) * step / 1_200 for c in range(CHANNELS)),
            )
        )
    return tuple(found)


def flow(arm: int, step: int) -> tuple[e.LayerFlow, ...]:
    """The gradient shrinks towards the input in every arm but the first."""
    found = []
    for i in (1, 2, 3):
        last, spread = i == 3, (1 + arm) * (1 + 0.3 * math.sin(step / 100 + i))
        quantiles = (
            () if last else tuple(spread * _normal(min(0.999, max(0.001, share))) + 0.2 * i for share in e.QUANTILES)
        )
        percentiles = () if last else (quantiles[e.QUANTILES.index(0.15)], 0.2 * i, quantiles[e.QUANTILES.index(0.85)])
        gradient = 0.1 * 10 ** (-3.0 * arm * (3 - i)) * (1 + 0.2 * math.sin(step / 50))
        dead = math.nan if last else 0.05 * i + 0.3 * arm
        found.append(
            e.LayerFlow(
                f"linear{i}", gradient, 2 * gradient, percentiles, dead, percentiles, quantiles, 2e-3 / (1 + arm * i)
            )
        )
    return tuple(found)


def _normal(share: float) -> float:
    """Return about the quantile of the normal distribution: enough for a picture."""
    share = min(0.999, max(0.001, share))
    return 4.91 * (share**0.14 - (1 - share) ** 0.14)


def probes(arm: Arm, number: int, step: int) -> e.Probes:
    size = (1 + number) * (1 + 0.3 * math.sin(step / 70))
    shifts = tuple(e.LayerShift(f"linear{i}", 0.02 * (i - 1) * size, 1 - 3e-4 * (i - 1) * size) for i in (1, 2, 3))
    landscape = e.Landscape(loss(number, step) * 0.8, loss(number, step) * (1 + 0.2 * size), 0.5 * size, 2.0 * size)
    gap = None
    if arm.norm == "batch":
        middle = loss(number, step)
        gap = e.Gap(e.Metrics(middle, 0.95), e.Metrics(middle * 1.1, 0.93), e.Metrics(middle * 1.02, 0.945))
    return e.Probes(shifts, landscape, gap)


def explained(step: int) -> e.Explained:
    x = tuple(2.0 * math.sin(2.3 * i + step / 100) + 0.1 * i for i in range(12))
    dy = tuple(0.0 if value < 0 else 0.01 * math.cos(i) for i, value in enumerate(x))
    return e.Explained(step, "batch", "norm1", 3, 0.1, 1e-5, True, 1.2, -0.1, 0.5, 2.5, x, dy, live=True)
