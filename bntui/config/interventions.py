"""THE table of interventions: what can be changed while a run goes on.

Keys, prompts, `--intervene`, the replay, checkpoints, the state line and the validation of journals read it. A new
intervention is a row here and, if it acts on something new, a part of `Steered`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from bntui.config import parsers

Scalar: TypeAlias = float | int | str | bool


class Steered(Protocol):
    """What interventions act on: a run between two steps."""

    @property
    def norms(self) -> Sequence[Any]:
        """The normalizations of the first arm that has any; each has `noise`."""

    @property
    def batch_norms(self) -> Sequence[Any]:
        """The batch norms of all arms; each has `frozen`."""

    @property
    def dropouts(self) -> Sequence[Any]:
        """The dropouts of all arms; each has `p`."""

    def set_learning_rate(self, value: float) -> None:
        """Train on with another learning rate."""

    def set_batch_size(self, value: int) -> None:
        """Train on with batches of another size."""

    def switch_norms(self, on: bool) -> None:
        """Switch `norms` on or off."""

    def set_running_statistics(self) -> None:
        """Put the running statistics at what many training samples have."""

    def restart_arm(self, name: str) -> None:
        """Put one arm back to where it began."""


Apply: TypeAlias = Callable[[Steered, Any], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Intervention:
    """Something that a person, or a schedule, can do to a run."""

    name: str
    """In `--intervene`, events, results and checkpoints."""
    parse: parsers.Parse
    """From text to the value. Raises ValueError with what it would have taken."""
    default: Scalar | None = None
    """Where the setting begins, if no option says so; None for what is done once and has no state."""
    option: str = ""
    """Field of RunConfig that says where the setting begins."""
    acts_on: str = ""
    """Part of `Steered` without which it has no effect."""
    apply: Apply | None = None
    """Has a value take effect. None for what the next evaluation reads."""
    key: str = ""
    """On the keyboard."""
    key_name: str = ""
    """By which a configuration file binds it to another key."""
    hint: str = ""
    """What the key does, in a word."""
    hinted: bool = False
    """Whether the line of hints shows it, as far as there is room."""
    help: str = ""
    """What the key does, in a line."""
    prompt: str = ""
    """What is asked for a value that is typed; nothing for a switch, and for what takes no value."""
    choices: tuple[tuple[str, str], ...] = ()
    """Values to choose from in a list, and what each means; another value can still be typed, if `open_ended`."""
    open_ended: bool = False
    marker: str = ""
    """Letter that marks it on the charts."""
    word: str = ""
    """What it is called; `{norm}` stands for the normalization that is switched."""
    states: tuple[str, str] = ("off", "on")
    """What the values of a switch are called."""
    done: str = ""
    """What is told of it once it was done, where that is not a change of a value; `{arm}` is the label of an arm."""
    state_word: str = ""
    """What it is called on the state line where its value is not the usual one; nothing if it stands there always."""

    @property
    def is_setting(self) -> bool:
        """Whether it has a state: a value that stays until it is changed."""
        return self.default is not None

    def written(self, value: object) -> str:
        """Return a value as a person writes it, such as `off` or `0.015`."""
        return written(value, self.states)


def written(value: object, states: tuple[str, str] = ("off", "on")) -> str:
    """Return a value as a person writes it; `states` are those of a switch."""
    if isinstance(value, bool):
        return states[value]
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= value < 1e6 else f"{value:.3g}"
    return str(value)


def _set(part: str, attribute: str) -> Apply:
    """Return what sets an attribute of every module of a part."""

    def apply(run: Steered, value: Any) -> None:
        for module in getattr(run, part):
            setattr(module, attribute, value)

    return apply


_ROWS = (
    Intervention(
        name="learning_rate", parse=parsers.learning_rate, default=0.01, option="lr",
        apply=lambda run, value: run.set_learning_rate(value),
        key="l", key_name="lr", hint="lr…", hinted=True, help="type a learning rate",
        prompt="Learning rate", marker="l", word="learning rate",
    ),
    Intervention(
        name="bn", parse=parsers.on_off, default=True, acts_on="norms",
        apply=lambda run, value: run.switch_norms(value),
        key="b", key_name="bn", hint="BN", hinted=True, help="switch the normalization of the first arm that has one",
        marker="b", word="{norm}",
    ),
    Intervention(
        name="freeze", parse=parsers.on_off, default=False, acts_on="batch_norms",
        apply=_set("batch_norms", "frozen"),
        key="f", key_name="freeze", hint="freeze", hinted=True, help="freeze the BN statistics, or let them move again",
        marker="f", word="statistics", states=("live", "frozen"),
    ),
    Intervention(
        name="batch_size", parse=parsers.batch_size, default=32, option="batch_size",
        apply=lambda run, value: run.set_batch_size(value),
        key="n", key_name="batch-size", hint="batch…", help="type a batch size",
        prompt="Batch size, from 2", marker="n", word="batch size", state_word="batch",
    ),
    Intervention(
        name="dropout", parse=parsers.share, default=0.0, option="dropout", apply=_set("dropouts", "p"),
        key="d", key_name="dropout", hint="dropout…", help="type a dropout",
        prompt="Dropout: share of the units, from 0 up to, not including, 1",
        marker="d", word="dropout", state_word="dropout",
    ),
    Intervention(
        name="bn_noise", parse=parsers.noise, default=0.0, option="bn_noise", acts_on="norms",
        apply=_set("norms", "noise"),
        key="o", key_name="noise", hint="noise…", help="type how much noise follows the normalization",
        prompt="Noise after the normalization: 0 is none, 0.5 is Santurkar's",
        marker="o", word="noise", state_word="noise",
    ),
    Intervention(
        name="bn_eval", parse=parsers.bn_eval, default="running", option="bn_eval", acts_on="batch_norms",
        key="e", key_name="eval", hint="eval…", help="choose by which statistics BN is evaluated",
        prompt="Evaluate BN by which statistics?",
        choices=(
            ("running", "the running statistics, as eval() does"),
            ("batch", "each batch's own, as if eval() were forgotten"),
            ("single", "each sample's own: eval() forgotten, one at a time"),
            ("precise", "estimated anew over 10,000 training samples: PreciseBN"),
        ),
        marker="e", word="evaluated by", state_word="eval by",
    ),
    Intervention(
        name="shift", parse=parsers.shift_text, default="none", option="shift",
        key="v", key_name="shift", hint="shift…", help="choose how the validation images are changed",
        prompt="Change the validation images how?",
        choices=(
            ("none", "as they are"),
            ("rotation:30", "turned by 30 degrees"),
            ("brightness:0.5", "brighter by half of the range"),
            ("contrast:-0.7", "with 30 % of their contrast"),
            ("noise:0.5", "with noise"),
            ("inversion:1", "black and white exchanged"),
        ),
        open_ended=True,
        marker="v", word="shift", state_word="shift",
    ),
    Intervention(
        name="adapt_bn", parse=parsers.on_off, default=False, option="adapt_bn", acts_on="batch_norms",
        key="a", key_name="adapt", hint="AdaBN", help="BN re-estimated on the validation set: AdaBN",
        marker="a", word="AdaBN", state_word="AdaBN",
    ),
    Intervention(
        name="precise_bn", parse=parsers.nothing, acts_on="batch_norms",
        apply=lambda run, _: run.set_running_statistics(),
        key="w", key_name="precise", hint="precise", help="re-estimate BN's running statistics now: PreciseBN",
        marker="w", word="precise BN", done="precise BN",
    ),
    Intervention(
        name="restart_arm", parse=parsers.arm_name, apply=lambda run, value: run.restart_arm(value),
        marker="r", word="restart", done="restarted {arm}",
    ),
)  # fmt: skip

INTERVENTIONS: dict[str, Intervention] = {row.name: row for row in _ROWS}
"""Every row by its name. All of them change the numbers of a run."""

SETTINGS: dict[str, Intervention] = {row.name: row for row in _ROWS if row.is_setting}
"""The rows that have a state."""

Planned: TypeAlias = tuple[int, str, Scalar | None]
"""After how many steps which intervention, and its value; None for one that takes none."""


def initial(config: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return every setting as it is at the first step of a configuration, given by the names of its options."""
    return {name: config.get(row.option, row.default) for name, row in SETTINGS.items()}


