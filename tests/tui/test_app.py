"""The app fed with scripted events: no trainer, no clock."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bntui.config import parsers
from bntui.config.interventions import INTERVENTIONS, SETTINGS, Intervention
from bntui.messages import control as c
from bntui.messages import events as e
from bntui.tui.app import BntuiApp
from bntui.tui.keys import KEYS, bindings, keys_of
from bntui.tui.looking import HELP_GROUPS
from bntui.tui.theme import Look
from scripted_app import Script, dialog_says, play, run_events, screen_text, settle

SIZES = [(160, 48), (80, 24), (40, 12), (300, 100), (20, 5)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("view", ["1", "2", "3", "4", "5", "6"])
@pytest.mark.parametrize("epochs", [0, 3])
def test_every_view_at_every_size_shows_something(size: tuple[int, int], view: str, epochs: int) -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(*view)
        await settle(pilot)
        lines = screen_text(app).split("\n")
        assert len(lines) == size[1]
        assert any(line.strip() for line in lines)
        if size[0] < 40:
            assert not epochs or ("running 300" in lines[0] and "With BN .8500" in lines[1])
            assert ("this view is shown" if view == "1" else "larger window needed") in "\n".join(lines[1:])

    play(Script(*(run_events(epochs) if epochs else [])), act, size)


def test_the_charts_view_tells_what_a_person_looks_for() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        text = screen_text(app)
        for wanted in (
            "train loss", "validation loss", "train accuracy", "validation accuracy", "fashion-mnist 60,000/10,000",
            "cpu", "seed 1", "epoch 4/5", "60 %", "With BN .8500", "Without BN .8200", "With BN ahead by 3.0 points",
            "lr 0.01", "BN on", "statistics live", "running", "BN 1 · norm1 · gap, σ",
        ):  # fmt: skip
            assert wanted in text, wanted

    play(Script(*run_events()), act)


def test_before_the_first_event_it_says_what_it_loads() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        assert "downloading mnist  50 %" in screen_text(app)
        assert "appears with the first evaluation" in screen_text(app)
        await pilot.press("left", "right", "y", "m", "t", "z", "c", "left_square_bracket")
        await settle(pilot)

    play(Script(e.Loading("downloading mnist", 5, 10, "bytes")), act)


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("space", c.Pause()), ("p", c.Pause()), ("b", c.Change("bn")), ("f", c.Change("freeze")),
        ("plus", c.Scale("learning_rate", 1.5)), ("equals_sign", c.Scale("learning_rate", 1.5)),
        ("minus", c.Scale("learning_rate", 1 / 1.5)), ("x", c.Export()),
        ("a", c.Change("adapt_bn")), ("w", c.Change("precise_bn")),
    ],
)  # fmt: skip
def test_a_key_sends_its_command(key: str, command: c.Command) -> None:
    script = Script(*run_events())
    script.recorder = type("Recorder", (), {"export": None, "folder": "/run"})()  # type: ignore[attr-defined]

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(key)
        assert script.asked() == [command]

    play(script, act)


def test_state_comes_from_events_not_from_keys() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("space")
        await settle(pilot)
        assert "pausing" in screen_text(app)
        script.waiting = [e.Intervened(300, 4, "pause", False, True), e.Paused(300)]
        await settle(pilot)
        assert "pausing" not in screen_text(app)
        assert "paused" in screen_text(app)
        script.waiting = [e.Intervened(300, 4, "bn", True, False), e.Intervened(300, 4, "learning_rate", 0.01, 0.02)]
        await settle(pilot)
        assert "BN off" in screen_text(app)
        assert "lr 0.02" in screen_text(app)

    play(script, act)


def test_the_learning_rate_is_typed_and_checked() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("l")
        await pilot.press("ctrl+u", *"-3", "enter")
        await pilot.pause()
        assert "takes a number from 1e-12" in screen_text(app)
        await pilot.press("ctrl+u", *"0.005", "enter")
        await pilot.pause()
        assert script.asked() == [c.Change("learning_rate", 0.005)]

    play(script, act)


@pytest.mark.parametrize(
    ("key", "wrong", "complaint", "typed", "change"),
    [
        ("n", "1", "takes a whole number from 2", "16", c.Change("batch_size", 16)),
        ("d", "1", "takes a number from 0 up to", "0.25", c.Change("dropout", 0.25)),
        ("o", "-1", "takes a number from 0 to 10", "0.5", c.Change("bn_noise", 0.5)),
        ("vt", "blur:1", "KIND:STRENGTH", "rotation:15", c.Change("shift", "rotation:15")),
    ],
)
def test_a_setting_is_typed_and_checked(key: str, wrong: str, complaint: str, typed: str, change: c.Change) -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(*key)
        await pilot.press("ctrl+u", *wrong, "enter")
        await pilot.pause()
        assert dialog_says(app, complaint)
        await pilot.press("ctrl+u", *typed, "enter")
        await pilot.pause()
        assert script.asked() == [change]

    play(script, act)


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        (("e", "3"), c.Change("bn_eval", "single")),
        (("e", "down", "enter"), c.Change("bn_eval", "batch")),
        (("v", "2"), c.Change("shift", "rotation:30")),
        (("v", "up", "up", "up", "enter"), c.Change("shift", "inversion:1")),
    ],
)
def test_a_value_is_chosen_from_a_list(keys: tuple[str, ...], change: c.Change) -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press(keys[0])
        await pilot.pause()
        row = INTERVENTIONS[change.name]
        assert all(dialog_says(app, says) for _, says in row.choices)
        assert f"> 1  {row.default}" in screen_text(app)
        await pilot.press(*keys[1:])
        await pilot.pause()
        assert script.asked() == [change]
        await pilot.press(keys[0], "escape")
        await pilot.pause()
        assert script.asked() == [] and not app._dialog.is_open

    play(script, act)


def test_every_choice_is_a_value_that_the_intervention_takes() -> None:
    rows = [row for row in INTERVENTIONS.values() if row.choices]
    assert [row.name for row in rows] == ["bn_eval", "shift"]
    for row in rows:
        assert [row.parse(value) for value, _ in row.choices] == [value for value, _ in row.choices]


def test_after_a_failed_write_export_asks_for_another_place(tmp_path: Any) -> None:
    script = Script(*run_events())
    script.recorder = type("Recorder", (), {"export": None, "folder": "/run"})()  # type: ignore[attr-defined]
    script.problem = "results: /run/results.json: could not be written (No space left on device); training goes on"

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("x")
        await pilot.pause()
        assert "Write the results to which file?" in screen_text(app)
        await pilot.press("ctrl+u", *str(tmp_path / "no" / "r.json"), "enter")
        await pilot.pause()
        assert dialog_says(app, "does not exist; make it first")
        await pilot.press("ctrl+u", *str(tmp_path / "r.json"), "enter")
        await pilot.pause()
        assert script.asked() == [c.Export(str(tmp_path / "r.json"))]

    play(script, act)


def test_one_arm_alone_can_be_restarted() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("r")
        await pilot.pause()
        assert "1  only With BN" in screen_text(app)
        await pilot.press("2")
        await pilot.pause()
        assert script.asked() == [c.Change("restart_arm", "none")]

    play(script, act)


def test_changed_settings_stand_in_the_status() -> None:
    script = Script(
        *run_events(), e.Intervened(300, 4, "batch_size", 32, 8), e.Intervened(300, 4, "adapt_bn", False, True)
    )

    async def act(pilot: Any, app: BntuiApp) -> None:
        assert "batch 8 AdaBN" in screen_text(app)

    play(script, act)


def test_a_row_of_the_table_is_all_that_a_new_intervention_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = Intervention(
        name="mixup", parse=parsers.share, default=0.0, key="h", key_name="mixup", hint="mixup…", help="type a mixup",
        prompt="Mixup: share of the other image", marker="h", word="mixup", state_word="mix",
    )  # fmt: skip
    switch = Intervention(
        name="cutout", parse=parsers.on_off, default=False, key="j", key_name="cutout", hint="cut", help="cut holes",
        marker="j", word="cutout", states=("whole", "cut"), state_word="cutout",
    )  # fmt: skip
    for row in (typed, switch):
        monkeypatch.setitem(INTERVENTIONS, row.name, row)
        monkeypatch.setitem(SETTINGS, row.name, row)
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("h")
        await pilot.pause()
        assert "Mixup: share of the other image" in screen_text(app)
        await pilot.press("ctrl+u", *"2", "enter")
        await pilot.pause()
        assert dialog_says(app, "takes a number from 0 up to")
        await pilot.press("ctrl+u", *"0.25", "enter", "j")
        assert script.asked() == [c.Change("mixup", 0.25), c.Change("cutout")]
        script.waiting = [e.Intervened(210, 4, "mixup", 0.0, 0.25), e.Intervened(250, 4, "cutout", False, True)]
        await settle(pilot)
        rows = screen_text(app).split("\n")
        assert "mix 0.25 cutout" in rows[-2]
        assert re.search(r"h─*j", "\n".join(row[:48] for row in rows))
        assert "mixup 0 → 0.25" in "\n".join(rows) and "cutout whole → cut" in "\n".join(rows)

    play(script, act, keys=(*KEYS, *keys_of([typed, switch])))


@pytest.mark.parametrize(
    ("key", "stopped", "discard"),
    [("s", True, False), ("d", True, True), ("c", False, False), ("escape", False, False)],
)
def test_quitting_a_run_asks_what_to_save(key: str, stopped: bool, discard: bool) -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("q")
        await pilot.pause()
        assert "stop, save and quit" in screen_text(app)
        await pilot.press(key)
        await pilot.pause()
        assert (script.stopped, script.discard) == (stopped, discard)
        if stopped:
            app.tick()

    app = play(script, act)
    if stopped:
        assert app.return_value == 0


def test_a_finished_run_stays_and_is_left_at_once() -> None:
    script = Script(*run_events(), e.Finished("completed", 500, {"batch": "a", "none": "b"}, 9.0), running=False)

    async def act(pilot: Any, app: BntuiApp) -> None:
        assert "completed" in screen_text(app)
        await pilot.press("q")

    assert play(script, act).return_value == 0


def test_ctrl_c_stops_saves_and_leaves_with_130() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("ctrl+c")
        assert script.stopped
        app.tick()

    assert play(script, act).return_value == 130


def test_a_restart_is_asked_for_first() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("r", "n")
        assert script.asked() == []
        await pilot.press("r", "y")
        await pilot.pause()
        assert script.asked() == [c.Restart()]

    play(script, act)


def test_help_lists_every_key_of_the_table() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        text = screen_text(app)
        for key in KEYS:
            assert key.help in text, key.action
        await pilot.press("escape")
        await pilot.pause()
        assert "Keys that" not in screen_text(app)

    play(Script(*run_events()), act, (120, 90))


def test_help_has_first_what_can_be_done_here_and_now() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        here, _, elsewhere = screen_text(app).partition("In other views, or at another time")
        assert "pause or resume training" in here and "explain the chosen channel" in elsewhere
        await pilot.press("escape", "2", "question_mark")
        await pilot.pause()
        here, _, elsewhere = screen_text(app).partition("In other views, or at another time")
        assert "explain the chosen channel" in here and "smoothing: off" in elsewhere
        places = [here.index(f"│  {title} ") for title in HELP_GROUPS.values()]
        assert places == sorted(places)

    play(Script(*run_events()), act, (120, 90))


def test_once_the_run_has_ended_the_hints_offer_what_can_be_done() -> None:
    script = Script(*run_events(), e.Finished("completed", 500, {"batch": "a", "none": "b"}, 9.0), running=False)

    async def act(pilot: Any, app: BntuiApp) -> None:
        hints = screen_text(app).split("\n")[-1].split("  ")
        assert [hint.strip() for hint in hints][:3] == ["r run again", "k more epochs", "x export"]
        assert "pause" not in screen_text(app).split("\n")[-1]

    play(script, act)


def test_every_key_of_the_table_has_an_action_and_none_stands_twice() -> None:
    keys = [key for binding in bindings(KEYS) for key in binding.key.split(",")]
    assert len(keys) == len(set(keys))
    for key in KEYS:
        assert hasattr(BntuiApp, f"action_{key.action.partition('(')[0]}")


def test_a_panel_is_focused_shown_alone_and_all_come_back() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        panels = app._views.panels
        assert panels is not None
        every = [panel.kind.name for panel in panels.shown]
        assert every[:2] == ["train-loss", "validation-loss"] and "heat-map" in every
        await pilot.press("tab", "tab", "c")
        await pilot.pause()
        assert [panel.kind.name for panel in panels.shown] == ["validation-loss"]
        await settle(pilot)
        assert panels.shown[0].size.width == 160
        await pilot.press("c")
        await pilot.pause()
        assert [panel.kind.name for panel in panels.shown] == every
        await pilot.press("shift+tab")
        assert panels.focused is not None and panels.focused.kind.name == "train-loss"
        await pilot.click("#score")
        assert panels.focused is not None and panels.focused.kind.name == "score"

    play(Script(*run_events()), act)


def test_a_key_of_other_views_says_where_it_does_something() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("6", "m")
        await pilot.pause()
        assert "m (smooth) does something in view 1, not in this one" in screen_text(app)
        assert app._views.view.smoothing == 0.95

    play(Script(*run_events()), act)


def test_undo_is_asked_for_where_there_is_something_to_undo() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("u")
        assert "no intervention to undo" in screen_text(app) and script.asked() == []
        script.waiting = [e.Intervened(300, 4, "bn", True, False)]
        await settle(pilot)
        await pilot.press("u")
        assert script.asked() == [c.Undo()]
        script.waiting = [e.Undone(310, 300, "bn")]
        await settle(pilot)
        assert "BN on" in screen_text(app) and app.history.undoable is None

    play(script, act)


def test_the_guide_changes_with_what_happens_and_can_be_hidden() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        assert "look for" in screen_text(app) and "b normalization off" in screen_text(app)
        script.waiting = [e.Intervened(300, 4, "bn", True, False)]
        await settle(pilot)
        assert "With BN runs without its normalization" in screen_text(app)
        await pilot.press("i")
        await pilot.pause()
        assert "look for" not in screen_text(app)

    play(script, act)


def test_captured_lines_and_interventions_are_in_the_log_without_control_characters() -> None:
    script = Script(
        *run_events(), e.Intervened(300, 4, "bn", True, False), e.Alert(300, "batch", "diverged", "bad \x1b[31mnews")
    )

    async def act(pilot: Any, app: BntuiApp) -> None:
        app._lines.append("a stray \x1b[2Jprint")
        await pilot.press("6")
        await settle(pilot)
        text = screen_text(app)
        assert "a stray print" in text
        assert "step 300: BN on → off" in text
        assert "bad news" in text

    play(script, act)


def test_ascii_only_is_ascii_only() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        for view in "123456":
            await pilot.press(view)
            await settle(pilot)
            body = screen_text(app).split("\n")
            assert all(line.isascii() for line in body), [line for line in body if not line.isascii()]

    play(Script(*run_events()), act, look=Look("ascii", coloured=False))


def test_a_failed_run_says_why() -> None:
    script = Script(*run_events(), e.Finished("failed", 300, {}, 1.0, "boom"), running=False)
    script.error = RuntimeError("no memory left")

    async def act(pilot: Any, app: BntuiApp) -> None:
        assert "failed: no memory left" in screen_text(app)

    play(script, act)


def test_a_click_on_a_chart_puts_the_cursor_there_on_all() -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.click("#train-loss", offset=(28, 5))
        await settle(pilot)
        step = app._views.view.cursor
        assert step is not None and 100 < step < 200
        assert screen_text(app).count("┊") > 20
        await pilot.press("right")
        assert app._views.view.cursor == step + 5
        await pilot.click("#train-loss", offset=(1, 5))  # beside the axis
        assert app._views.view.cursor == step + 5

    play(Script(*run_events()), act)


def test_a_click_on_a_hint_does_what_its_key_does() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        row = screen_text(app).split("\n")[-1]
        await pilot.click("#hints", offset=(row.index("freeze"), 0))
        assert script.asked() == [c.Change("freeze")]
        await pilot.click("#hints", offset=(row.index("layers"), 0))
        await settle(pilot)
        assert "running mean" in screen_text(app)

    play(script, act)


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_the_hints_always_end_in_help_and_quit(width: int) -> None:
    async def act(pilot: Any, app: BntuiApp) -> None:
        row = screen_text(app).split("\n")[-1]
        assert row.rstrip().endswith("? help  q quit")
        assert "space pause" in row

    play(Script(*run_events()), act, (width, 24))


def test_the_light_theme_is_taken_live() -> None:
    def backgrounds(app: BntuiApp) -> set[str]:
        strips = app.screen._compositor.render_strips()
        return {str(s.style.bgcolor.name) for strip in strips for s in strip if s.style and s.style.bgcolor}

    async def act(pilot: Any, app: BntuiApp) -> None:
        assert "#121212" in backgrounds(app)
        command = next(c for c in app.get_system_commands(app.screen) if c.title == "light theme")
        command.callback()
        await pilot.pause(0.2)
        await settle(pilot)
        assert "#ffffff" in backgrounds(app)
        assert "#121212" not in backgrounds(app)
        colours = {str(s.style.color.name) for strip in app.screen._compositor.render_strips() for s in strip
                   if s.style and s.style.color}  # fmt: skip
        assert {"#005fd7", "#d75f00"} <= colours
        assert not colours & {"#5fafff", "#ff8700"}

    play(Script(*run_events()), act)


def test_keys_scroll_the_log_and_the_help() -> None:
    script = Script(*run_events(), *(e.Alert(300, "batch", "x", f"alert number {i}") for i in range(100)))

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("6")
        await settle(pilot)
        assert "alert number 99" in screen_text(app)
        await pilot.press("home")
        await pilot.pause()
        assert "alert number 0" in screen_text(app)
        await pilot.press("1", "question_mark")
        await pilot.pause()
        assert "Escape closes" not in screen_text(app)
        await pilot.press("end")
        await pilot.pause()
        assert "Escape closes" in screen_text(app)
        await pilot.press("2", "b", "tab")  # what lies below does not hear of it
        await pilot.press("escape")
        await pilot.pause()
        assert "train loss" in screen_text(app)
        assert script.asked() == []

    play(script, act, (80, 24))


def test_a_command_that_is_not_obeyed_at_once_is_said_to_be_on_its_way() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        await pilot.press("b")
        await pilot.pause(0.2)
        assert "changing…" in screen_text(app)
        assert "BN on" in screen_text(app)
        script.waiting = [e.Intervened(300, 4, "bn", True, False)]
        await settle(pilot)
        assert "BN off" in screen_text(app)
        assert "changing" not in screen_text(app)

    play(script, act)


def test_what_can_not_be_written_is_said() -> None:
    script = Script(*run_events())

    async def act(pilot: Any, app: BntuiApp) -> None:
        script.problem = "journal.jsonl can't be written (No space left on device); training goes on"
        await settle(pilot)
        assert ["No space left" in notice.message for notice in app._notifications] == [True]
        await pilot.press("6")
        await settle(pilot)
        assert "journal.jsonl can't be written" in screen_text(app)

    play(script, act)
