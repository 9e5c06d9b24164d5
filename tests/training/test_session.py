from __future__ import annotations

import queue
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import baseline
from bntui.config.options import RunConfig, build_config
from bntui.data.resident import load
from bntui.data.samples import to_input
from bntui.errors import DeviceError, Interrupted
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.messages.alerts import gradient_ratio
from bntui.models import mlp
from bntui.probes import mechanism
from bntui.training import evaluation, observer, session, stopwatch, within_epochs
from bntui.training.evaluation import evaluate
from bntui.training.fused.engine import FusedEngine
from training_runs import accuracies, hashes, losses, numbers, only, readings, run, small
from training_runs import within_epochs as evaluated


def test_the_events_of_a_run() -> None:
    events = run(small())
    started, finished = only(events, e.Started)[0], events[-1]
    assert (started.steps_per_epoch, started.total_steps) == (20, 60)
    assert [(arm.name, arm.norm) for arm in started.arms] == [("batch", "batch"), ("none", "none")]
    assert started.layers == {"batch": {"norm1": 32, "norm2": 32}}
    assert started.config["data"] == "synthetic"
    assert started.config["threads"] == started.environment["threads"] == 1
    assert started.dataset["train_samples"] == 650
    assert len(losses(events)) == 60
    assert [(row.epoch, row.step) for row in only(events, e.EpochEnded)] == [(1, 20), (2, 40), (3, 60)]
    assert [reading.step for reading in only(events, e.NormalizationRead)] == [20, 40, 60]
    assert isinstance(finished, e.Finished)
    assert (finished.status, finished.step) == ("completed", 60)


def test_the_same_configuration_gives_the_same_numbers_and_another_seed_others() -> None:
    first, second, other = run(small()), run(small()), run(small(seed=2))
    assert numbers(first) == numbers(second)
    assert losses(first) != losses(other)


def test_how_often_losses_are_read_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    seldom = run(small())
    monkeypatch.setattr(session, "EMIT_SECONDS", 0.0)
    often = run(small())
    assert len(only(often, e.Stepped)) == 60
    assert numbers(often) == numbers(seldom)


@pytest.mark.parametrize("engine", ["fused", "autograd"])
def test_the_accuracy_of_each_batch_is_that_of_the_net_before_its_update(engine: str) -> None:
    config = small(engine=engine, epochs=1, threads=1, dropout=0.2)
    told = accuracies(run(config))
    source = load(config, torch.device("cpu"), lambda *_: None, print)
    arms = mlp.build(config, torch.device("cpu"))
    source.begin(arms.generator)
    optimizer = torch.optim.Adam([p for model in arms.by_name.values() for p in model.parameters()], config.lr)
    expected = []
    for x, y in source.epoch(config.batch_size):
        logits = [model.train()(x) for model in arms.by_name.values()]
        expected.append(tuple((of.argmax(1) == y).double().mean().item() for of in logits))
        optimizer.zero_grad()
        sum((torch.nn.functional.cross_entropy(of, y) for of in logits), torch.zeros(())).backward()
        optimizer.step()
    assert len(told) == 20
    assert told == [pytest.approx(row, abs=0.04) for row in expected]
    assert told[:3] == expected[:3]


def middling(**options: Any) -> RunConfig:
    """Two epochs of 203 steps, on enough samples that two to three evaluations within each are not too many."""
    return small(**{"train_samples": 6_500, "validation_samples": 300, "epochs": 2, **options})


