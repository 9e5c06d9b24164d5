from __future__ import annotations

import json
import queue
import shlex
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import training_runs
from bntui.config import parsers
from bntui.config.interventions import (
    INTERVENTIONS,
    SETTINGS,
    Scalar,
    initial,
    parse,
    parse_recorded,
    parse_schedule,
    schedule_text,
)
from bntui.config.options import RunConfig
from bntui.data.order import DataOrder
from bntui.data.resident import load
from bntui.data.samples import to_input
from bntui.data.source import first
from bntui.errors import UsageError
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.history import History
from bntui.models import mlp
from bntui.models.arms import state_sha256
from bntui.models.estimates import estimate
from bntui.models.norms import SwitchableBatchNorm1d
from bntui.storage import results
from bntui.storage.schedule import read_interventions, scheduled
from bntui.training import session
from bntui.training.engine import build_engine
from bntui.training.fused.engine import FusedEngine
from training_runs import evaluations, hashes, losses, losses_of, numbers, only, run

CPU = torch.device("cpu")
Schedule = list[tuple[int, c.Command]]

small = partial(training_runs.small, epochs=2, hidden=(16, 12), validation_samples=60)
"""Two epochs of 20 steps."""


def commands(text: str) -> Schedule:
    return [(step, c.Change(name, value)) for step, name, value in parse_schedule(text)]


def exported(events: list[e.Event], path: Path) -> str:
    """Write the results of a run, and return the file's name."""
    history = History()
    for event in events:
        history.apply(event)
    path.write_text(results.to_json(results.build(history, path)))
    return str(path)


# What an intervention of a name may be given, and what it comes from.
VALUES: list[tuple[str, Scalar, Scalar]] = [
    ("learning_rate", 0.01, 0.03), ("bn", True, False), ("freeze", False, True), ("batch_size", 32, 64),
    ("dropout", 0.0, 0.4), ("bn_noise", 0.0, 0.5), ("bn_eval", "running", "batch"), ("bn_eval", "running", "precise"),
    ("shift", "none", "rotation:30"), ("adapt_bn", False, True),
]  # fmt: skip
OF_EVALUATION = ("bn_eval", "shift", "adapt_bn")


@pytest.mark.parametrize(
    ("action", "value", "expected"),
    [
        ("learning_rate", 0.5, 0.5),
        ("learning_rate", "1e-3", 0.001),
        ("bn", False, False),
        ("bn", "off", False),
        ("freeze", "on", True),
        ("freeze", "True", True),
        ("batch_size", "64", 64),
        ("dropout", 0.25, 0.25),
        ("bn_noise", 2, 2.0),
        ("bn_eval", "single", "single"),
        ("shift", "noise:0.30", "noise:0.3"),
        ("shift", "none", "none"),
        ("adapt_bn", True, True),
        ("precise_bn", None, None),
        ("restart_arm", "group:8-2", "group:8-2"),
    ],
)
def test_what_an_intervention_takes(action: str, value: object, expected: Scalar | None) -> None:
    found = parse(action, value)
    assert found == expected and type(found) is type(expected)
    # As it is recorded and read back.
    assert parse_recorded(action, json.loads(json.dumps(expected))) == expected


