"""Which configuration an interrupted run goes on with."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bntui.config.options import OUTPUT, RunConfig, flag_of, is_path
from bntui.errors import UsageError
from bntui.storage.folder import RunFolder
from bntui.storage.memory import was_told
from bntui.storage.places import newest_run
from bntui.storage.version_1 import is_of_version_1
from bntui.text import plain_text

MAY_DIFFER = ("epochs", "max_steps", "preset")
"""Options that a run may go on with other values of; `preset` has had its effect on the others."""


def resumed_config(given: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of the run in the folder `given["resume"]`, with what else was given.

    Raises
    ------
    UsageError
        There is no run in the folder, or what was given would make another of it.
    """
    folder = str(RunConfig(resume=given["resume"]).resume)
    named = f"--resume {folder}"
    try:
        stored = RunFolder(Path(folder)).read_config()
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"{named}: its config.json can't be read ({why}); name the folder of a run") from None
    if stored is None:
        raise UsageError(f"{named}: its config.json is damaged; start the run again")
    if is_of_version_1(stored):
        raise UsageError(f"{named}: that run was made by an older bntui; go on with that one, or start the run again")
    names = {option.name for option in fields(RunConfig)}
    strange = sorted(set(stored) - names - {"command"})
    if strange:
        told = f"that run has {flag_of(plain_text(strange[0]))}, which this bntui does not know"
        raise UsageError(f"{named}: {told}; update it, or go on with the one that began the run")
    kept = {name: value for name, value in stored.items() if name in names and not is_output(name)}
    try:
        before = RunConfig(**kept)
    except (UsageError, TypeError) as error:
        raise UsageError(f"{named}: its config.json is damaged ({error}); start the run again") from None
    if given.get("preset") not in (None, before.preset):
        raise UsageError(f"{named}: that run has --preset {before.preset}; leave the option out, or start a new run")
    # The preset itself has had its effect on the options: here it is only a name.
    config = replace(before, **{**given, "preset": before.preset, "run_dir": folder})
    check_same(config, before.to_dict())
    return config


def check_same(config: RunConfig, stored: object) -> None:
    """Raise UsageError if a configuration would not go on with the run of a stored one, by the names of its options."""
    if not isinstance(stored, dict):
        raise UsageError(f"--resume {config.resume}: the checkpoint tells no configuration; start the run again")
    for name, value in config.to_dict().items():
        before = stored.get(name)
        if is_output(name) or name in MAY_DIFFER or (is_path(name) and _same_place(value, before)):
            continue
        if value != before:
            told = f"{flag_of(name)} {_written(before)}, not {_written(value)}"
            raise UsageError(f"--resume {config.resume}: that run has {told}; leave the option out, or start a new run")


def _written(value: object) -> str:
    """Return a stored value as it is written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _same_place(one: object, other: object) -> bool:
    """Whether two paths lead to the same file or folder."""
    return isinstance(one, str) and isinstance(other, str) and os.path.realpath(one) == os.path.realpath(other)


def is_output(name: str) -> bool:
    """Whether an option only says how a run is shown and kept, and may be another when it goes on."""
    return any(option.name == name and option.metadata["group"] == OUTPUT for option in fields(RunConfig))


def find_interrupted() -> Path | None:
    """Return the folder of the user's newest run if it can go on: it has a checkpoint, was not completed, and rests."""
    try:
        folder = newest_run()
        return folder if folder is not None and RunFolder(folder).is_interrupted() else None
    except (OSError, RuntimeError):
        return None


def notice_of_interrupted(config: RunConfig) -> str:
    """Return a sentence about the user's newest run if it can go on and this one begins anew beside it.

    Once for each such run, else nothing.
    """
    folder = find_interrupted() if config.run_dir is None and config.resume is None else None
    if folder is None or was_told(folder):
        return ""
    return f"the last run stopped early; bntui --resume {shlex.quote(str(folder))} goes on"
