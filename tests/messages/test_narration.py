"""What is said of each event, word by word."""

from __future__ import annotations

from typing import Any

import pytest

from bntui.messages import events as e
from bntui.messages.advice import ADVICE, advice
from bntui.messages.alerts import of_flow, of_learning_rate
from bntui.messages.history import History
from bntui.messages.narration import Narration, spoken
from scripted_app import started


def narration(*events: e.Event, norms: tuple[str, ...] = ("batch", "none"), live: bool = False) -> list[str]:
    """Return what is said of events after a run has begun."""
    history = History()
    told = Narration(history, live=live)
    said: list[str] = []
    for event in (started(norms), *events):
        history.apply(event)
        said += told.of(event)
    return said[1:]


def validation(*accuracies: float, norms: tuple[str, ...] = ("batch", "none")) -> dict[str, e.Metrics]:
    return {name: e.Metrics(0.1, value) for name, value in zip(norms, accuracies, strict=True)}


def epoch(number: int, *accuracies: float, step: int = 0, **options: Any) -> e.EpochEnded:
    metrics = validation(*accuracies, **options)
    return e.EpochEnded(number, step or 100 * number, 0.01, 1.0, 0.1, metrics, metrics)


def evaluated(step: int, *accuracies: float) -> e.Evaluated:
    return e.Evaluated(step // 100 + 1, step, 2_000, 0.1, validation(*accuracies))


def intervened(action: str, before: e.Scalar, after: e.Scalar, step: int = 1_900) -> e.Intervened:
    return e.Intervened(step, 1, action, before, after)


def test_the_beginning_says_what_is_trained_on_what() -> None:
    begun, history = started(), History()
    history.apply(begun)
    assert Narration(history).of(begun) == [
        "A run begins: With BN and Without BN train on fashion-mnist, 60,000 samples, for 5 epochs, 500 steps in all."
    ]
    begun = started(("batch", "group:8", "none"))
    history.apply(begun)
    assert "Batch norm, Group norm 8 and No norm train on" in Narration(history).of(begun)[0]


def test_an_epoch_says_each_accuracy_and_who_is_ahead() -> None:
    assert narration(epoch(1, 0.9623, 0.9411)) == [
        "Epoch 1 of 5: With BN has 96.2 percent validation accuracy, Without BN 94.1; With BN is ahead by 2.1 points."
    ]
    assert narration(epoch(1, 0.96, 0.95))[0].endswith("With BN is ahead by 1 point.")
    assert narration(epoch(1, 0.96, 0.9599))[0].endswith("With BN is ahead by less than 0.1 points.")
    assert narration(epoch(1, 0.96, 0.96))[0].endswith("no arm is ahead.")
    assert narration(epoch(1, 0.9, 0.8, step=50))[0].startswith("At step 50, within epoch 1 of 5: With BN has 90 ")
    three = ("batch", "layer", "none")
    assert narration(epoch(1, 0.9, 0.8, 0.7, norms=three), norms=three)[0].endswith(
        "Layer norm 80, No norm 70; Batch norm is ahead of Layer norm by 10 points."
    )


def test_a_lead_that_changes_is_told() -> None:
    said = narration(epoch(1, 0.9, 0.8), epoch(2, 0.9, 0.95), epoch(3, 0.9, 0.95), epoch(4, 0.96, 0.95))
    leads = [sentence.rpartition("; ")[2] for sentence in said]
    assert leads == [
        "With BN is ahead by 10 points.", "Without BN takes the lead from With BN, by 5 points.",
        "Without BN is ahead by 5 points.", "With BN takes the lead from Without BN, by 1 point.",
    ]  # fmt: skip


def test_within_the_first_epoch_two_evaluations_are_told() -> None:
    said = narration(*(evaluated(step, 0.5, 0.4) for step in (1, 2, 5, 10, 20, 40, 60, 80)), epoch(1, 0.9, 0.8))
    assert said[:2] == [
        "After 10 of the 100 steps of the first epoch: With BN has 50 percent validation accuracy, Without BN 40; "
        "With BN is ahead by 10 points.",
        "After 60 of the 100 steps of the first epoch: With BN has 50 percent validation accuracy, Without BN 40; "
        "With BN is ahead by 10 points.",
    ]
    assert len(said) == 3


def test_within_a_later_epoch_only_a_clear_change_of_the_lead_is_told() -> None:
    said = narration(
        epoch(1, 0.9, 0.8), evaluated(120, 0.95, 0.8), evaluated(140, 0.9, 0.905), evaluated(160, 0.8, 0.9)
    )
    assert said[1:] == ["At step 160 Without BN takes the lead from With BN, by 10 points."]


def test_an_arm_that_diverged_is_named_as_such() -> None:
    said = narration(e.Alert(90, "none", "diverged", "Without BN: the loss is no longer a number"), epoch(1, 0.9, 0.1))
    assert said == [
        "Alert at step 90: Without BN: the loss is no longer a number.", "Try a smaller --lr.",
        "Epoch 1 of 5: With BN has 90 percent validation accuracy, Without BN, which has diverged, 10; "
        "With BN is ahead by 80 points.",
    ]  # fmt: skip
    assert "no number" in narration(epoch(1, 0.9, float("nan")))[0]


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (intervened("learning_rate", 0.01, 0.015), "At step 1,900 the learning rate went from 0.01 to 0.015."),
        (intervened("learning_rate", 0.01, 1e-5), "At step 1,900 the learning rate went from 0.01 to 0.00001."),
        (intervened("bn", True, False), "At step 1,900 BN was switched off."),
        (intervened("adapt_bn", False, True), "At step 1,900 AdaBN was switched on."),
        (intervened("freeze", False, True), "At step 1,900 the running statistics were frozen."),
        (intervened("freeze", True, False), "At step 1,900 the running statistics move again."),
        (intervened("batch_size", 32, 64), "At step 1,900 the batch size went from 32 to 64."),
        (intervened("dropout", 0.0, 0.25), "At step 1,900 the dropout went from 0 to 0.25."),
        (intervened("bn_noise", 0.0, 0.5), "At step 1,900 the noise went from 0 to 0.5."),
        (intervened("bn_eval", "running", "batch"),
         "At step 1,900 evaluation changed from running statistics to batch ones."),
        (intervened("shift", "none", "rotation:30"),
         "At step 1,900 the validation images' shift went from none to rotation 30."),
        (intervened("precise_bn", None, None), "At step 1,900 the running statistics were estimated anew."),
        (intervened("restart_arm", None, "none"), "At step 1,900 Without BN was put back to where it began."),
        (intervened("pause", False, True), "The run is paused after step 1,900."),
        (intervened("resume", True, False), "The run goes on."),
        (intervened("step", 1_900, 1_901), "One step is taken, step 1,901."),
        (intervened("export", None, "/tmp/a b.json"), "At step 1,900 the results so far are written to /tmp/a b.json."),
        (e.Undone(2_400, 1_900, "learning_rate"),
         "What was done at step 1,900 to the learning rate is taken back: the run goes on from there, and leaves "
         "behind the 500 steps since."),
        (e.Undone(2_400, 2_399, "bn"),
         "What was done at step 2,399 to BN is taken back: the run goes on from there, and leaves behind the 1 step "
         "since."),
        (e.Restarted(120), "The run begins again with its first step, after 120 steps."),
        (e.Continued(120, started().config), "The run goes on after step 120, in epoch 2 of 5."),
        (e.Notice("batch size takes a number from 2, not 1"), "Note: batch size takes a number from 2, not 1."),
    ],
)  # fmt: skip
def test_what_happens_is_one_sentence(event: e.Event, sentence: str) -> None:
    assert narration(event) == [sentence]


def test_stops_and_restarts_are_told_by_what_follows() -> None:
    assert narration(intervened("stop", None, None), intervened("restart", 120, None), e.Paused(3), e.Resumed(3)) == []


def test_an_undone_change_takes_back_who_was_ahead() -> None:
    change = intervened("bn", True, False, step=100)
    said = narration(epoch(1, 0.9, 0.8), change, epoch(2, 0.7, 0.8), e.Undone(200, 100, "bn"), epoch(2, 0.95, 0.9))
    assert said[-1].endswith("With BN is ahead by 5 points.")


def test_the_end_is_the_result() -> None:
    last = epoch(5, 0.97, 0.96)
    said = narration(last, e.Finished("completed", 500, {}, 3.0))
    assert said[1] == (
        "The run is complete after 500 steps: With BN has 97 percent validation accuracy, Without BN 96; "
        "With BN is ahead by 1 point."
    )
    assert narration(e.Finished("interrupted", 50, {}, 3.0)) == ["The run was stopped after 50 of 500 steps."]
    assert narration(e.Finished("failed", 1, {}, 3.0, "out of memory")) == [
        "The run failed after 1 step: out of memory."
    ]


def test_an_alert_says_what_to_do_about_it() -> None:
    alert = e.Alert(300, "batch", "eval_gap", "With BN: much worse in eval mode (loss 1.2, against 0.3): it is 50 %")
    first = "Alert at step 300: With BN: much worse in eval mode (loss 1.2, against 0.3): it is 50 percent."
    assert narration(alert) == [first, "Try --bn-eval precise."]
    assert narration(alert, live=True) == [first, "Press w to estimate the running statistics anew."]
    assert narration(e.Alert(0, "", "journal", "lines were lost"), live=True) == ["Alert: lines were lost."]


def test_there_is_advice_about_every_kind_of_alert() -> None:
    layers = [e.LayerFlow("linear1", 1e-6, 1.0, (), 0.9), e.LayerFlow("linear2", 1.0, 1.0, (), 0.0)]
    kinds = {kind for kind, _ in [*of_flow("x", layers), *of_flow("x", layers[::-1]), *of_learning_rate(0.1, 1, 5)]}
    assert kinds | {"diverged", "small_batch", "eval_gap"} == set(ADVICE)
    for kind in ADVICE:
        assert advice(kind, live=True).isascii() and advice(kind, live=False).isascii()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("learning rate 0.01 → 0.015 · 50 %", "learning rate 0.01 to 0.015, 50 percent"),
        ("1.0e-05 of it, 3.2e+08, 2.5e-12 and inf, nan", "0.00001 of it, 320,000,000, 2.5 times 10 to the minus 12 "
         "and infinity, no number"),
        ("γ of 784×32", "gamma of 784 by 32"),
        ("two\nlines \x1b[31mred", "two lines red"),
    ],
)  # fmt: skip
def test_symbols_are_words(written: str, said: str) -> None:
    assert spoken(written) == said
