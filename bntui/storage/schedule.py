"""What is to happen in a run by itself: planned on the command line, or recorded in another run."""

from __future__ import annotations

from typing import Any

from bntui.config.interventions import parse_recorded, parse_schedule
from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.messages.control import Change, Command, Stop
from bntui.storage.results_file import read_results

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
    action = str(row["action"])
    if action in _WITHOUT_EFFECT:
        return None
    return Stop() if action == "stop" else Change(action, parse_recorded(action, row["to"]))


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
    if replaying is None:
        return [(step, Change(name, value)) for step, name, value in parse_schedule(config.intervene)]
    return read_interventions(replaying)
