"""The results of a run, written to where they were asked for, or else to where they can be."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

from bntui.errors import ExportError
from bntui.run.history import History
from bntui.storage import results
from bntui.storage.files import make_folder, why, write_whole
from bntui.storage.folder import make_temporary


def save(history: History, folder: Path | None, export: Path | str | None, rescue: bool) -> None:
    """Write the results to a run folder and to what `--export` names; each is tried, whatever becomes of the other.

    Parameters
    ----------
    rescue
        If neither takes them, write them to a new folder among the temporary files.

    Raises
    ------
    ExportError
        One of them could not be written. Says where the results lie all the same.
    """
    lie: list[str] = []
    failures: list[str] = []
    if folder is not None:
        try:
            save_to_folder(history, folder, "results.json")
            lie.append(str(folder / "results.json"))
        except ExportError as error:
            failures.append(str(error))
    if export is not None:
        try:
            _export(history, folder, export)
            lie.append("what was printed" if export == "-" else str(export))
        except ExportError as error:
            failures.append(str(error))
    if not lie and rescue:
        failures = failures or ["there is no run folder"]
        lie.append(str(save_anywhere(history, "results.json", "; ".join(failures))))
    if failures:
        raise ExportError("; ".join([*failures, f"the results lie in {' and '.join(lie)}"] if lie else failures))


def save_to_folder(history: History, folder: Path, name: str) -> None:
    """Write the results to a file in a run folder, which is made again if it is gone. Raises ExportError."""
    if not folder.exists() and folder.parent.is_dir():
        with contextlib.suppress(OSError):
            make_folder(folder)
    save_to_file(history, folder / name, own=True)


def save_anywhere(history: History, name: str, failures: str) -> Path:
    """Write the results to a new folder among the temporary files; return the path.

    Raises
    ------
    ExportError
        Not even there; begins with the failures before.
    """
    try:
        folder = make_temporary("bntui-")
    except OSError as error:
        raise ExportError(f"{failures}; nor can a temporary folder be made ({why(error)})") from None
    try:
        save_to_file(history, folder / name, own=True)
    except ExportError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ExportError(f"{failures}; {error}") from None
    return folder / name


def _export(history: History, folder: Path | None, export: Path | str) -> None:
    if isinstance(export, Path):
        save_to_file(history, export)
        return
    try:
        sys.stdout.write(results.to_json(results.build(history, None if folder is None else folder / "results.json")))
        sys.stdout.flush()
    except OSError as error:
        raise ExportError(f"--export -: stdout can't be written ({error.strerror})") from None


def save_to_file(history: History, path: Path, own: bool = False) -> None:
    """Write the results to a file, as `write_whole`. Raises ExportError."""
    write_whole(path, results.to_json(results.build(history, path)), own=own)
