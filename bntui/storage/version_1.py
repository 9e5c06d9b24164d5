"""Results as the first version wrote them, of two arms called `bn` and `plain`, in the form of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bntui.config.parsers import norm
from bntui.messages.arms import build_arms


def is_of_version_1(config: Mapping[str, Any]) -> bool:
    """Whether a configuration, by the names of its options, is one of the first version."""
    return "norm" in config and "arms" not in config


def upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """Return results of schema `bntui.results/1` as `bntui.results/2`.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError
        They are not as that version wrote them.
    """
    config = {name: value for name, value in old["config"].items() if name not in ("norm", "versus")}
    norms = [norm(str(old["config"].get(*default))) for default in (("norm", "batch"), ("versus", "none"))]
    arms = build_arms(norms)
    config["arms"] = [str(kind) for kind in norms]
    names = dict(zip(("bn", "plain"), (arm.name for arm in arms), strict=True))

    def by_name(row: dict[str, Any]) -> dict[str, Any]:
        return {names[key]: value for key, value in row.items()}

    def gathered(row: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in row.items() if key not in names}
        return {**rest, "arms": {name: row[key] for key, name in names.items()}}

    def with_unknown(row: dict[str, Any]) -> dict[str, Any]:
        arms = {arm: [{**layer, "quantiles": [], "update_ratio": None} for layer in flow]
                for arm, flow in row["arms"].items()}  # fmt: skip
        return {**row, "arms": arms}

    # The layers were read of the first arm that has a normalization.
    read = next((arm for arm in arms if arm.normalized), arms[0])
    summary = {
        key: by_name(value) if key in ("final", "best", "diverged", "gradient_ratio") else value
        for key, value in old["summary"].items()
    }
    return {
        **{key: old[key] for key in ("created", "status", "environment", "dataset")},
        "schema": "bntui.results/2",
        "bntui_version": old["bntui_version"],
        "config": config,
        "arms": [{"name": arm.name, "label": arm.label, "norm": arm.norm} for arm in arms],
        # The first releases told of no plans.
        "plans": old.get("plans") or [_planned(old)],
        "epochs": [
            {**row, "train": by_name(row["train"]), "validation": by_name(row["validation"])} for row in old["epochs"]
        ],
        "steps": {
            "step": old["steps"]["step"],
            "loss": {name: old["steps"][f"{key}_loss"] for key, name in names.items()},
            "accuracy": {name: [None] * len(old["steps"]["step"]) for name in names.values()},
        },
        "evaluations": [],
        "normalization": [
            {**row, "arm": read.name, "layer": str(row["layer"]).replace("bn", "norm"), "kind": read.norm}
            for row in old["batch_norm"]
        ],
        "flow": [with_unknown(gathered(row)) for row in old.get("flow", ())],
        "probes": [gathered(row) for row in old.get("probes", ())],
        "interventions": [
            {**row, "to": names.get(row["to"], row["to"])} if row["action"] == "restart_arm" else row
            for row in old["interventions"]
        ],
        "branches": [],
        "alerts": [{**row, "arm": names.get(row["arm"], "")} for row in old["alerts"]],
        "summary": summary,
        "state_sha256": by_name(old["state_sha256"]),
    }


def _planned(old: dict[str, Any]) -> dict[str, Any]:
    """Return the plan that follows from the configuration alone."""
    config = old["config"]
    batch_size = int(config["batch_size"])
    per_epoch = max(1, int(old["dataset"]["train_samples"]) // batch_size)
    total = min(int(config["epochs"]) * per_epoch, int(config.get("max_steps") or 10**18))
    return {"step": 0, "epochs": 0.0, "batch_size": batch_size, "steps_per_epoch": per_epoch, "total_steps": total}