def test_within_epochs_an_even_choice_of_the_validation_samples_is_evaluated() -> None:
    events = run(middling())
    found = evaluated(events)
    assert [(row.epoch, row.step, row.samples) for row in found] == [
        (1, 26, 256), (1, 51, 256), (1, 102, 256), (2, 254, 256), (2, 305, 256), (2, 356, 256),
    ]  # fmt: skip
    # Of each, all losses up to its step have been told.
    for place, event in enumerate(events):
        if isinstance(event, e.Evaluated):
            assert max(row.step for row in events[:place] if isinstance(row, e.Stepped)) == event.step
            assert list(event.validation) == ["batch", "none"] and event.seconds > 0
    last, whole = found[2].validation["batch"], only(events, e.EpochEnded)[0].validation["batch"]
    assert found[0].validation["batch"].accuracy < last.accuracy == pytest.approx(whole.accuracy, abs=0.2)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.3, "bn_noise": 0.3},
        {"bn_eval": "precise", "arms": "batch-renorm,batch,layer"},
        {"bn_eval": "batch", "shift": "noise:0.3", "engine": "autograd", "dropout": 0.3},
        {"adapt_bn": True, "shift": "contrast:0.5", "bn_momentum": "cumulative"},
    ],
)
def test_no_number_changes_by_what_is_evaluated_within_epochs(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_them = run(middling(**options))
    assert evaluated(with_them)
    monkeypatch.setattr(within_epochs, "passed", lambda *_: False)
    without = run(middling(**options))
    assert not evaluated(without)
    assert numbers([event for event in with_them if not isinstance(event, e.Evaluated)]) == numbers(without)


def test_who_watches_and_who_pauses_sees_the_same_evaluations() -> None:
    alone = run(middling(max_steps=120))
    watched = run(middling(max_steps=120), watching=c.WATCHED)
    stepwise: list[tuple[int, c.Command]] = [(24, c.Pause(True)), *((24 + i, c.Step()) for i in range(9))]
    paused = run(middling(max_steps=120), [*stepwise, (33, c.Pause(False))])
    assert len(evaluated(alone)) == 3
    assert numbers(alone) == numbers(watched) == numbers(paused)


def test_where_an_epoch_or_the_run_ends_it_is_evaluated_whole_and_not_in_part() -> None:
    events = run(middling(max_steps=51))
    assert [row.step for row in evaluated(events)] == [26]
    assert [row.step for row in only(events, e.EpochEnded)] == [51]
    # A batch as large as the epoch passes all places with its only step.
    assert evaluated(run(middling(batch_size=6_500))) == []


def test_evaluation_within_epochs_takes_no_training_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            return self.now

    def evaluate_some(self: evaluation.Evaluator, *rest: Any) -> evaluation.Metered:
        clock.now += 1.0
        return genuine(self, *rest)

    clock, genuine = Clock(), evaluation.Evaluator.evaluate_some
    monkeypatch.setattr(stopwatch, "time", clock)
    monkeypatch.setattr(evaluation.Evaluator, "evaluate_some", evaluate_some)
    events = run(middling(epochs=1))
    assert clock.now == 3.0
    assert only(events, e.Stepped)[-1].seconds == only(events, e.EpochEnded)[-1].train_seconds == 0.0


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_an_evaluation_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(session, "EMIT_SECONDS", seconds)
    monkeypatch.setattr(evaluation, "_ROWS_AT_ONCE", 200)
    events = run(small(epochs=1))
    expected = [200, 400, 600, 650, 750] if seconds == 0 else [750]
    assert only(events, e.Evaluating) == [e.Evaluating(20, done, 750) for done in expected]


def test_both_arms_learn_and_batch_norm_is_ahead() -> None:
    events = run(small(train_samples=6_000, validation_samples=1_000))
    last = only(events, e.EpochEnded)[-1].validation
    assert last["batch"].accuracy > last["none"].accuracy > 0.6


def test_max_steps_ends_within_an_epoch_with_an_evaluation() -> None:
    events = run(small(max_steps=25))
    assert [(row.epoch, row.step) for row in only(events, e.EpochEnded)] == [(1, 20), (2, 25)]
    assert (events[-1].status, events[-1].step) == ("completed", 25)  # type: ignore[union-attr]
    assert losses(events) == losses(run(small()))[:25]


@pytest.mark.parametrize("engine", ["fused", "autograd"])
@pytest.mark.parametrize("seed", [1, 2])
def test_lab_is_the_tutorials_loop_bit_for_bit(fashion_mnist: Path, seed: int, engine: str) -> None:
    given = {"preset": "lab", "data": "fashion-mnist", "data_dir": str(fashion_mnist), "epochs": 2, "seed": seed}
    events = run(build_config({**given, "threads": 1, "engine": engine}))
    expected = baseline.train(*baseline.read_idx_folder(fashion_mnist), epochs=2, seed=seed)
    assert hashes(events) == expected["state_sha256"]
    for row, theirs in zip(only(events, e.EpochEnded), expected["epochs"], strict=True):
        for arm, ours in row.train.items():
            assert ours.loss == pytest.approx(theirs["train"][arm]["loss"], abs=1e-5)
            assert ours.accuracy == pytest.approx(theirs["train"][arm]["accuracy"], abs=1e-5)
    # The tutorial drops the last 16 validation samples.
    config = RunConfig(data="fashion-mnist", data_dir=str(fashion_mnist))
    source = load(config, torch.device("cpu"), lambda *_: None, print)
    models = dict(zip(("batch", "none"), expected["models"], strict=True))
    batch = to_input(source.validation.images[:9_984]), source.validation.labels[:9_984]
    found = evaluate(models, iter([batch]))
    assert found is not None
    for arm, metrics in found.items():
        assert metrics.loss == pytest.approx(expected["epochs"][-1]["validation"][arm]["loss"], abs=1e-5)
        assert metrics.accuracy == pytest.approx(expected["epochs"][-1]["validation"][arm]["accuracy"], abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"arms": "batch,batch-renorm,layer,group:8,instance,none", "dropout": 0.2, "bn_noise": 0.3, "batch_size": 16},
        {"arms": "none,batch", "optimizer": "sgd:0.9", "activation": "tanh", "bn_momentum": "cumulative"},
    ],
)
def test_both_engines_tell_the_same_of_a_run(options: dict[str, Any]) -> None:
    schedule: list[tuple[int, c.Command]] = [
        (5, c.Change("dropout", 0.3)), (7, c.Change("bn", False)), (11, c.Change("restart_arm", "batch")),
        (19, c.Change("bn", True)), (23, c.Change("freeze", True)), (31, c.Change("precise_bn")),
        (33, c.Change("freeze", False)), (40, c.Scale("learning_rate", 0.5)),
    ]  # fmt: skip
    fused, autograd = (
        run(small(engine=engine, probe="all", probe_every=9, **options), schedule) for engine in ("fused", "autograd")
    )
    assert numbers(fused) == numbers(autograd)
    for kind in (e.FlowRead, e.Probed, e.Explained, e.Intervened, e.Alert):
        told = [readings(events, kind) if hasattr(kind, "live") else only(events, kind) for events in (fused, autograd)]
        assert repr(told[0]) == repr(told[1])


