"""Where run folders lie: among the user's others or, where that can't be, among the temporary files."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import platformdirs

from bntui.errors import ExportError
from bntui.storage import files
from bntui.storage.files import check_folder, make_folder, why


def runs() -> Path:
    """Return the folder that holds the user's run folders; it need not exist. Raises OSError or RuntimeError."""
    return platformdirs.user_state_path("bntui") / "runs"


def newest_run() -> Path | None:
    """Return the folder of the user's newest run, if there is any. Raises OSError or RuntimeError."""
    return max(runs().iterdir(), default=None)


def check_place() -> None:
    """Raise ExportError unless a run folder can be made somewhere: there is nothing else that takes the results."""
    failure = ""
    places: tuple[Callable[[], Path], ...] = (runs, lambda: Path(tempfile.gettempdir()))
    for place in places:
        try:
            folder = place()
            check_folder(next(path for path in (folder, *folder.parents) if path.exists()))
            return
        except (OSError, RuntimeError) as error:
            failure = why(error)
    told = "neither in the user state folder nor among the temporary files"
    raise ExportError(f"no run folder can be made, {told} ({failure}); name one by --run-dir, or a file by --export")


def make_run_folder(dataset: str) -> Path:
    """Make a new folder for a run on a data set. Raises OSError."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{dataset}-"
    try:
        make_folder(runs())
        return make_temporary(name, runs())
    except (OSError, RuntimeError):
        return make_temporary(f"bntui-{name}")


def make_temporary(prefix: str, place: Path | None = None) -> Path:
    """Make a folder of a name that nothing has, for its owner alone. Raises OSError."""
    # As tempfile.mkdtemp, by the calls that a test can have fail.
    while True:
        folder = (place or Path(tempfile.gettempdir())) / f"{prefix}{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError):
            files.disk.mkdir(folder, 0o700)
            return folder
