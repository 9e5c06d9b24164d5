from __future__ import annotations

import io
import json
import os
import pickle
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import training_runs
from bntui.config.interventions import INTERVENTIONS
from bntui.config.options import RunConfig
from bntui.data import resident
from bntui.errors import DeviceError, UsageError
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.storage.schedule import scheduled as planned
from bntui.training import checkpoint, evaluation, session, within_epochs
from bntui.training.checkpoint import DamagedError, OutdatedError, pack, unpack
from bntui.training.evaluation import evaluate
from training_runs import accuracies, evaluations, hashes, losses, only, readings, run

Schedule = list[tuple[int, c.Command]]

STEPS = 20
"""Of an epoch of `small`."""


class Store:
    """The last two checkpoints in memory; `every` keeps all of them, with how many events there were before each."""

    def __init__(self, kept: Iterable[bytes] = (), events: list[e.Event] | None = None) -> None:
        self.newest = list(kept)
        self.events = events
        self.every: list[tuple[int, bytes]] = []

    def checkpoints(self) -> Iterator[tuple[str, bytes]]:
        yield from zip(("newest", "before"), self.newest, strict=False)

    def checkpoint(self, pack: checkpoint.Pack) -> None:
        self.newest = [pack({"some": "thing"}), *self.newest[:1]]
        if self.events is not None:
            self.every.append((len(self.events), self.newest[0]))

    def restore(self, kept: dict[str, Any]) -> None:
        assert kept == {"some": "thing"}


@pytest.fixture(autouse=True, scope="module")
def digits_once() -> Iterator[None]:
    """Hand the same samples out again: to draw them takes as long as the training."""
    made: dict[Any, resident.ResidentSource] = {}

    def load_once(config: RunConfig, *rest: Any) -> resident.ResidentSource:
        key = config.train_samples, config.validation_samples, config.seed
        if key not in made:
            made[key] = load(config, *rest)
        return made[key]

    load, resident.load = resident.load, load_once
    yield
    resident.load = load


small = partial(training_runs.small, train_samples=330, validation_samples=50, batch_size=16, hidden=(8, 8))
"""Three epochs of 20 steps and 10 samples that are left over."""


def resume(config: RunConfig, schedule: Schedule, store: Store) -> list[e.Event]:
    return run(replace(config, resume="here"), schedule, store)


def numbers(*parts: list[e.Event]) -> dict[str, Any]:
    """Everything of a run, or of its parts one after another, that no clock and no stop may change."""
    events = [event for part in parts for event in part]
    return {
        "losses": list(map(repr, losses(events))),
        "accuracies": accuracies(events),
        "within epochs": training_runs.within_epochs(events),
        "epochs": list(map(repr, evaluations(events))),
        "normalization": list(map(repr, readings(events, e.NormalizationRead))),
        "flow": list(map(repr, readings(events, e.FlowRead))),
        "probes": list(map(repr, readings(events, e.Probed))),
        "interventions": [row for row in only(events, e.Intervened) if row.action != "stop"],
        "alerts": [(row.step, row.arm, row.kind) for row in only(events, e.Alert)],
        "hash": hashes(events),
    }


def assert_equal(
    found: dict[str, Any], expected: dict[str, Any], names: Iterable[str] = (), where: object = ""
) -> None:
    """As `==`, but tells in little where the first difference is."""
    for name in names or expected:
        ours, theirs = found[name], expected[name]
        if ours != theirs:
            at = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), "the end")
            raise AssertionError(f"{where} {name} differ at {at} of {len(ours)} and {len(theirs)}")


def stop_and_resume(config: RunConfig, schedule: Schedule, at: Iterable[int]) -> dict[str, Any]:
    """Stop after each of the steps, after all else that is to happen there, and go on in a new session each time."""
    with_stops = sorted([*schedule, *((step, c.Stop()) for step in at)], key=lambda item: item[0])
    store = Store()
    parts = [run(config, with_stops, store)]
    while only(parts[-1], e.Finished)[0].status != "completed":
        assert len(parts) <= len(with_stops), "it stops again where it stopped"
        parts.append(resume(config, with_stops, store))
    assert len(parts) == 1 + len(list(at))
    return numbers(*parts)