def test_lab_on_generated_digits_is_the_tutorials_loop_bit_for_bit() -> None:
    config = build_config({**small().to_dict(), "preset": "lab", "weights": "independent", "batch_size": 32})
    source = load(config, torch.device("cpu"), lambda *_: None, print)
    sets = [baseline.Images(part.images, part.labels, True) for part in (source.train, source.validation)]
    expected = baseline.train(sets[0], sets[1], epochs=3, seed=1)
    assert run(config)[-1].state_sha256 == expected["state_sha256"]  # type: ignore[union-attr]


def test_every_intervention_is_recorded_with_its_step_and_changes_the_numbers_from_there() -> None:
    schedule: list[tuple[int, c.Command]] = [
        (0, c.Change("learning_rate", 0.02)),
        (7, c.Change("bn")),
        (12, c.Scale("learning_rate", 1.5)),
        (20, c.Change("bn", True)),
        (25, c.Change("freeze")),
        (30, c.Change("freeze", False)),
    ]
    events = run(small(), schedule)
    assert only(events, e.Intervened) == [
        e.Intervened(0, 1, "learning_rate", 0.01, 0.02),
        e.Intervened(7, 1, "bn", True, False),
        e.Intervened(12, 1, "learning_rate", 0.02, 0.03),
        e.Intervened(20, 2, "bn", False, True),
        e.Intervened(25, 2, "freeze", False, True),
        e.Intervened(30, 2, "freeze", True, False),
    ]
    assert [row.lr for row in only(events, e.EpochEnded)] == [0.03] * 3
    untouched = run(small(lr=0.02))
    assert losses(events)[:7] == losses(untouched)[:7]
    bn, plain = zip(*losses(events)[:12], strict=True)
    bn_untouched, plain_untouched = zip(*losses(untouched)[:12], strict=True)
    assert plain == plain_untouched
    assert bn[7:] != bn_untouched[7:]


