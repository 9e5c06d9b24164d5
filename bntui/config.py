"""The one source of options: names, defaults, validation, help texts, presets and the TOML file."""

from __future__ import annotations

import difflib
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bntui.errors import UsageError

Parse = Callable[[str], Any]

CONFIG_FILE_LIMIT = 1 << 20
"""Bytes a configuration file may have."""

MIN_LR, MAX_LR = 1e-12, 1e6
"""Learning rates that a run takes, as an option or while it goes on."""


def _integer(minimum: int, maximum: int) -> Parse:
    def parse(text: str) -> int:
        try:
            value = int(text) if text.isascii() else minimum - 1
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise ValueError(f"a whole number from {minimum:,} to {maximum:,}")
        return value

    return parse


def _number(wanted: str, allowed: Callable[[float], bool]) -> Parse:
    def parse(text: str) -> float:
        try:
            value = float(text) if text.isascii() else math.nan
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and allowed(value)):
            raise ValueError(wanted)
        return value

    return parse


def _one_of(*names: str) -> Parse:
    def parse(text: str) -> str:
        if text not in names:
            close = difflib.get_close_matches(text.lower(), names, 1)
            raise ValueError(f"one of {', '.join(names)}" + (f" (did you mean {close[0]}?)" if close else ""))
        return text

    return parse


def _widths(text: str) -> tuple[int, ...]:
    wanted = "one to 256 layer widths from 1 to 65,536, such as 32,32"
    parts = text.split(",")
    if len(parts) > 256:
        raise ValueError(wanted)
    try:
        widths = tuple(_integer(1, 65_536)(part) for part in parts)
    except ValueError:
        raise ValueError(wanted) from None
    if sum(a * b for a, b in zip((784, *widths), (*widths, 10), strict=True)) > 1_000_000_000:
        raise ValueError("narrower layers, of at most 1,000,000,000 weights in all")
    return widths


def _init(text: str) -> str:
    name, colon, std = text.partition(":")
    wanted = "one of default, xavier, kaiming, normal:STD, with STD above 0"
    if name == "normal" and colon:
        try:
            return f"normal:{_positive(std)!r}"
        except ValueError:
            raise ValueError(wanted) from None
    if text not in ("default", "xavier", "kaiming"):
        raise ValueError(wanted)
    return text


def _optimizer(text: str) -> str:
    name, colon, momentum = text.partition(":")
    wanted = "one of adam, sgd, sgd:MOMENTUM, with MOMENTUM from 0 up to, not including, 1"
    if name == "sgd" and colon:
        try:
            return f"sgd:{_share(momentum)!r}"
        except ValueError:
            raise ValueError(wanted) from None
    if text not in ("adam", "sgd"):
        raise ValueError(wanted)
    return text


def _momentum(text: str) -> float | str:
    if text == "cumulative":
        return text
    return float(_number("a number from 0 to 1, or cumulative", lambda v: 0 <= v <= 1)(text))


def _device(text: str) -> str:
    kind, colon, index = text.partition(":")
    if text in ("auto", "cpu", "cuda", "mps") or (
        kind == "cuda" and colon and index.isascii() and index.isdigit() and len(index) <= 3 and int(index) < 128
    ):
        return text
    raise ValueError("one of auto, cpu, cuda, cuda:N, mps")


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a path")
    return text