@pytest.mark.parametrize(
    ("action", "value", "told"),
    [
        ("learning_rate", 0, "a number from 1e-12 to 1e\\+06"),
        ("learning_rate", None, "a number"),
        ("learning_rate", "nan", "a number"),
        ("bn", "maybe", "on or off"),
        ("freeze", 1, "on or off"),
        ("batch_size", 1, "a whole number from 2 to 1,000,000"),
        ("batch_size", 32.5, "a whole number"),
        ("dropout", 1, "from 0 up to, not including, 1"),
        ("bn_noise", -1, "a number from 0 to 10"),
        ("bn_eval", "Batch", "did you mean batch"),
        ("shift", "rotation:181", "for rotation a strength from -180 to 180"),
        ("shift", "rotation", "none, or KIND:STRENGTH"),
        ("adapt_bn", "", "on or off"),
        ("precise_bn", "now", "no value"),
        ("restart_arm", None, "the name of an arm, such as batch"),
        ("pause", True, "one of learning_rate, bn, freeze"),
        ("lr", 0.1, "one of learning_rate, bn, freeze"),
        ("", "", "one of learning_rate, bn, freeze"),
    ],
)
def test_what_an_intervention_does_not_take(action: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(action, value)


def test_every_setting_begins_as_its_option_says_and_takes_its_own_default() -> None:
    config = RunConfig().to_dict()
    assert initial(config) == {name: row.default for name, row in SETTINGS.items()} == initial({})
    for name, row in SETTINGS.items():
        assert not row.option or config[row.option] == row.default
        assert parse(name, row.default) == row.default and type(parse(name, row.default)) is type(row.default)
        assert INTERVENTIONS[name] is row
    other = RunConfig(
        lr=0.5, batch_size=64, dropout=0.2, bn_noise=0.1, bn_eval="single", shift="noise:0.2", adapt_bn=True
    )
    assert initial(other.to_dict()) == {
        "learning_rate": 0.5, "bn": True, "freeze": False, "batch_size": 64, "dropout": 0.2, "bn_noise": 0.1,
        "bn_eval": "single", "shift": "noise:0.2", "adapt_bn": True,
    }  # fmt: skip


def test_a_schedule_is_read_part_by_part() -> None:
    text = "1000:dropout=0.5,0:bn=off,7:shift=rotation:-30,7:precise_bn,9:restart_arm=batch,9:learning_rate=1e-3"
    expected: Schedule = [
        (1000, c.Change("dropout", 0.5)), (0, c.Change("bn", False)), (7, c.Change("shift", "rotation:-30")),
        (7, c.Change("precise_bn")), (9, c.Change("restart_arm", "batch")), (9, c.Change("learning_rate", 0.001)),
    ]  # fmt: skip
    assert commands(text) == expected
    assert schedule_text(text) == text
    assert commands("") == []
    config = RunConfig(intervene=text)
    assert scheduled(config) == expected
    words = shlex.split(config.to_command())
    assert words[words.index("--intervene") + 1] == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "STEP:ACTION=VALUE, such as 1000:dropout=0.5"),
        (",", "STEP:ACTION=VALUE, such as 1000:dropout=0.5"),
        ("1:bn=off,", "STEP:ACTION=VALUE, such as 1000:dropout=0.5"),
        ("dropout=0.5", "STEP:ACTION=VALUE, such as 1000:dropout=0.5"),
        (":bn=off", "a whole number from 0 to 1,000,000,000,000"),
        ("-1:bn=off", "a whole number from 0 to 1,000,000,000,000"),
        ("1.5:bn=off", "a whole number from 0 to 1,000,000,000,000"),
        ("5:bn", "for bn on or off"),
        ("5:dropout=2", "for dropout a number from 0 up to, not including, 1"),
        ("5:bn=off,6:batch_size=1", "for batch_size a whole number from 2 to 1,000,000"),
        ("5:bn_eval=runing", "for bn_eval one of running, batch, single, precise (did you mean running?)"),
        ("5:shift=blur:1", "for shift none, or KIND:STRENGTH of brightness:-1..1"),
        ("5:restart_arm=", "for restart_arm the name of an arm, such as batch"),
        ("5:=1", "as ACTION one of learning_rate, bn, freeze, batch_size"),
        ("5:lr=1", "as ACTION one of learning_rate, bn, freeze, batch_size"),
        ("5:stop", "as ACTION one of learning_rate, bn, freeze, batch_size"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_a_usage_error(text: str, told: str) -> None:
    with pytest.raises(ValueError) as said:
        parse_schedule(text)
    assert str(said.value).startswith(told)
    with pytest.raises(UsageError) as error:
        RunConfig(intervene=text)
    assert str(error.value) == f"--intervene takes {said.value}, not {text!r}"


def test_only_an_arm_that_the_run_has_can_be_planned_to_begin_anew() -> None:
    assert RunConfig(arms="batch,batch,none", intervene="5:restart_arm=batch-2").arms
    with pytest.raises(UsageError, match="--intervene: restart_arm takes one of batch, none, not 'layer'"):
        RunConfig(intervene="5:restart_arm=layer")


@given(st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from(VALUES))))
def test_any_list_of_interventions_can_be_written_as_a_schedule(rows: list[tuple[int, tuple[str, Any, Any]]]) -> None:
    text = ",".join(f"{step}:{action}={to}" for step, (action, _, to) in rows)
    assert commands(text) == [(step, c.Change(action, to)) for step, (action, _, to) in rows]