# The bytes


SOME = {
    "weights": torch.arange(6, dtype=torch.float32).view(2, 3),
    "state": torch.arange(5, dtype=torch.uint8),
    "count": torch.tensor(3),
    "numbers": [1, 2.5, float("inf"), True, None, "text"],
    "nested": {"empty": {}, "list": [[], [1]]},
}


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


def saved(contents: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    return buffer.getvalue()


def header(of: dict[str, Any], rest: bytes = b"") -> bytes:
    """A safetensors file with a header of one's own."""
    text = json.dumps(of).encode()
    return len(text).to_bytes(8, "little") + text + rest


def test_what_is_packed_is_unpacked() -> None:
    state, kept = unpack(pack(SOME, {"of": "the recorder", "means": [0.1, float("inf")]}))
    assert_same(state, SOME)
    assert kept == {"of": "the recorder", "means": [0.1, float("inf")]}
    nan = unpack(pack({"loss": float("nan")}, {}))[0]["loss"]
    assert nan != nan


def test_a_checkpoint_is_a_safetensors_file_of_tensors_and_of_json(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(pack(SOME, {"kept": 1}))
    with safetensors.safe_open(tmp_path / "checkpoint.pt", "pt") as file:
        metadata = file.metadata()
        assert metadata["schema"] == checkpoint.SCHEMA
        state, kept = json.loads(metadata["contents"])
        assert torch.equal(file.get_tensor(state["weights"]["tensor"]), SOME["weights"])
    assert kept == {"kept": 1}


@pytest.mark.parametrize(
    ("state", "says"), [({"path": Path("x")}, "holds no .*Path"), ({1: 2}, "keys"), ({"tensor": 1}, "keys")]
)
def test_a_checkpoint_holds_nothing_but_plain_values(state: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        pack(state, {})


@pytest.mark.parametrize("kind", ["small", "of a run"])
def test_every_damaged_byte_is_noticed_or_changes_nothing(kind: str) -> None:
    if kind == "small":
        data = pack(SOME, {"kept": 1})
    else:
        store = Store()
        run(small(epochs=1), [(7, c.Stop())], store)
        data = store.newest[0]
    expected = unpack(data)
    random_ = random.Random(1)
    # The first bytes are those that say how long the header is, and what lies where.
    places = {*range(200), *range(len(data) - 60, len(data)), *(random_.randrange(len(data)) for _ in range(300))}
    noticed = 0
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= random_.choice((0x01, 0x80, 0xFF))
        try:
            found = unpack(bytes(damaged))
        except DamagedError:
            noticed += 1
        else:
            assert_same(list(found), list(expected))
    assert noticed >= len(places) - 10


def test_no_part_of_a_checkpoint_is_taken_for_the_whole() -> None:
    data = pack(SOME, {})
    for length in {0, 1, len(data) - 1, *range(0, len(data), 17)}:
        with pytest.raises(DamagedError):
            unpack(data[:length])
    for strange in (bytes(len(data)), data + b"0"):
        with pytest.raises(DamagedError):
            unpack(strange)


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_strange_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        unpack(data)


GOOD = {"schema": checkpoint.SCHEMA, "contents": "[{}, {}]", "sha256": checkpoint._digest("[{}, {}]", {})}


def whole(text: str, **tensors: torch.Tensor) -> bytes:
    """A file with a right checksum, whatever its JSON says."""
    metadata = {**GOOD, "contents": text, "sha256": checkpoint._digest(text, tensors)}
    packed: bytes = safetensors.torch.save(tensors, metadata)
    return packed


@pytest.mark.parametrize(
    "data",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        (2**40).to_bytes(8, "little") + b"{}",
        header({"__metadata__": GOOD, "a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        header({"__metadata__": GOOD, "a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}, b"0000"),
        header({"__metadata__": GOOD, "a": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}}),
        header({"__metadata__": GOOD, "a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"0000"),
        header({"__metadata__": GOOD, "a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"0000"),
        header({"__metadata__": GOOD, "a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, bytes(12)),
        header({"__metadata__": GOOD, "a": 5}),
        header({"__metadata__": {**GOOD, "contents": 5}}),
        header({"__metadata__": [1]}),
        header({}),
        len(b"[" * 100_000).to_bytes(8, "little") + b"[" * 100_000,
        whole("[" * 100_000),
        whole("9" * 10_000),
        whole("[1, 2]"),
        whole("[{}]"),
        whole('[{"a": {"tensor": "b"}}, {}]'),
        whole('[{"a": {"tensor": "b"}, "c": {"tensor": "b"}}, {}]', b=torch.zeros(1)),
        whole('[{"a": {"tensor": ["b"]}}, {}]', b=torch.zeros(1)),
    ],
)  # fmt: skip
def test_a_header_that_lies_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(DamagedError, match="^it (is not a checkpoint of bntui|can't be read|was)|checksum"):
        unpack(data)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(OutdatedError):
        unpack(saved({"schema": "bntui.checkpoint/1", "state": Evil(tmp_path / "made"), "kept": {}}))
    with pytest.raises(DamagedError, match="it is not a checkpoint of bntui"):
        unpack(pickle.dumps(Evil(tmp_path / "made")))
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_of_version_1_is_refused_in_one_line() -> None:
    old = saved({"schema": "bntui.checkpoint/1", "sha256": "", "state": {}, "kept": {}})
    with pytest.raises(UsageError) as error:
        resume(small(), [], Store([old, old]))
    assert str(error.value).endswith("here: newest was made by an older bntui; start the run again")


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"schema": "other/1"}, "not a checkpoint of bntui"),
        ({"format": "pt"}, "not a checkpoint of bntui"),
        ({"schema": "bntui.checkpoint/3"}, "later bntui"),
        ({"schema": checkpoint.SCHEMA}, "can't be read"),
        ({**GOOD, "sha256": "0" * 64}, "checksum"),
    ],
)
def test_another_safetensors_file_is_refused(metadata: dict[str, str], says: str) -> None:
    with pytest.raises(DamagedError, match=says):
        unpack(safetensors.torch.save({"a": torch.zeros(1)}, metadata))


# A state that is whole but none of this run


def state_of(config: RunConfig, step: int = 7) -> dict[str, Any]:
    store = Store()
    run(config, [(step, c.Stop())], store)
    return unpack(store.newest[0])[0]


@pytest.mark.parametrize(
    "name",
    ["progress", "source", "engine", "arms", "observer", "alerts", "settings", "schedule"],
)
def test_a_state_that_lacks_a_part_or_has_another_kind_there_is_damaged(name: str) -> None:
    config = small(dropout=0.1)
    for change in ("missing", "another kind"):
        state = state_of(config)
        if change == "missing":
            del state[name]
        else:
            state[name] = "strange"
        with pytest.raises(UsageError, match="newest is damaged: it does not fit that run"):
            resume(config, [], Store([repack(state)]))


def repack(state: dict[str, Any]) -> bytes:
    """A checkpoint with a right checksum, whatever is in the state."""
    return pack(state, {"some": "thing"})


def test_tensors_of_other_shapes_are_damaged() -> None:
    config = small(dropout=0.1)

    def shorten_weights(state: dict[str, Any]) -> None:
        arm = state["engine"]["models"]["batch"]
        arm[next(iter(arm))] = torch.zeros(3)

    def lose_a_tensor(state: dict[str, Any]) -> None:
        state["engine"]["models"]["none"].popitem()

    def widen_optimizer(state: dict[str, Any]) -> None:
        state["engine"]["optimizer"]["state"][0] = torch.zeros(1)

    def lose_optimizer_state(state: dict[str, Any]) -> None:
        state["engine"]["optimizer"]["state"].pop()

    def lose_counts(state: dict[str, Any]) -> None:
        state["engine"]["optimizer"]["counts"] = [1]

    def lose_generators(state: dict[str, Any]) -> None:
        state["arms"]["generators"] = []

    def shorten_generator(state: dict[str, Any]) -> None:
        state["source"]["generator"] = state["source"]["generator"][:-1]

    def go_beyond_the_data(state: dict[str, Any]) -> None:
        state["source"]["position"] = 331

    def be_evaluated_before_it_is_trained(state: dict[str, Any]) -> None:
        state["progress"]["evaluated"] = 8

    def take_too_large_a_batch(state: dict[str, Any]) -> None:
        state["settings"]["batch_size"] = 331

    def see_another_layer(state: dict[str, Any]) -> None:
        state["observer"] = {"batch": {"norm1": torch.zeros(16, 9)}}

    def plan_what_is_none(state: dict[str, Any]) -> None:
        state["schedule"]["planned"] = [[5, "export", None]]

    for damage in (shorten_weights, lose_a_tensor, widen_optimizer, lose_optimizer_state, lose_counts, lose_generators,
                   shorten_generator, go_beyond_the_data, be_evaluated_before_it_is_trained, take_too_large_a_batch,
                   see_another_layer, plan_what_is_none):  # fmt: skip
        state = state_of(config)
        damage(state)
        with pytest.raises(UsageError, match="does not fit that run"):
            resume(config, [], Store([repack(state)]))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA error: out of memory")])
def test_memory_that_runs_out_while_it_is_restored_is_not_taken_for_damage(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small()
    store = Store([repack(state_of(config))])

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", fail)
    with pytest.raises(DeviceError, match="out of memory on cpu; try --batch-size"):
        resume(config, [], store)


def test_after_a_state_that_does_not_fit_the_one_before_goes_on_as_if_it_had_never_been_looked_at() -> None:
    planned_there = "3:dropout=0.3,9:learning_rate=0.003,15:bn=off,30:restart_arm=none"
    config = small(dropout=0.1, intervene=planned_there, checkpoint_seconds=1e9)
    schedule = planned(config)
    with_stops = sorted([*schedule, (5, c.Stop()), (25, c.Stop())], key=lambda item: item[0])
    store = Store()
    before = run(config, with_stops, store)
    older = store.newest[0]
    resume(config, with_stops, store)
    newer = unpack(store.newest[0])[0]
    # What is looked at last, when all else is in its place already.
    newer["settings"]["adapt_bn"] = "perhaps"
    resumed = resume(config, [row for row in with_stops if row != (25, c.Stop())], Store([repack(newer), older]))
    assert_equal(numbers(before, resumed), numbers(run(config, schedule)))
    notice = only(resumed, e.Notice)[-1].message
    assert notice.startswith("newest is damaged: it does not fit that run")
    assert "goes on after step 5 (the one before is used)" in notice


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_two_are_an_error() -> None:
    config = small(checkpoint_seconds=1e9)
    store = Store()
    first = run(config, [(5, c.Stop()), (25, c.Stop())], store)
    resume(config, [(5, c.Stop()), (25, c.Stop())], store)
    newest, before = store.newest
    resumed = resume(config, [(5, c.Stop())], Store([newest[:-100], before]))
    assert only(resumed, e.Continued)[0].step == 5
    assert "newest is damaged" in only(resumed, e.Notice)[0].message
    assert_equal(numbers(first, resumed), numbers(run(config)))
    with pytest.raises(UsageError, match="newest is damaged: .*before is damaged: .*start the run again"):
        resume(config, [], Store([newest[:-100], before[:-100]]))
    with pytest.raises(UsageError, match="here: holds no checkpoint; start the run again"):
        resume(config, [], Store())


def test_other_data_and_another_configuration_are_errors_that_name_the_difference() -> None:
    store = Store()
    run(small(), [(5, c.Stop())], store)
    with pytest.raises(UsageError, match="that run has --lr 0.01, not 0.02"):
        resume(small(lr=0.02), [], store)
    state, kept = unpack(store.newest[0])
    with pytest.raises(UsageError, match="the data is not what that run was trained on"):
        resume(small(), [], Store([pack({**state, "dataset": "0" * 64}, kept)]))


# Stopped and resumed


EVERYTHING = (
    "2:learning_rate=0.02,4:dropout=0.3,5:bn_noise=0.2,7:batch_size=11,9:freeze=on,13:freeze=off,15:bn=off,18:bn=on,"
    "19:precise_bn=,21:restart_arm=batch,23:shift=noise:0.3,25:bn_eval=batch,27:adapt_bn=on,30:batch_size=20,"
    "31:restart_arm=none,33:bn_eval=single,36:learning_rate=0.001,40:bn_eval=precise,41:bn=off"
)

KINDS: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": {"optimizer": "sgd", "lr": 0.1},
    "momentum": {"optimizer": "sgd:0.9"},
    "dropout": {"dropout": 0.3},
    "noise": {"bn_noise": 0.5},
    "cumulative": {"bn_momentum": "cumulative"},
    "group norm": {"arms": "group:2,none", "bn_noise": 0.2},
    "batch renorm": {"arms": "batch-renorm,batch"},
    "layer against instance": {"arms": "layer,instance", "dropout": 0.1},
    "neither": {"arms": "none,none", "weights": "independent", "dropout": 0.1},
    "second arm": {"arms": "none,batch", "bn_momentum": "cumulative"},
    "diverging": {"optimizer": "sgd", "lr": 1e5, "hidden": (8,) * 4, "init": "kaiming"},
    "probes": {"probe": "all", "probe_every": 13},
    "everything": {"intervene": EVERYTHING, "dropout": 0.1},
    "everything, cumulative, momentum": {
        "intervene": EVERYTHING, "bn_momentum": "cumulative", "optimizer": "sgd:0.5", "bn_noise": 0.1,
    },
    "steps": {"max_steps": 47},
    "six": {"arms": "batch,batch-renorm,layer,group:2,instance,none", "dropout": 0.1, "bn_noise": 0.1},
    "autograd": {"engine": "autograd", "dropout": 0.1, "intervene": EVERYTHING},
    "autograd, momentum": {"engine": "autograd", "optimizer": "sgd:0.9"},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_from_every_checkpoint_the_rest_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With no time between two looks at the clock, there is a checkpoint after each step.
    monkeypatch.setattr(session, "EMIT_SECONDS", 0.0)
    config = small(**KINDS[kind], checkpoint_seconds=0)
    schedule = planned(config)
    events: list[e.Event] = []
    store = Store(events=events)
    session.run(config, events.append, c.Control(schedule), store)
    whole = numbers(events)
    assert_equal(whole, numbers(run(config, schedule)))
    assert len(store.every) >= 47
    # All would take their time: those around the ends of epochs, and some others.
    steps = {0, 7, 20, 33, only(events, e.Finished)[0].step}
    by_step = [(count, data, unpack(data)[0]["progress"]["step"]) for count, data in store.every]
    chosen = [row for row in by_step if row[2] in steps]
    for count, data, step in chosen:
        resumed = resume(config, schedule, Store([data]))
        assert_equal(numbers(events[:count], resumed), whole, where=step)


@pytest.mark.parametrize("at", [0, 1, 19, 20, 21, 39, 40, 59])
def test_a_stop_at_the_edges_of_an_epoch_is_as_if_it_had_not_been(at: int) -> None:
    config = small(dropout=0.2)
    assert_equal(stop_and_resume(config, [], [at]), numbers(run(config)))


def test_many_stops_one_after_another_even_at_one_step() -> None:
    config = small(intervene=EVERYTHING)
    schedule = planned(config)
    whole = numbers(run(config, schedule))
    assert_equal(stop_and_resume(config, schedule, [3, 8, 8, 8, 12, 20, 33, 34, 35]), whole)


@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"max_steps": 47}])
def test_a_stop_during_an_evaluation(which: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(**options)
    whole = numbers(run(config))
    control, store = c.Control(), Store()
    events: list[e.Event] = []
    calls = []

    def stop_in_evaluation(*arguments: Any) -> Any:
        calls.append(arguments)
        # Two for each epoch: the training samples and the validation samples.
        if len(calls) == 2 * which:
            control.send(c.Stop())
        return evaluate(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "evaluate", stop_in_evaluation)
        session.run(config, events.append, control, store)
    assert (len(only(events, e.EpochEnded)), only(events, e.Finished)[0].status) == (which - 1, "interrupted")
    resumed = resume(config, [], store)
    assert_equal(numbers(events, resumed), whole)


def test_a_stop_while_paused_after_several_commands_at_the_same_step() -> None:
    at_ten: Schedule = [
        (10, c.Pause()), (10, c.Change("learning_rate", 0.02)), (10, c.Change("batch_size", 8)), (10, c.Change("bn")),
        (10, c.Change("dropout", 0.5)), (10, c.Change("bn", True)), (10, c.Step()), (11, c.Change("freeze")),
        (11, c.Change("restart_arm", "none")),
    ]  # fmt: skip
    config = small()
    whole = run(config, [*at_ten, (11, c.Pause(False))])
    store = Store()
    stopped = run(config, [*at_ten, (11, c.Stop())], store)
    # A run that was paused goes on when it is resumed: whoever asks for that wants it to.
    resumed = resume(config, [*at_ten, (11, c.Stop())], store)
    found, expected = numbers(stopped, resumed), numbers(whole)
    expected["interventions"] = [row for row in expected["interventions"] if row.action != "resume"]
    assert_equal(found, expected)


@pytest.mark.parametrize("command", [("batch_size", 7), ("restart_arm", "batch"), ("precise_bn", None)])
@pytest.mark.parametrize("at", [0, 20, 26])
def test_a_stop_right_after_a_command(command: tuple[str, Any], at: int) -> None:
    config = small(intervene="5:learning_rate=0.02")
    schedule: Schedule = [*planned(config), (at, c.Change(*command))]
    assert_equal(stop_and_resume(config, schedule, [at]), numbers(run(config, schedule)))


@pytest.mark.parametrize("after", [0, 1, 25])
def test_a_stop_after_a_restart(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(dropout=0.1)

    def go(stop: bool, store: Store) -> list[e.Event]:
        control = c.Control([(12, c.Change("learning_rate", 0.03)), (25, c.Restart())])
        events: list[e.Event] = []

        def emit(event: e.Event) -> None:
            events.append(event)
            restarted = bool(only(events, e.Restarted))
            at = isinstance(event, e.Intervened) and event.action == "restart" if after == 0 else (
                restarted and isinstance(event, e.Stepped) and event.step == after)  # fmt: skip
            if stop and at:
                control.send(c.Stop())

        session.run(config, emit, control, store)
        return events

    monkeypatch.setattr(session, "EMIT_SECONDS", 0.0)
    store = Store()
    whole, stopped = go(False, Store()), go(True, store)
    assert only(stopped, e.Finished)[0].step == after
    resumed = resume(config, [(12, c.Change("learning_rate", 0.03)), (25, c.Restart())], store)
    assert_equal(numbers(stopped, resumed), numbers(whole))


def test_more_epochs_are_the_same_as_so_many_from_the_start() -> None:
    for options in ({}, {"dropout": 0.2, "batch_size": 11}):
        store = Store()
        parts = [run(small(epochs=1, **options), [], store)]
        for epochs in (2, 4):
            parts.append(resume(small(epochs=epochs, **options), [], store))
        assert_equal(numbers(*parts), numbers(run(small(epochs=4, **options))))


def test_more_steps_end_at_the_same_state() -> None:
    store = Store()
    first = run(small(max_steps=30), [], store)
    resumed = resume(small(max_steps=60), [], store)
    found, expected = numbers(first, resumed), numbers(run(small(max_steps=60)))
    # The evaluation after what was to be the last step was made, and stays.
    assert [row[:7] for row in found["epochs"]] == ["(1, 20,", "(2, 30,", "(2, 40,", "(3, 60,"]
    del found["epochs"][1], found["normalization"][1], found["flow"][1]
    assert_equal(found, expected)


def test_a_completed_run_that_is_resumed_is_complete() -> None:
    for options in ({}, {"max_steps": 47}):
        store = Store()
        events = run(small(**options), [], store)
        resumed = resume(small(**options), [], store)
        assert only(resumed, e.Stepped) == only(resumed, e.EpochEnded) == []
        assert_equal(numbers(events, resumed), numbers(events))


def test_an_alert_is_not_told_again() -> None:
    config = small(batch_size=4, intervene="5:restart_arm=batch")
    assert numbers(run(config))["alerts"]
    assert_equal(stop_and_resume(config, planned(config), [3, 10]), numbers(run(config, planned(config))))


COMMANDS = st.one_of(
    st.sampled_from(
        [c.Change("bn"), c.Change("freeze"), c.Change("adapt_bn"), c.Change("precise_bn"), c.Export(), c.Step(),
         c.Change("restart_arm", "batch"), c.Change("restart_arm", "none"), c.Pause(False)]
    ),
    st.builds(c.Change, st.just("batch_size"), st.integers(2, 40)),
    st.builds(c.Change, st.just("learning_rate"), st.floats(1e-4, 0.5)),
    st.builds(c.Change, st.sampled_from(["dropout", "bn_noise"]), st.sampled_from([0.0, 0.1, 0.5])),
    st.builds(c.Change, st.just("bn_eval"), st.sampled_from(["running", "batch", "single", "precise"])),
    st.builds(c.Change, st.just("shift"), st.sampled_from(["none", "noise:0.3", "invert"])),
    st.builds(c.Scale, st.just("learning_rate"), st.sampled_from([0.5, 1.5])),
)  # fmt: skip


@settings(max_examples=25)
@given(
    kind=st.sampled_from(sorted(set(KINDS) - {"probes"})),
    commands=st.lists(st.tuples(st.integers(0, 59), COMMANDS), max_size=8),
    stops=st.lists(st.integers(0, 46), min_size=1, max_size=3),
)
def test_any_commands_and_any_stops(kind: str, commands: Schedule, stops: list[int]) -> None:
    config = small(**KINDS[kind], train_samples=200, validation_samples=20)
    schedule = sorted([*planned(config), *commands], key=lambda item: item[0])
    whole = run(config, schedule)
    # A larger batch makes a shorter run, in which a later stop is none.
    last = only(whole, e.Finished)[0].step
    assert_equal(stop_and_resume(config, schedule, sorted(step for step in stops if step < last)), numbers(whole))


# The state machine, from another thread


class Worker:
    """A run in a thread of its own, as the terminal app has it."""

    def __init__(self, config: RunConfig, store: Store) -> None:
        self.control = c.Control()
        self.events: queue.Queue[e.Event] = queue.Queue()
        self.seen: list[e.Event] = []
        self.thread = threading.Thread(
            target=session.run, args=(config, self.events.put, self.control, store), daemon=True
        )
        self.thread.start()
        # Before it has begun, a stop leaves nothing.
        while not only(self.seen, e.Started):
            self.seen.append(self.events.get(timeout=60))

    def take(self, count: int) -> None:
        """Wait for so many more events, or until nothing comes because it is paused."""
        for _ in range(count):
            try:
                self.seen.append(self.events.get(timeout=0.02))
            except queue.Empty:
                return

    def finish(self) -> list[e.Event]:
        self.thread.join(60)
        assert not self.thread.is_alive(), "the run never ended"
        while not self.events.empty():
            self.seen.append(self.events.get())
        return self.seen


ASKED = st.sampled_from(
    [c.Pause(), c.Pause(True), c.Pause(False), c.Step(), c.Step(), c.Restart(), c.Export(), c.Change("bn"),
     c.Change("freeze"), c.Scale("learning_rate", 1.5), c.Change("batch_size", 8), c.Change("batch_size", 16),
     c.Change("dropout", 0.4), c.Change("restart_arm", "none"), c.Change("precise_bn")]
)  # fmt: skip


def assert_steps_are_told_one_after_another(events: list[e.Event]) -> None:
    """No event is lost: every step is told once, and every end of an epoch has its evaluation."""
    step = epoch = 0
    for event in events:
        if isinstance(event, e.Restarted):
            assert event.step == step
            step = epoch = 0
        elif isinstance(event, e.Stepped):
            assert event.step == step + len(event.losses["batch"])
            step = event.step
        elif isinstance(event, e.EpochEnded):
            assert (event.epoch, event.step) == (epoch + 1, step)
            epoch += 1
        elif isinstance(event, e.Intervened | e.Paused | e.Resumed | e.Hashed | e.Finished | e.Continued):
            assert event.step == step


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(asked=st.lists(st.tuples(ASKED, st.integers(0, 4)), max_size=12), stop=st.booleans(), kill=st.booleans())
def test_any_order_of_commands_ends_and_what_is_resumed_is_the_same(
    asked: list[tuple[c.Command, int]], stop: bool, kill: bool
) -> None:
    config = small(epochs=12, train_samples=200, validation_samples=20, checkpoint_seconds=0)
    store = Store()
    worker = Worker(config, store)
    for command, wait in asked:
        worker.control.send(command)
        worker.take(wait)
    worker.control.send(c.Stop() if stop else c.Pause(False))
    events = worker.finish()
    assert_steps_are_told_one_after_another(events)
    parts = [events]
    if store.newest:
        parts.append(resume(config, [], store))
        assert_steps_are_told_one_after_another([*events, *parts[1]])
    elif stop:
        raise AssertionError("no checkpoint although it was stopped")
    # What was recorded since the last restart, done again at its steps, gives the same numbers.
    everything = [event for part in parts for event in part]
    first = max((i for i, event in enumerate(everything) if isinstance(event, e.Restarted)), default=0)
    since = everything[first:]
    rows = [row for row in only(since, e.Intervened) if row.action in INTERVENTIONS]
    again = run(config, [(row.step, c.Change(row.action, row.after)) for row in rows])
    assert_equal(numbers(since), numbers(again), ("losses", "epochs", "normalization", "hash"))


@pytest.mark.parametrize("stop", [1, 3, 10, 11, 20, 23, 30, 59])
def test_a_run_that_goes_on_is_evaluated_within_epochs_as_if_it_had_not_stopped(
    stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(within_epochs, "BUDGET", 3.0)
    within_epochs.places.cache_clear()
    changes: Schedule = [(5, c.Change("batch_size", 4)), (33, c.Change("bn_eval", "precise"))]
    whole = run(small(), changes)
    assert len(only(whole, e.Evaluated)) > 10
    store = Store()
    parts = [run(small(), [*changes, (stop, c.Stop())], store), resume(small(), [], store)]
    assert_equal(numbers(*parts), numbers(whole))
    within_epochs.places.cache_clear()
