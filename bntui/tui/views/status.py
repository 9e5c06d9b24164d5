"""The text around the charts: what runs and how far it is, which arm is ahead, and which keys there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual import events

from bntui.config.interventions import NUMERIC_ACTIONS, initial
from bntui.run.arms import ARMS, norm_names
from bntui.run.history import History
from bntui.tui.keys import Key, spell
from bntui.tui.terminal.machine import Usage
from bntui.tui.theme import Look
from bntui.tui.widgets.picture import Picture
from bntui.tui.views.words import norm_word, told


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
    """One line: whether it runs, the switches, both arms' validation accuracy, who is ahead; shorter if narrow."""
    settings = history.settings
    wide = width >= 105
    text = Text(" ", no_wrap=True, overflow="crop")
    said = waiting or history.status
    text.append(f"{said:<10} " + " " * (len(said) > 10), style="bold" if said != "running" else "")
    if history.started is not None:
        text.append(f"lr {history.lr:<7.4g} " if wide else f"lr {history.lr:.4g} " if width >= 50 else "")
        text.append(f"{norm_word(history)} {'on ' if settings['bn'] else 'off'} " + " " * wide)
        frozen = bool(settings["freeze"])
        norms = " ".join(norm_names(history.started.config).values())
        statistics = "frozen" if frozen else "live  " if wide else "live"
        if "batch" in norms:
            text.append(f"statistics {statistics}  " if width >= 60 else "frozen " if frozen else "")
        changed = " ".join(_unusual(history))
        text.append(f"{changed}  " if changed else "", style="bold")
    if history.epochs:
        last = history.epochs[-1].validation
        points = 100 * (last.bn.accuracy - last.plain.accuracy)
        labels = history.labels
        names = list(labels.values())
        if names == ["With BN", "Without BN"]:
            names = ["With BN", "Without"] if width >= 70 else ["BN", "w/o"]
        for label, metrics, colour in zip(names, (last.bn, last.plain), look.colours, strict=True):
            text.append(f"{label} ", style=colour)
            text.append(f"{metrics.accuracy:.4f}  " if wide else f"{metrics.accuracy:.4f} ", style="bold")
        lead = f"{norm_word(history)} {'ahead' if points >= 0 else 'behind'} by {abs(points):.1f} points"
        if wide and len(text) + len(lead) <= width:
            text.append(lead)
    used = "" if usage is None else _usage(usage)
    if used and len(text) + len(used) + 2 <= width:
        text.append(" " * (width - len(text) - len(used) - 1))
        text.append(used, style="dim")
    return text


_UNUSUAL = {"batch_size": "batch", "dropout": "dropout", "bn_noise": "noise", "bn_eval": "eval by", "shift": "shift"}


def _unusual(history: History) -> list[str]:
    """Say which settings, beside those that are always shown, are not at their defaults or were changed."""
    started, plain = history.started, initial({})
    before = initial(started.config) if started else plain
    parts = []
    for name, word in _UNUSUAL.items():
        now = history.settings[name]
        if now != before[name] or (now != plain[name] and name != "batch_size"):
            parts.append(f"{word} {now:g}" if isinstance(now, float) else f"{word} {now}")
    return [*parts, "AdaBN"] if history.settings["adapt_bn"] else parts


def _usage(usage: Usage) -> str:
    """Write what a run takes of the machine, leaving out what is not known."""
    parts = [f"cpu {usage.cpu:3.0f} %  {usage.memory / 2**20:,.0f} MiB"]
    if usage.gpu is not None:
        parts.append(f"gpu {usage.gpu:3.0f} %")
    if usage.gpu_memory is not None and usage.gpu_memory_total:
        parts.append(f"{usage.gpu_memory / 2**30:.1f}/{usage.gpu_memory_total / 2**30:.0f} GiB")
    return "  ".join(parts)


def one_line(history: History) -> str:
    """All there is room for on a tiny terminal."""
    if not history.epochs:
        return f"{history.status} step {history.step:,}"
    last = history.epochs[-1].validation
    return f"{history.status} {history.step:,} bn {last.bn.accuracy:.4f} plain {last.plain.accuracy:.4f}"


def summary(history: History, look: Look, width: int) -> Text:
    """Both arms' accuracy, which is ahead, and how much earlier it was where the other one got to."""
    if not history.epochs or width < 44:
        return Text("")
    last = history.epochs[-1]
    text = Text().append(f"{'accuracy, epoch ' + str(last.epoch):<19}{'train':>8}{'validation':>12}  best\n", "dim")
    for arm, glyph, colour in zip(ARMS, look.glyphs, look.colours, strict=True):
        best = history.best.get(arm)
        text.append(f"{glyph} {history.labels[arm]:<17}", style=colour)
        numbers = f"{getattr(last.train, arm).accuracy:>8.4f}{getattr(last.validation, arm).accuracy:>12.4f}"
        text.append(numbers, style="bold")
        text.append(f"  {best.validation_accuracy:.4f} at epoch {best.epoch}\n" if best else "\n")
    text.append(_lead(history))
    return text


def _lead(history: History) -> str:
    """Say how much earlier the arm that leads was as good as the other one ever got, if it was."""
    best = history.best
    if len(best) < 2 or best["bn"].validation_accuracy == best["plain"].validation_accuracy:
        return ""
    leader, other = sorted(ARMS, key=lambda arm: -best[arm].validation_accuracy)
    goal = best[other]
    for row in history.epochs:
        if row.epoch < goal.epoch and getattr(row.validation, leader).accuracy >= goal.validation_accuracy:
            return (
                f"reached {goal.validation_accuracy:.4f}: {history.labels[leader]} at epoch {row.epoch}, "
                f"{history.labels[other]} at epoch {goal.epoch}"
            )
    return ""


def latest(history: History, look: Look, height: int) -> Text:
    """Write the newest interventions that change the numbers, and alerts, as many as there are lines."""
    rows = [(i.step, told(history, i)) for i in history.interventions[-100:] if i.action in NUMERIC_ACTIONS]
    rows += [(alert.step, alert.message) for alert in history.alerts[-height:]]
    text = Text(no_wrap=True, overflow="crop")
    for step, what in sorted(rows, key=lambda row: row[0])[-height:]:
        text.append(f"step {step:>9,}  ", style="dim").append(f"{look.text(what)}\n")
    return text


class Hints(Picture):
    """The line of keys, as many as fit; a click does what the key does."""

    def __init__(self) -> None:
        super().__init__(id="hints")
        self._places: list[tuple[int, int, str]] = []

    def show_keys(self, table: Sequence[Key], allowed: Callable[[Key], bool], look: Look, width: int) -> None:
        """Show the keys of a table; help and quit come last and always."""
        shown = [key for key in table if key.hint and key.keys and allowed(key)]
        words = {key.name: f" {spell(key, look.ascii_only).split()[0]} {look.text(key.word)} " for key in shown}
        room = width - sum(len(words.get(name, "")) for name in ("help", "quit"))
        text = Text(no_wrap=True, overflow="crop")
        self._places = []
        for key in shown:
            if key.name not in ("help", "quit"):
                room -= len(words[key.name])
                if room < 0:
                    continue
            start = len(text)
            label, _, word = words[key.name][1:].partition(" ")
            text.append(" ").append(label, style="bold").append(f" {word}", style="dim")
            self._places.append((start, len(text), key.action))
        self.show(text)

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the pointer does."""
        for start, end, action in self._places:
            if start <= event.x < end:
                await self.app.run_action(action)