@given(st.text(st.sampled_from("0123:=,bnof x.-"), max_size=12) | st.text(max_size=20))
def test_any_text_is_a_schedule_or_a_value_error(text: str) -> None:
    try:
        planned = parse_schedule(text)
    except ValueError as error:
        assert str(error)
    else:
        assert len(planned) == (text.count(",") + 1 if text else 0)


def test_a_replay_takes_the_place_of_what_was_planned(tmp_path: Path) -> None:
    events = run(small(intervene="5:bn=off"), commands("5:bn=off"))
    file = exported(events, tmp_path / "results.json")
    assert scheduled(RunConfig(intervene="9:bn=off", replay_interventions=file)) == [(5, c.Change("bn", False))]


@pytest.mark.parametrize(("action", "before", "after"), VALUES)
def test_an_intervention_is_recorded_takes_effect_and_can_be_replayed(
    action: str, before: Scalar, after: Scalar, tmp_path: Path
) -> None:
    events, untouched = run(small(), [(7, c.Change(action, after))]), run(small())
    assert only(events, e.Intervened) == [e.Intervened(7, 1, action, before, after)]
    assert only(events, e.Notice) == []
    if action in OF_EVALUATION:
        assert losses(events) == losses(untouched) and hashes(events) == hashes(untouched)
        assert evaluations(events) != evaluations(untouched)
        with_shift = [[getattr(row, part)["batch"] for row in only(found, e.EpochEnded)]
                      for part in ("train", "validation") for found in (untouched, events)]  # fmt: skip
        assert (with_shift[0] != with_shift[1]) == (action == "bn_eval")
        assert with_shift[2] != with_shift[3]
    else:
        assert losses(events)[:7] == losses(untouched)[:7]
        # The loss of a step is from before its update, hence that of the next for a learning rate.
        assert losses(events)[8:20] != losses(untouched)[8:20]
        bn_alone = action in ("bn", "freeze", "bn_noise")
        assert (losses_of(events, "none") == losses_of(untouched, "none")) == bn_alone
        assert (hashes(events)["none"] == hashes(untouched)["none"]) == bn_alone
        assert hashes(events)["batch"] != hashes(untouched)["batch"]
    file = exported(events, tmp_path / "results.json")
    assert read_interventions(file) == [(7, c.Change(action, after))]
    assert numbers(run(small(), read_interventions(file))) == numbers(events)
    assert numbers(run(small(), commands(f"7:{action}={after}"))) == numbers(events)


@pytest.mark.parametrize(("action", "before", "after"), VALUES)
def test_changed_before_the_first_step_a_setting_is_its_option(action: str, before: Scalar, after: Scalar) -> None:
    option = SETTINGS[action].option
    if not option:
        return
    changed, given_ = run(small(), [(0, c.Change(action, after))]), run(small(**{option: after}))
    assert numbers(changed) == numbers(given_)
    assert only(changed, e.Intervened) == [e.Intervened(0, 1, action, before, after)]


@pytest.mark.parametrize(("action", "before", "after"), VALUES)
def test_a_restart_keeps_a_setting_and_records_it_at_step_0(action: str, before: Scalar, after: Scalar) -> None:
    events = run(small(), [(5, c.Change(action, after)), (18, c.Restart())])
    begun_again = events[events.index(e.Restarted(18)) + 1 :]
    assert only(begun_again, e.Intervened) == [
        e.Intervened(0, 1, "restart", 18, 0),
        e.Intervened(0, 1, action, before, after),
    ]
    assert numbers(begun_again) == numbers(run(small(), [(0, c.Change(action, after))]))


