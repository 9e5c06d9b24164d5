"""Runs that stopped early."""

from __future__ import annotations

import shlex

from bntui.config import RunConfig
from bntui.sinks.recorder import find_interrupted


def notice_of_unfinished(config: RunConfig) -> str:
    """Return a sentence about the user's newest run if it can go on and this one begins anew beside it, or nothing."""
    folder = find_interrupted() if config.run_dir is None and config.resume is None else None
    return "" if folder is None else f"the last run stopped early; bntui --resume {shlex.quote(str(folder))} goes on"
