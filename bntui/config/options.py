"""The one source of options: names, defaults, validation, help texts, presets and the TOML file."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from bntui.config import parsers
from bntui.config.interventions import parse_schedule, schedule_text
from bntui.config.kinds import DATASETS, NORMS, SHIFTS, Init, Norm, Optimizer, arm_names
from bntui.config.presets import PRESETS
from bntui.errors import UsageError

TOML_LIMIT = 16 << 10
"""Bytes a configuration file may have: for a name of many parts, Python's parser takes the square of their number."""


def _option(default: Any, metavar: str, parse: parsers.Parse, group: str, text: str, shown: str | None = None) -> Any:
    """Declare an option. `metavar` is empty for a switch; `shown` says the default in words where it is None."""
    return field(default=default, metadata={"metavar": metavar, "parse": parse, "group": group, "help": text,
                                            "shown": shown})  # fmt: skip


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
        None, "NAME", parsers.one_of(*DATASETS), "data", f"data set: {', '.join(DATASETS)}",
        "mnist, or synthetic where MNIST can't be had")  # fmt: skip
    data_dir: str | None = _option(
        None, "DIR", parsers.path, "data",
        "torchvision root (DIR/MNIST/raw/...) or a folder of the four IDX files, .gz or not", "user cache")  # fmt: skip
    train_samples: int | None = _option(
        None,
        "N",
        parsers.count,
        "data",
        "use the first N training samples; synthetic: make N",
        "all; synthetic 60,000",
    )
    validation_samples: int | None = _option(
        None, "N", parsers.count, "data", "the same for the validation samples", "all; synthetic 10,000"
    )
    binary: bool = _option(False, "", parsers.switch, "data", "make every pixel black or white")
    shift: str = _option(
        "none", "KIND:STRENGTH", parsers.shift_text, "data",
        f"change the validation images: {', '.join(SHIFTS)}")  # fmt: skip
    epochs: int = _option(10, "N", parsers.count, "training", "passes over the training set")
    max_steps: int | None = _option(
        None, "N", parsers.integer(1, 10**12), "training", "stop after N steps in all", "no limit"
    )
    batch_size: int = _option(32, "N", parsers.batch_size, "training", "samples a step; BN needs at least 2")
    lr: float = _option(0.01, "X", parsers.learning_rate, "training", "learning rate")
    optimizer: Optimizer = _option(
        Optimizer("adam"), "NAME", parsers.optimizer, "training", "adam, sgd or sgd:MOMENTUM"
    )
    seed: int = _option(1, "N", parsers.integer(0, 2**63 - 1), "training", "seed of everything random")
    hidden: tuple[int, ...] = _option(
        (32, 32), "W,W,...", parsers.widths, "network", "widths of the hidden layers; WxN is N layers of width W"
    )
    activation: str = _option("relu", "NAME", parsers.one_of(*ACTIVATIONS), "network", ", ".join(ACTIVATIONS))
    init: Init = _option(
        Init("default"), "NAME", parsers.init, "network", "weights: default, xavier, kaiming or normal:STD"
    )
    arms: tuple[Norm, ...] = _option(
        (Norm("batch"), Norm("none")), "A,B,...", parsers.arms, "network",
        f"two to six networks that differ in their normalization: {', '.join(NORMS)}")  # fmt: skip
    dropout: float = _option(0.0, "P", parsers.share, "network", "dropout after each activation")
    weights: str = _option(
        "paired", "NAME", parsers.one_of("paired", "independent"), "network",
        "paired: all arms start from the same linear weights; independent: each draws its own")  # fmt: skip
    bn_momentum: float | str = _option(
        0.1, "M", parsers.momentum, "network",
        "share of the newest batch in the running statistics; cumulative: plain average of all batches")  # fmt: skip
    bn_eps: float = _option(1e-5, "E", parsers.positive, "network", "added to the variance before the square root")
    bn_eval: str = _option(
        "running", "HOW", parsers.bn_eval, "network",
        "statistics that evaluation normalizes by: running; batch (as if eval() were forgotten); single (the same, one "
        "sample at a time); precise (re-estimated over 10,000 training samples)")  # fmt: skip
    bn_noise: float = _option(
        0.0, "SIGMA", parsers.noise, "network", "noise after the first normalization; 0.5 is Santurkar's noisy BN"
    )
    adapt_bn: bool = _option(
        False, "", parsers.switch, "network", "re-estimate BN's statistics on the (shifted) validation set: AdaBN"
    )
    probe: tuple[str, ...] = _option(
        (), "NAME,NAME,...", parsers.probes, "training",
        f"measure every so often: {', '.join(parsers.PROBES)}; or all", "none")  # fmt: skip
    probe_every: int = _option(500, "N", parsers.count, "training", "steps between two probes")
    unit: int = _option(
        0, "N", parsers.integer(0, 65_535), "training", "unit whose percentiles are kept, in each layer"
    )
    intervene: str = _option(
        "", "STEP:ACTION=VALUE,...", schedule_text, "training",
        "change something after so many steps, such as 1000:dropout=0.5", "nothing")  # fmt: skip
    preset: str | None = _option(
        None, "NAME", lambda text: parsers.one_of(*PRESETS)(text), "training",
        "a named configuration; explicit options override it; 'list' prints all", "none")  # fmt: skip
    engine: str = _option(
        "auto", "NAME", parsers.one_of("auto", "fused", "autograd"), "machine",
        "fused: written-out kernels; autograd: nn.Module and torch.optim; auto: fused where it can")  # fmt: skip
    device: str = _option(
        "auto", "D", parsers.device, "machine", "auto (cuda, then mps, then cpu), cpu, cuda, cuda:N, mps"
    )
    threads: int | None = _option(None, "N", parsers.integer(1, 1024), "machine", "torch CPU threads", "auto")
    headless: bool = _option(False, "", parsers.switch, OUTPUT, "run without a screen")
    export: str | None = _option(
        None, "FILE", parsers.path_or_stdout, OUTPUT, "write results.json to FILE; - is stdout", "none"
    )
    narrate: str | None = _option(
        None, "FILE", parsers.path_or_stdout, OUTPUT,
        "write what happens as plain sentences, to be read aloud, to FILE, a FIFO or another terminal; - is stdout",
        "none")  # fmt: skip
    quiet: bool = _option(False, "", parsers.switch, OUTPUT, "print nothing but errors")
    run_dir: str | None = _option(
        None, "DIR", parsers.path, OUTPUT, "folder of the run: journal, results", "a new one in the user state folder"
    )
    resume: str | None = _option(
        None, "RUN_DIR", parsers.path, OUTPUT, "go on with an interrupted run exactly where it stopped", "none"
    )
    checkpoint_seconds: float | None = _option(
        None, "S", parsers.number("a number from 0 on", lambda v: v >= 0), OUTPUT,
        "time between checkpoints", "5, or as long as they cost less than 2 % of the time")  # fmt: skip
    on_hangup: str = _option(
        "save", "WHAT", parsers.one_of("save", "continue"), OUTPUT,
        "when the terminal is lost: save and exit, or continue without it")  # fmt: skip
    stop_signal: str | None = _option(
        None, "NAME", parsers.one_of("USR1", "USR2"), OUTPUT,
        "a signal that saves and exits as TERM does; Slurm can send USR1 before its end", "none")  # fmt: skip
    replay_interventions: str | None = _option(
        None, "RESULTS", parsers.path, "training",
        "apply the interventions recorded in a results.json or run folder at their steps", "none")  # fmt: skip
    markers: str | None = _option(
        None, "NAME", parsers.one_of("braille", "block", "ascii"), OUTPUT,
        "what the app draws curves with: braille, block or ascii", "what the terminal can show")  # fmt: skip
    theme: str | None = _option(
        None, "NAME", parsers.one_of("dark", "light"), OUTPUT,
        "dark or light, as the terminal's background is", "what COLORFGBG says, or dark")  # fmt: skip
    debug: bool = _option(False, "", parsers.switch, OUTPUT, "show a traceback with an error")

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
        for norm in self.arms:
            odd = next((width for width in self.hidden if norm.groups and width % norm.groups), None)
            if odd is not None:
                raise UsageError(f"--arms {norm}: a hidden layer of {odd} can't be divided by {norm.groups}")
        if self.export == self.narrate == "-":
            raise UsageError("--narrate -: stdout carries the results of --export -; name a file for one of them")
        names = arm_names(self.arms)
        for _, name, value in parse_schedule(self.intervene):
            if name == "restart_arm" and value not in names:
                raise UsageError(f"--intervene: restart_arm takes one of {', '.join(names)}, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return every option by its name, as plain JSON values."""
        return {option.name: _plain(getattr(self, option.name)) for option in fields(self)}

    def to_command(self) -> str:
        """Return the shell line that runs this configuration again, without a screen."""
        words = ["bntui", "--headless"]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.metadata["group"] != OUTPUT and option.name != "preset" and value != option.default:
                words += [flag_of(option.name)] if value is True else [flag_of(option.name), _as_text(value)]
        return shlex.join(words)


def is_path(name: str) -> bool:
    """Whether an option names a file or a folder."""
    return any(option.name == name and option.metadata["parse"] is parsers.path for option in fields(RunConfig))


def flag_of(name: str) -> str:
    """Return a field's spelling on the command line."""
    return "--" + name.replace("_", "-")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a type of `kinds` as the text that it is written as."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


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


def read_config_file(path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a TOML file: the options by field name, and from its table `[keys]` the keys by the name of their action.

    Names of options may have dashes or underscores, values may be strings, numbers or lists.

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
            raw = file.read(TOML_LIMIT + 1)
        if len(raw) > TOML_LIMIT:
            raise UsageError(f"--config {path}: larger than 16 KiB; is it the right file?")
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise UsageError(f"--config {path}: can't be read ({error.strerror or error}); name a TOML file") from None
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split()) if isinstance(error, tomllib.TOMLDecodeError) else "not text of that kind"
        raise UsageError(f"--config {path}: not a TOML file ({why}); write lines such as epochs = 20") from None
    known = {option.name: option for option in fields(RunConfig)}
    keys = table.pop("keys", {})
    if not (isinstance(keys, dict) and all(isinstance(value, str) for value in keys.values())):
        raise UsageError(f'--config {path}: keys is a table; write [keys] and below it lines such as pause = "space p"')
    read: dict[str, Any] = {}
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
        if isinstance(value, list) and not isinstance(known[name].default, tuple):
            raise UsageError(f"--config {path}: {key} takes one value, not a list")
        if known[name].metadata["parse"] in (parsers.path, parsers.path_or_stdout) and not isinstance(value, str):
            raise UsageError(f"--config {path}: {key} takes a path in quotes")
        try:
            read[name] = parse_option(known[name], _as_text(value))
        except UsageError as error:
            raise UsageError(f"--config {path}: {error}") from None
        except (ValueError, RecursionError):  # a number of too many digits, lists in lists
            raise UsageError(f"--config {path}: {key} has a value that can't be written") from None
    return read, keys


def build_config(given: Mapping[str, Any]) -> RunConfig:
    """Combine the sources of options: defaults, then the preset, then what was given.

    Parameters
    ----------
    given
        Values by field name, as text or typed.

    Raises
    ------
    UsageError
        As for RunConfig.
    """
    if given.get("preset") is None:
        return RunConfig(**given)
    name = str(RunConfig(preset=given["preset"]).preset)
    return RunConfig(**{**PRESETS[name][1], **given})
