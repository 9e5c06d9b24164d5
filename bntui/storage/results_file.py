"""A results file read back, of this bntui or of an older one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bntui.errors import UsageError
from bntui.messages import events as e
from bntui.messages.arms import Arm
from bntui.storage.event_json import from_dict
from bntui.storage.fit import Fit
from bntui.storage.regular import read_regular
from bntui.storage.version_1 import upgrade
from bntui.text import clean

SIZE_LIMIT = 64 << 20
"""Bytes a results file may have."""
KNOWN = ("bntui.results/1", "bntui.results/2")
DAMAGED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What reading something that is not as a run writes it may end in."""


def read_results(path: str, asked_by: str) -> dict[str, Any]:
    """Return a results file in the form that this bntui writes; only its schema is known to be right.

    Parameters
    ----------
    path
        Of the file, or of a run folder that has one.
    asked_by
        The option or command and the path it was given, with which a message begins.

    Raises
    ------
    UsageError
        The file can't be read or is not a results file.
    """
    wanted = "name a run folder or its results.json"
    try:
        raw = _read(Path(path), asked_by)
        if len(raw) > SIZE_LIMIT:
            raise UsageError(f"{asked_by}: larger than 64 MiB; {wanted}")
        results = json.loads(raw)
    except OSError as error:
        raise UsageError(f"{asked_by}: can't be read ({error.strerror or error}); {wanted}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{asked_by}: not a JSON file; {wanted}") from None
    made_by = str(results.get("schema")) if isinstance(results, dict) else ""
    if made_by.startswith("bntui.results/") and made_by not in KNOWN:
        raise UsageError(f"{asked_by}: made by a later bntui, in a form this one does not know; update bntui")
    if made_by not in KNOWN or not isinstance(results, dict):
        raise UsageError(f"{asked_by}: not a results file of bntui; {wanted}")
    if made_by == KNOWN[0]:
        try:
            return upgrade(results)
        except DAMAGED:
            raise UsageError(f"{asked_by}: the results file is damaged; export the run again") from None
    return results


def _read(file: Path, asked_by: str) -> bytes:
    if file.is_dir():
        file = file / "results.json"
        if not file.exists():
            raise UsageError(f"{asked_by}: the folder holds no results.json; name a run folder or a results file")
        return read_regular(file, SIZE_LIMIT)
    # A pipe that a shell names is read to its end; one that nobody writes to is at its end.
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        os.set_blocking(stream.fileno(), True)
        return stream.read(SIZE_LIMIT + 1)


def events_of(results: dict[str, Any], asked_by: str) -> list[e.Event]:
    """Return events that build the same history as the run did, as far as the results tell.

    Raises
    ------
    UsageError
        They are not as a run writes them.
    """
    fit = Fit()
    try:
        events = list(_tell(clean(results)))
        if not all(map(fit.takes, events)):
            raise ValueError
        return events
    except DAMAGED:
        raise UsageError(f"{asked_by}: the results file is damaged; export the run again") from None


