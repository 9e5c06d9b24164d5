"""The forms that results can be exported in: a row for each, by the end of the file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from bntui.storage.results import to_json

Exporter: TypeAlias = Callable[[dict[str, Any]], str]
"""From results, as `results.build` returns them, to what the file holds."""

EXPORTERS: dict[str, Exporter] = {".json": to_json}


def exporter_for(path: Path) -> Exporter:
    """Return the exporter of a file's name; JSON for a name that tells nothing."""
    return EXPORTERS.get(path.suffix.lower(), to_json)
