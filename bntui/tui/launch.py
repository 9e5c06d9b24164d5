"""The front end with a screen: the app around a run, and what is said once the screen is gone."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bntui.config.options import RunConfig
from bntui.errors import BntuiError
from bntui.messages.signals import handling, let_go_of_the_terminal
from bntui.storage.folder import RunFolder
from bntui.storage.narrator import check_not_the_screen
from bntui.text import one_line
from bntui.tui.terminal.abilities import check_terminal, choose_markers, choose_theme, has_few_colours
from bntui.tui.terminal.capture import Capture

if TYPE_CHECKING:
    from bntui.tui.keys import Key
    from bntui.tui.sources.live import LiveRun
    from bntui.tui.sources.playback import Playback

LINES_KEPT = 10_000
"""Captured lines that wait for the app to show them; all of them are in log.txt."""

# Textual reads these when it is imported. What changed is sent after 4 ms at most, where 17 are the default, and a lone
# Escape is taken for the key after 25 ms, where 100 are the default: a terminal sends a sequence in one piece.
_ENVIRONMENT = {"TEXTUAL_FPS": "250", "ESCDELAY": "25"}


def run_app(config: RunConfig, keys: Mapping[str, str]) -> int:
    """Run a configuration in the terminal app and return the exit code.

    Parameters
    ----------
    config
        What to train, and how to show it.
    keys
        Names of actions and the keys they are to have instead of their own.

    Raises
    ------
    BntuiError
        There is no terminal, or whatever kept the run from beginning or its results from being written.
    """
    check_terminal()
    check_not_the_screen(config.narrate)
    # Textual takes a while to import: only once it is certain that there is something to show it on.
    _set_environment()
    from bntui.tui.keys import bind
    from bntui.tui.sources.live import LiveRun

    table = bind(keys)
    code, live = _show(LiveRun(config), config, table)
    assert isinstance(live, LiveRun)
    if live.running:
        _say(f"left at once; {_what_is_left(live)}")
        return code or 1
    live.recorder.close()
    if live.error is not None:
        if live.unsaved:
            with contextlib.suppress(OSError):
                _say(f"error: {live.unsaved}")
        raise live.error
    if code is None:
        raise BntuiError("the terminal app failed" + ("; the results were saved" if live.saved else ""))
    with contextlib.suppress(OSError):  # the terminal may be gone
        if live.recorder.history.started is None:
            print("bntui: stopped before training began: there is nothing to save", file=sys.stderr)
        _say_goodbye(live)
        sys.stderr.flush()
    return code


def open_run(path: str, config: RunConfig, keys: Mapping[str, str]) -> int:
    """Show a finished or still growing run in the terminal app and return the exit code.

    Parameters
    ----------
    path
        Of a results file or a run folder.
    config
        Of which only what concerns the screen counts.
    keys
        As for `run_app`.

    Raises
    ------
    BntuiError
        There is no terminal, or no run at the path, or it can't be narrated where it is asked for.
    """
    check_terminal()
    check_not_the_screen(config.narrate)
    _set_environment()
    from bntui.tui.keys import bind
    from bntui.tui.sources.playback import Playback

    code, _ = _show(Playback(path, config.narrate), config, bind(keys))
    if code is None:
        raise BntuiError("the terminal app failed")
    return code


def _set_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _show(
    source: LiveRun | Playback, config: RunConfig, keys: tuple[Key, ...]
) -> tuple[int | None, LiveRun | Playback]:
    """Run the app until it is left and the source has ended.

    Returns
    -------
    code, source
        The exit code, None if the app failed; and the last source shown: a run that ended may have been run again.
    """
    from bntui.tui.app import BntuiApp
    from bntui.tui.theme import Look

    lines: deque[str] = deque(maxlen=LINES_KEPT)
    app: BntuiApp | None = None

    def on_line(line: str) -> None:
        lines.append(line)
        (app.source if app is not None else source).log(line)

    look = Look(
        choose_markers(config.markers),
        choose_theme(config.theme),
        coloured=not os.environ.get("NO_COLOR"),
        few_colours=has_few_colours(),
    )
    # Textual takes them for the size, which then could not change any more.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    early: list[int] = []

    def take(number: int) -> None:
        if app is None:
            early.append(number)
        else:
            app.take_signal(number)

    with (
        handling(config, take, take, lambda: app.take_hangup() if app is not None else None),
        Capture(on_line, encoding=None if look.ascii_only else "utf-8") as capture,
    ):
        app = BntuiApp(source, look, keys, lines, capture)
        for number in early:
            app.take_signal(number)
        code = app.run()
        if app.left_alone:
            let_go_of_the_terminal()
            with handling(config, lambda _: app.source.stop()) as caught:
                app.source.join()
            code = 128 + caught[0] if caught else 0
        elif not app.at_once:
            app.source.stop()
            app.source.join(unless=lambda: app.at_once)
    return None if app.return_code and code is None else code or 0, app.source


def _what_is_left(live: LiveRun) -> str:
    """Say how a run that was not waited for can go on."""
    folder = live.recorder.folder
    if folder is None or not RunFolder(folder).has_checkpoint():
        return "training had not begun, and nothing was saved"
    return f"bntui --resume {shlex.quote(str(folder))} goes on from the last checkpoint"


def _say_goodbye(live: LiveRun) -> None:
    history, recorder = live.recorder.history, live.recorder
    evaluated = history.epochs or history.evaluations
    if evaluated:
        last = evaluated[-1].validation
        told = ", ".join(f"{label} {last[arm].accuracy:.4f}" for arm, label in history.labels.items())
        some = "" if history.epochs else f" (on {history.evaluations[-1].samples:,} samples)"
        _say(f"{history.status} after step {history.step:,}: validation accuracy {told}{some}")
    if live.saved:
        _say(f"results in {' and '.join(recorder.places)}")
    if live.before:
        _say(f"the runs before are in {' and '.join(map(str, live.before))}")


def _say(text: str) -> None:
    """Print a line on stderr. There may be names of folders in it, which may hold anything."""
    print(f"bntui: {one_line(text)}", file=sys.stderr, flush=True)
