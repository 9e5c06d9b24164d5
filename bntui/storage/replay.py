"""Read back the results of a run, and its interventions, to apply them again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bntui.config.interventions import recorded, schedule
from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.run.control import Command, Stop
from bntui.storage.regular import read_regular

SIZE_LIMIT = 64 << 20
"""Bytes a results file may have."""

_WITHOUT_EFFECT = ("pause", "resume", "step", "export", "restart")
"""Actions that leave the numbers as they are; a restart is recorded at step 0 of what it begins."""


def read_results(path: str, asked_by: str) -> dict[str, Any]:
    """Return a results file as it was exported; only its schema is known to be this bntui's.

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
        file = Path(path)
        if file.is_dir():
            file = file / "results.json"
            if not file.exists():
                raise UsageError(f"{asked_by}: the folder holds no results.json; name a run folder or a results file")
            raw = read_regular(file, SIZE_LIMIT)
        else:
            # A pipe that a shell names is read to its end; one that nobody writes to is at its end.
            with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
                os.set_blocking(stream.fileno(), True)
                raw = stream.read(SIZE_LIMIT + 1)
        if len(raw) > SIZE_LIMIT:
            raise UsageError(f"{asked_by}: larger than 64 MiB; {wanted}")
        results = json.loads(raw)
    except OSError as error:
        raise UsageError(f"{asked_by}: can't be read ({error.strerror or error}); {wanted}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{asked_by}: not a JSON file; {wanted}") from None
    made_by = str(results.get("schema")) if isinstance(results, dict) else ""
    if made_by.startswith("bntui.results/") and made_by != "bntui.results/1":
        raise UsageError(f"{asked_by}: made by a later bntui, in a form this one does not know; update bntui")
    if made_by != "bntui.results/1" or not isinstance(results, dict):
        raise UsageError(f"{asked_by}: not a results file of bntui; {wanted}")
    return results


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
    rows = read_results(path, option).get("interventions")
    if not isinstance(rows, list):
        raise UsageError(f"{option}: not a results file of bntui; name a run folder or its results.json")
    found = []
    for number, row in enumerate(rows, 1):
        try:
            obeyed = _command(row)
            step = row["step"]
            if not isinstance(step, int) or isinstance(step, bool) or step < 0:
                raise ValueError
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise UsageError(f"{option}: intervention {number} is damaged; export the run again") from None
        if obeyed is not None:
            found.append((step, obeyed))
    return found


def _command(row: dict[str, Any]) -> Command | None:
    action = row["action"]
    if action in _WITHOUT_EFFECT:
        return None
    return Stop() if action == "stop" else recorded(action, row["to"])


def scheduled(config: RunConfig) -> list[tuple[int, Command]]:
    """Return what a run begins with as its schedule; of one that goes on, the checkpoint knows it. Raises as `planned`.

    What was replayed may be another file by then, such as the results of the run itself, or gone.
    """
    return [] if config.resume is not None else planned(config)


def planned(config: RunConfig) -> list[tuple[int, Command]]:
    """Return what is to happen in a run by itself: what is replayed, which has all that was planned, or else that.

    Raises
    ------
    UsageError
        As for `read_interventions`.
    """
    replaying = config.replay_interventions
    return schedule(config.intervene) if replaying is None else read_interventions(replaying)
