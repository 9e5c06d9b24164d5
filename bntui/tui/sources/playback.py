"""A finished or still growing run, read back from disk, as the app sees a live one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from bntui.errors import UsageError
from bntui.run.control import Control
from bntui.run.events import (
    Alert,
    BatchNormRead,
    EpochEnded,
    Event,
    Finished,
    Intervened,
    LayerStatistics,
    Metrics,
    Planned,
    Split,
    Started,
    Stepped,
    from_dict,
)
from bntui.storage.fit import Fit
from bntui.storage.journal import LINE_LIMIT, read_line
from bntui.storage.regular import open_regular
from bntui.storage.replay import read_results
from bntui.text import clean

LINES_AT_ONCE = 2_000
"""Journal lines read in one poll, so that the app stays quick over a long journal."""
CHARACTERS_AT_ONCE = 4 << 20
"""Likewise, if they are long."""
MISFIT = "the journal is damaged: lines that do not fit its run are passed over"
NO_BEGINNING = "the journal is damaged at its beginning: open the results.json beside it, if there is one"


class Playback:
    """Hands out the events of a journal, and what is appended to it, or those that results stand for.

    Raises
    ------
    UsageError
        There is no journal and no results file at the path, or it is not one.
    """

    def __init__(self, path: str) -> None:
        self.control = Control()
        self.error: Exception | None = None
        self.discard = False
        self.problem = ""
        self.wake: Callable[[], object] = lambda: None
        self._journal: TextIO | None = None
        self._events: list[Event] = []
        self._rest = self._damaged = ""
        self._begun = False
        self._fit = Fit()
        place = Path(path)
        try:
            if place.is_dir():
                if not (place / "journal.jsonl").exists():
                    there = (place / "results.json").is_file()
                    hint = f"its results.json can still be opened: name {place / 'results.json'}" if there else ""
                    told = hint or "name a run folder"
                    raise UsageError(f"open {path}: the folder holds no journal.jsonl; {told}")
                self._journal = os.fdopen(open_regular(place / "journal.jsonl"), encoding="utf-8", errors="replace")
            else:
                self._events = _events_of(read_results(path, f"open {path}"))
        except OSError as error:
            raise UsageError(f"open {path}: can't be read ({error.strerror or error}); name a run folder") from None

    @property
    def running(self) -> bool:
        """Nothing trains here."""
        return False

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def join(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Nothing to wait for."""

    def log(self, line: str) -> None:
        """Nothing is recorded."""

    def poll(self) -> list[Event]:
        """Return the next events; a line that is damaged, does not fit, or is not whole yet, is passed over."""
        events, self._events = self._events, []
        if self._journal is not None:
            read = 0
            for _ in range(LINES_AT_ONCE):
                if read > CHARACTERS_AT_ONCE:
                    break
                line = self._journal.readline(LINE_LIMIT)
                if not line:
                    break
                self._rest += line
                read += len(line)
                if not line.endswith("\n"):
                    if len(self._rest) > LINE_LIMIT:
                        self._rest = ""
                    break
                whole, self._rest = self._rest, ""
                event = read_line(whole, clean)
                if event is None:
                    # Unless it was begun when the disk was full, and is written again whole in the next line.
                    self._damaged = whole.rstrip("\n")
                    continue
                fits = self._fit.takes(event)
                self._begun = self._begun or (fits and isinstance(event, Started))
                if self.problem or not fits or not whole.startswith(self._damaged):
                    self.problem = MISFIT if self._begun else NO_BEGINNING
                self._damaged = ""
                if fits:
                    events.append(event)
        return events


def _events_of(results: dict[str, Any]) -> list[Event]:
    """Return events that build the same history as the run did, as far as the results tell."""
    fit = Fit()
    try:
        events = list(_tell(clean(results)))
        if not all(map(fit.takes, events)):
            raise ValueError
        return events
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError):
        raise UsageError("open: the results file is damaged; export the run again") from None


def _tell(results: dict[str, Any]) -> list[Event]:
    config, summary, points = results["config"], results["summary"], results["steps"]
    layers = {str(row["layer"]): int(row["features"]) for row in results["batch_norm"]}
    # Results of an older bntui tell of no plans.
    plans = [_planned(row) for row in results.get("plans", ())]
    if plans:
        per_epoch, total = plans[0].steps_per_epoch, plans[0].total_steps
    else:
        per_epoch = max(1, int(results["dataset"]["train_samples"]) // int(config["batch_size"]))
        total = min(int(config["epochs"]) * per_epoch, int(config["max_steps"] or 10**18))
    events: list[Event] = [
        Started(str(results["created"]), dict(config), dict(results["environment"]), dict(results["dataset"]), layers,
                per_epoch, total)
    ]  # fmt: skip
    events += plans[1:]
    steps = {int(row["epoch"]): int(row["step"]) for row in results["epochs"]}
    rate = float(summary["steps_per_second"] or 1)
    before = 0
    for step, bn, plain in zip(points["step"], points["bn_loss"], points["plain_loss"], strict=True):
        width, before = int(step) - before, int(step)
        events.append(Stepped(before, width, (_number(bn),), (_number(plain),), before / rate))
    for row in results["epochs"]:
        events.append(
            EpochEnded(int(row["epoch"]), int(row["step"]), _number(row["lr"]), float(row["seconds"]["train"]),
                       float(row["seconds"]["eval"]), _split(row["train"]), _split(row["validation"]))
        )  # fmt: skip
    for i in range(min((len(row["history"]) for row in results["batch_norm"]), default=0)):
        read = []
        for row in results["batch_norm"]:
            at = row["history"][i]
            mean, var, weight, bias = (
                tuple(_number(v) for v in at[name]) for name in ("running_mean", "running_var", "weight", "bias")
            )
            unknown = (float("nan"),) * len(mean)
            read.append(LayerStatistics(str(row["layer"]), mean, var, unknown, unknown, weight, bias))
        epoch = int(results["batch_norm"][0]["history"][i]["epoch"])
        events.append(BatchNormRead(epoch, steps.get(epoch, epoch * per_epoch), tuple(read)))
    for row in results.get("flow", ()):
        events.append(from_dict({"event": "FlowRead", **row}))
    for row in results.get("probes", ()):
        events.append(from_dict({"event": "Probed", **row}))
    for row in results["interventions"]:
        events.append(Intervened(int(row["step"]), int(row["epoch"]), str(row["action"]), row["from"], row["to"]))
    for row in results["alerts"]:
        events.append(Alert(int(row["step"]), str(row["arm"]), str(row["kind"]), str(row["message"])))
    hashes = {arm: str(value) for arm, value in results["state_sha256"].items()}
    events.append(Finished(str(results["status"]), int(summary["steps"]), hashes, float(summary["wall_seconds"])))
    return events


def _planned(row: dict[str, Any]) -> Planned:
    event = from_dict({**row, "event": "Planned"})
    assert isinstance(event, Planned)
    return event


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _split(row: dict[str, Any]) -> Split:
    arms = (Metrics(_number(row[arm]["loss"]), _number(row[arm]["accuracy"])) for arm in ("bn", "plain"))
    return Split(*arms)
