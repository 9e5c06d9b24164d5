"""The lines above and below the views: what runs and how far it is, how it is set, and which arm is ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from bntui.config.interventions import SETTINGS, Intervention, initial
from bntui.messages.history import ENDED, History
from bntui.messages.names import setting_word, value_word
from bntui.tui.keys import Key
from bntui.tui.terminal.machine import Usage
from bntui.tui.theme import Look
from bntui.tui.views.score import accuracy_word, lead_word, leader_of, newest_evaluation, samples_of


def duration(seconds: float) -> str:
    """Write seconds as 1:02 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def header(history: History, look: Look, width: int, rate: float) -> Text:
    """One line: data, device and seed at the left, progress at the right."""
    started = history.started
    if started is None:
        loading = history.loading
        what = "starting" if loading is None else loading.what
        share = f"  {100 * loading.done / loading.total:.0f} %" if loading is not None and loading.total else ""
        return Text(f" bntui  {what}{share}", style="bold", no_wrap=True, overflow="crop")
    data = started.dataset
    parts = [
        f"{data['name']} {data['train_samples']:,}/{data['validation_samples']:,}",
        _device(started.environment),
        f"seed {started.config['seed']}",
    ]
    done = min(1.0, history.step / max(1, history.total_steps))
    epochs = started.config["epochs"]
    epoch = min(epochs, int(history.epochs_at(history.step)) + 1)
    left_over = history.total_steps - history.step
    eta = f"  eta {duration(left_over / rate)}" if rate and history.status == "running" else ""
    samples = f"{rate * int(history.settings['batch_size']):>9,.0f} samples/s" if rate else ""
    right = Text(f"epoch {epoch}/{epochs}  step {history.step:,} ")
    # What fits: the speed goes first, then the remaining time, then the bar; the name of the data stays.
    for extra in (f"{eta} {samples}", eta, ""):
        cells = min(20, width - len(_title(parts, look)) - len(right) - len(extra) - 9)
        if cells >= 0:
            break
    full, rest = ("=", "-") if look.ascii_only else ("━", "─")
    filled = round(done * max(0, cells))
    right.append(full * filled, style=look.colours[0])
    right.append(rest * (max(0, cells) - filled), style="dim")
    right.append(f" {100 * done:3.0f} %{extra} ")
    while parts and len(_title(parts, look)) + len(right) >= width:
        parts.pop()
    left = _title(parts, look)
    return Text.assemble(left, " " * max(1, width - len(left) - len(right)), right, no_wrap=True, overflow="crop")


def _title(parts: Sequence[str], look: Look) -> Text:
    return Text(" bntui  ", style="bold").append(look.text(" · ").join(parts), style="not bold")


def _device(environment: dict[str, object]) -> str:
    """Return the device, with its name where it is a GPU's: a CPU's is long and says little."""
    device, name = str(environment["device"]), str(environment.get("device_name", ""))
    return f"{device} {name.removeprefix('NVIDIA ')}".strip() if device.startswith("cuda") else device


def state(
    history: History, look: Look, waiting: str, width: int, usage: Usage | None = None, ways: Sequence[str] = ()
) -> Text:
    """One line: whether it runs, the settings, each arm's validation accuracy, who is ahead; shorter if narrow.

    What is cut first are the settings that are as usual, then what the run takes of the machine, then the words of who
    is ahead, the other settings and the arms' labels. The accuracies are cut last.

    Parameters
    ----------
    history, look
        What is told of, and how.
    waiting
        What stands in the place of how the run stands, for a moment.
    width
        Cells.
    usage
        What the run takes of the machine.
    ways
        What a person can do once the run has ended, the most important first, such as `r run again`.
    """
    used = "" if usage is None else _usage(usage)
    beginnings = _beginnings(history, look, waiting, ways)
    settings = {detail: _settings(history, detail) for detail in (_ALL, _NEEDED, _CHANGED, _NONE)}
    scores: dict[_Form, Text] = {}
    fits: Text | None = None
    for begin, detail, with_usage, form in _forms(history, beginnings, bool(used)):
        line = Text(f" {begin}", "bold" if begin.strip() != "running" else "", no_wrap=True, overflow="crop", end="")
        if form not in scores:
            scores[form] = _score(history, look, form)
        line.append_text(settings[detail]).append_text(scores[form])
        line.rstrip()
        if len(line) + (len(used) + 3 if with_usage else 0) <= width:
            if with_usage:
                line.append(f"{used:>{width - len(line) - 1}}", style="dim")
            return line
        fits = line
    assert fits is not None
    return fits


