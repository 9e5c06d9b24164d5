"""The command line: options in, exit code out. Imports nothing heavy before the options are known to be right."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from bntui import __version__
from bntui.arguments import Command, Commands, Parser, add_command, add_options
from bntui.config.kinds import DATASETS
from bntui.config.options import (
    ACTIVATIONS,
    build_config,
    is_path,
    read_config_file,
)
from bntui.config.parsers import integer
from bntui.config.presets import PRESETS
from bntui.errors import BntuiError, ExportError, ReaderGone, UsageError
from bntui.stdout import give_up, put
from bntui.text import one_line, shortened

_EXIT_CODES = """exit codes: 0 finished; 2 wrong usage; 3 data not available or damaged; 4 device not available or out
of memory; 5 results could not be written; 1 anything unexpected; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM
after saving"""

_PACKAGES = {"pynvml": "nvidia-ml-py"}
"""Modules that pip knows by another name."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the commands, and of every option that RunConfig declares."""
    parser = Parser(
        prog="bntui",
        description="A batch-norm laboratory: train networks that differ only in their normalization. Without a "
        "command, that is what it does, with the options below.",
        epilog=f"example: bntui --data fashion-mnist --epochs 3. {_EXIT_CODES}",
        usage="bntui [options]\n       bntui --headless [options]\n       bntui COMMAND ...",
        allow_abbrev=False,
        add_help=False,
    )
    commands = parser.add_subparsers(
        title="commands", prog="bntui", metavar="COMMAND", action=Commands, parser_class=Parser
    )
    for add in (_add_open, _add_experiment, _add_explain, _add_completion):
        add(commands)
    add_options(parser)
    about = parser.add_argument_group("about")
    about.add_argument("-h", "--help", action="help", help="show this help and exit; each command has its own")
    about.add_argument("--version", action="version", version=f"bntui {__version__}", help="show the version and exit")
    return parser


def _from_file(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the options that were given, with those of the --config file among them, and its keys."""
    file = given.pop("config", None)
    options, keys = ({}, {}) if file is None else read_config_file(file)
    return {**options, **given}, keys


def _run(given: dict[str, Any]) -> int:
    given, keys = _from_file(given)
    if given.get("preset") == "list":
        return _list_presets(PRESETS)
    if given.get("resume") is not None:
        from bntui.storage.resume import resumed_config

        config = resumed_config(given)
    else:
        config = build_config(given)
    if config.export == "-" and sys.__stdout__ is None:
        raise ExportError("--export -: stdout is closed; name a file")
    if config.headless:
        from bntui.headless import run_headless

        return run_headless(config)
    from bntui.tui.launch import run_app

    return run_app(config, keys)


def _list_presets(names: Iterable[str]) -> int:
    for name in names:
        put(f"{name:<30} {PRESETS[name][0]}")
    return 0


def _add_open(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "open", _open, "bntui open results.json", "look at a run, over or going on")
    parser.add_argument("run", metavar="RUN", help="a results.json, or a run folder, which is followed")
    add_options(parser, ("narrate", "markers", "theme", "debug"))


def _open(given: dict[str, Any]) -> int:
    path = given.pop("run")
    options, keys = _from_file(given)
    from bntui.tui.launch import open_run

    return open_run(path, build_config(options), keys)


def _add_experiment(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        commands, "experiment", _experiment, "bntui experiment vanishing --seeds 3 --epochs 2",
        "run a preset with several seeds and compare with what was published or claimed of it",
    )  # fmt: skip
    parser.usage = "bntui experiment NAME [--seeds K] [options]\n       bntui experiment --list"
    parser.add_argument("name", metavar="NAME", nargs="?", help="of a preset")
    parser.add_argument("--seeds", metavar="K", default="1", help="runs, from --seed on (default: 1)")
    parser.add_argument("--list", action="store_true", help="print the names")
    add_options(parser)


def _experiment(given: dict[str, Any]) -> int:
    name, seeds = given.pop("name"), given.pop("seeds")
    if given.pop("list"):
        from bntui.lab.claims import CLAIMS

        return _list_presets(CLAIMS)
    if name is None:
        raise UsageError("experiment: which one? see bntui experiment --list")
    count = _count("--seeds", seeds, 1_000)
    options, _ = _from_file(given)
    from bntui.lab.claims import claims_of
    from bntui.lab.experiment import run_experiment

    claims_of(name)
    return run_experiment(name, build_config({**options, "preset": name}), count)


def _add_explain(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        commands, "explain", _explain, "bntui explain --data-file batch.csv --layers 2",
        "show the batch-norm transform, forward and backward, in train and in eval mode, step by step in numbers",
    )  # fmt: skip
    parser.add_argument("--data-file", metavar="F", help="CSV, a row a sample (default: an example of 4 × 3)")
    parser.add_argument("--layers", metavar="N", default="1", help="of batch norm and ReLU, 1 to 99 (default: 1)")
    parser.add_argument("--bn-eps", metavar="E", default="1e-05", help="added to the variance (default: 1e-05)")
    parser.add_argument("--bn-momentum", metavar="M", default="0.1", help="of the running statistics (default: 0.1)")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")


def _explain(given: dict[str, Any]) -> int:
    # The options are those of a run, and so is what they take.
    config = build_config({"bn_eps": given["bn_eps"], "bn_momentum": given["bn_momentum"]})
    if isinstance(config.bn_momentum, str):
        raise UsageError("--bn-momentum cumulative: a single batch has no average; take a number")
    layers = _count("--layers", given["layers"], 99)
    from bntui.lab.explain import run_explain

    return run_explain(given["data_file"], layers, config.bn_eps, config.bn_momentum)


def _count(flag: str, text: str, most: int) -> int:
    """Return the number that an option takes which is none of a run's."""
    try:
        return int(integer(1, most)(text))
    except ValueError as error:
        raise UsageError(f"{flag} takes {error}, not {text!r}") from None


def _add_completion(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        commands, "completion", _completion, 'eval "$(bntui completion bash)", as a line of ~/.bashrc',
        "print the script that makes a shell complete these commands and options",
    )  # fmt: skip
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh, or another that shtab knows")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")


