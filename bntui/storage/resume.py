"""Which configuration an interrupted run goes on with."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bntui.config.options import CONFIG_FILE_LIMIT, OUTPUT, RunConfig, flag_of, is_path
from bntui.errors import UsageError
from bntui.storage.regular import read_regular
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
    stored = _stored(Path(folder), named)
    names = {option.name for option in fields(RunConfig)}
    strange = sorted(set(stored) - names - {"command"})
    if strange:
        told = f"that run has {flag_of(plain_text(strange[0]))}, which this bntui does not know"
        raise UsageError(f"{named}: {told}; update it, or go on with the one that began the run")
    kept = {name: value for name, value in stored.items() if name in names and not _is_output(name)}
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


def _stored(folder: Path, named: str) -> dict[str, Any]:
    """Return the configuration in a run folder: that of `config.json` or, if it is gone, with which the journal begins.

    Raises UsageError with `named` at its beginning.
    """
    stored: object = None
    try:
        try:
            raw = read_regular(folder / "config.json", CONFIG_FILE_LIMIT)
            stored = json.loads(raw) if len(raw) <= CONFIG_FILE_LIMIT else None
        except FileNotFoundError:
            with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
                first = read_regular(folder / "journal.jsonl", CONFIG_FILE_LIMIT).partition(b"\n")[0]
                stored = json.loads(first).get("config")
            if stored is None:
                raise
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"{named}: its config.json can't be read ({why}); name the folder of a run") from None
    except (ValueError, RecursionError):
        stored = None
    if not isinstance(stored, dict):
        raise UsageError(f"{named}: its config.json is damaged; start the run again")
    return stored


def check_same(config: RunConfig, stored: object) -> None:
    """Raise UsageError if a configuration would not go on with the run of a stored one, by the names of its options."""
    if not isinstance(stored, dict):
        raise UsageError(f"--resume {config.resume}: the checkpoint tells no configuration; start the run again")
    for name, value in config.to_dict().items():
        before = stored.get(name)
        if _is_output(name) or name in MAY_DIFFER or (is_path(name) and _same_place(value, before)):
            continue
        if value != before:
            told = f"{flag_of(name)} {before}, not {value}"
            raise UsageError(f"--resume {config.resume}: that run has {told}; leave the option out, or start a new run")


def _same_place(one: object, other: object) -> bool:
    """Whether two paths lead to the same file or folder."""
    return isinstance(one, str) and isinstance(other, str) and os.path.realpath(one) == os.path.realpath(other)


def _is_output(name: str) -> bool:
    return any(option.name == name and option.metadata["group"] == OUTPUT for option in fields(RunConfig))
