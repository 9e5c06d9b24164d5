from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bntui.config.options import RunConfig
from bntui.errors import ExportError, UsageError
from bntui.messages import control as c
from bntui.messages.events import QUANTILES, Event, Loading, Notice, Started
from bntui.messages.history import History
from bntui.storage.files import write_whole
from bntui.storage.recorder import Recorder
from bntui.storage.results import schema
from bntui.training import session
from bntui.tui.sources.playback import Playback


def validate(built: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema()).validate(built)


def record(config: RunConfig, schedule: list[tuple[int, c.Command]] | None = None) -> Recorder:
    recorder = Recorder(config, History())
    session.run(config, recorder.take, c.Control(schedule or []))
    recorder.write_results()
    return recorder


def small(tmp_path: Path, **options: object) -> RunConfig:
    base = {"data": "synthetic", "train_samples": 320, "validation_samples": 50, "epochs": 2,
            "run_dir": str(tmp_path / "run")}  # fmt: skip
    return RunConfig(**{**base, **options})  # type: ignore[arg-type]


def test_a_run_folder_holds_everything(tmp_path: Path) -> None:
    recorder = record(small(tmp_path, export=str(tmp_path / "out.json")))
    folder = tmp_path / "run"
    assert recorder.folder == folder
    assert sorted(p.name for p in folder.iterdir()) == [
        ".lock", "config.json", "journal.jsonl", "log.txt", "results.json",
    ]  # fmt: skip
    assert folder.stat().st_mode & 0o777 == 0o700
    config = json.loads((folder / "config.json").read_text())
    assert (config["data"], config["train_samples"], config["threads"]) == ("synthetic", 320, 1)
    results = json.loads((folder / "results.json").read_text())
    assert results == json.loads((tmp_path / "out.json").read_text())
    assert results["status"] == "completed"
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["event"] == "Started"
    assert json.loads(lines[-1])["event"] == "Finished"


def test_without_a_name_every_run_gets_a_new_folder_in_the_state_folder(own_home: Path, tmp_path: Path) -> None:
    folder = record(small(tmp_path, run_dir=None)).folder
    assert folder is not None
    assert folder.parent == own_home / "state" / "bntui" / "runs"
    assert "synthetic" in folder.name


def test_a_folder_that_holds_a_run_is_not_written_to(tmp_path: Path) -> None:
    record(small(tmp_path))
    before = (tmp_path / "run" / "results.json").read_bytes()
    with pytest.raises(UsageError, match="already holds a run"):
        Recorder(small(tmp_path), History())
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def test_a_restart_keeps_the_results_so_far(tmp_path: Path) -> None:
    record(small(tmp_path), [(15, c.Restart())])
    abandoned = json.loads((tmp_path / "run" / "results-before-restart-1.json").read_text())
    final = json.loads((tmp_path / "run" / "results.json").read_text())
    assert abandoned["status"] == "interrupted"
    assert (abandoned["summary"]["steps"], final["summary"]["steps"]) == (15, 20)
    assert len(abandoned["state_sha256"]["batch"]) == 64
    assert final["interventions"] == [{"step": 0, "epoch": 1, "action": "restart", "from": 15, "to": 0}]


def test_an_export_while_the_run_goes_on(tmp_path: Path) -> None:
    seen = []
    config = small(tmp_path, export=str(tmp_path / "out.json"))
    recorder = Recorder(config, History())

    def emit(event: Event) -> None:
        recorder.take(event)
        if (tmp_path / "out.json").exists():
            seen.append(json.loads((tmp_path / "out.json").read_text()))

    session.run(config, emit, c.Control([(12, c.Export())]))
    assert (seen[0]["status"], seen[0]["summary"]["steps"]) == ("interrupted", 12)
    assert seen[0]["interventions"][0]["action"] == "export"


def test_what_comes_before_the_start_is_in_the_journal(tmp_path: Path) -> None:
    recorder = Recorder(small(tmp_path), History())
    started = Started("2026-01-01T00:00:00+00:00", {"lr": 0.1}, {}, {"name": "synthetic"}, (), {}, 1, 1)
    for event in (Loading("torch"), Notice("no MNIST"), started):
        recorder.take(event)
    kinds = [json.loads(line)["event"] for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert kinds == ["Notice", "Started"]


def test_a_journal_that_fails_is_told_once_and_training_goes_on(tmp_path: Path) -> None:
    config = small(tmp_path)
    recorder = Recorder(config, History())

    def emit(event: Event) -> None:
        recorder.take(event)
        if isinstance(event, Started):
            recorder._journal._lines._descriptor = os.open("/dev/full", os.O_WRONLY)

    session.run(config, emit, c.Control())
    assert recorder.problem.startswith("journal.jsonl can't be written (No space left on device)")
    recorder.write_results()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["status"] == "completed"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "new \ud800")
    assert file.read_text() == "old"
    write_whole(file, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert file.read_text() == "new"


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
    with pytest.raises(ExportError, match="No space left on device"):
        write_whole(Path("/dev/full"), "text")
    assert Path("/dev/full").is_char_device()


def test_a_temporary_file_has_a_name_that_nobody_foresees_and_follows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names that were taken before stay what they are: a link, a pipe, a file."""
    (tmp_path / "precious").write_text("mine")
    names = iter(["a", "b", "c", "d"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    (tmp_path / ".bntui-a.tmp").symlink_to("precious")
    os.mkfifo(tmp_path / ".bntui-b.tmp")
    (tmp_path / ".bntui-c.tmp").write_text("another's")
    (tmp_path / f".bntui-{os.getpid()}.tmp").symlink_to("precious")
    write_whole(tmp_path / "out.json", "text")
    assert (tmp_path / "out.json").read_text() == "text"
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / ".bntui-c.tmp").read_text() == "another's"
    assert next(names, None) is None


def test_a_pipe_in_a_run_folder_is_replaced_and_not_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.json")
    write_whole(tmp_path / "results.json", "text", own=True)
    assert (tmp_path / "results.json").read_text() == "text"


def test_the_journal_and_the_results_tell_what_was_evaluated_within_epochs(tmp_path: Path) -> None:
    recorder = record(small(tmp_path, train_samples=4_400, validation_samples=300, epochs=2))
    folder, history = tmp_path / "run", recorder.history
    assert [(row.epoch, row.step, row.samples) for row in history.evaluations] == [
        (1, 35, 256), (1, 69, 256), (2, 183, 256), (2, 229, 256),
    ]  # fmt: skip
    shares = history.steps.points("accuracy")[1]
    assert {len(of_arm) for of_arm in shares.values()} == {274}
    assert shares["batch"][-1] > shares["batch"][0] and history.evaluating is None
    results = json.loads((folder / "results.json").read_text())
    validate(results)
    for path in (folder, folder / "results.json"):
        opened, played = History(), Playback(str(path))
        while events := played.poll():
            for event in events:
                opened.apply(event)
        assert played.problem == ""
        assert opened.evaluations == history.evaluations
        assert opened.steps.points("accuracy") == history.steps.points("accuracy")
        assert opened.flow[-1].arms["batch"][0].quantiles == history.flow[-1].arms["batch"][0].quantiles
        assert len(opened.flow[-1].arms["batch"][0].quantiles) == len(QUANTILES)
        assert opened.flow[-1].arms["none"][-1].update_ratio == history.flow[-1].arms["none"][-1].update_ratio > 0