@pytest.mark.parametrize(("action", "before", "after"), VALUES)
def test_what_is_set_back_at_once_changes_nothing(action: str, before: Scalar, after: Scalar) -> None:
    events = run(small(), [(7, c.Change(action, after)), (7, c.Change(action, before))])
    assert [(row.before, row.after) for row in only(events, e.Intervened)] == [(before, after), (after, before)]
    assert numbers(events) == numbers(run(small()))


MANY: Schedule = [
    (3, c.Change("dropout", 0.3)), (5, c.Change("batch_size", 16)), (5, c.Change("bn_noise", 0.4)),
    (9, c.Change("restart_arm", "batch")), (12, c.Change("shift", "noise:0.3")), (12, c.Change("bn", False)),
    (15, c.Scale("learning_rate", 0.3)), (20, c.Change("bn")), (22, c.Change("precise_bn")), (25, c.Change("freeze")),
    (31, c.Change("batch_size", 100)), (32, c.Change("restart_arm", "none")), (33, c.Change("freeze")),
    (34, c.Change("adapt_bn")), (36, c.Change("bn_eval", "single")), (37, c.Change("dropout", 0.0)),
]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {}, {"arms": ("batch-renorm", "batch"), "optimizer": "sgd:0.9"}, {"arms": ("group:4", "none")},
        {"arms": ("none", "layer"), "bn_momentum": "cumulative"}, {"dropout": 0.1, "bn_noise": 0.2},
    ],
)  # fmt: skip
def test_many_interventions_are_replayed_to_the_same_numbers(options: dict[str, Any], tmp_path: Path) -> None:
    config = small(**options)
    events = run(config, MANY)
    file = exported(events, tmp_path / "results.json")
    recorded = read_interventions(file)
    rows = only(events, e.Intervened)
    assert [step for step, _ in recorded] == [row.step for row in rows]
    assert recorded == [(row.step, c.Change(row.action, row.after)) for row in rows]
    again = run(config, recorded)
    assert numbers(again) == numbers(events)
    assert only(again, e.Intervened) == rows
    assert only(again, e.Planned) == only(events, e.Planned)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The inputs of every step, float32 [batch, 784]."""
    found: list[torch.Tensor] = []
    train = FusedEngine.forward_backward

    def keep(self: FusedEngine, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        found.append(x.clone())
        return train(self, x, y)

    monkeypatch.setattr(FusedEngine, "forward_backward", keep)
    return found


@pytest.mark.parametrize(
    ("to", "at", "plan", "ends"),
    [
        # 650 samples: after 7 steps of 32, 426 are left of the first epoch.
        (64, 7, (10, 33), [13, 23, 33]),
        (50, 7, (13, 41), [15, 28, 41]),
        (2, 7, (325, 870), [220, 545, 870]),
        (426, 7, (1, 10), [8, 9, 10]),
        (427, 7, (1, 9), [7, 8, 9]),
        (650, 7, (1, 9), [7, 8, 9]),
        (64, 20, (10, 40), [20, 30, 40]),
        (64, 27, (10, 43), [20, 33, 43]),
        (100, 0, (6, 18), [6, 12, 18]),
        (300, 59, (2, 59), [20, 40, 59]),
    ],
)
def test_another_batch_size_goes_on_with_the_rest_of_the_epoch(
    to: int, at: int, plan: tuple[int, int], ends: list[int], seen: list[torch.Tensor]
) -> None:
    config = small(epochs=3)
    events = run(config, [(at, c.Change("batch_size", to))])
    position = at % 20 * 32
    assert only(events, e.Planned) == [e.Planned(at, at // 20 + position / 650, to, *plan)]
    assert [(row.epoch, row.step) for row in only(events, e.EpochEnded)] == list(zip((1, 2, 3), ends, strict=True))
    assert only(events, e.Finished)[0].step == len(losses(events)) == len(seen) == plan[1]
    assert [len(x) for x in seen] == [32] * at + [to] * (plan[1] - at)
    # Each epoch is the beginning of its own permutation: no sample comes twice.
    source = load(config, CPU, lambda *_: None, print)
    order = DataOrder(mlp.build(config, CPU).generator)
    for begin, end in zip((0, *ends), ends, strict=False):
        used = torch.cat([torch.empty(0, 784), *seen[begin:end]])
        rows = order.next_epoch(650)[: len(used)]
        assert torch.equal(used, to_input(source.train.images[rows]))
        order.skip_evaluation()


def test_the_batch_size_can_change_again_and_again_within_an_epoch(seen: list[torch.Tensor]) -> None:
    config = small(epochs=1)
    events = run(config, [(2, c.Change("batch_size", 100)), (4, c.Change("batch_size", 7)), (4, c.Change("bn"))])
    # 64 + 200, and 55 times 7 of the 386 that are left.
    assert [len(x) for x in seen] == [32] * 2 + [100] * 2 + [7] * 55
    assert [(row.step, row.total_steps) for row in only(events, e.Planned)] == [(2, 7), (4, 59)]
    source = load(config, CPU, lambda *_: None, print)
    rows = DataOrder(mlp.build(config, CPU).generator).next_epoch(650)[:649]
    assert torch.equal(torch.cat(seen), to_input(source.train.images[rows]))
    assert [row.step for row in only(events, e.EpochEnded)] == [59]


def test_a_limit_of_steps_holds_at_any_batch_size() -> None:
    events = run(small(max_steps=25), [(7, c.Change("batch_size", 16))])
    assert only(events, e.Planned)[0].total_steps == only(events, e.Finished)[0].step == 25
    assert [row.step for row in only(events, e.EpochEnded)] == [25]


def test_another_batch_size_is_what_batch_evaluation_takes() -> None:
    one, other = (
        only(run(small(bn_eval="batch"), [(20, c.Change("batch_size", size))]), e.EpochEnded)[0] for size in (32, 8)
    )
    assert one.train == other.train
    changed = run(small(bn_eval="batch", lr=1e-12), [(20, c.Change("batch_size", 4))])
    first, second = only(changed, e.EpochEnded)
    # At this learning rate the weights stay where they are, and batches of 4 alone make the difference.
    assert abs(second.train["none"].loss - first.train["none"].loss) < 1e-4
    assert abs(second.train["batch"].loss - first.train["batch"].loss) > 1e-2


@pytest.mark.parametrize(
    ("options", "planned", "told"),
    [
        ({}, c.Change("restart_arm", "layer"), "restart arm takes one of batch, none, not layer"),
        ({}, c.Change("learning", 1), "learning takes one of learning_rate, bn, freeze"),
        ({}, c.Change("batch_size", 651), "batch size takes at most the 650 training samples, not 651; it stays at 32"),
        ({}, c.Change("batch_size", 1), "batch size takes a whole number from 2 to 1,000,000, not 1; it stays at 32"),
        ({}, c.Change("dropout", 1.0), "dropout takes a number from 0 up to, not including, 1, not 1.0"),
        ({}, c.Change("bn_noise", -1), "bn noise takes a number from 0 to 10, not -1; it stays at 0"),
        ({}, c.Change("shift", "blur:1"), "shift takes none, or KIND:STRENGTH of"),
        ({}, c.Change("bn_eval", "median"), "bn eval takes one of running, batch, single, precise, not median"),
        ({}, c.Change("bn", "maybe"), "bn takes on or off, not maybe; it stays at on"),
        ({"arms": ("none", "none")}, c.Change("bn", False), "bn: no arm has a normalization"),
        ({"arms": ("none", "none")}, c.Change("bn_noise", 0.5), "bn noise: no arm has a normalization"),
        ({"arms": ("none", "none")}, c.Change("bn_eval", "single"), "bn eval: no arm has a normalization that keeps"),
        ({"arms": ("group:4", "none")}, c.Change("freeze"), "freeze: no arm has a normalization that keeps statistics"),
        ({"arms": ("layer", "none")}, c.Change("adapt_bn"), "adapt bn: no arm has a normalization that keeps"),
        ({"arms": ("instance", "layer")}, c.Change("precise_bn"), "precise bn: no arm has"),
    ],
)  # fmt: skip
def test_the_impossible_is_told_of_and_leaves_no_trace(options: dict[str, Any], planned: c.Command, told: str) -> None:
    config = small(**options)
    events = run(config, [(7, planned)])
    messages = [notice.message for notice in only(events, e.Notice)]
    assert len(messages) == 1 and messages[0].startswith(told)
    assert only(events, e.Intervened) == only(events, e.Planned) == []
    assert numbers(events) == numbers(run(config))


def test_what_either_arm_has_can_be_changed() -> None:
    config = small(arms=("group:4", "batch"))
    frozen, precise = run(config, [(7, c.Change("freeze"))]), run(config, [(7, c.Change("precise_bn"))])
    untouched = run(config)
    for events in (frozen, precise):
        assert len(only(events, e.Intervened)) == 1
        assert hashes(events)["group:4"] == hashes(untouched)["group:4"]
        assert hashes(events)["batch"] != hashes(untouched)["batch"]
    off = run(small(arms=("none", "batch")), [(7, c.Change("bn", False))])
    assert hashes(off)["none"] == hashes(run(small(arms=("none", "batch"))))["none"]
    assert only(off, e.Intervened) == [e.Intervened(7, 1, "bn", True, False)]


def test_precise_bn_puts_the_running_statistics_where_the_training_set_has_them(tmp_path: Path) -> None:
    config = small(max_steps=8)
    events = run(config, [(7, c.Change("precise_bn")), (7, c.Change("freeze", True))])
    assert only(events, e.Intervened)[0] == e.Intervened(7, 1, "precise_bn", None, None)
    arms = mlp.build(config, CPU)
    engine = build_engine(config, arms)
    source = load(config, CPU, lambda *_: None, print)
    rows = DataOrder(arms.generator).next_epoch(650)
    for part in torch.split(rows, 32)[:7]:
        engine.forward_backward(to_input(source.train.images[part]), source.train.labels[part])
        with torch.no_grad():
            engine.update()
    expected = estimate(arms.by_name["batch"], lambda count: first(source, "train", count))
    layers = only(events, e.NormalizationRead)[-1].arms["batch"]
    for layer, (mean, variance) in zip(layers, expected, strict=True):
        assert layer.running_mean == tuple(mean.tolist()) and layer.running_var == tuple(variance.tolist())
    assert losses(events)[:7] == losses(run(config))[:7]
    file = exported(events, tmp_path / "results.json")
    assert numbers(run(config, read_interventions(file))) == numbers(events)


@pytest.mark.parametrize("arm", ["batch", "none"])
@pytest.mark.parametrize(
    "options", [{}, {"weights": "independent", "optimizer": "sgd:0.9"}, {"dropout": 0.3, "engine": "autograd"}]
)
def test_a_restarted_arm_is_where_it_began_and_the_other_goes_on(
    options: dict[str, Any], arm: str, tmp_path: Path
) -> None:
    config = small(**options)
    events = run(config, [(27, c.Change("restart_arm", arm)), (27, c.Export())])
    assert only(events, e.Intervened)[0] == e.Intervened(27, 2, "restart_arm", None, arm)
    other = "none" if arm == "batch" else "batch"
    untouched = run(config, [(27, c.Export())])
    hashed, as_ever = (only(found, e.Hashed)[0].state_sha256 for found in (events, untouched))
    assert hashed[arm] == state_sha256(mlp.build(config, CPU).by_name[arm])
    assert hashed[other] == as_ever[other]
    ours, theirs = (losses_of(found, arm) for found in (events, untouched))
    assert ours[:27] == theirs[:27]
    assert ours[27] != theirs[27]
    assert losses_of(events, other) == losses_of(untouched, other)
    assert hashes(events)[other] == hashes(untouched)[other]
    file = exported(events, tmp_path / "results.json")
    assert numbers(run(config, read_interventions(file))) == numbers(events)


@pytest.mark.parametrize("arm", ["batch", "none"])
def test_restarted_before_the_first_step_an_arm_trains_as_ever(arm: str) -> None:
    events = run(small(), [(0, c.Change("restart_arm", arm))])
    assert numbers(events) == numbers(run(small()))
    assert only(events, e.Intervened) == [e.Intervened(0, 1, "restart_arm", None, arm)]


def test_an_arm_that_has_diverged_can_be_restarted() -> None:
    config = small(optimizer="sgd", lr=0.1, hidden=(32,) * 4, init="kaiming")
    plan: Schedule = [
        (2, c.Change("learning_rate", 50.0)),
        (12, c.Change("learning_rate", 0.1)),
        (12, c.Change("restart_arm", "none")),
    ]
    events = run(config, plan)
    assert ("none", "diverged") in [(alert.arm, alert.kind) for alert in only(events, e.Alert)]
    found = losses_of(events, "none")
    assert found[11] != found[11]
    assert all(loss < 4 for loss in found[12:])
    assert found[-1] < found[12]


def test_while_batch_norm_is_off_a_restarted_arm_stays_without() -> None:
    config = small()
    events = run(config, [(5, c.Change("bn", False)), (9, c.Change("restart_arm", "batch"))])
    layer = only(events, e.NormalizationRead)[-1].arms["batch"][0]
    assert layer.weight == layer.running_var == (1.0,) * 16
    assert layer.bias == layer.running_mean == (0.0,) * 16


def test_frozen_and_disturbed_layers_are_those_of_the_arms_that_have_them() -> None:
    arms = mlp.build(small(arms=("none", "batch", "layer", "batch-renorm"), bn_noise=0.5), CPU)
    assert arms.normalized == "batch"
    assert [norm.noise for norm in arms.norms] == [0.5, 0.5]
    assert [type(norm) is SwitchableBatchNorm1d for norm in arms.batch_norms] == [True, True, False, False]
    assert [norm.noise for norm in arms.batch_norms] == [0.5, 0.5, 0, 0]


class Worker:
    """A run in a thread of its own."""

    def __init__(self, config: RunConfig) -> None:
        self.control = c.Control()
        self.events: queue.Queue[e.Event] = queue.Queue()
        self.thread = threading.Thread(target=session.run, args=(config, self.events.put, self.control), daemon=True)

    def until(self, kind: type[Any]) -> list[e.Event]:
        found = [self.events.get(timeout=60)]
        while not isinstance(found[-1], kind):
            found.append(self.events.get(timeout=60))
        return found


@pytest.mark.parametrize(("action", "before", "after"), [row for row in VALUES if row[0] != "batch_size"])
def test_a_setting_changed_while_paused_is_in_force_from_the_next_step(
    action: str, before: Scalar, after: Scalar
) -> None:
    worker = Worker(small())
    for sent in (c.Pause(True), c.Step(), c.Change(action, after), c.Step(), c.Pause(False)):
        worker.control.send(sent)
    worker.thread.start()
    events = worker.until(e.Finished)
    worker.thread.join(60)
    rows = [(row.step, row.action) for row in only(events, e.Intervened)]
    assert rows == [(0, "pause"), (0, "step"), (1, action), (1, "step"), (2, "resume")]
    assert numbers(events) == numbers(run(small(), [(1, c.Change(action, after))]))


def test_the_values_that_settings_take_are_those_of_their_options() -> None:
    assert SETTINGS["learning_rate"].parse is parsers.learning_rate
    for name, row in SETTINGS.items():
        if row.option:
            field = RunConfig.__dataclass_fields__[row.option]
            assert field.metadata["parse"] is row.parse or name == "adapt_bn"
