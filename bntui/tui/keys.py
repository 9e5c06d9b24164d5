"""Every key, once: the same table makes the bindings, the hints, the help and the command palette."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from textual.binding import Binding
from textual.keys import Keys

from bntui.config.interventions import INTERVENTIONS, Intervention
from bntui.errors import UsageError


@dataclass(frozen=True, slots=True)
class Key:
    """Something a person can do."""

    name: str
    """By which the configuration file binds it to other keys."""
    action: str
    keys: tuple[str, ...]
    """As a person would write them."""
    word: str
    """What it does, for the hints."""
    help: str
    hint: bool = False
    """Shown in the line of hints, as far as there is room."""
    live: bool = True
    """Only makes sense while a run goes on, not in a replay."""
    group: str = "look"
    """In the help: `train`, `intervene`, `look` or `program`."""
    views: tuple[str, ...] = ()
    """The views in which it does something; all of them if there are none here."""
    at_the_end: bool = False
    """Whether a key of a trainer still does something, or only does so, once the run has ended: `restart`, `more`."""


_ROWS = [row for row in INTERVENTIONS.values() if row.key]


def keys_of(rows: Iterable[Intervention]) -> Iterator[Key]:
    """Yield the keys of interventions."""
    for row in rows:
        yield Key(row.key_name, f"intervene({row.name!r})", (row.key,), row.hint, row.help, hint=row.hinted,
                  group="intervene")  # fmt: skip


CHARTS, LAYERED = ("charts",), ("charts", "layers", "flow", "why", "explain")
CURVES = ("charts", "layers", "flow", "why")

KEYS = (
    Key("pause", "pause", ("space", "p"), "pause", "pause or resume training", hint=True, group="train"),
    Key("step", "step", ("s",), "step", "train one step while paused", group="train"),
    *keys_of(row for row in _ROWS if row.hinted and not row.prompt),
    Key("lr-up", "scale('learning_rate', 1.5)", ("+", "="), "lr up", "learning rate × 1.5", hint=True,
        group="intervene"),
    Key("lr-down", f"scale('learning_rate', {1 / 1.5})", ("-",), "lr down", "learning rate ÷ 1.5", hint=True,
        group="intervene"),
    *keys_of(row for row in _ROWS if row.hinted and row.prompt),
    Key("undo", "undo", ("u",), "undo", "go back to before the last intervention", hint=True,
        group="intervene"),
    *keys_of(row for row in _ROWS if not row.hinted),
    Key("restart", "restart", ("r",), "restart", "begin again, all arms or one (asks first)", group="train",
        at_the_end=True),
    Key("more", "more", ("k",), "more epochs", "once the run has ended: train a few more epochs", group="train",
        at_the_end=True),
    Key("export", "export", ("x",), "export", "write the results now", hint=True, group="program", at_the_end=True),
    Key("charts", "view('charts')", ("1",), "charts", "loss and accuracy of all networks", hint=True, live=False),
    Key("layers", "view('layers')", ("2",), "layers", "each channel of a normalization layer", hint=True, live=False),
    Key("flow", "view('flow')", ("3",), "flow", "gradients and activations, layer by layer", hint=True, live=False),
    Key("why", "view('why')", ("4",), "why", "internal covariate shift, landscape, train/eval gap", hint=True,
        live=False),
    Key("explain", "view('explain')", ("5",), "explain", "the transform of one channel, in numbers", hint=True,
        live=False),
    Key("log", "view('log')", ("6",), "log", "interventions, alerts and whatever was printed", hint=True, live=False),
    Key("next-panel", "panel(1)", ("tab",), "next panel", "the focus to the next panel of the view", live=False,
        views=CURVES),
    Key("previous-panel", "panel(-1)", ("shift+tab",), "panel before", "the focus to the panel before", live=False,
        views=CURVES),
    Key("maximise", "maximise", ("c",), "alone", "show the panel with the focus alone, or all again", live=False,
        views=CURVES),
    Key("previous-layer", "layer(-1)", ("[",), "layer", "the layer before", live=False, views=LAYERED),
    Key("next-layer", "layer(1)", ("]",), "layer", "the next layer", live=False, views=LAYERED),
    Key("previous-unit", "unit(-1)", ("{",), "channel", "the channel before; before the first: all", live=False,
        views=LAYERED),
    Key("next-unit", "unit(1)", ("}",), "channel", "the next channel", live=False, views=LAYERED),
    Key("quantity", "quantity", ("g",), "quantity", "what the heat map shows; the order of the channels",
        live=False, views=("charts", "layers")),
    Key("explain-channel", "explain_channel", ("enter",), "explain", "explain the chosen channel", live=False,
        views=("layers",)),
    Key("log-y", "look('switch_log_y')", ("y",), "log y", "logarithmic y axis of the losses", live=False,
        views=("charts", "why")),
    Key("smoothing", "look('next_smoothing')", ("m",), "smooth", "smoothing: off, .5, .8, .95", live=False,
        views=CHARTS),
    Key("x-axis", "look('next_x_axis')", ("t",), "x axis", "x axis in steps, epochs or seconds", live=False,
        views=CURVES),
    Key("zoom", "look('zoom')", ("z",), "zoom", "zoom to the recent past, or everything", live=False, views=CHARTS),
    Key("cursor-left", "look('move_cursor', -1)", ("left",), "inspect", "move the inspect cursor left, on all charts",
        live=False, views=CURVES),
    Key("cursor-right", "look('move_cursor', 1)", ("right",), "inspect", "move the inspect cursor right", live=False,
        views=CURVES),
    Key("cursor-away", "look('take_cursor_away')", ("escape",), "no cursor", "take the inspect cursor away",
        live=False, views=CURVES),
    Key("guide", "guide", ("i",), "guide", "hide or show the line that says what you see", live=False),
    Key("repaint", "repaint", ("ctrl+l",), "repaint", "draw the whole screen anew", live=False, group="program"),
    Key("suspend", "suspend_process", ("ctrl+z",), "suspend", "to the shell; fg comes back", live=False,
        group="program"),
    Key("palette", "command_palette", ("ctrl+p",), "actions", "search all actions by their names", live=False,
        group="program"),
    Key("help", "help", ("?",), "help", "this list", hint=True, live=False, group="program"),
    Key("interrupt", "interrupt", ("ctrl+c",), "interrupt", "stop, save and leave at once", live=False,
        group="program"),
    Key("quit", "quit", ("q",), "quit", "quit; while training it asks what to save", hint=True, live=False,
        group="program"),
)  # fmt: skip

_ARROWS = {"left": "←", "right": "→", "up": "↑", "down": "↓", "enter": "⏎", "shift+tab": "⇧tab"}


def spell(key: Key, ascii_only: bool = False) -> str:
    """Return the keys as the help shows them."""
    return " ".join(word if ascii_only else _ARROWS.get(word, word) for word in key.keys)


def bind(given: Mapping[str, str]) -> tuple[Key, ...]:
    """Return the table with some actions on other keys.

    Parameters
    ----------
    given
        Name of an action: its keys, with spaces between them; none leave it without a key.

    Raises
    ------
    UsageError
        There is no such action or key, or two actions would have the same key.
    """
    known = {key.name: key for key in KEYS}
    for name, keys in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise UsageError(
                f"[keys] {name}: there is no such action; {f'did you mean {close[0]}?' if close else ', '.join(known)}"
            )
        for word in keys.split():
            if not _is_key(word):
                raise UsageError(f"[keys] {name} = {keys!r}: {word!r} is no key; write such as space, f2 or ctrl+l")
        known[name] = replace(known[name], keys=tuple(keys.split()))
    taken: dict[str, str] = {}
    for key in known.values():
        for word in key.keys:
            other = taken.setdefault(word, key.name)
            if other != key.name:
                raise UsageError(f"[keys] {word} is bound to both {other} and {key.name}; give one of them another key")
    for name in ("quit", "interrupt"):
        if not known[name].keys:
            raise UsageError(f"[keys] {name} needs a key")
    return tuple(known.values())


def bindings(table: tuple[Key, ...]) -> list[Binding]:
    """Return Textual's bindings of a table."""
    return [
        Binding(
            ",".join("comma" if word == "," else word for word in key.keys),
            f"app.{key.action}",
            key.word,
            show=False,
            id=key.name,
            # Else a focused widget would have them first.
            priority=key.name in ("interrupt", "next-panel", "previous-panel"),
        )
        for key in table
        if key.keys
    ]


def _is_key(word: str) -> bool:
    """Whether it is a printable character, or a name such as `space`, `f2`, `ctrl+l` or `shift+left`."""
    return len(word) == 1 or word == "space" or word in {str(key.value) for key in Keys if key.value[0] != "<"}
