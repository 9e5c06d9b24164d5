from __future__ import annotations

import json
from pathlib import Path

import pytest

from bntui import control as c
from bntui.config import RunConfig
from bntui.errors import UsageError
from bntui.history import History
from bntui.sinks.recorder import Recorder
from bntui.training import session
from bntui.tui.playback import Playback


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
    with pytest.raises(UsageError, match="replay"):
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
