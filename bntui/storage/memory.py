"""What bntui remembers of runs beside their folders, in the user's state folder: a run folder may be a stranger's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import platformdirs

from bntui.errors import ExportError
from bntui.storage.files import make_folder, write_whole
from bntui.storage.regular import read_regular

_LIMIT = 64 << 10


def remember_export(folder: Path, export: Path | str | None) -> None:
    """Keep where the results of the run in a folder go, for when it goes on; nothing if that is no file."""
    with contextlib.suppress(OSError, RuntimeError, ExportError):
        place = _of_run(folder)
        if isinstance(export, Path) and (export.is_file() or not export.exists()):
            make_folder(place.parent)
            write_whole(place, json.dumps({"folder": str(folder), "export": str(export)}) + "\n", own=True)
        else:
            place.unlink(missing_ok=True)


def remembered_export(folder: Path) -> Path | None:
    """Return what `remember_export` kept."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        return Path(str(json.loads(read_regular(_of_run(folder), _LIMIT))["export"]))
    return None


def was_told(folder: Path) -> bool:
    """Whether this was asked before about the folder of an interrupted run; only the newest is remembered."""
    with contextlib.suppress(OSError, RuntimeError):
        place = platformdirs.user_state_path("bntui") / "told"
        with contextlib.suppress(FileNotFoundError):
            if read_regular(place, _LIMIT) == _name(folder):
                return True
        with contextlib.suppress(ExportError):
            write_whole(place, _name(folder), own=True)
    return False


def _of_run(folder: Path) -> Path:
    name = hashlib.sha256(_name(folder)).hexdigest()[:32]
    return platformdirs.user_state_path("bntui") / "exports" / f"{name}.json"


def _name(folder: Path) -> bytes:
    return os.fsencode(os.path.realpath(folder))