def test_recorded_interventions_give_the_same_numbers_again() -> None:
    first = run(
        small(),
        [(7, c.Change("bn")), (12, c.Scale("learning_rate", 1.5)), (19, c.Change("bn")), (40, c.Change("freeze"))],
    )
    rows = only(first, e.Intervened)
    again = run(small(), [(row.step, c.Change(row.action, row.after)) for row in rows])
    assert numbers(again) == numbers(first)


def test_commands_that_change_nothing_leave_no_trace() -> None:
    schedule: list[tuple[int, c.Command]] = [
        (1, c.Step()),
        (1, c.Change("bn", True)),
        (2, c.Change("freeze", False)),
        (3, c.Change("learning_rate", 0.01)),
        (4, c.Pause(False)),
    ]
    events = run(small(), schedule)
    assert only(events, e.Intervened) == []
    assert numbers(events) == numbers(run(small()))


@pytest.mark.parametrize("lr", [float("nan"), float("inf"), -1.0, 0.0, 1e9])
def test_an_impossible_learning_rate_is_refused_with_a_notice(lr: float) -> None:
    events = run(small(), [(3, c.Change("learning_rate", lr))])
    assert only(events, e.Intervened) == []
    assert "stays at 0.01" in only(events, e.Notice)[0].message


def test_while_batch_norm_is_off_its_parameters_and_statistics_stand_still() -> None:
    events = run(small(), [(20, c.Change("bn", False))])
    first, second, third = only(events, e.NormalizationRead)
    for before, after in zip(second.arms["batch"], third.arms["batch"], strict=True):
        assert before.running_mean == after.running_mean
        assert (before.weight, before.bias) == (after.weight, after.bias)
        assert before.batch_mean != after.batch_mean
    assert first.arms["batch"][0].running_mean == second.arms["batch"][0].running_mean


def test_while_frozen_the_statistics_stand_still_and_gamma_and_beta_learn() -> None:
    first, second, _ = only(run(small(), [(20, c.Change("freeze", True))]), e.NormalizationRead)
    for before, after in zip(first.arms["batch"], second.arms["batch"], strict=True):
        assert (before.running_mean, before.running_var) == (after.running_mean, after.running_var)
        assert before.weight != after.weight


def test_stop_ends_the_run_after_the_step() -> None:
    events = run(small(), [(33, c.Stop())])
    assert only(events, e.Intervened) == [e.Intervened(33, 2, "stop", None, None)]
    assert (events[-1].status, events[-1].step) == ("interrupted", 33)  # type: ignore[union-attr]
    assert losses(events) == losses(run(small()))[:33]


def test_a_stop_during_evaluation_is_obeyed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    control = c.Control()
    events: list[e.Event] = []

    def stop_in_evaluation(*arguments: Any) -> Any:
        control.send(c.Stop())
        return evaluate(*arguments)

    monkeypatch.setattr(evaluation, "evaluate", stop_in_evaluation)
    session.run(small(), events.append, control)
    assert (events[-1].status, events[-1].step) == ("interrupted", 20)  # type: ignore[union-attr]
    assert only(events, e.EpochEnded) == []


