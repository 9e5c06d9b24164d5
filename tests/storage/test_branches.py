"""Interventions that were taken back, in the journal, the checkpoints and the results."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.arms import build_arms
from bntui.messages.history import History
from bntui.storage import reading, results
from bntui.storage.event_json import from_dict, to_dict
from bntui.storage.fit import Fit
from bntui.storage.folder import CHECKPOINTS
from bntui.storage.recorder import Recorder
from bntui.storage.results_file import events_of
from bntui.storage.resume import resumed_config
from bntui.storage.schedule import read_interventions
from bntui.training import session
from bntui.training.checkpoint import Pack
from bntui.tui.sources.playback import Playback
from training_runs import Person

Asked = Iterable[tuple[int, c.Command]]
UNDONE: list[tuple[int, c.Command]] = [
    (5, c.Change("bn", False)), (12, c.Change("batch_size", 20)), (30, c.Undo()), (19, c.Undo()),
    (9, c.Change("dropout", 0.3)), (14, c.Change("learning_rate", 0.5)), (17, c.Undo()),
]  # fmt: skip
"""What is asked of a run, of which only the dropout stays."""
STAYS: list[tuple[int, c.Command]] = [(9, c.Change("dropout", 0.3))]


class Snapshots(Recorder):
    """Keeps a copy of each checkpoint, and what was still to be asked for then."""

    def __init__(self, config: RunConfig, person: Person) -> None:
        super().__init__(config, History())
        self.person = person
        self.taken: list[tuple[bytes, list[tuple[int, c.Command | None]]]] = []

    def checkpoint(self, pack: Pack) -> None:
        super().checkpoint(pack)
        assert self.folder is not None
        self.taken.append(((self.folder / CHECKPOINTS[0]).read_bytes(), list(self.person.asked)))


def small(folder: Path, **options: Any) -> RunConfig:
    base = {"data": "synthetic", "train_samples": 330, "validation_samples": 50, "epochs": 3, "hidden": (8, 8),
            "device": "cpu", "run_dir": str(folder)}  # fmt: skip
    return RunConfig(**{**base, **options})


def record(config: RunConfig, asked: Asked = ()) -> Snapshots:
    person = Person(asked)
    recorder = Snapshots(config, person)
    session.run(config, recorder.take, person, recorder)
    assert not person.asked
    recorder.write_results()
    recorder.close()
    return recorder


def load(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return loaded


def comparable(value: Any) -> Any:
    """Everything but times and where things lie."""
    aside = {"seconds", "milliseconds", "wall_seconds", "steps_per_second", "samples_per_second", "created", "run_dir",
             "resume", "command", "checkpoint_seconds", "replay_interventions"}  # fmt: skip
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items() if name not in aside}
    return [comparable(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def undone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of which three interventions were taken back."""
    folder = tmp_path_factory.mktemp("undone") / "run"
    record(small(folder), UNDONE)
    return folder