AT_THE_END = ("restart", "more-epochs", "quit")
"""Names of the keys that are told of on the state line once a run has ended, the most important first."""


def ways_on(table: Sequence[Key], allowed: Callable[[Key], bool]) -> list[str]:
    """Return what a person can do once a run has ended, such as `r run again`."""
    keys = {key.name: key for key in table if key.keys and allowed(key)}
    return [f"{keys[name].keys[0]} {keys[name].word}" for name in AT_THE_END if name in keys]


def _beginnings(history: History, look: Look, waiting: str, ways: Sequence[str]) -> list[str]:
    """Return how the run stands, or what is said of a key, in all lengths; the longest first."""
    if waiting:
        return [f"{waiting:<10}  "]
    status = history.status
    if history.evaluating is not None and status == "running" and history.evaluating.done:
        share = 100 * history.evaluating.done / max(1, history.evaluating.total)
        return [f"evaluating {share:.0f} %  ", f"eval {share:.0f} % "]
    if status in ENDED and ways:
        said = [look.text(" · ".join([status, *ways[:count]])) + "   " for count in range(len(ways), 0, -1)]
        return [*said, f"{status}  ", f"{status} "]
    return [f"{status:<10} ", f"{status} "]


@dataclass(frozen=True, slots=True)
class _Form:
    """How the accuracies are written."""

    labels: bool = True
    lead: str = "long"
    """Who is ahead: `long`, `short`, `glyph` or nothing."""
    decimals: int = 0
    """Of the accuracies; 0 for as many as they are good for."""
    gap: int = 2


_FORMS = (
    _Form(), _Form(lead="short"), _Form(gap=1, lead="short"), _Form(labels=False), _Form(labels=False, lead="short"),
    _Form(labels=False, lead="glyph"), _Form(labels=False, lead="glyph", decimals=3, gap=1),
    _Form(labels=False, lead="", decimals=3, gap=1), _Form(labels=False, lead="glyph", decimals=2, gap=1),
    _Form(labels=False, lead="", decimals=2, gap=1),
)  # fmt: skip
"""Those that tell most first."""
_ALL, _NEEDED, _CHANGED, _NONE = 3, 2, 1, 0
"""Which settings are told of: all that are always shown, the learning rate and what is not as usual, or that alone."""


def _forms(history: History, beginnings: Sequence[str], usage: bool) -> Iterator[tuple[str, int, bool, _Form]]:
    """Yield beginning, settings, whether with the usage, and accuracies: what tells most first."""
    first, last = beginnings[0], beginnings[-1]
    for detail in (_ALL, _NEEDED):
        if usage:
            yield first, detail, True, _FORMS[0]
    for form in _FORMS[:3]:
        yield first, _ALL, False, form
        yield first, _NEEDED, False, form
    for begin in beginnings:
        for form in _FORMS[:2]:
            yield begin, _CHANGED, False, form
    for form in _FORMS[3:6]:
        for detail in (_ALL, _NEEDED, _CHANGED):
            yield last, detail, False, form
    for form in _FORMS[2:]:
        yield last, _CHANGED, False, form
        yield last, _NONE, False, form