def parse(name: str, value: object) -> Scalar | None:
    """Return the value of an intervention, given as text or as it was recorded.

    Raises
    ------
    ValueError
        There is no such intervention, or it takes no such value; the text ends a sentence that begins with the name.
    """
    if name not in INTERVENTIONS:
        raise ValueError(f"one of {', '.join(INTERVENTIONS)}")
    parsed: Scalar | None = INTERVENTIONS[name].parse("" if value is None else str(value))
    return parsed


def parse_recorded(name: str, value: object) -> Scalar | None:
    """Return the value of an intervention as a run recorded it: it has the type of what it takes.

    Raises
    ------
    ValueError
        As for `parse`, and for a value of another type.
    """
    found = parse(name, value)
    if found is not None and any(isinstance(value, kind) != isinstance(found, kind) for kind in (str, bool)):
        raise ValueError("a value of its own type")
    return found


def parse_schedule(text: str) -> tuple[Planned, ...]:
    """Return what the text of `--intervene` says. Raises ValueError."""
    planned = []
    for part in text.split(",") if text else []:
        step, colon, what = part.partition(":")
        name, _, value = what.partition("=")
        if not colon:
            raise ValueError("STEP:ACTION=VALUE, such as 1000:dropout=0.5")
        at = parsers.integer(0, 10**12)(step)
        try:
            planned.append((int(at), name, parse(name, value)))
        except ValueError as error:
            takes = f"for {name} {error}" if name in INTERVENTIONS else f"as ACTION {error}"
            raise ValueError(takes) from None
    return tuple(planned)


def schedule_text(text: str) -> str:
    """Check the text of `--intervene`, and return it as it is. Raises ValueError."""
    parse_schedule(text)
    return text
