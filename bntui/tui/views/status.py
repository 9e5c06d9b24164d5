"""The lines above and below the views: what runs and how far it is, how it is set, and which arm is ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.text import Text

from bntui.config.interventions import SETTINGS, Intervention, initial
from bntui.messages.arms import first_normalized
from bntui.messages.history import History
from bntui.tui.plot.axes import short_number
from bntui.tui.terminal.machine import Usage
from bntui.tui.theme import Look
from bntui.tui.views.words import initials, layer_word, setting_word, short_labels, value_word


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


def state(history: History, look: Look, waiting: str, width: int, usage: Usage | None = None) -> Text:
    """One line: whether it runs, the settings, each arm's validation accuracy, who is ahead; shorter if narrow.

    The accuracies are what is cut last.
    """
    said = waiting or history.status
    status = Text(f" {said:<10} " + " " * (len(said) > 10), no_wrap=True, overflow="crop")
    status.stylize("bold" if said != "running" else "")
    settings = [_settings(history, detail) for detail in range(_detail(width), -1, -1)]
    lines = (status + left + right for left, right in _forms(settings, _scores(history, look, width)))
    text = next((line for line in lines if len(line) <= width), None) or status + _scores(history, look, width)[-1]
    used = "" if usage is None else _usage(usage)
    if used and len(text) + len(used) + 2 <= width:
        text.append(" " * (width - len(text) - len(used) - 1))
        text.append(used, style="dim")
    return text


def _detail(width: int) -> int:
    """Return how much is told of the settings in so many cells: from 0, nothing, to 4."""
    return next((detail for detail, least in ((4, 105), (3, 60), (2, 50)) if width >= least), 1)


def _settings(history: History, detail: int) -> Text:
    """Write the settings that are always shown, as far as they act on any arm, and those that are not as usual."""
    text = Text()
    if history.started is None or not detail:
        return text
    first = True
    for row in SETTINGS.values():
        value = history.settings[row.name]
        if row.state_word or not _acts(row, history):
            continue
        if isinstance(value, bool):
            word, state = setting_word(history, row.name), value_word(row.name, value)
            if detail >= 3 or first:
                text.append(f"{word} {state:<{max(map(len, row.states))}} " + " " * (detail == 4))
            elif value != row.default:
                text.append(f"{state} ")
            first = False
        elif detail >= 2:
            text.append(f"{row.key_name} {value_word(row.name, value):<{7 if detail == 4 else 0}} ")
    changed = " ".join(_unusual(history))
    return text.append(f"{changed}  " if changed else "", style="bold")


def _acts(row: Intervention, history: History) -> bool:
    """Return whether any arm has what an intervention acts on."""
    norms = [arm.norm for arm in history.arms if arm.normalized]
    return {"norms": bool(norms), "batch_norms": any(norm.startswith("batch") for norm in norms)}.get(row.acts_on, True)


def _forms(settings: Sequence[Text], scores: Sequence[Text]) -> Iterator[tuple[Text, Text]]:
    """Yield settings and accuracies in all lengths, those that tell most first."""
    long, short = scores[:3], scores[3:]
    yield from ((settings[0], score) for score in long)
    # Where it is told of the arms as briefly as that, the settings give way.
    yield from ((setting, score) for score in short for setting in settings)


def _scores(history: History, look: Look, width: int) -> list[Text]:
    """Write each arm's validation accuracy, and which one is ahead, in all lengths there are, the longest first."""
    if not history.epochs:
        return [Text()] * 4
    last = history.epochs[-1].validation
    labels, short = short_labels(history.arms), initials(history.arms)
    gap = "  " if width >= 105 else " "

    def each(form: str, names: Mapping[str, str], number: Callable[[float], str] = "{:.4f}".format) -> Text:
        text = Text()
        for arm, (glyph, colour) in look.of(history.arms).items():
            text.append(form.format(glyph=glyph, name=names[arm]), style=colour)
            text.append(f"{number(last[arm].accuracy)}{gap}", style="bold")
        return text

    def alone(text: Text) -> Text:
        text.rstrip()
        return text

    if len(last) == 2:
        lead, form = _lead_of_two(history), "{name} "
        return [
            each(form, labels).append(lead), each(form, short).append(lead), alone(each(form, labels)),
            alone(each(form, short)), alone(each(form, short, short_number)),
        ]  # fmt: skip
    leader, other = sorted(last, key=lambda arm: -last[arm].accuracy)[:2]
    points = 100 * (last[leader].accuracy - last[other].accuracy)
    lead, brief = f"{short[leader]} ahead by {points:.1f} points", f"{short[leader]} +{points:.1f}"
    if not points:
        lead = brief = "no leader"
    # Which glyph is whose is told here alone where the charts have no room for it.
    form = "{glyph} {name} "
    long = [each(form, labels).append(lead), each(form, short).append(lead), each(form, short).append(brief)]
    gap = " "
    best = Text().append(f"{look.of(history.arms)[leader][0]} {short[leader]} ", look.of(history.arms)[leader][1])
    best.append(f"{last[leader].accuracy:.4f}", style="bold").append(f" ahead by {points:.1f}")
    return [
        *long, each(form, short, short_number).append(brief), each("{glyph} ", short, short_number).append(brief),
        alone(each("{glyph}", short, short_number)), best,
    ]  # fmt: skip


def _lead_of_two(history: History) -> str:
    """Say how far the arm whose normalization can be switched is ahead, or behind."""
    last, first = history.epochs[-1].validation, first_normalized(history.arms) or history.arms[0]
    other = next(arm for arm in history.arms if arm is not first)
    points = 100 * (last[first.name].accuracy - last[other.name].accuracy)
    if not points:
        return "no leader"
    return f"{layer_word(history, first.name)} {'ahead' if points >= 0 else 'behind'} by {abs(points):.1f} points"


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


def tiny(history: History, width: int, height: int) -> list[str]:
    """All there is room for on a tiny terminal: one line, or if that is narrow a few."""
    parts = [f"{history.status} {'' if history.epochs else 'step '}{history.step:,}"]
    if history.epochs:
        last, short = history.epochs[-1].validation, initials(history.arms)
        parts += [f"{short[arm]} {last[arm].accuracy:.4f}" for arm in last]
    lines = parts[:1]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= width or len(lines) >= height:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines
