from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bntui.run import events as e
from bntui.run.history import History
from bntui.storage.journal import DENSE, Journal


def read(path: Path) -> list[e.Event]:
    return [e.from_dict(json.loads(line)) for line in path.read_text().splitlines()]


def stepped(last: int, count: int) -> e.Stepped:
    values = tuple(math.cos(step) for step in range(last - count + 1, last + 1))
    return e.Stepped(last, 1, values, tuple(2 * v for v in values), float(last))


def test_events_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    events: list[e.Event] = [e.Notice("hello"), stepped(3, 3), e.Intervened(3, 1, "bn", True, False)]
    for event in events:
        journal.write(event)
    assert read(tmp_path / "journal.jsonl") == events


def test_progress_of_loading_is_not_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write(e.Loading("reading"))
    assert (tmp_path / "journal.jsonl").read_text() == ""


@pytest.mark.parametrize("chunk", [1, 97, 5_000])
def test_losses_become_means_over_longer_stretches_and_replay_to_the_same_history(tmp_path: Path, chunk: int) -> None:
    total = 5 * DENSE + 123
    live, journal = History(), Journal(tmp_path / "journal.jsonl")
    for last in [*range(chunk, total, chunk), total]:
        event = stepped(last, (last - 1) % chunk + 1)
        live.apply(event)
        journal.write(event)
    finished = e.Finished("completed", total, {}, 1.0)
    journal.write(finished)
    events = read(tmp_path / "journal.jsonl")
    assert events[-1] == finished
    means = [event for event in events if isinstance(event, e.Stepped)]
    assert sum(len(event.bn) * event.width for event in means) == total
    assert sum(len(event.bn) for event in means) <= DENSE + 2 * DENSE // 2 + DENSE // 2 + 2
    replayed = History()
    for event in events:
        replayed.apply(event)
    ours, theirs = replayed.steps.points(), live.steps.points()
    assert ours["step"] == theirs["step"]
    assert ours["bn_loss"] == pytest.approx(theirs["bn_loss"], abs=1e-12)
    assert ours["plain_loss"] == pytest.approx(theirs["plain_loss"], abs=1e-12)


def test_a_restart_begins_with_single_steps_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for event in (stepped(2 * DENSE, 2 * DENSE), e.Restarted(2 * DENSE), stepped(2, 2)):
        journal.write(event)
    last = read(tmp_path / "journal.jsonl")[-1]
    assert isinstance(last, e.Stepped)
    assert (last.step, last.width, len(last.bn)) == (2, 1, 2)