def test_a_stop_before_the_first_step_interrupts_the_preparation() -> None:
    control = c.Control()
    control.send(c.Stop())
    with pytest.raises(Interrupted):
        session.run(small(), lambda _: None, control)


def test_export_tells_the_hashes_of_that_step() -> None:
    events = run(small(), [(40, c.Export())])
    hashed = only(events, e.Hashed)[0]
    assert hashed.step == 40
    stopped = run(small(), [(40, c.Stop())])
    assert hashed.state_sha256 == stopped[-1].state_sha256  # type: ignore[union-attr]
    assert only(events, e.Intervened) == [e.Intervened(40, 3, "export", None, None)]
    assert numbers(events) == numbers(run(small()))


def test_a_restart_begins_again_and_keeps_what_was_set() -> None:
    schedule: list[tuple[int, c.Command]] = [
        (10, c.Change("learning_rate", 0.02)),
        (15, c.Change("bn", False)),
        (30, c.Restart()),
    ]
    events = run(small(), schedule)
    at = events.index(e.Restarted(30))
    after = events[at + 1 :]
    assert only(after, e.Intervened) == [
        e.Intervened(0, 1, "restart", 30, 0),
        e.Intervened(0, 1, "learning_rate", 0.01, 0.02),
        e.Intervened(0, 1, "bn", True, False),
    ]
    same = run(small(), [(0, c.Change("learning_rate", 0.02)), (0, c.Change("bn", False))])
    assert numbers(after) == numbers(same)


def test_divergence_of_one_arm_is_an_alert_and_the_other_goes_on() -> None:
    # Steps this long blow up four layers without BN; with BN, the size of the weights does not matter to the output.
    events = run(small(optimizer="sgd", lr=50.0, hidden=(32,) * 4, init="kaiming", epochs=1))
    alerts = only(events, e.Alert)
    assert [(alert.arm, alert.kind) for alert in alerts if alert.kind == "diverged"] == [("none", "diverged")]
    assert 1 <= alerts[0].step <= 20
    bn, plain = losses(events)[alerts[0].step - 1]
    assert bn == bn
    assert not abs(plain) < float("inf")
    assert events[-1].status == "completed"  # type: ignore[union-attr]


class Worker:
    """A run in a thread of its own, as the terminal app has it."""

    def __init__(self, config: RunConfig) -> None:
        self.control = c.Control()
        self.events: queue.Queue[e.Event] = queue.Queue()
        self.seen: list[e.Event] = []
        self.thread = threading.Thread(target=session.run, args=(config, self.events.put, self.control), daemon=True)
        self.thread.start()

    def wait_for(self, kind: type[Any]) -> Any:
        while True:
            event = self.events.get(timeout=60)
            self.seen.append(event)
            if isinstance(event, kind):
                return event


def test_from_another_thread_pause_steps_resume_and_stop() -> None:
    worker = Worker(small(epochs=10_000))
    worker.wait_for(e.Stepped)
    worker.control.send(c.Pause())
    paused = worker.wait_for(e.Paused)
    for number in range(1, 4):
        worker.control.send(c.Step())
        assert worker.wait_for(e.Paused).step == paused.step + number
    worker.control.send(c.Change("learning_rate", 0.5))
    worker.wait_for(e.Intervened)
    worker.control.send(c.Pause(False))
    assert worker.wait_for(e.Resumed).step == paused.step + 3
    worker.wait_for(e.Stepped)
    worker.control.send(c.Stop())
    finished = worker.wait_for(e.Finished)
    worker.thread.join(60)
    assert not worker.thread.is_alive()
    assert finished.status == "interrupted"
    actions = [event.action for event in worker.seen if isinstance(event, e.Intervened)]
    assert actions == ["pause", "step", "step", "step", "learning_rate", "resume", "stop"]


