"""What the values of options mean: functions from text to a checked value.

Each raises ValueError with what it would have taken, as the end of a sentence that begins with the option's name.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable
from typing import Any

from bntui.config.kinds import NORMS, SHIFTS, Init, Norm, Optimizer, Shift

Parse = Callable[[str], Any]

MIN_LR, MAX_LR = 1e-12, 1e6
"""Learning rates that a run takes, as an option or while it goes on."""


PROBES = ("covariate-shift", "landscape", "gap")


def integer(minimum: int, maximum: int) -> Parse:
    """Return the parser of a whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        try:
            value = int(text) if text.isascii() else minimum - 1
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise ValueError(f"a whole number from {minimum:,} to {maximum:,}")
        return value

    return parse


def number(wanted: str, allowed: Callable[[float], bool]) -> Parse:
    """Return the parser of a finite number that is `allowed`; `wanted` says in words which are."""

    def parse(text: str) -> float:
        try:
            value = float(text) if text.isascii() else math.nan
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and allowed(value)):
            raise ValueError(wanted)
        return value

    return parse


def one_of(*names: str) -> Parse:
    """Return the parser of one of these names."""

    def parse(text: str) -> str:
        if text not in names:
            close = difflib.get_close_matches(text.lower(), names, 1)
            raise ValueError(f"one of {', '.join(names)}" + (f" (did you mean {close[0]}?)" if close else ""))
        return text

    return parse


def widths(text: str) -> tuple[int, ...]:
    """Parse layer widths: `32,32`, or `64x8` for eight layers of 64."""
    wanted = "one to 256 layer widths from 1 to 65,536, such as 32,32 or 64x8"
    widths: tuple[int, ...] = ()
    try:
        for part in text.split(","):
            width, times, count = part.partition("x")
            widths += (integer(1, 65_536)(width),) * (integer(1, 256)(count) if times else 1)
            if len(widths) > 256:
                raise ValueError
    except ValueError:
        raise ValueError(wanted) from None
    if sum(a * b for a, b in zip((784, *widths), (*widths, 10), strict=True)) > 1_000_000_000:
        raise ValueError("narrower layers, of at most 1,000,000,000 weights in all")
    return widths


def _named(text: str, names: tuple[str, ...], numbered: str, parse: Parse, wanted: str) -> tuple[str, Any]:
    """Return one of some names, and None; or `numbered` and the number that follows it after a colon."""
    name, colon, number = text.partition(":")
    if name == numbered and colon:
        try:
            return name, parse(number)
        except ValueError:
            raise ValueError(wanted) from None
    if text not in names:
        raise ValueError(wanted)
    return text, None


def init(text: str) -> Init:
    """Parse how weights are drawn."""
    wanted = "one of default, xavier, kaiming, normal:STD, with STD above 0"
    return Init(*_named(text, ("default", "xavier", "kaiming"), "normal", positive, wanted))


def optimizer(text: str) -> Optimizer:
    """Parse an optimizer."""
    wanted = "one of adam, sgd, sgd:MOMENTUM, with MOMENTUM from 0 up to, not including, 1"
    return Optimizer(*_named(text, ("adam", "sgd"), "sgd", share, wanted))


def momentum(text: str) -> float | str:
    """Parse the momentum of BN's running statistics."""
    if text == "cumulative":
        return text
    return float(number("a number from 0 to 1, or cumulative", lambda v: 0 <= v <= 1)(text))


def device(text: str) -> str:
    """Parse the name of a device, which need not exist here."""
    kind, colon, index = text.partition(":")
    if text in ("auto", "cpu", "cuda", "mps") or (
        kind == "cuda" and colon and index.isascii() and index.isdigit() and len(index) <= 3 and int(index) < 128
    ):
        return text
    raise ValueError("one of auto, cpu, cuda, cuda:N, mps")


def arms(text: str) -> tuple[Norm, ...]:
    """Parse the normalizations of two to six arms, such as `batch,group:8,none`."""
    names = text.split(",")
    if not 2 <= len(names) <= 6:
        raise ValueError(f"two to six of {', '.join(NORMS)}, such as batch,none")
    return tuple(map(norm, names))


def norm(text: str) -> Norm:
    """Parse a kind of normalization."""
    name, colon, groups = text.partition(":")
    wanted = f"two to six of {', '.join(NORMS)}, with G from 1 to 65,536"
    if name == "group" and colon:
        try:
            return Norm(name, integer(1, 65_536)(groups))
        except ValueError:
            raise ValueError(wanted) from None
    if text not in NORMS or name == "group":
        close = difflib.get_close_matches(text.lower(), NORMS, 1)
        raise ValueError(wanted + (f" (did you mean {close[0]}?)" if close else ""))
    return Norm(text)


def shift(text: str) -> Shift:
    """Parse a change of the validation images."""
    kind, colon, strength = text.partition(":")
    if text == "none":
        return Shift(text)
    if colon and kind in SHIFTS:
        low, high = SHIFTS[kind]
        try:
            value = number("", lambda v: low <= v <= high)(strength)
        except ValueError:
            raise ValueError(f"for {kind} a strength from {low:g} to {high:g}") from None
        return Shift(kind, float(f"{value:g}"))
    ranges = ", ".join(f"{name}:{low:g}..{high:g}" for name, (low, high) in SHIFTS.items())
    raise ValueError(f"none, or KIND:STRENGTH of {ranges}")


def shift_text(text: str) -> str:
    """Parse a change of the validation images, and return it in the one way to write it."""
    return str(shift(text))


def probes(text: str) -> tuple[str, ...]:
    """Parse names of probes, in the order of `PROBES`."""
    names = set(PROBES) if text == "all" else set() if text in ("", "none") else set(text.split(","))
    if not names <= set(PROBES):
        raise ValueError(f"none, all, or some of {','.join(PROBES)}")
    return tuple(name for name in PROBES if name in names)


def path(text: str) -> str:
    """Parse a path and return it absolute: what is kept of it may be read in another working directory."""
    try:
        usable = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # JSON can spell what no file name has
        usable = False
    if not usable:
        raise ValueError("a path")
    try:
        return os.path.abspath(os.path.expanduser(text))
    except OSError:
        raise ValueError("an absolute path, because the working directory is gone") from None


def path_or_stdout(text: str) -> str:
    """Parse a path, or `-`."""
    return text if text == "-" else path(text)


def switch(text: str) -> bool:
    """Parse the value of a switch."""
    if text not in ("True", "False"):
        raise ValueError("true or false")
    return text == "True"


def on_off(text: str) -> bool:
    """Parse the value of a switch that a person writes."""
    if text.lower() not in ("true", "on", "false", "off"):
        raise ValueError("on or off")
    return text.lower() in ("true", "on")


def nothing(text: str) -> None:
    """Parse the value of what takes none."""
    if text:
        raise ValueError("no value")


def arm_name(text: str) -> str:
    """Parse the name of an arm, which the run may not have."""
    if not text or len(text) > 40 or not text.isprintable():
        raise ValueError("the name of an arm, such as batch")
    return text


learning_rate = number(f"a number from {MIN_LR:g} to {MAX_LR:g}", lambda v: MIN_LR <= v <= MAX_LR)
positive = number("a number above 0", lambda v: v > 0)
share = number("a number from 0 up to, not including, 1", lambda v: 0 <= v < 1)
count = integer(1, 1_000_000_000)
batch_size = integer(2, 1_000_000)
noise = number("a number from 0 to 10", lambda v: 0 <= v <= 10)
bn_eval = one_of("running", "batch", "single", "precise")
