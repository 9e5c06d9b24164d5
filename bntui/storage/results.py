"""`results.json`: a finished or stopped run as one JSON object (schema `bntui.results/2`)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bntui import __version__
from bntui.config.interventions import INTERVENTIONS
from bntui.messages.alerts import gradient_ratio
from bntui.messages.events import Branch, EpochEnded, Intervened
from bntui.messages.history import History
from bntui.storage.event_json import finite

SCHEMA = "bntui.results/2"
MOST_CHANNELS = 4_096
"""Channels of a layer that are told of; of more, an even choice."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every export satisfies."""
    text = resources.files("bntui.storage").joinpath("results.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def build(history: History, path: Path | None = None) -> dict[str, Any]:
    """Return the results of what `history` has seen; numbers that are not finite are None.

    Parameters
    ----------
    history
        Of a run that has started.
    path
        Where the results will lie, for the command that replays their interventions.
    """
    started = history.started
    assert started is not None
    config = dict(started.config)
    if path is not None and any(i.action in INTERVENTIONS for i in history.interventions):
        config["command"] += f" --replay-interventions {shlex.quote(str(path.absolute()))}"
    status = history.status if history.status in ("completed", "failed") else "interrupted"
    steps, losses = history.steps.points()
    accuracies = history.steps.points("accuracy")[1]
    built = finite(
        {
            "schema": SCHEMA,
            "bntui_version": __version__,
            "created": started.created,
            "status": status,
            "config": config,
            "environment": started.environment,
            "dataset": started.dataset,
            "arms": history.arms,
            "plans": history.plans,
            "epochs": [_epoch(row) for row in history.epochs],
            "steps": {"step": steps, "loss": losses, "accuracy": accuracies},
            "evaluations": history.evaluations,
            "normalization": _normalization(history),
            "flow": history.flow,
            "probes": history.probes,
            "interventions": [_intervention(row) for row in history.interventions],
            "branches": [_branch(row) for row in history.branches],
            "alerts": history.alerts,
            "summary": _summary(history),
            "state_sha256": {arm.name: history.state_sha256.get(arm.name) for arm in history.arms},
        }
    )
    assert isinstance(built, dict)
    return built


def to_json(results: dict[str, Any]) -> str:
    """Return the text of a results file."""
    return json.dumps(results, allow_nan=False, indent=1) + "\n"


def _epoch(row: EpochEnded) -> dict[str, Any]:
    return {
        "epoch": row.epoch,
        "step": row.step,
        "lr": row.lr,
        "seconds": {"train": row.train_seconds, "eval": row.eval_seconds},
        "train": row.train,
        "validation": row.validation,
    }


def _intervention(row: Intervened) -> dict[str, Any]:
    return {"step": row.step, "epoch": row.epoch, "action": row.action, "from": row.before, "to": row.after}


def _branch(branch: Branch) -> dict[str, Any]:
    """Return a future that was abandoned."""
    return {
        "undone": _intervention(branch.undone),
        "until": branch.until,
        "steps": {"step": branch.steps, "loss": branch.losses, "accuracy": branch.accuracies},
        "epochs": [_epoch(row) for row in branch.epochs],
        "evaluations": branch.evaluations,
        "interventions": [_intervention(row) for row in branch.interventions],
    }


def _normalization(history: History) -> list[dict[str, Any]]:
    """Return a row for each normalization layer of each arm."""
    assert history.started is not None
    kinds = {arm.name: arm.norm for arm in history.arms}
    rows = []
    for arm, layers in history.started.layers.items():
        for place, (name, features) in enumerate(layers.items()):
            row: dict[str, Any] = {"arm": arm, "layer": name, "kind": kinds[arm], "features": features}
            told = range(features)
            if features > MOST_CHANNELS:
                told = range(0, features, -(-features // MOST_CHANNELS))
                row["channels"] = list(told)
            row["history"] = [
                {
                    "epoch": reading.epoch,
                    **{
                        field: _chosen(getattr(reading.arms[arm][place], field), told)
                        for field in ("running_mean", "running_var", "weight", "bias")
                    },
                }
                for reading in history.normalization
            ]
            rows.append(row)
    return rows


def _chosen(values: Sequence[float], told: range) -> Sequence[float]:
    return values if told.step == 1 else [values[channel] for channel in told]


def _summary(history: History) -> dict[str, Any]:
    last = history.epochs[-1] if history.epochs else None
    rate = history.step / history.train_seconds if history.train_seconds > 0 else None
    flow = history.flow[-1] if history.flow else None
    names = [arm.name for arm in history.arms]
    return {
        "final": {
            name: None
            if last is None
            else {
                "epoch": last.epoch,
                "step": last.step,
                "train": last.train[name],
                "validation": last.validation[name],
            }
            for name in names
        },
        "best": {name: history.best.get(name) for name in names},
        "steps": history.step,
        "steps_per_second": rate,
        "samples_per_second": history.samples / history.train_seconds if history.train_seconds > 0 else None,
        "wall_seconds": history.wall_seconds,
        "diverged": history.diverged,
        "gradient_ratio": {name: gradient_ratio(flow.arms[name]) if flow else None for name in names},
    }