def _completion(given: dict[str, Any]) -> int:
    import shtab

    from bntui.lab.claims import CLAIMS

    shell = given["shell"]
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(f"completion takes one of {', '.join(shtab.SUPPORTED_SHELLS)}, not {shortened(shell, 60)!r}")
    parser = build_parser()
    commands = next(action for action in parser._actions if isinstance(action, Commands))
    known = {"data": DATASETS, "activation": ACTIVATIONS, "preset": PRESETS, "name": CLAIMS}
    known["shell"] = shtab.SUPPORTED_SHELLS
    for action in (action for each in (parser, *commands.choices.values()) for action in each._actions):
        if action.dest in known:
            action.choices = list(known[action.dest])
        elif action.dest in ("config", "data_file", "export", "narrate", "run") or is_path(action.dest):
            action.complete = shtab.FILE
    put(shtab.complete(parser, shell))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `--help` and `--version` raise SystemExit(0)."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    _make_streams_safe()
    try:
        given = vars(build_parser().parse_args(list(sys.argv[1:] if arguments is None else arguments)))
        command: Command = given.pop("command", _run)
        return command(given)
    except ReaderGone:
        return 128 + signal.SIGPIPE
    except Exception as error:
        code, message = _told(error)
        try:
            if debug:
                traceback.print_exc()
            # Words of a file may be in it.
            print(f"bntui: error: {shortened(' '.join(one_line(message).split()), 600)}", file=sys.stderr, flush=True)
        except OSError:
            give_up(sys.stderr)
        return code


def _told(error: Exception) -> tuple[int, str]:
    """Return the exit code that an error ends with and what is said of it."""
    if isinstance(error, BntuiError):
        return error.exit_code, str(error)
    if isinstance(error, ModuleNotFoundError):
        package = _PACKAGES.get(str(error.name).partition(".")[0], str(error.name).partition(".")[0])
        return 1, f"the Python package {package} is not installed, and bntui needs it; run pip install {package}"
    return 1, f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows"


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