def _settings(history: History, detail: int) -> Text:
    """Write the settings that are always shown, as far as they act on any arm, and those that are not as usual."""
    text = Text()
    if history.started is None or not detail:
        return text
    for row in SETTINGS.values():
        value = history.settings[row.name]
        if row.state_word or not _acts(row, history):
            continue
        if isinstance(value, bool):
            if detail == _ALL or value != row.default:
                cells = max(map(len, row.states)) if detail == _ALL else 0
                style = "bold" if value != row.default else ""
                text.append(f"{setting_word(history, row.name)} {value_word(row.name, value):<{cells}}  ", style)
        elif detail >= _NEEDED:
            text.append(f"{row.key_name} {value_word(row.name, value)}  ")
    changed = " ".join(_unusual(history))
    return text.append(f"{changed}  " if changed else "", style="bold")


def _acts(row: Intervention, history: History) -> bool:
    """Return whether any arm has what an intervention acts on."""
    norms = [arm.norm for arm in history.arms if arm.normalized]
    return {"norms": bool(norms), "batch_norms": any(norm.startswith("batch") for norm in norms)}.get(row.acts_on, True)


def _score(history: History, look: Look, form: _Form) -> Text:
    """Write each arm's accuracy in the newest evaluation, and which one is ahead."""
    text, row = Text(), newest_evaluation(history)
    if row is None:
        return text
    samples = samples_of(history, row)
    for arm, (glyph, colour) in look.of(history.arms).items():
        text.append(
            f"{glyph} {history.labels[arm]} " if form.labels else f"{glyph} " if form.gap > 1 else glyph, colour
        )
        value = accuracy_word(row.validation[arm].accuracy, samples, form.decimals)
        text.append(value, style="bold").append(" " * form.gap)
    leader, points = leader_of(row.validation)
    if form.lead == "long":
        text.append(lead_word(history, row.validation))
    elif leader and form.lead:
        name = history.labels[leader] if form.lead == "short" else look.of(history.arms)[leader][0]
        text.append(f"{name} +{points:.1f}")
    return text


def _unusual(history: History) -> list[str]:
    """Say which settings, beside those that are always shown, are not at their defaults or were changed."""
    before = initial(history.started.config if history.started else {})
    parts = []
    for row in SETTINGS.values():
        now = history.settings[row.name]
        if row.state_word and (now != before[row.name] or now != row.default):
            value = "" if now is True else f" {value_word(row.name, now)}"
            parts.append(f"{row.state_word}{value}")
    return parts


def _usage(usage: Usage) -> str:
    """Write what a run takes of the machine, leaving out what is not known."""
    parts = [f"cpu {usage.cpu:3.0f} %  {usage.memory / 2**20:,.0f} MiB"]
    if usage.gpu is not None:
        parts.append(f"gpu {usage.gpu:3.0f} %")
    if usage.gpu_memory is not None and usage.gpu_memory_total:
        parts.append(f"{usage.gpu_memory / 2**30:.1f}/{usage.gpu_memory_total / 2**30:.0f} GiB")
    return "  ".join(parts)


def tiny(history: History, look: Look, width: int, height: int) -> list[str]:
    """All there is room for on a tiny terminal: one line, or if that is narrow a few."""
    row = newest_evaluation(history)
    parts = [f"{history.status} {'' if row else 'step '}{history.step:,}"]
    if row is not None:
        samples = samples_of(history, row)
        entries = [
            (glyph, history.labels[arm], accuracy_word(row.validation[arm].accuracy, samples))
            for arm, (glyph, _) in look.of(history.arms).items()
        ]
        parts += [f"{glyph} {label} {value}" for glyph, label, value in entries]
        if _lines(parts, width, height + 1)[height:] or any(len(part) > width for part in parts):
            parts[1:] = [f"{glyph} {value}" for glyph, _, value in entries]
    return _lines(parts, width, height)


def _lines(parts: Sequence[str], width: int, height: int) -> list[str]:
    """Put parts one behind the other on lines, of which the last one takes what is left."""
    lines = list(parts[:1])
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= width or len(lines) >= height:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines
