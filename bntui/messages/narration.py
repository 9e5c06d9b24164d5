"""A run in plain sentences, for who hears it: one for each event that matters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from bntui.config.interventions import INTERVENTIONS
from bntui.messages import events as e
from bntui.messages.advice import advice
from bntui.messages.history import History
from bntui.messages.names import setting_word, value_word
from bntui.text import one_line, to_ascii

WITHIN_FIRST_EPOCH = (0.1, 0.5)
"""Shares of the first epoch after which the next evaluation within it is told: two are enough to hear."""
CLEAR_LEAD = 1.0
"""Points of accuracy from which on a lead that changed within an epoch is told: those samples are few."""

_SYMBOLS = str.maketrans({"→": " to ", "·": ",", "×": " by ", "−": "-", "●": "", "■": "", "γ": "gamma ", "β": "beta "})
_SCIENTIFIC = re.compile(r"\b(\d(?:\.\d+)?)e([+-]?\d+)\b")


class Narration:
    """Says of each event of a run what somebody has to hear.

    Parameters
    ----------
    history
        Of the run; it has taken in each event before that is told of.
    live
        Whether there are keys to press.
    """

    def __init__(self, history: History, *, live: bool = False) -> None:
        self._history, self._live = history, live
        self._leader: str | None = None
        """The arm that was ahead when it was last told; empty for none, None if nothing was told."""
        self._told_within = 0
        """How many evaluations of the first epoch were told."""

    def of(self, event: e.Event) -> list[str]:
        """Return the sentences for an event, mostly none."""
        match event:
            case e.Started():
                self._leader, self._told_within = None, 0
                return [self._beginning(event)]
            case e.Continued():
                self._leader = self._last_leader()
                return [f"The run goes on after step {event.step:,}{self._place(event.step)}."]
            case e.Restarted():
                self._leader, self._told_within = None, 0
                return [f"The run begins again with its first step, after {_count(event.step, 'step')}."]
            case e.Evaluated():
                return self._evaluated(event)
            case e.EpochEnded():
                return [f"{self._epoch(event)}: {self._scores(event.validation)}."]
            case e.Intervened():
                return self._intervened(event)
            case e.Undone():
                self._leader = self._last_leader()
                what = f"at step {event.to:,} {self._change_of(event.action)}"
                return [f"What was done {what} is taken back: the run goes on from there, and leaves behind the "
                        f"{_count(event.step - event.to, 'step')} since."]  # fmt: skip
            case e.Alert():
                about = f" at step {event.step:,}" if event.step else ""
                return _sentences(f"Alert{about}: {event.message}", advice(event.kind, live=self._live))
            case e.Notice():
                return _sentences(f"Note: {event.message}")
            case e.Finished():
                return self._end(event)
        return []

    # The parts of a run

    def _beginning(self, event: e.Started) -> str:
        arms = _listed([arm.label for arm in event.arms])
        data, epochs = event.dataset, int(event.config["epochs"])
        return spoken(
            f"A run begins: {arms} train on {data['name']}, {_count(int(data['train_samples']), 'sample')}, for "
            f"{_count(epochs, 'epoch')}, {_count(event.total_steps, 'step')} in all."
        )

    def _evaluated(self, event: e.Evaluated) -> list[str]:
        history = self._history
        if not history.epochs and history.plans:
            share = event.step / max(1, history.plans[0].steps_per_epoch)
            passed = sum(share >= least for least in WITHIN_FIRST_EPOCH)
            if passed <= self._told_within:
                return []
            self._told_within = passed
            whole = history.plans[0].steps_per_epoch
            return [f"After {event.step:,} of the {_count(whole, 'step')} of the first epoch: "
                    f"{self._scores(event.validation)}."]  # fmt: skip
        first, other = _ahead(event.validation)
        margin = _points(event.validation, first, other)
        if self._leader in (None, "", first) or not margin >= CLEAR_LEAD:
            return []
        return [f"At step {event.step:,} {self._lead(event.validation)}."]

    def _epoch(self, event: e.EpochEnded) -> str:
        started, passed = self._history.started, self._history.epochs_at(event.step)
        of = f" of {started.config['epochs']}" if started else ""
        whole = abs(passed - round(passed)) < 1e-9
        return f"Epoch {event.epoch}{of}" if whole else f"At step {event.step:,}, within epoch {event.epoch}{of}"

    def _end(self, event: e.Finished) -> list[str]:
        history = self._history
        steps = _count(event.step, "step")
        how = {"completed": f"The run is complete after {steps}",
               "interrupted": f"The run was stopped after {event.step:,} of {_count(history.total_steps, 'step')}",
               "failed": f"The run failed after {steps}"}.get(event.status, f"The run ended after {steps}")  # fmt: skip
        if event.error:
            return _sentences(f"{how}: {event.error}")
        if not history.epochs:
            return [f"{how}."]
        return [f"{how}: {self._scores(history.epochs[-1].validation)}."]

    def _place(self, step: int) -> str:
        """Say in which epoch a step lies."""
        if self._history.started is None:
            return ""
        epochs = int(self._history.started.config["epochs"])
        return f", in epoch {min(epochs, int(self._history.epochs_at(step)) + 1)} of {epochs}"

    # Who is ahead

    def _scores(self, validation: Mapping[str, e.Metrics]) -> str:
        """Say each arm's accuracy, and who is ahead."""
        labels, diverged = self._history.labels, self._history.diverged
        parts: list[str] = []
        for name, metrics in validation.items():
            verb = "" if parts else " has"
            unit = "" if parts else " percent validation accuracy"
            gone = ", which has diverged," if diverged.get(name) else ""
            parts.append(f"{labels.get(name, name)}{gone}{verb} {_percent(metrics.accuracy)}{unit}")
        return spoken(f"{', '.join(parts)}; {self._lead(validation)}")

    def _lead(self, validation: Mapping[str, e.Metrics]) -> str:
        """Say who is ahead, and remember it."""
        first, other = _ahead(validation)
        before, self._leader = self._leader, first
        if not first:
            return "no arm is ahead"
        labels = self._history.labels
        name, behind = labels.get(first, first), labels.get(other, other)
        points = _points(validation, first, other)
        far = f"{_number(points)} {'point' if _number(points) == '1' else 'points'}"
        by = f"by {far if points >= 0.05 else 'less than 0.1 points'}"
        if before and before != first:
            return f"{name} takes the lead from {labels.get(before, before)}, {by}"
        return f"{name} is ahead {by}" if len(validation) == 2 else f"{name} is ahead of {behind} {by}"

    def _last_leader(self) -> str | None:
        epochs = self._history.epochs
        return _ahead(epochs[-1].validation)[0] if epochs else None

    # What a person does

    def _intervened(self, event: e.Intervened) -> list[str]:
        at = f"At step {event.step:,}"
        match event.action:
            case "pause":
                return [f"The run is paused after step {event.step:,}."]
            case "resume":
                return ["The run goes on."]
            case "step":
                return [f"One step is taken, step {event.step + 1:,}."]
            case "export":
                where = "where they belong" if event.after is None else one_line(str(event.after))
                return [f"{at} the results so far are written to {where}."]
            case "stop" | "restart":
                # What follows of it is told at once.
                return []
        return [spoken(f"{at} {self._changed(event)}.")]

    def _changed(self, event: e.Intervened) -> str:
        """Say what an intervention changed."""
        history, action = self._history, event.action
        before, after = (value_word(action, value) for value in (event.before, event.after))
        match action:
            case "freeze":
                return "the running statistics were frozen" if event.after else "the running statistics move again"
            case "bn_eval":
                return f"evaluation changed from {before} statistics to {after} ones"
            case "shift":
                return f"the validation images' shift went from {before} to {after}".replace(":", " ")
            case "precise_bn":
                return "the running statistics were estimated anew"
            case "restart_arm":
                return f"{history.labels.get(str(event.after), event.after)} was put back to where it began"
        if isinstance(event.after, bool):
            return f"{setting_word(history, action)} was switched {after}"
        word = setting_word(history, action) if action in INTERVENTIONS else action.replace("_", " ")
        return f"the {word} went from {before} to {after}"

    def _change_of(self, action: str) -> str:
        """Name the intervention that is taken back."""
        named = {"freeze": "to the running statistics", "bn_eval": "to the statistics of evaluation",
                 "shift": "to the validation images", "precise_bn": "to the running statistics",
                 "restart_arm": "to an arm"}  # fmt: skip
        known = action in INTERVENTIONS
        word = setting_word(self._history, action) if known else action.replace("_", " ")
        if known and isinstance(INTERVENTIONS[action].default, bool):
            return named.get(action, f"to {word}")
        return named.get(action, f"to the {word}")