def _tell(results: dict[str, Any]) -> Iterator[e.Event]:
    summary, points = results["summary"], results["steps"]
    plans = [_event("Planned", row) for row in results["plans"]]
    first = plans[0]
    assert isinstance(first, e.Planned)
    layers: dict[str, dict[str, int]] = {}
    for row in results["normalization"]:
        layers.setdefault(str(row["arm"]), {})[str(row["layer"])] = len(row.get("channels", ())) or int(row["features"])
    arms = tuple(Arm(str(row["name"]), str(row["label"]), str(row["norm"])) for row in results["arms"])
    yield e.Started(str(results["created"]), dict(results["config"]), dict(results["environment"]),
                    dict(results["dataset"]), arms, layers, first.steps_per_epoch, first.total_steps)  # fmt: skip
    yield from plans[1:]
    rate = float(summary["steps_per_second"] or 1)
    before = 0
    losses = [points["loss"][arm.name] for arm in arms]
    # Older ones don't tell of accuracies and of what was evaluated within epochs.
    unknown = [None] * len(points["step"])
    shares = [points.get("accuracy", {}).get(arm.name, unknown) for arm in arms]
    for step, *row in zip(points["step"], *losses, *shares, strict=True):
        width, before = int(step) - before, int(step)
        means = [(_number(value),) for value in row]
        names = [arm.name for arm in arms]
        yield e.Stepped(before, width, dict(zip(names, means[: len(arms)], strict=True)), before / rate,
                        dict(zip(names, means[len(arms) :], strict=True)))  # fmt: skip
    for row in results.get("evaluations", ()):
        yield _event("Evaluated", row)
    yield from map(_epoch, results["epochs"])
    yield from _readings(results, first.steps_per_epoch)
    for kind in ("flow", "probes"):
        for row in results[kind]:
            yield _event({"flow": "FlowRead", "probes": "Probed"}[kind], row)
    yield from map(_intervention, results["interventions"])
    # Results that older ones wrote have none.
    for row in results.get("branches", []):
        branch = _branch(row)
        yield e.Undone(branch.until, branch.undone.step, branch.undone.action, branch)
    for row in results["alerts"]:
        yield e.Alert(int(row["step"]), str(row["arm"]), str(row["kind"]), str(row["message"]))
    hashes = {arm: str(value) for arm, value in results["state_sha256"].items()}
    yield e.Finished(str(results["status"]), int(summary["steps"]), hashes, float(summary["wall_seconds"]))


def _readings(results: dict[str, Any], steps_per_epoch: int) -> Iterator[e.Event]:
    """Yield the readings of the normalization layers, an event an epoch."""
    steps = {int(row["epoch"]): int(row["step"]) for row in results["epochs"]}
    rows = results["normalization"]
    for i in range(min((len(row["history"]) for row in rows), default=0)):
        arms: dict[str, tuple[e.LayerStatistics, ...]] = {}
        for row in rows:
            at = row["history"][i]
            mean, var, weight, bias = (
                tuple(map(_number, at[name])) for name in ("running_mean", "running_var", "weight", "bias")
            )
            unknown = (float("nan"),) * len(mean)
            read = e.LayerStatistics(str(row["layer"]), mean, var, unknown, unknown, weight, bias)
            arms[str(row["arm"])] = (*arms.get(str(row["arm"]), ()), read)
        epoch = int(rows[0]["history"][i]["epoch"])
        yield e.NormalizationRead(epoch, steps.get(epoch, epoch * steps_per_epoch), arms)


def _epoch(row: dict[str, Any]) -> e.EpochEnded:
    seconds = row["seconds"]
    return e.EpochEnded(int(row["epoch"]), int(row["step"]), _number(row["lr"]), float(seconds["train"]),
                        float(seconds["eval"]), _metrics(row["train"]), _metrics(row["validation"]))  # fmt: skip


def _intervention(row: dict[str, Any]) -> e.Intervened:
    return e.Intervened(int(row["step"]), int(row["epoch"]), str(row["action"]), row["from"], row["to"])


def _branch(row: dict[str, Any]) -> e.Branch:
    steps = row["steps"]
    losses, accuracies = (
        {str(arm): tuple(map(_number, values)) for arm, values in steps[name].items()} for name in ("loss", "accuracy")
    )
    evaluations = [_event("Evaluated", dict(of)) for of in row["evaluations"]]
    return e.Branch(
        _intervention(row["undone"]), int(row["until"]), tuple(map(int, steps["step"])), losses, accuracies,
        tuple(of for of in evaluations if isinstance(of, e.Evaluated)), tuple(map(_epoch, row["epochs"])),
        tuple(map(_intervention, row["interventions"])),
    )  # fmt: skip


def _event(kind: str, row: dict[str, Any]) -> e.Event:
    return from_dict({**row, "event": kind})


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _metrics(row: dict[str, Any]) -> dict[str, e.Metrics]:
    return {arm: e.Metrics(_number(of["loss"]), _number(of["accuracy"])) for arm, of in row.items()}
