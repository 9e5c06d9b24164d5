from __future__ import annotations

import io
import json
import math
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.messages import events as e
from bntui.messages import series as series_module
from bntui.messages.arms import Arm
from bntui.messages.history import History
from bntui.storage import journal as journal_module
from bntui.storage.event_json import from_dict
from bntui.storage.journal import DENSE, Journal, LineReader, line_of, read_lines


def read(path: Path) -> list[e.Event]:
    return [from_dict(json.loads(line)) for line in path.read_text().splitlines()]


def started() -> History:
    history = History()
    arms = (Arm("a", "A", "batch"), Arm("b", "B", "none"))
    history.apply(e.Started("", {}, {}, {}, arms, {}, 1, 1))
    return history


def stepped(last: int, count: int) -> e.Stepped:
    values = tuple(math.cos(step) for step in range(last - count + 1, last + 1))
    losses = {"a": values, "b": tuple(2 * v for v in values)}
    shares = {name: tuple(math.sin(v) ** 2 for v in of_arm) for name, of_arm in losses.items()}
    return e.Stepped(last, 1, losses, float(last), shares)


def journal_at(path: Path) -> Journal:
    journal = Journal()
    journal.open(path)
    return journal


def test_events_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    journal = journal_at(tmp_path / "journal.jsonl")
    events: list[e.Event] = [e.Notice("hello"), stepped(3, 3), e.Intervened(3, 1, "bn", True, False)]
    for event in events:
        journal.write(event)
    assert read(tmp_path / "journal.jsonl") == events


def test_progress_of_loading_and_of_evaluations_is_not_kept_but_what_they_found(tmp_path: Path) -> None:
    journal = journal_at(tmp_path / "journal.jsonl")
    journal.write(e.Loading("reading"))
    journal.write(e.Evaluating(3, 10, 20))
    assert (tmp_path / "journal.jsonl").read_text() == ""
    found = e.Evaluated(1, 3, 20, 0.5, {"a": e.Metrics(1.5, 0.25), "b": e.Metrics(0.5, 0.75)})
    journal.write(found)
    assert read(tmp_path / "journal.jsonl") == [found]


def test_losses_without_accuracies_are_written_alone(tmp_path: Path) -> None:
    journal = journal_at(tmp_path / "journal.jsonl")
    events: list[e.Event] = [e.Stepped(2, 1, {"a": (1.0, 2.0)}, 0.0), e.Finished("completed", 2, {}, 1.0)]
    for event in events:
        journal.write(event)
    assert read(tmp_path / "journal.jsonl") == events


@pytest.mark.parametrize("chunk", [1, 97, 5_000])
def test_losses_become_means_over_longer_stretches_and_replay_to_the_same_history(tmp_path: Path, chunk: int) -> None:
    total = 5 * DENSE + 123
    live, journal = started(), journal_at(tmp_path / "journal.jsonl")
    for last in [*range(chunk, total, chunk), total]:
        event = stepped(last, (last - 1) % chunk + 1)
        live.apply(event)
        journal.write(event)
    finished = e.Finished("completed", total, {}, 1.0)
    journal.write(finished)
    events = read(tmp_path / "journal.jsonl")
    assert events[-1] == finished
    means = [event for event in events if isinstance(event, e.Stepped)]
    assert sum(len(event.losses["a"]) * event.width for event in means) == total
    assert sum(len(event.losses["a"]) for event in means) <= DENSE + 2 * DENSE // 2 + DENSE // 2 + 2
    replayed = started()
    for event in events:
        replayed.apply(event)
    for metric in ("loss", "accuracy"):
        (steps, ours), (expected, theirs) = replayed.steps.points(metric), live.steps.points(metric)
        assert steps == expected
        for name in "ab":
            assert ours[name] == pytest.approx(theirs[name], abs=1e-12)


def test_what_waits_for_its_mean_is_kept_in_a_checkpoint(tmp_path: Path) -> None:
    total = 2 * DENSE + 3
    whole, first = journal_at(tmp_path / "whole"), journal_at(tmp_path / "pieces")
    for journal in (whole, first):
        journal.write(stepped(total, total))
    state = json.loads(json.dumps(first.state_dict()))
    first.close()
    second = Journal()
    second.load_state_dict(state)
    second.open(tmp_path / "pieces", exists=True)
    for journal in (whole, second):
        journal.write(stepped(total + 50, 50))
        journal.write(e.Finished("completed", total + 50, {}, 1.0))
    assert (tmp_path / "pieces").read_text() == (tmp_path / "whole").read_text()
    for damaged in ({"losses": {"a": [1.0], "b": []}}, {"accuracies": {"a": [], "b": []}}, {"accuracies": {}}):
        with pytest.raises(ValueError, match="not the state"):
            Journal().load_state_dict({**state, **damaged})


@patch("bntui.storage.journal.LINE_LIMIT", 300)
@given(st.lists(st.sampled_from(["whole", "half", "damaged", "long"]), max_size=8), st.randoms(use_true_random=False))
def test_a_line_is_read_alike_however_it_arrives(kinds: list[str], random: Random) -> None:
    """A half-written line counts as damaged unless it stands again whole in the next."""
    text, expected = "", 0
    for number, kind in enumerate(kinds):
        line = line_of(e.Notice(f"number {number}"))
        text += {"whole": line, "half": f"{line[:9]}\n{line}", "damaged": "}", "long": "x" * 301}[kind] + "\n"
        expected += kind in ("damaged", "long")
    reader = LineReader()
    read: list[e.Event | None] = []
    for line in text.splitlines(keepends=True):
        cut = random.randrange(len(line))
        for piece in (line[:cut], line[cut:]):
            read += reader.feed(piece)
    read += reader.end()
    assert sum(event is not None for event in read) == sum(kind in ("whole", "half") for kind in kinds)
    assert read.count(None) == expected
    assert read == list(read_lines(io.BytesIO(text.encode())))


def test_a_restart_begins_with_single_steps_again(tmp_path: Path) -> None:
    journal = journal_at(tmp_path / "journal.jsonl")
    for event in (stepped(2 * DENSE, 2 * DENSE), e.Restarted(2 * DENSE), stepped(2, 2)):
        journal.write(event)
    last = read(tmp_path / "journal.jsonl")[-1]
    assert isinstance(last, e.Stepped)
    assert (last.step, last.width, len(last.losses["b"])) == (2, 1, 2)


@pytest.mark.parametrize("chunk", [1, 7])
def test_what_is_taken_back_is_read_back_as_it_was_told(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a mean was begun before the intervention, and where the width has doubled after it."""
    monkeypatch.setattr(journal_module, "DENSE", 8)
    monkeypatch.setattr(series_module, "MAX_POINTS", 8)
    live, journal = started(), journal_at(tmp_path / "journal.jsonl")

    def tell(event: e.Event) -> None:
        live.apply(event)
        journal.write(event)

    def train(first: int, last: int, sign: int) -> None:
        for start in range(first, last + 1, chunk):
            event = stepped(end := min(last, start + chunk - 1), end - start + 1)
            losses = {name: tuple(sign * loss for loss in of) for name, of in event.losses.items()}
            tell(e.Stepped(end, 1, losses, float(end)))

    train(1, 21, 1)
    tell(e.Intervened(21, 1, "bn", True, False))
    train(22, 50, -1)
    tell(e.Intervened(50, 1, "dropout", 0.0, 0.5))
    train(51, 77, -1)
    tell(e.Undone(77, 50, "dropout"))
    train(51, 99, -1)
    tell(e.Undone(99, 21, "bn"))
    train(22, 70, 1)
    tell(e.Finished("completed", 70, {}, 1.0))
    replayed = started()
    for event in read(tmp_path / "journal.jsonl"):
        replayed.apply(event)

    assert max(event.width for event in read(tmp_path / "journal.jsonl") if isinstance(event, e.Stepped)) >= 8
    assert replayed.step == live.step == 70
    (steps, ours), (expected_steps, theirs) = replayed.steps.points(), live.steps.points()
    assert steps == expected_steps and ours["b"] == pytest.approx(theirs["b"], abs=1e-12)
    for told, kept in zip(replayed.branches, live.branches, strict=True):
        assert (told.undone, told.until) == (kept.undone, kept.until)
        assert told.steps[-1] == kept.steps[-1] == kept.until
    # The same as of a run that never had them, but for what was abandoned.
    plain = journal_at(tmp_path / "plain")
    events = [event for event in read(tmp_path / "journal.jsonl") if isinstance(event, e.Stepped)]
    for last in range(chunk, 70, chunk):
        plain.write(stepped(last, chunk))
    plain.write(stepped(70, 70 - (70 - 1) // chunk * chunk))
    plain.write(e.Finished("completed", 70, {}, 1.0))
    expected = [event for event in read(tmp_path / "plain") if isinstance(event, e.Stepped)]
    after = next(i for i, event in enumerate(events) if event.step == 99) + 1
    assert _flat(events[after:]) == _flat(expected)[-len(_flat(events[after:])) :]


def _flat(events: list[e.Stepped]) -> list[tuple[int, float]]:
    return [(event.width, loss) for event in events for loss in event.losses["a"]]