@pytest.mark.parametrize("command", [c.Stop(), c.Restart()])
def test_a_paused_run_can_be_stopped_and_restarted(command: c.Command) -> None:
    worker = Worker(small(epochs=10_000))
    worker.control.send(c.Pause(True))
    worker.wait_for(e.Paused)
    worker.control.send(command)
    if isinstance(command, c.Restart):
        worker.wait_for(e.Restarted)
        assert worker.wait_for(e.Paused).step == 0
        worker.control.send(c.Stop())
    assert worker.wait_for(e.Finished).status == "interrupted"
    worker.thread.join(60)


def test_commands_sent_together_are_all_obeyed_in_order() -> None:
    worker = Worker(small())
    for command in (c.Pause(), c.Step(), c.Step(), c.Change("bn"), c.Pause(), c.Change("freeze")):
        worker.control.send(command)
    finished = worker.wait_for(e.Finished)
    assert finished.status == "completed"
    rows = [(row.step, row.action) for row in worker.seen if isinstance(row, e.Intervened)]
    first = rows[0][0]
    assert rows == [
        (first, "pause"), (first, "step"), (first + 1, "step"), (first + 2, "bn"), (first + 2, "resume"),
        (first + 2, "freeze"),
    ]  # fmt: skip


def test_a_failure_is_told_before_it_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(FusedEngine, "forward_backward", fail)
    events: list[e.Event] = []
    with pytest.raises(DeviceError, match="out of memory on cpu; try --batch-size 16"):
        session.run(small(), events.append, c.Control())
    assert events[-1].status == "failed"  # type: ignore[union-attr]
    assert "out of memory" in events[-1].error  # type: ignore[union-attr]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(DeviceError, match=f"--device {device}: .*; use --device cpu"):
        run(small(device=device))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("options", [{}, {"activation": "gelu", "dropout": 0.2}, {"optimizer": "sgd:0.9"}])
def test_a_gpu_trains_like_the_cpu(options: dict[str, Any]) -> None:
    cpu, gpu = (only(run(small(device=device, epochs=1, **options)), e.EpochEnded)[0] for device in ("cpu", "cuda"))
    if not options.get("dropout"):
        for arm, metrics in gpu.train.items():
            assert metrics.loss == pytest.approx(cpu.train[arm].loss, rel=0.02)
    assert run(small(device="cuda", **options))[-1].status == "completed"  # type: ignore[union-attr]


def test_gradients_of_a_deep_sigmoid_net_vanish_without_batch_norm() -> None:
    events = run(small(hidden="32x8", activation="sigmoid", epochs=2))
    reads = only(events, e.FlowRead)
    assert [(read.epoch, read.live) for read in reads] == [(1, False), (2, False)]
    assert [len(read.arms["batch"]) for read in reads] == [9, 9]
    ratios = {arm: gradient_ratio(layers) for arm, layers in reads[-1].arms.items()}
    assert ratios["none"] < ratios["batch"] / 100
    assert ("none", "vanishing") in [(alert.arm, alert.kind) for alert in only(events, e.Alert)]
    assert ("batch", "vanishing") not in [(alert.arm, alert.kind) for alert in only(events, e.Alert)]


def test_the_flow_is_read_within_epochs_only_while_somebody_looks() -> None:
    schedule: list[tuple[int, c.Command]] = [
        (3, c.Pause(True)), (3, c.Step()), (4, c.Step()), (5, c.Pause(False)),
    ]  # fmt: skip
    unseen, seen = (run(small(epochs=1), schedule, watching=watching) for watching in ((), ("flow",)))
    assert not any(read.live for read in only(unseen, e.FlowRead))
    assert {4, 5} <= {read.step for read in only(seen, e.FlowRead) if read.live}
    assert hashes(unseen) == hashes(seen)