def spoken(text: str) -> str:
    """Return a text as a person says it: one line without symbols, numbers without powers of ten where they can be."""
    text = re.sub(r"\s?%", " percent", one_line(text).translate(_SYMBOLS))
    text = re.sub(r"\b-?inf\b", "infinity", re.sub(r"\bnan\b", "no number", _SCIENTIFIC.sub(_written_out, text)))
    return re.sub(r"\s+([,.;:])", r"\1", " ".join(to_ascii(text).split()))


def _written_out(found: re.Match[str]) -> str:
    value, power = float(found[0]), int(found[2])
    if -7 <= power < 0:
        return f"{value:.9f}".rstrip("0")
    if 0 <= power <= 12:
        return f"{value:,.0f}"
    return f"{float(found[1]):g} times 10 to the {'minus ' if power < 0 else ''}{abs(power)}"


def _sentences(*texts: str) -> list[str]:
    """Return texts that are not empty as whole sentences."""
    return [f"{text[0].upper()}{text[1:].rstrip('.')}." for text in map(spoken, texts) if text]


def _listed(words: Sequence[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]])


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    """Write a number with a decimal, if it has one that counts."""
    return f"{value:.1f}".removesuffix(".0")


def _percent(share: float) -> str:
    return _number(100 * share) if math.isfinite(share) else "no number of"


def _ahead(validation: Mapping[str, e.Metrics]) -> tuple[str, str]:
    """Return the arm that is ahead and the next one; nothing in the place of a leader where two are equal."""
    ranked = sorted(validation, key=lambda name: -_sure(validation[name].accuracy))
    if len(ranked) < 2 or validation[ranked[0]].accuracy == validation[ranked[1]].accuracy:
        return "", ranked[1] if len(ranked) > 1 else ""
    return ranked[0], ranked[1]


def _points(validation: Mapping[str, e.Metrics], first: str, other: str) -> float:
    """Return how far an arm is ahead, in points of accuracy."""
    if not first:
        return 0.0
    return 100 * (_sure(validation[first].accuracy) - _sure(validation[other].accuracy))


def _sure(accuracy: float) -> float:
    """Return an accuracy that can be compared."""
    return accuracy if math.isfinite(accuracy) else -1.0
