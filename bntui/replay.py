"""Read back the interventions of a run, to apply them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bntui.control import BatchNorm, Command, Freeze, LearningRate, Stop
from bntui.errors import UsageError

SIZE_LIMIT = 256 << 20
"""Bytes a results file may have."""

_WITHOUT_EFFECT = ("pause", "resume", "step", "export", "restart")
"""Actions that leave the numbers as they are; a restart is recorded at step 0 of what it begins."""


def read_interventions(path: str) -> list[tuple[int, Command]]:
    """Return the interventions recorded in a results.json, or in a run folder that has one, as a schedule.

    Returns
    -------
    list of (step, command)
        Each command is to be obeyed once that many steps are done. A recorded stop is obeyed too.

    Raises
    ------
    UsageError
        The file can't be read or is not a results file.
    """
    option = f"--replay-interventions {path}"
    file = Path(path)
    try:
        if file.is_dir():
            file = file / "results.json"
        if file.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"{option}: larger than 256 MiB; is it a results file?")
        results = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{option}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{option}: not a JSON file; name the results.json of a run") from None
    rows = results.get("interventions") if isinstance(results, dict) else None
    if not isinstance(rows, list) or not str(results.get("schema")).startswith("bntui.results/"):
        raise UsageError(f"{option}: not a results file of bntui; name the results.json of a run")
    schedule = []
    for number, row in enumerate(rows, 1):
        try:
            command = _command(row)
            step = row["step"]
            if not isinstance(step, int) or isinstance(step, bool) or step < 0:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"{option}: intervention {number} is damaged") from None
        if command is not None:
            schedule.append((step, command))
    return schedule


def _command(row: dict[str, Any]) -> Command | None:
    action, to = row["action"], row["to"]
    if action in _WITHOUT_EFFECT:
        return None
    if action == "stop":
        return Stop()
    if action == "learning_rate" and isinstance(to, int | float) and not isinstance(to, bool):
        return LearningRate(float(to))
    if action in ("bn", "freeze") and isinstance(to, bool):
        return BatchNorm(to) if action == "bn" else Freeze(to)
    raise ValueError