def test_a_forgotten_eval_is_told_of_as_a_gap() -> None:
    config = small(epochs=6, bn_eval="single", train_samples=640, lr=0.01)
    alerts = {(alert.arm, alert.kind) for alert in only(run(config), e.Alert)}
    assert ("batch", "eval_gap") in alerts and ("none", "eval_gap") not in alerts


def test_a_divergence_after_a_raised_learning_rate_says_so() -> None:
    config = small(optimizer="sgd", epochs=3)
    alerts = only(run(config, [(5, c.Change("learning_rate", 1e6))]), e.Alert)
    kinds = [(alert.arm, alert.kind) for alert in alerts]
    assert ("none", "diverged") in kinds and ("none", "learning_rate") in kinds
    told = next(alert for alert in alerts if alert.kind == "learning_rate")
    assert "from 0.01 to 1e+06" in told.message


def test_a_batch_that_is_made_small_is_told_of_once() -> None:
    alerts = only(run(small(), [(3, c.Change("batch_size", 4)), (6, c.Change("batch_size", 2))]), e.Alert)
    assert [(alert.step, alert.arm, alert.kind) for alert in alerts if alert.kind == "small_batch"] == [
        (3, "batch", "small_batch")
    ]


@pytest.mark.parametrize("where", ["landscape", "Mechanism"])
def test_a_probe_that_fails_is_told_of_once_tried_again_and_stops_nothing(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def fail(*_: Any) -> Any:
        tries.append(1)
        raise RuntimeError("no such luck")

    monkeypatch.setattr(mechanism if where == "landscape" else observer, where, fail)
    events = run(small(probe="landscape", probe_every=7))
    assert [notice.message for notice in only(events, e.Notice)] == [
        "looking into the layers failed (RuntimeError: no such luck); training goes on, and the next reading is tried"
    ]
    assert len(tries) == 60 // 7
    # One that fails takes those of the same step with it, but none of a later one.
    assert [reading.step for reading in only(events, e.FlowRead)] == [20, 40, 60]
    assert numbers(events) == numbers(run(small()))


def test_a_reading_at_the_end_of_an_epoch_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(observer, "read_normalizations", fail)
    events = run(small())
    assert only(events, e.Finished)[0].status == "completed"
    assert len(only(events, e.Notice)) == 1


def test_an_average_that_was_frozen_before_it_had_a_batch_can_be_looked_at() -> None:
    """Nothing was tracked yet, so the share of the newest batch in it is no number that could be divided by."""
    events = run(small(bn_momentum="cumulative"), [(0, c.Change("freeze", True)), (25, c.Change("freeze", False))])
    assert not only(events, e.Notice)
    assert [reading.momentum for reading in only(events, e.Explained)] == pytest.approx([1, 1 / 15, 1 / 35])


def test_a_learning_rate_that_went_up_and_down_is_what_it_was() -> None:
    up, down = (c.Scale("learning_rate", factor) for factor in (1.5, 2 / 3))
    told = only(run(small(epochs=1), [(1, up), (2, up), (3, down), (4, down)]), e.Intervened)
    assert [event.after for event in told] == [0.015, 0.0225, 0.015, 0.01]


def test_a_run_leaves_the_process_as_it_was() -> None:
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_inference_mode_enabled()
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    run(small(threads=3, dropout=0.1, bn_noise=0.1, epochs=1))
    with pytest.raises(DeviceError):
        run(small(threads=3, device="cuda:99"))
    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_inference_mode_enabled()) == before
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == drawn[1:]  # type: ignore[index]


def test_a_stop_while_the_arms_are_built_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    control = c.Control()
    build = mlp.build

    def build_and_stop(*arguments: Any) -> Any:
        control.send(c.Stop())
        return build(*arguments)

    monkeypatch.setattr(mlp, "build", build_and_stop)
    events: list[e.Event] = []
    with pytest.raises(Interrupted):
        session.run(small(), events.append, control)
    assert not only(events, e.Started)
