from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.run import control as c
from bntui.run.history import History
from bntui.storage.recorder import Recorder
from bntui.training import session
from bntui.tui.sources.playback import MISFIT, NO_BEGINNING, Playback


def record(tmp_path: Path) -> tuple[Path, History]:
    config = RunConfig(
        data="synthetic", train_samples=320, validation_samples=50, epochs=3, run_dir=str(tmp_path / "run")
    )
    recorder = Recorder(config, History())
    session.run(config, recorder.take, c.Control([(12, c.Change("bn")), (15, c.Change("learning_rate", 0.5))]))
    recorder.write_results()
    recorder.close()
    return tmp_path / "run", recorder.history


def replay(path: Path) -> History:
    history = History()
    playback = Playback(str(path))
    while events := playback.poll():
        for event in events:
            history.apply(event)
    return history


def test_a_journal_replays_to_the_same_history(tmp_path: Path) -> None:
    folder, live = record(tmp_path)
    replayed = replay(folder)
    assert replayed.epochs == live.epochs
    assert replayed.batch_norm == live.batch_norm
    assert replayed.interventions == live.interventions
    assert replayed.steps.points() == live.steps.points()
    assert (replayed.status, replayed.state_sha256, replayed.best) == (live.status, live.state_sha256, live.best)


def test_results_replay_to_the_same_charts(tmp_path: Path) -> None:
    folder, live = record(tmp_path)
    replayed = replay(folder / "results.json")
    assert replayed.epochs == live.epochs
    assert replayed.steps.points() == live.steps.points()
    assert replayed.interventions == live.interventions
    assert [r.layers[0].running_mean for r in replayed.batch_norm] == [
        r.layers[0].running_mean for r in live.batch_norm
    ]
    assert replayed.status == "completed"


def test_results_tell_the_plans_of_a_run_that_changed_them(tmp_path: Path) -> None:
    config = RunConfig(
        data="synthetic",
        train_samples=320,
        validation_samples=50,
        epochs=4,
        max_steps=47,
        run_dir=str(tmp_path / "run"),
    )
    recorder = Recorder(config, History())
    session.run(config, recorder.take, c.Control([(15, c.Change("batch_size", 20))]))
    recorder.write_results()
    recorder.close()
    live, replayed = recorder.history, replay(tmp_path / "run" / "results.json")
    assert len(live.plans) == 2
    assert replayed.plans == live.plans
    assert (replayed.total_steps, replayed.samples, replayed.step) == (47, live.samples, 47)
    for name in ("batch_norm", "epochs"):
        assert [row.step for row in getattr(replayed, name)] == [row.step for row in getattr(live, name)]
    assert [replayed.epochs_at(step) for step in range(48)] == [live.epochs_at(step) for step in range(48)]
    # Results of an older bntui, which tell of no plans.
    older = json.loads((tmp_path / "run" / "results.json").read_text())
    del older["plans"]
    (tmp_path / "older.json").write_text(json.dumps(older))
    assert replay(tmp_path / "older.json").epochs == live.epochs


@pytest.mark.parametrize("which", ["first", "middle"])
def test_a_damaged_line_of_the_journal_is_told_of(tmp_path: Path, which: str) -> None:
    folder, _ = record(tmp_path)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    lines[0 if which == "first" else 3] = "damaged\n"
    (folder / "journal.jsonl").write_text("".join(lines))
    playback = Playback(str(folder))
    playback.poll()
    assert playback.problem == (NO_BEGINNING if which == "first" else MISFIT)
    (folder / "journal.jsonl").unlink()
    with pytest.raises(UsageError, match=r"no journal.jsonl; its results.json can still be opened: name .*results"):
        Playback(str(folder))


def test_a_pipe_in_the_place_of_a_journal_or_of_results_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("journal.jsonl", "results.json"):
        (tmp_path / name).unlink(missing_ok=True)
        os.mkfifo(tmp_path / name)
    for path in (tmp_path, tmp_path / "results.json"):
        code = f"from bntui.tui.sources.playback import Playback; Playback({str(path)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.stderr.splitlines()[-1].startswith("bntui.errors.UsageError: open ")


def test_a_growing_journal_is_followed_line_by_line(tmp_path: Path) -> None:
    folder, _ = record(tmp_path)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    growing = tmp_path / "growing"
    growing.mkdir()
    (growing / "journal.jsonl").write_text(lines[0] + lines[1][:10])
    playback = Playback(str(growing))
    assert [type(event).__name__ for event in playback.poll()] == ["Started"]
    with (growing / "journal.jsonl").open("a") as file:
        file.write(lines[1][10:] + "no event\n" + '{"event":"Paused"}\n[1]\n' + lines[2])
    assert len(playback.poll()) == 2


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", '{"schema":"bntui.results/1"}', "[" * 100_000])
def test_what_is_no_results_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(UsageError, match="open"):
        Playback(str(file))


def test_a_missing_path_and_a_folder_without_a_journal_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="name a run folder"):
            Playback(str(path))


@pytest.mark.parametrize("part", ["config", "summary", "steps", "epochs", "batch_norm", "interventions", "dataset"])
@pytest.mark.parametrize("value", [None, 3, "x", [1], {"a": 1}])
def test_damaged_results_are_refused(tmp_path: Path, part: str, value: object) -> None:
    folder, _ = record(tmp_path)
    results = json.loads((folder / "results.json").read_text())
    results[part] = value
    file = tmp_path / "damaged.json"
    file.write_text(json.dumps(results))
    with pytest.raises(UsageError, match="damaged"):
        Playback(str(file))
