"""What a person sees, what to look for, what to try: one line for every view and state, from one table."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from bntui.messages.arms import first_normalized
from bntui.messages.history import ENDED, History
from bntui.tui.theme import Look


@dataclass(frozen=True, slots=True)
class Guide:
    """What is told of a view. All of it fits 160 cells, the last two parts fit 100, the last one fits 80."""

    see: str
    look_for: str
    to_try: str
    """What can be pressed, where something trains; keys are those of the table, as it is by default."""
    to_try_at_rest: str = ""
    """The same where nothing trains any more."""


VIEWS = {
    "charts": Guide(
        "loss and accuracy of all networks, on the same batches",
        "who is ahead, and train against validation",
        "b normalization off · + larger rate",
        "← → read values · z zoom · y log",
    ),
    "layers": Guide(
        "each channel's running mean ○ and batch mean ●",
        "wide gaps: train and eval mode disagree",
        "↑ ↓ channel · w PreciseBN · f freeze",
        "↑ ↓ channel · g order · [ ] layer",
    ),
    "flow": Guide(
        "gradients and activations, layer by layer",
        "bars that shrink: gradients vanish",
        "[ ] layer · b normalization off",
        "[ ] layer · tab and c: one panel alone",
    ),
    "why": Guide(
        "internal covariate shift, landscape, train/eval gap",
        "differences between the arms, if any",
        "b normalization off · [ ] layer",
        "[ ] layer · y log · t x axis",
    ),
    "explain": Guide(
        "one channel of the batch being trained on",
        "how the batch comes back in ∂x",
        "space, then s one step · } channel",
        "} channel · ] layer",
    ),
    "log": Guide(
        "interventions, alerts, whatever was printed",
        "alerts, and what was changed before",
        "1 back to the charts",
    ),
}
"""By view, while a run goes on and nothing is special."""
FIRST_EPOCH = Guide(
    "loss and accuracy of all networks, on the same batches",
    "which curve falls first, and stays ahead",
    "space pause · 2 look into the layers",
)
SWITCHED_OFF = Guide(
    "{arm} runs without its normalization",
    "how far the loss jumps, and recovers",
    "b on again · u undo: as if never off",
)
FROZEN = Guide(
    "train mode takes the running statistics too",
    "whether the loss falls on, the gap grows",
    "f let them move again · u undo",
)
PAUSED = Guide("training waits after step {step}", "what a single step changes", "s one step · space go on · 5 explain")
LOADING = Guide("torch and the data are being loaded", "the first steps, in a moment", "? all keys · q quit")
ENDED_CHARTS = Guide(
    "{status} after step {step}",
    "who is ahead, and since when",
    "r run again · k more epochs · 2-5 inside",
    "← → read values · 2-5 inside · q quit",
)


def guide_of(history: History, shown: str, replay: bool) -> Guide:
    """Return what is told of the view that is shown, in the state that the run is in."""
    switched = first_normalized(history.arms)
    if history.started is None:
        return LOADING if not replay else VIEWS[shown]
    if history.status in ENDED or replay:
        return ENDED_CHARTS if shown == "charts" else VIEWS[shown]
    if history.status == "paused":
        return PAUSED if shown in ("charts", "log") else VIEWS[shown]
    if shown == "charts":
        if switched is not None and not history.settings["bn"]:
            return SWITCHED_OFF
        if history.settings["freeze"]:
            return FROZEN
        if not history.epochs:
            return FIRST_EPOCH
    return VIEWS[shown]


def guide(history: History, shown: str, look: Look, width: int, replay: bool) -> Text:
    """Write the line for a view: as many of its parts as fit, what to try last of all to go."""
    found = guide_of(history, shown, replay)
    switched = first_normalized(history.arms)
    told = {"arm": switched.label if switched else "", "step": f"{history.step:,}", "status": history.status}
    trying = found.to_try
    if replay or (history.status in ENDED and shown != "charts"):
        trying = found.to_try_at_rest or trying
    see, look_for, trying = (_filled(part, told) for part in (found.see, found.look_for, trying))
    parts = [("", see), ("look for ", look_for), ("try ", trying)]
    for first in range(3):
        text = Text(no_wrap=True, overflow="crop", style="dim")
        for i, (word, part) in enumerate(parts[first:]):
            text.append(look.text(f"{'   ' if i else ' '}"))
            text.append(word, style="not dim" if word == "try " else "")
            text.append(look.text(part), style="not dim" if word == "try " else "")
        if len(text) <= width:
            return text
    return text


def _filled(part: str, told: dict[str, str]) -> str:
    """Return a part with what it tells of the run; keys such as { stay as they are."""
    for name, value in told.items():
        part = part.replace(f"{{{name}}}", value)
    return part
