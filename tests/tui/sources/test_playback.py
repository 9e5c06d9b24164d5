from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.storage.recorder import Recorder
from bntui.tui.sources.playback import MISFIT, NO_BEGINNING, Playback
from scripted_app import ZOO, run_events

VERSION_1 = Path(__file__).parents[2] / "storage" / "results-version-1.json"


def record(tmp_path: Path, norms: Sequence[str] = ("batch", "none")) -> tuple[Path, History]:
    """Record a run that was made up."""
    config = RunConfig(arms=",".join(norms), epochs=5, run_dir=str(tmp_path / "run"))  # type: ignore[arg-type]
    recorder = Recorder(config, History())
    for event in run_events(norms=norms):
        if isinstance(event, e.Started):
            event = replace(event, config={**config.to_dict(), "command": config.to_command()})
        recorder.take(event)
    for event in (
        e.Intervened(300, 3, "bn", True, False),
        e.Planned(300, 3.0, 20, 160, 620),
        e.Intervened(300, 3, "batch_size", 32, 20),
        e.Alert(300, "batch", "diverged", "With BN: the loss is no longer a number"),
        e.Finished("interrupted", 300, {arm.name: "0" * 64 for arm in recorder.history.arms}, 9.0),
    ):
        recorder.take(event)
    recorder.write_results()
    recorder.close()
    return tmp_path / "run", recorder.history


def replay(path: Path) -> History:
    history = History()
    playback = Playback(str(path))
    while events := playback.poll():
        for event in events:
            history.apply(event)
    assert playback.problem == ""
    return history


@pytest.mark.parametrize("norms", [("batch", "none"), ZOO])
def test_a_journal_replays_to_the_same_history(tmp_path: Path, norms: Sequence[str]) -> None:
    folder, live = record(tmp_path, norms)
    replayed = replay(folder)
    assert replayed.arms == live.arms and len(replayed.arms) == len(norms)
    assert replayed.epochs == live.epochs
    assert replayed.normalization == live.normalization
    assert replayed.interventions == live.interventions
    assert replayed.steps.points() == live.steps.points()
    assert (replayed.status, replayed.state_sha256, replayed.best) == (live.status, live.state_sha256, live.best)
    assert (replayed.flow, replayed.probes, replayed.plans) == (live.flow, live.probes, live.plans)


@pytest.mark.parametrize("norms", [("batch", "none"), ZOO])
def test_results_replay_to_the_same_charts(tmp_path: Path, norms: Sequence[str]) -> None:
    folder, live = record(tmp_path, norms)
    replayed = replay(folder / "results.json")
    assert (replayed.arms, replayed.epochs, replayed.plans) == (live.arms, live.epochs, live.plans)
    assert replayed.steps.points() == live.steps.points()
    assert (replayed.interventions, replayed.alerts) == (live.interventions, live.alerts)
    assert (replayed.total_steps, replayed.samples, replayed.step) == (620, 300 * 32, 300)
    assert [[layers[0].running_mean for layers in read.arms.values()] for read in replayed.normalization] == [
        [layers[0].running_mean for layers in read.arms.values()] for read in live.normalization
    ]
    assert replayed.status == "interrupted"


def test_results_of_an_older_bntui_open_too() -> None:
    replayed, stored = replay(VERSION_1), json.loads(VERSION_1.read_text())
    assert stored["schema"] == "bntui.results/1"
    first, second = (arm.name for arm in replayed.arms)
    assert [row.validation[first].accuracy for row in replayed.epochs] == [
        row["validation"]["bn"]["accuracy"] for row in stored["epochs"]
    ]
    assert list(replayed.steps.points()[1][second]) == pytest.approx(stored["steps"]["plain_loss"])


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
    with pytest.raises(UsageError, match="open "):
        Playback(str(file))


def test_a_missing_path_and_a_folder_without_a_journal_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="name a run folder"):
            Playback(str(path))


@pytest.mark.parametrize(
    "part", ["config", "summary", "steps", "epochs", "normalization", "arms", "plans", "interventions", "dataset"]
)
@pytest.mark.parametrize("value", [None, 3, "x", [1], {"a": 1}])
def test_damaged_results_are_refused(tmp_path: Path, part: str, value: object) -> None:
    folder, _ = record(tmp_path)
    results = json.loads((folder / "results.json").read_text())
    results[part] = value
    file = tmp_path / "damaged.json"
    file.write_text(json.dumps(results))
    with pytest.raises(UsageError, match="damaged"):
        Playback(str(file))


def test_a_folder_of_the_first_version_is_told_of_and_its_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"norm": "batch", "versus": "none", "lr": 0.01}')
    (tmp_path / "journal.jsonl").write_text('{"event": "Started"}\n')
    with pytest.raises(UsageError, match="made by an older bntui; open its results.json: ") as error:
        Playback(str(tmp_path))
    assert str(tmp_path / "results.json") in str(error.value)


def test_a_replay_is_told_in_sentences(tmp_path: Path) -> None:
    folder, _ = record(tmp_path)
    said = []
    for path in (folder, folder / "results.json"):
        playback = Playback(str(path), str(tmp_path / "said.txt"))
        while playback.poll():
            pass
        assert playback.problem == ""
        said.append((tmp_path / "said.txt").read_text().splitlines())
    assert sorted(said[0]) == sorted(said[1])
    assert said[0][0].startswith("A run begins: ") and "At step 300 BN was switched off." in said[0]
    assert said[0][-1].startswith("The run was stopped after 300 of 620 steps: With BN, which has diverged, has 85 ")
    playback = Playback(str(folder), "/dev/full")
    playback.poll()
    assert playback.problem == "the narration can't be written (No space left on device)"