def _switch(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError("true or false")
    return text == "True"


_positive = _number("a number above 0", lambda v: v > 0)
_share = _number("a number from 0 up to, not including, 1", lambda v: 0 <= v < 1)
_count = _integer(1, 1_000_000_000)


def _option(default: Any, metavar: str, parse: Parse, group: str, text: str, shown: str | None = None) -> Any:
    """Declare an option. `metavar` is empty for a switch; `shown` says the default in words where it is None."""
    return field(default=default, metadata={"metavar": metavar, "parse": parse, "group": group, "help": text,
                                            "shown": shown})  # fmt: skip


DATASETS = ("mnist", "fashion-mnist", "kmnist", "synthetic")
ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky-relu", "gelu")
OUTPUT = "output"
"""The group of options that say where results go, and so don't change them."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Every option of a run. Values are checked and normalised when an instance is made.

    Raises
    ------
    UsageError
        An option has a value that it does not take; the message names the option, the value and what is allowed.
    """

    data: str | None = _option(
        None, "NAME", _one_of(*DATASETS), "data", f"data set: {', '.join(DATASETS)}",
        "mnist, or synthetic where MNIST can't be had")  # fmt: skip
    data_dir: str | None = _option(
        None, "DIR", _path, "data",
        "torchvision root (DIR/MNIST/raw/...) or a folder of the four IDX files, .gz or not", "user cache")  # fmt: skip
    train_samples: int | None = _option(
        None, "N", _count, "data", "use only the first N training samples; synthetic: make N", "all; synthetic 60,000"
    )
    validation_samples: int | None = _option(
        None, "N", _count, "data", "the same for the validation samples", "all; synthetic 10,000"
    )
    epochs: int = _option(10, "N", _count, "training", "passes over the training set")
    max_steps: int | None = _option(None, "N", _integer(1, 10**12), "training", "stop after N steps in all", "no limit")
    batch_size: int = _option(32, "N", _integer(2, 1_000_000), "training", "samples a step; BN needs at least 2")
    lr: float = _option(
        0.01, "X", _number(f"a number from {MIN_LR:g} to {MAX_LR:g}", lambda v: MIN_LR <= v <= MAX_LR), "training",
        "learning rate")  # fmt: skip
    optimizer: str = _option("adam", "NAME", _optimizer, "training", "adam, sgd or sgd:MOMENTUM")
    seed: int = _option(1, "N", _integer(0, 2**63 - 1), "training", "seed of everything random")
    hidden: tuple[int, ...] = _option((32, 32), "W,W,...", _widths, "network", "widths of the hidden layers")
    activation: str = _option("relu", "NAME", _one_of(*ACTIVATIONS), "network", ", ".join(ACTIVATIONS))
    init: str = _option("default", "NAME", _init, "network", "weights: default, xavier, kaiming or normal:STD")
    dropout: float = _option(0.0, "P", _share, "network", "dropout after each activation")
    weights: str = _option(
        "paired", "NAME", _one_of("paired", "independent"), "network",
        "paired: both arms start from the same linear weights; independent: each draws its own")  # fmt: skip
    bn_momentum: float | str = _option(
        0.1, "M", _momentum, "network",
        "share of the newest batch in the running statistics; cumulative: plain average of all batches")  # fmt: skip
    bn_eps: float = _option(1e-5, "E", _positive, "network", "added to the variance before the square root")
    preset: str | None = _option(
        None, "NAME", lambda text: _one_of(*PRESETS)(text), "training",
        "a named configuration; explicit options override it; 'list' prints all", "none")  # fmt: skip
    device: str = _option("auto", "D", _device, "machine", "auto (cuda, then mps, then cpu), cpu, cuda, cuda:N, mps")
    threads: int | None = _option(None, "N", _integer(1, 1024), "machine", "torch CPU threads", "auto")
    headless: bool = _option(False, "", _switch, OUTPUT, "run without a screen")
    export: str | None = _option(None, "FILE", _path, OUTPUT, "write results.json to FILE; - is stdout", "none")
    quiet: bool = _option(False, "", _switch, OUTPUT, "print nothing but errors")
    run_dir: str | None = _option(
        None, "DIR", _path, OUTPUT, "folder of the run: journal, results", "a new one in the user state folder"
    )
    replay_interventions: str | None = _option(
        None, "RESULTS", _path, "training",
        "apply the interventions recorded in a results.json or run folder at their steps", "none")  # fmt: skip
    debug: bool = _option(False, "", _switch, OUTPUT, "show a traceback with an error")

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if value is not option.default and value is not None:
                object.__setattr__(self, option.name, parse_option(option, _as_text(value)))
            elif value is None and option.default is not None:
                raise UsageError(f"{flag_of(option.name)} can't be left empty")
        if self.train_samples is not None and self.train_samples < self.batch_size:
            raise UsageError(
                f"--train-samples {self.train_samples} is less than one batch: take at least --batch-size "
                f"({self.batch_size}) samples"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return every option by its name, as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def to_command(self) -> str:
        """Return the shell line that runs this configuration again, without a screen."""
        words = ["bntui", "--headless"]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.metadata["group"] != OUTPUT and option.name != "preset" and value != option.default:
                words += [flag_of(option.name), _as_text(value)]
        return shlex.join(words)


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "lab": (
        "the tutorial's run: 784-32-32-10, ReLU, Adam 0.01, batch 32, 10 epochs, each arm with weights of its own",
        {
            "weights": "independent",
            "hidden": (32, 32),
            "activation": "relu",
            "optimizer": "adam",
            "lr": 0.01,
            "batch_size": 32,
            "epochs": 10,
        },  # fmt: skip
    ),
}
"""Name: (one line that says what it is, its options)."""


def flag_of(name: str) -> str:
    """Return a field's spelling on the command line."""
    return "--" + name.replace("_", "-")


def _as_text(value: Any) -> str:
    return ",".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)


def parse_option(option: Field[Any], text: str) -> Any:
    """Return the value that `text` means for an option, or raise UsageError."""
    try:
        return option.metadata["parse"](text)
    except ValueError as error:
        raise UsageError(f"{flag_of(option.name)} takes {error}, not {_shorten(text)!r}") from None


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def read_config_file(path: str) -> dict[str, Any]:
    """Read a TOML file of option names, with dashes or underscores; values may be strings, numbers or lists.

    Raises
    ------
    UsageError
        The file can't be read, is not TOML, or names an option that does not exist.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        if not path or "\0" in path:
            raise UsageError(f"--config takes a path, not {path!r}")
        with Path(path).open("rb") as file:
            raw = file.read(CONFIG_FILE_LIMIT + 1)
        if len(raw) > CONFIG_FILE_LIMIT:
            raise UsageError(f"--config {path}: larger than 1 MiB; is it the right file?")
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise UsageError(f"--config {path}: can't be read ({error.strerror or error}); name a TOML file") from None
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split()) if isinstance(error, tomllib.TOMLDecodeError) else "not text of that kind"
        raise UsageError(f"--config {path}: not a TOML file ({why}); write lines such as epochs = 20") from None
    known = {option.name: option for option in fields(RunConfig)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0].replace('_', '-')}?" if close else ""
            if isinstance(value, dict) and not close:
                hint = "; write the options without tables"
            raise UsageError(f"--config {path}: no option is called {_shorten(key)!r}{hint or '; see bntui --help'}")
        if isinstance(value, dict):
            raise UsageError(f"--config {path}: {key} is a table; write {key} = VALUE")
        if isinstance(value, list) and name != "hidden":
            raise UsageError(f"--config {path}: {key} takes one value, not a list")
        if known[name].metadata["parse"] is _path and not isinstance(value, str):
            raise UsageError(f"--config {path}: {key} takes a path in quotes")
        try:
            values[name] = parse_option(known[name], _as_text(value))
        except UsageError as error:
            raise UsageError(f"--config {path}: {error}") from None
    return values


def build_config(given: Mapping[str, Any], config_file: str | None = None) -> RunConfig:
    """Combine the sources of options: defaults, then the preset, then the file, then what was given.

    Parameters
    ----------
    given
        Values by field name, as text or typed, that stand on the command line.
    config_file
        Path of a TOML file, or None.

    Raises
    ------
    UsageError
        As for RunConfig and `read_config_file`.
    """
    from_file = read_config_file(config_file) if config_file is not None else {}
    preset = given.get("preset", from_file.get("preset"))
    explicit = {**from_file, **given}
    if preset is None:
        return RunConfig(**explicit)
    name = str(RunConfig(preset=preset).preset)
    return RunConfig(**{**PRESETS[name][1], **explicit})
