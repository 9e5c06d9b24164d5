"""The results of a run, written to where they were asked for, or else to where they can be."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bntui.errors import ExportError
from bntui.messages.history import History
from bntui.storage.exporters import exporter_for
from bntui.storage.files import why, write_whole
from bntui.storage.folder import RESULTS, RunFolder
from bntui.storage.places import make_temporary
from bntui.storage.results import build, to_json


def save(history: History, folder: RunFolder | None, export: Path | str | None, rescue: bool) -> None:
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
            lie.append(str(save_to_folder(history, folder)))
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
        lie.append(str(save_anywhere(history, RESULTS, "; ".join(failures))))
    if failures:
        raise ExportError("; ".join([*failures, f"the results lie in {' and '.join(lie)}"] if lie else failures))


def save_to_folder(history: History, folder: RunFolder, name: str = RESULTS) -> Path:
    """Write the results into a run folder; return the path. Raises ExportError."""
    return folder.write_results(to_json(build(history, folder.path / name)), name)


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
        write_whole(folder / name, to_json(build(history, folder / name)), own=True)
    except ExportError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ExportError(f"{failures}; {error}") from None
    return folder / name


def save_to_file(history: History, path: Path) -> None:
    """Write the results to a file that somebody named, in the form that its name says. Raises ExportError."""
    write_whole(path, exporter_for(path)(build(history, path)))


def _export(history: History, folder: RunFolder | None, export: Path | str) -> None:
    if isinstance(export, Path):
        save_to_file(history, export)
        return
    try:
        sys.stdout.write(to_json(build(history, None if folder is None else folder.path / RESULTS)))
        sys.stdout.flush()
    except OSError as error:
        raise ExportError(f"--export -: stdout can't be written ({error.strerror})") from None
