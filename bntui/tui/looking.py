"""How a person looks at a run: which view, which part of it, in which colours, and what the keys are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text
from textual import events
from textual.app import SystemCommand
from textual.screen import Screen

from bntui.tui.actions import NOTHING_TRAINS, CommandApp
from bntui.tui.keys import KEYS, Key, bindings, spell
from bntui.tui.sources.live import LiveRun
from bntui.tui.sources.playback import Playback
from bntui.tui.terminal.textual_private import Palette
from bntui.tui.theme import THEMES, Look
from bntui.tui.views.panel import Panel
from bntui.tui.views.switcher import VIEWS, Views
from bntui.tui.views.view import StepAxis
from bntui.tui.widgets.dialog import SCROLLING

DURING_DIALOG = ("interrupt", "suspend_process", "repaint")
ROWS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -(10**9), "end": 10**9}
"""By how many rows keys go on in a table of channels."""
HELP_GROUPS = {"train": "Train", "intervene": "Intervene", "look": "Look", "program": "The program"}
"""Titles of the groups of keys, in their order."""
_LIVE_ACTIONS = frozenset(key.action.partition("(")[0] for key in KEYS if key.live)


class LookingApp(CommandApp):
    """An app whose other actions change what is shown, and nothing of the run."""

    def __init__(self, source: LiveRun | Playback, look: Look, keys: Sequence[Key]) -> None:
        super().__init__(source, look)
        self._keys = tuple(keys)
        self.use_keys(bindings(self._keys))
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[look.theme].name
        # Kept rather than looked up: the clock may strike while the screen is being taken down.
        self._views = Views(self.history)
        self._views.view.replay = isinstance(source, Playback)
        self._changed = self._urgent = False
        """Whether what is told in words is to be redrawn, or a panel, without waiting for its turn."""

    def _draw_text(self) -> None:
        """Redraw what is told in words."""
        raise NotImplementedError

    def _draw_panels(self) -> None:
        """Redraw the panels that changed."""
        raise NotImplementedError

    def _redraw_panels(self) -> None:
        """Have every panel drawn anew as soon as may be."""
        self._views.mark_all()
        self._urgent = True

    # Keys

    async def on_key(self, event: events.Key) -> None:
        """Leave all keys to a dialog that is open, and those that scroll to the view."""
        if len(self.screen_stack) != 1:
            return
        if self._dialog.is_open:
            await self._dialog.take(event)
            return
        if self._said:
            self._said, self._changed = "", True
        bound = self.bound_to(event.key)
        elsewhere = self._only_elsewhere(event.key)
        if elsewhere:
            self._say(elsewhere)
            event.prevent_default()
            return
        if not bound and event.key in ROWS and self._views.shown == "layers":
            self._say(self._views.choose_row(self.source.control, ROWS[event.key]))
            self._draw_panels()
        elif not bound and event.key in SCROLLING:
            self._say_if(self._views.scroll(event.key, self.look))
            self._draw_panels()
        elif not bound:
            named = event.character if event.is_printable and event.character else event.key
            helping = next((key.keys[0] for key in self._keys if key.name == "help" and key.keys), "")
            self._say(f"{named} does nothing here" + (f"; {helping} lists the keys" if helping else ""))
        elif not any(self.check_action(binding.action.removeprefix("app.").partition("(")[0], ()) for binding in bound):
            self._say(NOTHING_TRAINS)

    def _only_elsewhere(self, pressed: str) -> str:
        """Say in which views a key does something, if it does nothing in this one."""
        key = next((key for key in self._keys for binding in self.bound_to(pressed) if binding.id == key.name), None)
        if key is None or not key.views or self._views.shown in key.views:
            return ""
        numbers = [str(VIEWS.index(name) + 1) for name in key.views]
        where = f"views {', '.join(numbers[:-1])} and {numbers[-1]}" if len(numbers) > 1 else f"view {numbers[0]}"
        return f"{spell(key, self.look.ascii_only).split()[0]} ({key.word}) does something in {where}, not in this one"

    def on_paste(self) -> None:
        """Say that what was pasted goes nowhere, as no text is asked for."""
        if len(self.screen_stack) == 1 and not self._dialog.is_open:
            self._say("pasted text is not typed here")

    def _say_if(self, text: str) -> None:
        if text:
            self._say(text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what only a trainer can do of a replay, and while a dialog is open what acts on what is below."""
        if action in ("focus_next", "focus_previous"):
            return False
        if (self._dialog.is_open or len(self.screen_stack) != 1) and action not in DURING_DIALOG:
            return False
        return not isinstance(self.source, Playback) or action not in _LIVE_ACTIONS

    # Views

    def action_view(self, name: str) -> None:
        """Show a view, its charts at first as they were."""
        if self._views.shown == name:
            self._say("this view is shown already")
            return
        self._views.current = name
        if self.screen_stack[0].has_class("tiny"):
            self._say("larger window needed")
        self._urgent = True
        self._draw_text()

    def action_panel(self, by: int) -> None:
        """Give the focus to another panel of the view."""
        panels = self._views.panels
        if panels is None:
            self._say("this view has one panel")
            return
        name = panels.focus_next(by)
        self._say(f"{name} alone; c shows all" if panels.alone else f"{name} has the focus; c shows it alone")
        self._urgent = True
        self._draw_panels()

    def action_maximise(self) -> None:
        """Show the panel with the focus alone, or all again."""
        panels = self._views.panels
        if panels is None:
            self._say("this view has one panel")
            return
        self._say(panels.maximise())
        self._urgent = True

    def action_layer(self, by: int) -> None:
        """Choose a BN layer."""
        self._choose(layer=by)

    def action_unit(self, by: int) -> None:
        """Choose a unit."""
        self._choose(unit=by)

    def action_explain_channel(self) -> None:
        """Explain the chosen channel."""
        self.action_view("explain")

    def _choose(self, layer: int = 0, unit: int = 0) -> None:
        self._say(self._views.choose(self.source.control, layer, unit))
        self._draw_text()
        self._draw_panels()

    def action_look(self, name: str, *arguments: object) -> None:
        """Look at the run in another way, and say so: a method of `View`."""
        said: str = getattr(self._views.view, name)(self.history, *arguments)
        self._say(said)
        self._redraw_panels()
        self._draw_panels()

    def action_quantity(self) -> None:
        """Have the heat map show another quantity, or the table be sorted by another."""
        self.action_look("next_sort" if self._views.shown == "layers" else "next_quantity")

    def action_command_palette(self) -> None:
        """Search all actions."""
        self.push_screen(Palette())

    def action_repaint(self) -> None:
        """Draw the whole screen anew."""
        self._say("the screen was drawn anew")
        self._repaint()

    def _repaint(self) -> None:
        """Draw every cell again, whatever the terminal shows."""
        self.clear_terminal()
        self.refresh(repaint=True, layout=True)
        self.screen.refresh(repaint=True, layout=True)

    def action_suspend_process(self) -> None:
        """Go to the shell, until `fg`; where there is none that could bring it back, stay."""
        parent = os.getppid()
        if parent <= 1 or os.getsid(parent) != os.getsid(0):
            self._say("no shell to go to: bntui was not started from one")
        else:
            super().action_suspend_process()

    def action_help(self) -> None:
        """Show the keys, first those that do something here and now."""
        here = [key for key in self._keys if self._allowed(key) and self._fits_view(key)]
        text = Text("Keys that do something here and now\n", style="bold")
        for group, title in HELP_GROUPS.items():
            self._list_keys(text, title, [key for key in here if key.group == group])
        self._list_keys(text, "In other views, or at another time", [key for key in self._keys if key not in here])
        text.append("\nEscape closes this list.", style="dim not bold")
        self._dialog.tell(text, closing=("q", *next(key.keys for key in self._keys if key.name == "help")))

    def _list_keys(self, text: Text, title: str, keys: Sequence[Key]) -> None:
        """Add keys to the help, if there are any."""
        if keys:
            text.append(f"\n{title}\n", style="bold")
        for key in keys:
            text.append(f"{spell(key, self.look.ascii_only):>12}  ", style="bold")
            text.append(f"{self.look.text(key.help)}\n", style="not bold")

    def on_panel_clicked(self, event: Panel.Clicked) -> None:
        """Give the focus to a panel."""
        if self._views.panels is not None:
            self._views.panels.focus_panel(event.panel)
            self._urgent = True

    def on_panel_inspected(self, event: Panel.Inspected) -> None:
        """Put the inspect cursor where somebody clicked."""
        self.action_look("inspect", StepAxis(self.history, event.kind).step_at(event.x))

    def on_panel_chosen(self, event: Panel.Chosen) -> None:
        """Choose the channel that somebody clicked at."""
        self._choose(unit=event.channel - (-1 if self._views.view.unit is None else self._views.view.unit))

    def get_system_commands(self, screen: Screen[Any]) -> Any:
        """Offer the key table's actions in the command palette."""
        for key in self._keys:
            if self._allowed(key) and self._fits_view(key) and key.name != "palette":
                yield SystemCommand(key.name, self.look.text(key.help), self._runner(key.action))
        other = "light" if self.look.theme == "dark" else "dark"
        yield SystemCommand(f"{other} theme", f"colours for a {other} background", lambda: self._wear(other))

    def _fits_view(self, key: Key) -> bool:
        return not key.views or self._views.shown in key.views

    def _allowed(self, key: Key) -> bool:
        if not key.live:
            return True
        if isinstance(self.source, Playback):
            return False
        return key.at_the_end if self._ended else key.name != "more"

    def _runner(self, action: str) -> Callable[[], Any]:
        async def run() -> None:
            await self.run_action(action)

        return run

    def _hinted(self) -> Sequence[Key]:
        """Return the keys of which the line of hints shows some: at the end of a run other ones."""
        if not self._ended:
            return self._keys
        words = {"restart": "run again", "more": "more epochs"}
        return [replace(key, hint=True, word=words[key.name]) if key.name in words else key for key in self._keys]

    def _wear(self, theme: str) -> None:
        """Take the colours of a dark or a light background."""
        self.look = replace(self.look, theme=theme)
        self.theme = THEMES[theme].name
        self._redraw_panels()
