"""The parser of the command line: what argparse lacks so that every error is one line that says what was meant."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from typing import Any, NoReturn

from bntui.config.options import OUTPUT, RunConfig, flag_of
from bntui.errors import UsageError
from bntui.stdout import put
from bntui.text import shortened

Command = Callable[[dict[str, Any]], int]
"""What is done with the options that were given; returns the exit code."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are of one line, as all others are, and say what may have been meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Keep the words: what stands before a command decides what its error is."""
        self._words: list[str] = list(args)
        return super().parse_known_args(args, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Look at a command, and all that follows it, before argparse does."""
        if isinstance(action, Commands) and arg_strings[0] not in action.choices:
            before = (word.partition("=")[0] for word in self._words[: len(self._words) - len(arg_strings)])
            unknown = next((w for w in before if w.startswith("--") and w not in self._option_string_actions), None)
            if unknown is not None:  # whose value the word may be
                self.error(f"unrecognized arguments: {unknown}")
            raise UsageError(self._no_command(arg_strings[0], action.choices))
        return super()._get_values(action, arg_strings)

    def _no_command(self, word: str, commands: Iterable[str]) -> str:
        close = difflib.get_close_matches(word, commands, 1, 0.7)
        hint = f"did you mean bntui {close[0]}?" if close else f"see {self.prog} --help"
        if not close and os.path.exists(word):
            hint = f"did you mean bntui open {shlex.quote(word)}?"
        return f"no command is called {shortened(word, 100)!r}; {hint}"

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with a hint: an option that was meant, or where to look."""
        word = next((w for w in message.replace("=", " ").split() if w.startswith("--")), "")
        # Without the dashes, which all options share and which would make any two look alike.
        known = {flag.lstrip("-"): flag for flag in self._option_string_actions if flag != word}
        close = difflib.get_close_matches(word.lstrip("-"), known, 1, 0.7)
        unknown = "unrecognized" in message
        hint = f"did you mean {known[close[0]]}?" if close and unknown else f"see {self.prog} --help"
        raise UsageError(f"{message if len(message) <= 200 else message[:197] + '...'}; {hint}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print the help or the version; argparse itself says nothing if that fails."""
        put(message, end="")


class Commands(argparse._SubParsersAction):  # type: ignore[type-arg]
    """The commands; none of the options of a run may stand before one: they would do nothing, or be meant for it."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        """Have the command's own parser take all that follows it, whose errors then name its own help."""
        command, *rest = values
        chosen = self.choices[command]
        for name in vars(namespace):
            flag = flag_of(name)
            if flag != "--debug" and flag in chosen._option_string_actions:
                raise UsageError(f"{flag} stands before {command}: options follow the command; "
                                 f"see {chosen.prog} --help")  # fmt: skip
            if flag != "--debug":
                raise UsageError(f"{flag} is an option of a run, and bntui {command} makes none; leave out one of them")
        vars(namespace).update(vars(chosen.parse_args(rest)))


def add_command(
    commands: argparse._SubParsersAction[Parser], name: str, command: Command, example: str, about: str
) -> Parser:
    """Add the parser of a command, which is called with what was given."""
    parser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"example: {example}",
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def add_options(parser: argparse.ArgumentParser, only: Collection[str] = ()) -> None:
    """Add the options of a run in their groups, or some of them, and --config."""
    groups: dict[str, Any] = {}
    for option in fields(RunConfig):
        if only and option.name not in only:
            continue
        about = option.metadata
        if about["group"] not in groups:
            groups[about["group"]] = parser if only else parser.add_argument_group(about["group"])
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
    text = "TOML file of these options, and of keys; the command line wins"
    groups[OUTPUT].add_argument("--config", metavar="FILE", help=text, default=argparse.SUPPRESS)
