"""Interventions that are taken back: the run goes on as if they had never been made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from bntui.config.interventions import INTERVENTIONS
from bntui.config.options import RunConfig
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.history import MAX_MARKS, History
from bntui.storage.fit import Fit
from bntui.storage.journal import line_of, read_line
from bntui.training import session, undo, within_epochs
from bntui.training.undo import NOTHING
from training_runs import Person, hashes, only, small

VALUES: dict[str, Any] = {
    "learning_rate": 0.1, "bn": False, "freeze": True, "batch_size": 20, "dropout": 0.5, "bn_noise": 0.5,
    "bn_eval": "batch", "shift": "noise:0.5", "adapt_bn": True, "precise_bn": None, "restart_arm": "batch",
}  # fmt: skip
"""Of every intervention, a value that it does not have at first."""
BUSY = {"hidden": (8, 8), "dropout": 0.1, "bn_noise": 0.1, "arms": "batch,none,batch-renorm"}
"""Options with which every random stream is drawn from."""


def train(
    config: RunConfig,
    asked: Iterable[tuple[int, c.Command | None]] = (),
    schedule: Iterable[tuple[int, c.Command]] = (),
) -> list[e.Event]:
    events: list[e.Event] = []
    person = Person(asked, schedule)
    session.run(config, events.append, person)
    assert not person.asked, "the run never came to that step"
    return events


def history_of(events: Iterable[e.Event]) -> History:
    """What a journal of the events would be read back to."""
    history, fit = History(), Fit()
    for event in events:
        if isinstance(event, e.Loading | e.Evaluating):
            continue
        read = read_line(line_of(event))
        assert read is not None and fit.takes(read), event
        history.apply(read)
    return history


def told(history: History) -> str:
    """All that the history says of the run but for its clocks, as text, in which NaN equals NaN."""
    epochs = [dataclasses.replace(row, train_seconds=0.0, eval_seconds=0.0) for row in history.epochs]
    evaluations = [dataclasses.replace(row, seconds=0.0) for row in history.evaluations]
    flow = [dataclasses.replace(row, milliseconds=0.0) for row in history.flow]
    return repr([
        history.steps.points(), history.steps.points("accuracy"), evaluations, list(history.recent), epochs, flow,
        history.normalization, history.best, history.step,
        history.epoch, history.alerts, history.settings, history.plans, history.diverged, history.state_sha256,
    ])  # fmt: skip


def change(name: str) -> c.Command:
    return c.Change(name, VALUES[name])


HOW: dict[str, Callable[[c.Command], list[tuple[int, c.Command]]]] = {
    "at once": lambda made: [(7, made), (7, c.Undo())],
    "a step later": lambda made: [(7, made), (8, c.Undo())],
    "in the next epoch": lambda made: [(7, made), (38, c.Undo())],
    "between two epochs": lambda made: [(20, made), (33, c.Undo())],
    "while paused": lambda made: [(7, made), (9, c.Pause(True)), (9, c.Undo()), (7, c.Step()), (8, c.Pause(False))],
}


def test_there_is_a_value_for_every_intervention() -> None:
    assert VALUES.keys() == INTERVENTIONS.keys()


@pytest.fixture(scope="module")
def never_made() -> dict[str, tuple[dict[str, str], str]]:
    """By engine, the hashes of a run that nobody disturbed, and what its history tells."""
    found = {}
    for engine in ("fused", "autograd"):
        events = train(small(engine=engine, epochs=2, **BUSY))
        found[engine] = hashes(events), told(history_of(events))
    return found


@pytest.mark.parametrize("engine", ["fused", "autograd"])
@pytest.mark.parametrize("name", INTERVENTIONS)
def test_a_run_goes_on_as_if_an_intervention_had_never_been_made(
    never_made: dict[str, tuple[dict[str, str], str]], engine: str, name: str
) -> None:
    for how, asked in HOW.items():
        steps = asked(change(name))
        events = train(small(engine=engine, epochs=2, **BUSY), steps)
        history = history_of(events)
        (undone,) = only(events, e.Undone)
        assert (undone.to, undone.action) == (steps[0][0], name)
        assert (hashes(events), told(history)) == never_made[engine], how
        (branch,) = history.branches
        assert (branch.undone.action, branch.undone.step, branch.until) == (name, undone.to, undone.step)


def same(asked: list[tuple[int, c.Command]], as_if: list[tuple[int, c.Command]], **options: Any) -> History:
    """Train twice, see that it comes to the same, and return what is known of the first run."""
    events, expected = train(small(**BUSY, **options), asked), train(small(**BUSY, **options), as_if)
    history = history_of(events)
    assert hashes(events) == hashes(expected)
    assert told(history) == told(history_of(expected))
    assert [(i.step, i.action, i.after) for i in history.interventions if i.action in INTERVENTIONS] == [
        (i.step, i.action, i.after) for i in only(expected, e.Intervened)
    ]
    return history


def test_evaluations_within_epochs_go_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(within_epochs, "BUDGET", 10)
    within_epochs.places.cache_clear()
    places = [row.step for row in only(train(small()), e.Evaluated) if row.epoch == 1]
    assert len(places) > 3
    for step in (places[1] - 1, places[1], places[1] + 1):
        history = same([(step, change("shift")), (30, c.Undo())], [])
        (branch,) = history.branches
        # What is evaluated after the very step was so before the intervention.
        assert [row.step for row in branch.evaluations if row.epoch == 1] == [at for at in places if at > step]
    within_epochs.places.cache_clear()


def test_a_second_undo_goes_further_back() -> None:
    history = same([(5, change("bn")), (9, change("batch_size")), (12, c.Undo()), (10, c.Undo())], [])
    assert [(branch.undone.action, branch.until) for branch in history.branches] == [("batch_size", 12), ("bn", 10)]


def test_of_several_interventions_at_one_step_the_last_is_taken_back_first() -> None:
    asked = [(5, change("bn")), (5, change("dropout")), (5, change("restart_arm"))]
    same([*asked, (8, c.Undo()), (6, c.Undo())], asked[:1])


def test_another_intervention_can_follow_the_one_that_was_taken_back() -> None:
    history = same(
        [(5, change("learning_rate")), (30, c.Undo()), (9, change("freeze")), (25, c.Undo()), (11, change("bn"))],
        [(11, change("bn"))],
    )
    assert [branch.undone.action for branch in history.branches] == ["learning_rate", "freeze"]
    assert history.undoable is not None and history.undoable.action == "bn"


def test_what_was_planned_is_not_done_again_but_what_was_planned_for_later_is() -> None:
    planned = [(5, change("bn")), (9, change("batch_size")), (15, change("dropout"))]
    events = train(small(), [(7, c.Undo())], planned)
    assert hashes(events) == hashes(train(small(), [], planned[1:]))
    # Taken back, then that before it: the future that is abandoned had the others in it.
    events = train(small(), [(11, c.Undo()), (9, c.Undo())], planned)
    assert [(i.step, i.action) for i in history_of(events).interventions] == [(9, "batch_size"), (15, "dropout")]
    assert hashes(events) == hashes(train(small(), [], planned[1:]))


def test_a_plan_that_changes_is_told_of() -> None:
    events = train(small(), [(5, change("batch_size")), (9, c.Undo()), (7, change("bn")), (9, c.Undo())])
    plans = [(p.step, p.batch_size, p.total_steps) for p in only(events, e.Planned)]
    assert plans == [(5, 20, 93), (5, 32, 60)]


def test_a_run_that_waits_goes_on_waiting_where_it_was_before() -> None:
    asked = [(5, change("bn")), (9, c.Pause(True)), (9, None), (9, c.Undo()), (5, None), (5, c.Pause(False))]
    events = train(small(), asked)
    waits = [(type(event).__name__, event.step) for event in events if isinstance(event, e.Paused | e.Resumed)]
    assert waits == [("Paused", 9), ("Paused", 5), ("Resumed", 5)]
    assert [event.step for event in only(events, e.Undone)] == [9]


def test_time_that_was_spent_on_an_abandoned_future_stays_spent() -> None:
    events = train(small(), [(5, change("bn")), (50, c.Undo()), (6, c.Stop())])
    before = [event.seconds for event in only(events, e.Stepped) if event.step == 5][0]
    abandoned = max(event.seconds for event in only(events, e.Stepped))
    finished = only(events, e.Finished)[-1]
    assert before <= only(events, e.Stepped)[-1].seconds < abandoned < finished.wall_seconds


def test_an_arm_that_diverged_diverges_no_more_and_is_warned_of_anew() -> None:
    huge = c.Change("learning_rate", 50)
    options = {"optimizer": "sgd", "hidden": (32,) * 4, "init": "kaiming"}
    events = train(small(**options), [(6, huge), (40, c.Undo()), (6, huge)])
    warned = [(event.kind, event.arm) for event in only(events, e.Alert)]
    assert warned.count(("diverged", "none")) == 2
    history = history_of(train(small(**options), [(6, huge), (40, c.Undo())]))
    assert not any(history.diverged.values())
    assert history.alerts == only(train(small(**options)), e.Alert)


@pytest.mark.parametrize("asked", [[], [(4, change("bn")), (6, c.Undo())], [(4, change("bn")), (6, c.Restart())]])
def test_where_there_is_nothing_to_undo_a_line_says_so(asked: list[tuple[int, c.Command]]) -> None:
    events = train(small(), [*asked, (5, c.Undo()), (5, c.Undo())])
    switched_off_by_the_restart = any(isinstance(command, c.Restart) for _, command in asked)
    assert [n.message for n in only(events, e.Notice)] == [NOTHING] * (2 - switched_off_by_the_restart)


def test_as_many_interventions_as_are_kept_can_be_taken_back() -> None:
    changes = [(3, c.Change("learning_rate", 0.02 + i / 1000)) for i in range(MAX_MARKS + 2)]
    events = train(small(epochs=1), [*changes, *[(3, c.Undo())] * (MAX_MARKS + 1)])
    assert len(only(events, e.Undone)) == MAX_MARKS
    assert [n.message for n in only(events, e.Notice)] == [
        f"{NOTHING}: what was before the earlier changes is no longer kept"
    ]
    assert history_of(events).lr == 0.02 + 1 / 1000


def test_the_memory_for_what_can_be_taken_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 2 * 3 * 4 * 26_000  # two arms, of each the weights and Adam's two averages
    changes = [(step, change(name)) for step, name in zip((3, 4, 5), ("bn", "freeze", "dropout"), strict=True)]
    for most, left in ((0, 1), (2.5 * size, 2), (1e9, 3)):
        monkeypatch.setattr(undo, "MOST_BYTES", most)
        undos = [(step, c.Undo()) for step in (9, 5, 4, 3)[: left + 1]]
        events = train(small(epochs=1, hidden=(32, 32)), [*changes, *undos])
        assert len(only(events, e.Undone)) == left
        assert len(only(events, e.Notice)) == 1


def test_without_memory_to_keep_the_state_an_intervention_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    state_dict, calls = session.Steering.state_dict, []

    def fail(self: session.Steering) -> dict[str, Any]:
        calls.append(self)
        if len(calls) == 2:
            raise MemoryError("none left")
        return state_dict(self)

    monkeypatch.setattr(session.Steering, "state_dict", fail)
    asked = [
        (3, change("bn")),
        (5, change("dropout")),
        (7, c.Undo()),
        (9, change("freeze")),
        (11, c.Undo()),
        (9, c.Undo()),
    ]
    events = train(small(epochs=1), asked)
    assert [(i.step, i.action) for i in history_of(events).interventions] == [(3, "bn"), (5, "dropout")]
    assert [n.message for n in only(events, e.Notice)] == [
        f"{NOTHING}: the state before dropout could not be kept (none left)"
    ] * 2
    monkeypatch.setattr(session.Steering, "state_dict", state_dict)
    assert hashes(events) == hashes(train(small(epochs=1), asked[:2]))


@pytest.mark.parametrize("part", ["Observer", "Alerts", "Steering"])
def test_without_memory_to_go_back_nothing_is_half_done(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    kind = getattr(session, part)
    load, calls = kind.load_state_dict, []

    def fail(self: Any, state: Any) -> None:
        calls.append(self)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        load(self, state)

    monkeypatch.setattr(kind, "load_state_dict", fail)
    asked = [(5, change("bn")), (7, change("batch_size")), (12, c.Undo()), (13, c.Undo())]
    events = train(small(**BUSY), asked)
    assert [n.message for n in only(events, e.Notice)] == ["no memory to go back; training goes on as it was"]
    assert [(event.step, event.to) for event in only(events, e.Undone)] == [(13, 7)]
    monkeypatch.setattr(kind, "load_state_dict", load)
    assert hashes(events) == hashes(train(small(**BUSY), asked[:1]))
    # What was done until then was not lost.
    events = train(small(**BUSY), asked[:2])
    calls.clear()
    monkeypatch.setattr(kind, "load_state_dict", fail)
    assert hashes(train(small(**BUSY), asked[:3])) == hashes(events)