@pytest.fixture(scope="module")
def never_made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a run to which they were never made."""
    folder = tmp_path_factory.mktemp("never") / "run"
    record(small(folder), STAYS)
    return load(folder)


def played(path: Path) -> History:
    history, playback = History(), Playback(str(path))
    while events := playback.poll():
        for event in events:
            history.apply(event)
    assert playback.problem == ""
    return history


def test_results_hold_what_is_in_force_and_the_futures_that_were_abandoned(
    undone: Path, never_made: dict[str, Any]
) -> None:
    ours = load(undone)
    jsonschema.Draft202012Validator(results.schema()).validate({**ours, "flow": []})
    assert never_made["branches"] == []
    assert comparable({**ours, "branches": []}) == comparable(never_made)
    told = [(row["undone"]["action"], row["undone"]["step"], row["until"]) for row in ours["branches"]]
    assert told == [("batch_size", 12, 30), ("bn", 5, 19), ("learning_rate", 14, 17)]
    first, second, third = ours["branches"]
    assert first["steps"]["step"] == list(range(13, 31)) and len(first["steps"]["loss"]["none"]) == 18
    assert [row["step"] for row in first["epochs"]] == [25]
    assert [row["step"] for row in second["epochs"]] == [10]
    # What had been taken back before is no part of the one before.
    assert second["interventions"] == third["interventions"] == []


def test_the_results_and_the_folder_show_the_same_branches(undone: Path) -> None:
    of_folder, of_results = played(undone), played(undone / "results.json")
    assert [branch.undone.action for branch in of_folder.branches] == ["batch_size", "bn", "learning_rate"]
    for one, other in zip(of_folder.branches, of_results.branches, strict=True):
        assert (one.undone, one.until, one.steps, one.losses) == (other.undone, other.until, other.steps, other.losses)
        assert (one.epochs, one.interventions) == (other.epochs, other.interventions)
    assert [row.action for row in of_results.interventions] == ["dropout"]
    assert of_folder.step == of_results.step == 30
    assert of_folder.steps.points("loss") == of_results.steps.points("loss")


def test_evaluations_within_epochs_come_back_with_their_branch() -> None:
    metrics = {name: e.Metrics(math.nan, 0.5) for name in ("batch", "none")}
    branch = e.Branch(
        e.Intervened(2, 1, "bn", True, False), 4, (3, 4), {name: (1.0, math.nan) for name in metrics},
        {name: (0.5, 0.75) for name in metrics}, (e.Evaluated(1, 3, 20, 0.5, metrics),),
        (e.EpochEnded(1, 4, 0.01, 1.0, 2.0, metrics, metrics),), (e.Intervened(3, 1, "pause", False, True),),
    )  # fmt: skip
    history = History()
    config = RunConfig(data="synthetic", hidden=(2,), threads=1, device="cpu")
    environment = {"python": "3", "torch": "2", "device": "cpu", "device_name": "x", "threads": 1, "platform": "y"}
    dataset = {"name": "synthetic", "source": "z", "train_samples": 64, "validation_samples": 9, "sha256": "0" * 64}
    history.apply(
        e.Started("2026-01-01T00:00:00+00:00", {**config.to_dict(), "command": config.to_command()},
                  environment, dataset,
                  build_arms(config.arms), {"batch": {"norm1": 2}}, 2, 4)
    )  # fmt: skip
    history.branches = [branch]
    built = json.loads(results.to_json(results.build(history)))
    jsonschema.Draft202012Validator(results.schema()).validate(built)
    (told,) = (event for event in events_of(built, "open x") if isinstance(event, e.Undone))
    assert repr(told.branch) == repr(branch)
    # As an event of a journal too.
    assert repr(from_dict(json.loads(json.dumps(to_dict(told))))) == repr(told)
    del built["branches"]
    assert not any(isinstance(event, e.Undone) for event in events_of(built, "open x"))


DAMAGES: dict[str, Any] = {
    "an arm is missing": lambda row: row["steps"]["loss"].pop("none"),
    "a loss is missing": lambda row: row["steps"]["loss"]["none"].pop(),
    "an accuracy is missing": lambda row: row["steps"]["accuracy"]["batch"].pop(),
    "steps go down": lambda row: row["steps"]["step"].reverse(),
    "a step before": lambda row: row["undone"].update(step=20),
    "a step after the end": lambda row: row.update(until=20),
    "what is no intervention": lambda row: row["undone"].update(action="pause"),
    "a value of another type": lambda row: row["undone"].update(to="much"),
    "an epoch of other arms": lambda row: row["epochs"][0].update(validation={}),
    "no row": lambda row: row.clear(),
    "too many": lambda row: row.update(interventions=201 * [dict(row["undone"])]),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_branch_is_refused_in_a_line(undone: Path, what: str) -> None:
    damaged = load(undone)
    DAMAGES[what](damaged["branches"][0])
    with pytest.raises(UsageError, match="the results file is damaged"):
        events_of(damaged, "open x")


def test_replayed_results_give_the_same_numbers_without_what_was_taken_back(
    undone: Path, never_made: dict[str, Any], tmp_path: Path
) -> None:
    assert read_interventions(str(undone)) == STAYS
    replaying = small(tmp_path / "again", replay_interventions=str(undone))
    recorder = Recorder(replaying, History())
    session.run(replaying, recorder.take, c.Control(read_interventions(str(undone))), recorder)
    recorder.write_results()
    recorder.close()
    assert load(tmp_path / "again")["state_sha256"] == never_made["state_sha256"]


def test_a_run_that_is_killed_at_any_moment_after_an_undo_goes_on_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "EMIT_SECONDS", 0)
    whole = tmp_path / "whole"
    taken = record(small(whole, checkpoint_seconds=0), UNDONE).taken
    expected = load(whole)
    after = [(data, asked) for data, asked in taken if not any(isinstance(what, c.Undo) for _, what in asked)]
    between = [(data, asked) for data, asked in taken if len(asked) == 3]
    assert len(after) > 10 and len(between) > 2
    # The first of each is the checkpoint that is made right after it was gone back.
    for number, (data, asked) in enumerate([between[0], between[-1], after[0], *after[1::5]]):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        # The journal has all that was told later, as that of a process that was killed may.
        (folder / CHECKPOINTS[0]).write_bytes(data)
        record(resumed_config({"resume": str(folder)}), [row for row in asked if row[1] is not None])  # type: ignore[misc]
        assert comparable(load(folder)) == comparable(expected)
        assert load(folder)["alerts"] == expected["alerts"]


def test_what_was_changed_before_a_run_went_on_can_not_be_taken_back_but_what_comes_then_can(tmp_path: Path) -> None:
    record(small(tmp_path / "run"), [(5, c.Change("bn", False)), (7, c.Stop())])
    config = resumed_config({"resume": str(tmp_path / "run")})
    recorder = record(config, [(8, c.Undo()), (9, c.Change("freeze", True)), (12, c.Undo()), (10, c.Undo())])
    gone = "nothing to undo: what could be undone was kept in memory, and ended with the process"
    assert [notice for notice in recorder.history.notices if "undo" in notice] == [gone, gone]
    record(small(tmp_path / "other"), [(5, c.Change("bn", False))])
    ours, theirs = load(tmp_path / "run"), load(tmp_path / "other")
    assert ours["state_sha256"] == theirs["state_sha256"]
    assert [row["undone"]["action"] for row in ours["branches"]] == ["freeze"]
    assert len(played(tmp_path / "run").branches) == 1


# What a run can't have told


def started() -> e.Started:
    config = RunConfig(data="synthetic", hidden=(2,), device="cpu")
    return e.Started("", config.to_dict(), {"device": "cpu"},
                     {"name": "x", "train_samples": 64, "validation_samples": 9}, build_arms(config.arms),
                     {"batch": {"norm1": 2}}, 2, 4)  # fmt: skip


def taken(events: Iterable[e.Event]) -> list[bool]:
    fit = Fit()
    assert fit.takes(started())
    return [fit.takes(event) for event in events]


def test_only_the_newest_intervention_can_have_been_taken_back() -> None:
    one, other = e.Intervened(3, 1, "bn", True, False), e.Intervened(5, 1, "freeze", False, True)
    back, further = e.Undone(7, 5, "freeze"), e.Undone(6, 3, "bn")
    assert taken([one, other, back, further]) == [True] * 4
    assert taken([one, other, further, back]) == [True, True, False, True]
    assert taken([back]) == [False]
    assert taken([other, replace(back, step=4)]) == [True, False]
    assert taken([other, back, back]) == [True, True, False]
    assert taken([e.Intervened(5, 1, "pause", False, True), e.Undone(7, 5, "pause")]) == [True, False]
    assert taken([one, e.Restarted(9), further]) == [True, True, False]


def test_plans_go_back_too() -> None:
    changed, plan = e.Intervened(3, 1, "batch_size", 32, 16), e.Planned(3, 1.5, 16, 4, 9)
    assert taken([changed, plan, e.Undone(7, 3, "batch_size"), e.Planned(2, 1.0, 32, 2, 4)]) == [True] * 4
    assert taken([changed, plan, e.Planned(2, 1.0, 32, 2, 4)]) == [True, True, False]


def test_epochs_of_an_abandoned_future_count_as_missing() -> None:
    metrics = {name: e.Metrics(1.0, 0.5) for name in ("batch", "none")}

    def ended(epoch: int) -> e.EpochEnded:
        return e.EpochEnded(epoch, 2 * epoch, 0.1, 1.0, 1.0, metrics, metrics)

    change = e.Intervened(2, 2, "batch_size", 32, 16)
    events: list[e.Event] = [ended(1), change, ended(2), ended(3), e.Undone(6, 2, "batch_size"), ended(2)]
    assert reading._missing(events, 2) == ""
    assert reading._missing(events, 3) == ", such as epoch 3"
    assert reading._missing(events[:5], 3) == ", such as epochs 2, 3"
    assert reading._missing([ended(1), change, e.Restarted(6), ended(1)], 1) == ""
