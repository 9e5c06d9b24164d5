"""Every key, once: the same table makes the bindings, the footer, the help screen and the command palette."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Key:
    """What a person can do: the name of the action, its keys, and what it does in a word and in a sentence."""

    action: str
    keys: str
    word: str
    help: str
    footer: bool = False
    live: bool = True
    """Only makes sense while a run goes on, not in a replay."""


KEYS = (
    Key("pause", "space,p", "pause", "pause or resume training", footer=True),
    Key("step", "s", "step", "train one step while paused", footer=True),
    Key("batch_norm", "b", "BN", "switch batch normalization of the bn arm off or on", footer=True),
    Key("freeze", "f", "freeze", "freeze the BN statistics, or let them move again", footer=True),
    Key("faster", "plus,equals_sign", "lr up", "learning rate × 1.5", footer=True),
    Key("slower", "minus", "lr down", "learning rate ÷ 1.5", footer=True),
    Key("learning_rate", "l", "lr…", "type a learning rate"),
    Key("restart", "r", "restart", "begin again from the first step (asks first)"),
    Key("export", "x", "export", "write the results now", footer=True),
    Key("view('charts')", "1", "charts", "the four charts", footer=True, live=False),
    Key("view('batch-norm')", "2", "BN", "every BN layer and channel", footer=True, live=False),
    Key("view('log')", "5", "log", "interventions, alerts and whatever was printed", footer=True, live=False),
    Key("next_view", "tab", "next view", "the next view", live=False),
    Key("layer(-1)", "left_square_bracket", "layer", "the BN layer before", live=False),
    Key("layer(1)", "right_square_bracket", "layer", "the next BN layer", live=False),
    Key("cycle", "c", "one chart", "show one chart alone, then the next, then all", live=False),
    Key("log_y", "y", "log y", "logarithmic y axis of the losses", live=False),
    Key("smoothing", "m", "smooth", "smoothing: off, .5, .8, .95", live=False),
    Key("x_axis", "t", "x axis", "x axis in steps, epochs or seconds", live=False),
    Key("zoom", "z", "zoom", "zoom to the recent past, or everything", live=False),
    Key("cursor(-1)", "left", "inspect", "move the inspect cursor left, on all charts", live=False),
    Key("cursor(1)", "right", "inspect", "move the inspect cursor right", live=False),
    Key("repaint", "ctrl+l", "repaint", "draw the whole screen anew", live=False),
    Key("suspend", "ctrl+z", "suspend", "to the shell; fg comes back", live=False),
    Key("help", "question_mark", "help", "this list", footer=True, live=False),
    Key("interrupt", "ctrl+c", "interrupt", "stop, save and leave at once", live=False),
    Key("quit", "q", "quit", "quit; while training it asks what to save", footer=True, live=False),
)

_SPELLED = {
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "left": "←",
    "right": "→",
}


def spell(keys: str, ascii_only: bool = False) -> str:
    """Return keys as a person would write them."""
    words = [key if ascii_only and key in ("left", "right") else _SPELLED.get(key, key) for key in keys.split(",")]
    return " ".join(words)


LIVE_ACTIONS = frozenset(key.action for key in KEYS if key.live)
"""Those that a replay lacks."""


def bindings() -> list[Binding]:
    """Return Textual's bindings of the whole table."""
    return [
        Binding(
            key.keys,
            key.action,
            key.word,
            show=key.footer,
            key_display=spell(key.keys.split(",")[0]),
            id=key.action,
            priority=key.action in ("interrupt", "next_view"),
        )
        for key in KEYS
    ]
