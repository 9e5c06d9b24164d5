"""The command line: options in, exit code out. Imports nothing heavy before the options are known to be right."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from dataclasses import fields
from typing import NoReturn

from bntui import __version__
from bntui.config import OUTPUT, PRESETS, RunConfig, build_config, flag_of
from bntui.errors import BntuiError, UsageError

_EXIT_CODES = """exit codes: 0 finished; 2 wrong usage; 3 data not available or damaged; 4 device not available or out
of memory; 5 results could not be written; 1 anything unexpected; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM
after saving"""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are of one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see bntui --help")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every option that RunConfig declares."""
    parser = _Parser(
        prog="bntui",
        description="A batch-norm laboratory: train two networks that differ only in batch normalization.",
        epilog=_EXIT_CODES,
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
    groups[OUTPUT].add_argument("--config", metavar="FILE", help="TOML file of these options; the command line wins")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `--help` and `--version` raise SystemExit(0)."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    try:
        given = vars(build_parser().parse_args(arguments))
        config_file = given.pop("config")
        if given.get("preset") == "list":
            for name, (description, _) in PRESETS.items():
                print(f"{name:<16} {description}")
            return 0
        config = build_config(given, config_file)
        if not config.headless:
            raise UsageError("the terminal app is not part of this version; run with --headless")
        from bntui.headless import run_headless

        return run_headless(config)
    except BntuiError as error:
        code = error.exit_code
        message = str(error)
    except BrokenPipeError:
        return 1
    except Exception as error:
        code = 1
        message = f"unexpected {type(error).__name__}: {error}; run again with --debug and report what it shows"
    if debug:
        traceback.print_exc()
    print(f"bntui: error: {' '.join(message.split())}", file=sys.stderr)
    return code
