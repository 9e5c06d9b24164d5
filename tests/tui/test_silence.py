"""No key does nothing in silence: something on the screen changes, or something is asked of the run."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from textual.events import Click, Key
from textual.geometry import Region

from bntui.messages import control as c
from bntui.messages import events as e
from bntui.tui.app import BntuiApp
from bntui.tui.keys import KEYS, bindings
from bntui.tui.sources.playback import Playback
from bntui.tui.views import switcher
from scripted_app import ZOO, Script, play, run_events, screen_text, settle

UNBOUND = ("f12", "ctrl+k", "ctrl+q", "é", "j", "h", "backspace", "delete", "f1", "ctrl+a", "8", "0")
SCROLLING = ("up", "down", "pageup", "pagedown", "home", "end")
LEAVING = ("q", "ctrl+c")
TABLE = [key for binding in bindings(KEYS) for key in binding.key.split(",") if key not in LEAVING]
CHARACTERS = {"plus": "+", "minus": "-", "equals_sign": "=", "question_mark": "?"}
VIEWS = {str(number): name for number, name in enumerate(switcher.VIEWS, 1)}
FINISHED = e.Finished("completed", 500, {"batch": "a", "none": "b"}, 9.0)
SIZES = ((160, 48), (80, 24), (40, 12), (20, 5))


class Replay(Script, Playback):
    """Events that are played back: nothing trains."""

    running = property(lambda self: False, lambda self, on: None)  # type: ignore[assignment]


def source(state: str) -> Script:
    if state == "loading":
        return Script(e.Loading("downloading mnist", 5, 10, "bytes"))
    if state == "replay":
        return Replay(*run_events())
    norms = ZOO if state == "six arms" else ("batch", "none")
    made = Script(*run_events(norms=norms), running=state in ("running", "six arms", "paused", "writing"))
    if state == "paused":
        made.waiting.append(e.Paused(300))
    elif state in ("completed", "writing"):
        made.waiting.append(FINISHED)
    elif state == "failed":
        made.waiting.append(e.Finished("failed", 300, {}, 1.0, "boom"))
        made.error = RuntimeError("no memory left")
    return made


def seen(app: BntuiApp) -> tuple[Any, ...]:
    app.screen._refresh_layout()  # what is to be shown, and not what was shown last
    screen = "\n".join(line for line in screen_text(app).split("\n") if "samples/s" not in line)
    return screen, len(app.screen_stack), [toast.message for toast in app._notifications]


async def press(app: BntuiApp, key: str) -> None:
    """Press a key, and let all that waits for its turn have it: a pilot would wait ten times as long."""
    assert app._driver is not None
    app._driver.send_message(Key(key, key if len(key) == 1 else CHARACTERS.get(key)))
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "state", ["loading", "running", "six arms", "paused", "writing", "completed", "failed", "replay"]
)
@pytest.mark.parametrize("view", VIEWS)
def test_no_key_does_nothing_in_silence(state: str, view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever runs the tests, there is no shell to go to.
    monkeypatch.setattr(os, "getppid", lambda: 1)
    script = source(state)
    # The size changes nothing of what a key does, so each view and state takes another one.
    size = SIZES[(list(VIEWS).index(view) + len(state)) % len(SIZES)]

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(*view)
        # An empty view of charts can't be told from another one.
        await settle(pilot)
        silent = []
        for key in dict.fromkeys((*TABLE, *UNBOUND, *SCROLLING)):
            app._said = app._waiting = ""
            app._notifications.clear()
            app._draw_text()
            script.asked()
            before = seen(app)
            await press(app, key)
            if not script.asked() and seen(app) == before:
                # A view of charts is empty until the clock has them drawn.
                await settle(pilot)
                if not script.asked() and seen(app) == before:
                    silent.append(key)
            while len(app.screen_stack) > 1:
                await pilot.press("escape")
                await pilot.pause()
            app._dialog.close()
            app._views.current = VIEWS[view]
        assert silent == []
        assert app._exception is None and not script.stopped

    play(script, act, size)


@pytest.mark.parametrize("opening", ["question_mark", "r", "l", "q"])
def test_a_dialog_says_which_keys_it_takes(opening: str) -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        for key in ("f12", "down", "ctrl+p", "tab", "f3", "pageup"):
            await pilot.press(opening)
            await pilot.pause()
            app._notifications.clear()
            before = seen(app)
            await pilot.press(key)
            await pilot.pause()
            assert seen(app) != before, key
            app._dialog.close()

    play(Script(*run_events()), act, (160, 60))


@pytest.mark.parametrize("size", [(160, 48), (220, 60)])
def test_a_key_that_can_scroll_nothing_ends_nothing(size: tuple[int, int]) -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        for opening in ("2", "5", "6", "question_mark"):
            await pilot.press(opening)
            await pilot.pause()
            for key in SCROLLING:
                await pilot.press(key)
                await pilot.pause()
            if opening == "5":
                assert "nothing to scroll" in screen_text(app)
        assert app._exception is None

    play(Script(*run_events()), act, size)


def test_an_empty_log_says_so_until_something_is_told() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("6")
        await pilot.pause()
        assert "nothing has been told yet" in screen_text(app)
        app._views.say("something")
        await settle(pilot)
        assert "something" in screen_text(app) and "nothing has been told" not in screen_text(app)

    play(Script(*run_events()), act)


def test_ctrl_p_searches_all_actions() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"freeze")
        await pilot.pause(0.5)
        await pilot.press("tab", "down", "enter")
        await pilot.pause(0.5)
        assert len(app.screen_stack) == 1
        assert script.asked() == [c.Change("freeze")]
        app.delay_update()
        assert app._batch_count == 0  # what is chosen there never stops the drawing

    play(script, act)


def test_a_list_of_actions_without_room_can_be_paged_through() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("ctrl+p", "i")
        await pilot.pause(0.3)
        for key in SCROLLING * 2:
            await pilot.press(key)
        await pilot.pause()
        assert app._exception is None
        await pilot.press("escape", "escape")

    for size in ((1, 1), (5, 2), (20, 5)):
        play(Script(*run_events()), act, size)


def test_a_click_on_a_list_of_actions_may_come_after_the_terminal_has_become_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is known of the places may still be of the size before."""

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause()
        palette = app.screen
        monkeypatch.setattr(type(palette), "region", Region(0, 0, 80, 24))
        palette._on_click(Click(palette, 73, 5, 0, 0, 1, False, False, False, 73, 5))  # type: ignore[attr-defined]
        await pilot.pause()
        assert app._exception is None and app.screen is palette

    play(Script(*run_events()), act, (5, 2))


