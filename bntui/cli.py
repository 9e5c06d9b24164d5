"""The command line: options in, exit code out. Imports nothing heavy before the options are known to be right."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from bntui import __version__
from bntui.config.options import OUTPUT, RunConfig, build_config, flag_of, read_config_file
from bntui.config.parsers import integer
from bntui.config.presets import PRESETS
from bntui.errors import BntuiError, ExportError, ReaderGone, UsageError
from bntui.stdout import give_up, put
from bntui.storage.resume import resumed_config
from bntui.text import one_line, shortened

_EXIT_CODES = """exit codes: 0 finished; 2 wrong usage; 3 data not available or damaged; 4 device not available or out
of memory; 5 results could not be written; 1 anything unexpected; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM
after saving"""

_PACKAGES = {"pynvml": "nvidia-ml-py"}
"""Modules that pip knows by another name."""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are of one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        word = next((w for w in message.replace("=", " ").split() if w.startswith("--")), "")
        # Without the dashes, which all options share and which would make any two look alike.
        known = {flag.lstrip("-"): flag for flag in self._option_string_actions if flag != word}
        close = difflib.get_close_matches(word.lstrip("-"), known, 1, 0.7)
        hint = f"did you mean {known[close[0]]}?" if close and "unrecognized" in message else "see bntui --help"
        raise UsageError(f"{message if len(message) <= 200 else message[:197] + '...'}; {hint}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print the help or the version; argparse itself says nothing if that fails."""
        put(message, end="")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every option that RunConfig declares."""
    parser = _Parser(
        prog="bntui",
        description="A batch-norm laboratory: train two networks that differ only in batch normalization.",
        epilog=_EXIT_CODES,
        usage="bntui [options]\n       bntui --headless [options]\n       bntui replay RESULTS|RUN_DIR\n"
        "       bntui explain [--data-file F]\n       bntui experiment NAME [--seeds K]",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bntui {__version__}")
    groups = {name: parser.add_argument_group(name) for name in ("data", "training", "network", "machine", OUTPUT)}
    for option in fields(RunConfig):
        about = option.metadata
        shown = about["shown"]
        if shown is None:
            default = option.default
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        if about["metavar"]:
            text = f"{about['help']} (default: {shown})".replace("%", "%%")
            groups[about["group"]].add_argument(
                flag_of(option.name), metavar=about["metavar"], help=text, default=argparse.SUPPRESS
            )
        else:
            groups[about["group"]].add_argument(
                flag_of(option.name), action="store_true", help=about["help"], default=argparse.SUPPRESS
            )
    groups[OUTPUT].add_argument(
        "--config", metavar="FILE", help="TOML file of these options, and of keys; the command line wins"
    )
    return parser


def build_replay_parser() -> argparse.ArgumentParser:
    """Return the parser of `bntui replay`."""
    parser = _Parser(prog="bntui replay", description="Look at a finished or still growing run.", allow_abbrev=False)
    parser.add_argument("run", metavar="RESULTS|RUN_DIR", help="a results.json, or a run folder, which is followed")
    for option in fields(RunConfig):
        if option.name in ("markers", "theme"):
            about = option.metadata
            text = f"{about['help']} (default: {about['shown']})"
            parser.add_argument(flag_of(option.name), metavar="NAME", help=text, default=argparse.SUPPRESS)
    parser.add_argument("--config", metavar="FILE", help="TOML file with [keys]; of its options, these two count")
    parser.add_argument(
        "--debug", action="store_true", help="show a traceback with an error", default=argparse.SUPPRESS
    )
    return parser


def build_explain_parser() -> argparse.ArgumentParser:
    """Return the parser of `bntui explain`."""
    parser = _Parser(
        prog="bntui explain", allow_abbrev=False,
        description="The batch-norm transform, forward and backward, in train and in eval mode, step by step.",
    )  # fmt: skip
    parser.add_argument("--data-file", metavar="F", help="CSV, a row a sample (default: an example of 4 × 3)")
    parser.add_argument("--layers", metavar="N", default="3", help="of batch norm and ReLU, 1 to 99 (default: 3)")
    parser.add_argument("--bn-eps", metavar="E", default="1e-05", help="added to the variance (default: 1e-05)")
    parser.add_argument("--bn-momentum", metavar="M", default="0.1", help="of the running statistics (default: 0.1)")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    return parser


def _count(flag: str, text: str, most: int) -> int:
    """Return the number that an option takes which is none of a run's."""
    try:
        return int(integer(1, most)(text))
    except ValueError as error:
        raise UsageError(f"{flag} takes {error}, not {text!r}") from None


def _list_presets(names: Iterable[str]) -> int:
    for name in names:
        put(f"{name:<30} {PRESETS[name][0]}")
    return 0


def _explain(words: Sequence[str]) -> int:
    given = build_explain_parser().parse_args(words)
    # The options are those of a run, and so is what they take.
    config = build_config({"bn_eps": given.bn_eps, "bn_momentum": given.bn_momentum})
    if isinstance(config.bn_momentum, str):
        raise UsageError("--bn-momentum cumulative: a single batch has no average; take a number")
    layers = _count("--layers", given.layers, 99)
    from bntui.lab.explain import run_explain

    return run_explain(given.data_file, layers, config.bn_eps, config.bn_momentum)


def _experiment(words: Sequence[str]) -> int:
    parser = build_parser()
    parser.prog, parser.usage = "bntui experiment", "bntui experiment NAME [--seeds K] [options]"
    parser.description = "Run a preset with several seeds and compare with what was published or claimed of it."
    parser.add_argument("name", metavar="NAME", nargs="?", help="of a preset")
    parser.add_argument("--seeds", metavar="K", default="1", help="runs, from --seed on (default: 1)")
    parser.add_argument("--list", action="store_true", help="print the names")
    given = vars(parser.parse_args(words))
    if given.pop("list"):
        from bntui.lab.claims import CLAIMS

        return _list_presets(CLAIMS)
    name, seeds, config_file = given.pop("name"), given.pop("seeds"), given.pop("config")
    if name is None:
        raise UsageError("experiment: which one? see bntui experiment --list")
    count = _count("--seeds", seeds, 1_000)
    options = {} if config_file is None else read_config_file(config_file)[0]
    from bntui.lab.claims import claims_of
    from bntui.lab.experiment import run_experiment

    claims_of(name)
    return run_experiment(name, build_config({**options, **given, "preset": name}), count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `--help` and `--version` raise SystemExit(0)."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    stdout_closed = sys.stdout is None
    _make_streams_safe()
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        if words[:1] == ["explain"]:
            return _explain(words[1:])
        if words[:1] == ["experiment"]:
            return _experiment(words[1:])
        replay = words[:1] == ["replay"]
        given = vars((build_replay_parser() if replay else build_parser()).parse_args(words[replay:]))
        options, keys = ({}, {}) if given["config"] is None else read_config_file(given["config"])
        given = {**options, **given}
        del given["config"]
        if replay:
            from bntui.tui.launch import run_replay

            path = given.pop("run")
            return run_replay(path, build_config(given), keys)
        if given.get("preset") == "list":
            return _list_presets(PRESETS)
        config = resumed_config(given) if given.get("resume") is not None else build_config(given)
        if config.export == "-" and stdout_closed:
            raise ExportError("--export -: stdout is closed; name a file")
        if config.headless:
            from bntui.headless import run_headless

            return run_headless(config)
        from bntui.tui.launch import run_app

        return run_app(config, keys)
    except BntuiError as error:
        code = error.exit_code
        message = str(error)
    except ReaderGone:
        return 128 + signal.SIGPIPE
    except ModuleNotFoundError as error:
        code = 1
        package = _PACKAGES.get(str(error.name).partition(".")[0], str(error.name).partition(".")[0])
        message = f"the Python package {package} is not installed, and bntui needs it; run pip install {package}"
    except Exception as error:
        code = 1
        message = f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows"
    # Words of a file may be in it.
    message = shortened(" ".join(one_line(message).split()), 600)
    try:
        if debug:
            traceback.print_exc()
        print(f"bntui: error: {message}", file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)
    return code


def run() -> NoReturn:
    """Be the `bntui` command: `main`, and out.

    Everything is on disk by then; to take torch down in good order would keep the shell waiting for up to a second.
    """
    try:
        code = main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _make_streams_safe() -> None:
    """Let output neither fail for want of a stream nor for a character that its encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (it stays open as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
