"""`results.json`: a finished or stopped run as one JSON object (schema `bntui.results/1`)."""

from __future__ import annotations

import json
import shlex
from importlib import resources
from pathlib import Path
from typing import Any

from bntui import __version__
from bntui.config.interventions import NUMERIC_ACTIONS
from bntui.run.alerts import gradient_ratio
from bntui.run.arms import ARMS, norm_names
from bntui.run.events import finite
from bntui.run.history import History

SCHEMA = "bntui.results/1"


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
    if path is not None and any(i.action in NUMERIC_ACTIONS for i in history.interventions):
        config["command"] += f" --replay-interventions {shlex.quote(str(path.absolute()))}"
    status = history.status if history.status in ("completed", "failed") else "interrupted"
    built = finite(
        {
            "schema": SCHEMA,
            "bntui_version": __version__,
            "created": started.created,
            "status": status,
            "config": config,
            "environment": started.environment,
            "dataset": started.dataset,
            "arms": norm_names(started.config),
            "plans": history.plans,
            "epochs": [
                {
                    "epoch": row.epoch,
                    "step": row.step,
                    "lr": row.lr,
                    "seconds": {"train": row.train_seconds, "eval": row.eval_seconds},
                    "train": row.train,
                    "validation": row.validation,
                }
                for row in history.epochs
            ],
            "steps": history.steps.points(),
            "batch_norm": [
                {
                    "layer": name,
                    "features": features,
                    "history": [
                        {
                            "epoch": reading.epoch,
                            "running_mean": layer.running_mean,
                            "running_var": layer.running_var,
                            "weight": layer.weight,
                            "bias": layer.bias,
                        }
                        for reading in history.batch_norm
                        for layer in reading.layers
                        if layer.layer == name
                    ],
                }
                for name, features in started.layers.items()
            ],
            "flow": history.flow,
            "probes": history.probes,
            "interventions": [
                {"step": i.step, "epoch": i.epoch, "action": i.action, "from": i.before, "to": i.after}
                for i in history.interventions
            ],
            "alerts": history.alerts,
            "summary": _summary(history),
            "state_sha256": {arm: history.state_sha256.get(arm) for arm in ARMS},
        }
    )
    assert isinstance(built, dict)
    return built


def to_json(results: dict[str, Any]) -> str:
    """Return the text of a results file."""
    return json.dumps(results, allow_nan=False, indent=1) + "\n"


def _summary(history: History) -> dict[str, Any]:
    last = history.epochs[-1] if history.epochs else None
    rate = history.step / history.train_seconds if history.train_seconds > 0 else None
    flow = history.flow[-1] if history.flow else None
    return {
        "final": {
            arm: None
            if last is None
            else {
                "epoch": last.epoch,
                "step": last.step,
                "train": getattr(last.train, arm),
                "validation": getattr(last.validation, arm),
            }
            for arm in ARMS
        },
        "best": {arm: history.best.get(arm) for arm in ARMS},
        "steps": history.step,
        "steps_per_second": rate,
        "samples_per_second": history.samples / history.train_seconds if history.train_seconds > 0 else None,
        "wall_seconds": history.wall_seconds,
        "diverged": history.diverged,
        "gradient_ratio": {arm: gradient_ratio(getattr(flow, arm)) if flow else None for arm in ARMS},
    }