def test_a_list_of_actions_that_is_left_twice_is_left_once() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause()
        palette = app.screen
        await pilot.press("escape")
        palette.dismiss()
        await pilot.pause()
        assert app._exception is None and len(app.screen_stack) == 1

    play(Script(*run_events()), act)


def test_a_value_may_be_typed_and_left_faster_than_the_screen_follows() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        assert app._driver is not None
        for key in ("l", "escape", "d", "ctrl+u", "0", ".", "5", "enter", "l", "escape", "question_mark"):
            app._driver.send_message(Key(key, {"question_mark": "?"}.get(key, key if len(key) == 1 else None)))
        await pilot.pause(0.2)
        assert "Keys that do something" in screen_text(app)
        assert script.asked() == [c.Change("dropout", 0.5)]

    play(script, act)


def test_escape_takes_the_inspect_cursor_away() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("left")
        assert app._views.view.cursor is not None
        await pilot.press("question_mark", "escape")
        assert app._views.view.cursor is not None
        await pilot.press("escape")
        assert app._views.view.cursor is None
        await settle(pilot)
        assert "┊" not in screen_text(app)

    play(Script(*run_events()), act)


def test_a_value_that_is_set_already_is_said_to_be() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("l", "ctrl+u", *"0.01", "enter")
        await pilot.pause()
        assert "learning rate is 0.01 already" in screen_text(app)
        assert script.asked() == []
        await pilot.press("s")
        await pilot.pause()
        assert "s steps only while paused" in screen_text(app)

    play(script, act)


@pytest.mark.parametrize("dialog", ["q", "r"])
def test_a_question_asked_before_the_end_is_another_one_after_it(dialog: str) -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(dialog)
        await pilot.pause()
        script.waiting = [FINISHED]
        await settle(pilot)
        text = screen_text(app)
        assert "The run has ended" in text and "Training goes on" not in text and "without saving" not in text
        await pilot.press("d" if dialog == "q" else "1")
        await pilot.pause()
        assert not script.stopped and not script.discard and script.asked() == []

    play(script, act)


def test_while_the_results_are_written_q_leaves_without_a_question() -> None:
    script = Script(*run_events(), FINISHED)

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("q")
        await pilot.pause()
        assert not app._dialog.is_open
        assert script.stopped and not script.discard
        app.tick()

    assert play(script, act).return_value == 0


def test_a_command_that_came_too_late_is_said_to_have() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("b")
        script.waiting = [FINISHED]
        await settle(pilot)
        assert "completed before that could be done" in screen_text(app)

    play(script, act)


def test_a_long_log_is_written_at_once_and_only_when_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(*run_events(), *(e.Alert(300, "batch", "x", f"alert {i}") for i in range(20_000)))
    script.waiting += [e.Notice(f"notice {i}") for i in range(500)]

    async def act(pilot: Any, app: BntuiApp) -> None:
        written = []
        log = app._views._log
        write = log.write

        def count(text: Any, *options: Any, **more: Any) -> Any:
            # Textual comes back with what was written before it knew the size.
            if not options:
                written.append(text)
            return write(text, *options, **more)

        monkeypatch.setattr(log, "write", count)
        assert len(log.lines) + len(log._deferred_renders) == 1  # that nothing has been told
        assert len(app._notifications) <= 3
        await pilot.press("6")
        await settle(pilot)
        assert len(written) == 1 and written[0].plain.count("\n") < 2_000
        assert "notice 499" in screen_text(app)
        script.waiting = [e.Alert(300, "batch", "x", f"late {i}") for i in range(3_000)]
        app.tick()
        await pilot.pause()
        assert len(written) == 2 and "late 2999" in screen_text(app)

    play(script, act)
