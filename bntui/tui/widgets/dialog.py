"""What is asked or told on top of the views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Offset
from textual.widget import Widget
from textual.widgets import Input, Static

from bntui.tui.widgets.picture import Picture

SCROLLING = {
    "up": ("scroll_up", True), "pageup": ("scroll_page_up", True), "home": ("scroll_home", True),
    "down": ("scroll_down", False), "pagedown": ("scroll_page_down", False), "end": ("scroll_end", False),
}  # fmt: skip
"""Keys that scroll: the method, and whether it goes up."""


def scroll(widget: Widget, key: str) -> str:
    """Scroll a widget by a key of `SCROLLING`; return why that can't be, or nothing."""
    method, up = SCROLLING[key]
    if not widget.allow_vertical_scroll:
        return "all of it is shown: nothing to scroll"
    if widget.scroll_offset.y <= 0 if up else widget.scroll_offset.y >= widget.max_scroll_y:
        return "this is the beginning" if up else "this is the end"
    getattr(widget, method)()
    return ""


_EDITING = {
    key: binding.action for binding in Input.BINDINGS if isinstance(binding, Binding) for key in binding.key.split(",")
}
"""What keys do where a value is typed, beside those that write."""


@dataclass(frozen=True)
class Answer:
    """One answer to a question: its key, what it says, and what it does."""

    key: str
    says: str
    act: Callable[[], object] = lambda: None


class OneLine(Input):
    """An Input that keeps the order of keys that arrive together, as over a slow line.

    As bindings, Backspace, Enter and the like would be acted on by the app, after the letters that follow them.
    """

    def __init__(self, submit: Callable[[], object]) -> None:
        super().__init__(id="dialog-input")
        self._submit = submit

    async def on_key(self, event: events.Key) -> None:
        """Act on them at once."""
        if event.key in _EDITING:
            event.stop()
            await self.edit(event)

    async def edit(self, event: events.Key) -> bool:
        """Write what a key writes, or do what it does; return whether it does anything."""
        if event.key in _EDITING:
            await self.run_action(_EDITING[event.key])
        elif event.is_printable and event.character:
            self.insert_text_at_cursor(event.character)
        else:
            return False
        return True

    async def action_submit(self) -> None:
        """Hand the value over at once, before the next key."""
        self._submit()


class Dialog(VerticalScroll, can_focus=False):
    """A question, a number to be typed, or a text to read; while it is open the keys are its own.

    It is a widget that is there all the time, and has no focus unless there is something to type: to push a screen of
    its own, or to move the focus, makes Textual lay out and draw everything, which takes five times as long.
    """

    def __init__(self) -> None:
        super().__init__(id="dialog")
        self._text = Picture()
        self._input = OneLine(self._take_value)
        self._problem = Static(id="dialog-problem")
        self._question = ""
        self._answers: Sequence[Answer] = ()
        self._chosen = 0
        """Which answer Enter gives."""
        self._closing_keys: tuple[str, ...] = ()
        self._name = ""
        self._check: Callable[[str], str] = lambda _: ""

    def compose(self) -> ComposeResult:
        """Lay out the text, the input and what is wrong with it."""
        yield self._text
        yield self._input
        yield self._problem

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return bool(self.display)

    def shows(self, name: str) -> bool:
        """Whether it is open and asks the question of that name."""
        return self.is_open and self._name == name

    @property
    def place(self) -> Offset:
        """Where on the screen a person goes on: in the input, at the first answer, or at the beginning."""
        if self._types:
            # Textual's place is a cell too far behind the last letter.
            return self._input.cursor_screen_offset - (int(self._input.cursor_at_end), 0)
        line = self._question.count("\n") + 2 + self._chosen if self._answers else 0
        return self._text.region.offset + (2 if line else 0, line)

    def say(self, text: str) -> None:
        """Say something at the lower edge, or where there is none on top of all."""
        if self.styles.border_bottom[0]:
            self.border_subtitle = Content(text)
        else:
            self.app.notify(text, markup=False, timeout=2)

    def tell(self, text: Text, closing: tuple[str, ...]) -> None:
        """Show a text until Escape, Enter or one of the keys that close it."""
        self._open(text)
        self._closing_keys = ("enter", *closing)

    def ask(self, question: str, *answers: Answer, name: str = "", chosen: int | None = None) -> None:
        """Ask a question, answered by a key, or by arrow keys and Enter; Escape is the last answer.

        Parameters
        ----------
        question
            In one sentence.
        answers
            In the order in which they are shown.
        name
            For `shows`.
        chosen
            The answer that Enter gives as long as no arrow key was pressed; the last one, which changes nothing, by
            default.
        """
        self._question = question
        self._open(self._list(answers, len(answers) - 1 if chosen is None else chosen))
        self._answers, self._name = answers, name
        self._chosen = len(answers) - 1 if chosen is None else chosen

    def _list(self, answers: Sequence[Answer], chosen: int) -> Text:
        """Write the question, and the answers a line each."""
        text = Text(f"{self._question}\n", style="bold")
        for number, answer in enumerate(answers):
            mark = ">" if number == chosen else " "
            text.append(f"\n{mark} {answer.key}", style="bold")
            text.append(f"  {answer.says}", style="bold" if number == chosen else "not bold")
        return text

    def _choose(self, by: int) -> None:
        """Move to another answer, and keep it on the screen."""
        self._chosen = (self._chosen + by) % len(self._answers)
        self._text.show(self._list(self._answers, self._chosen))
        self.scroll_to(y=max(0, self._chosen + 2 - self.size.height // 2), animate=False)

    def ask_value(self, question: str, value: str, check: Callable[[str], str]) -> None:
        """Ask for a value until `check` returns no complaint about it, or Escape."""
        self._open(Text(question, style="bold"))
        self._check = check
        self._input.value = value
        self._problem.update("Enter sets it, Escape leaves it as it is.")
        self._input.display = self._problem.display = True
        # At once, not by `focus`, which only does so later: an Escape may come before, and keys that are to be typed.
        self._input.can_focus = True
        self.screen.set_focus(self._input)

    def close(self) -> None:
        """Go back to the views."""
        self._leave_input()
        self.display = False

    def _leave_input(self) -> None:
        """Have keys go to the app again; nothing may give them to an input that is not shown."""
        if self._types:
            self.screen.set_focus(None)
        self._input.can_focus = False

    @property
    def _types(self) -> bool:
        return self.screen.focused is self._input

    def _open(self, text: Text) -> None:
        self._leave_input()
        self._answers, self._closing_keys, self._name = (), (), ""
        self.border_subtitle = ""
        self._input.display = self._problem.display = False
        self._text.styles.height = text.plain.count("\n") + 1
        self._text.show(text)
        self.display = True
        self.scroll_home(animate=False)

    async def take(self, event: events.Key) -> None:
        """Act on a key that was pressed while the dialog is open, and let nobody else act on it but the input."""
        if event.key == "escape" and not self._answers:
            self.close()
        elif self._types:
            # It was typed before the input had the focus, or is none that an input knows.
            if not await self._input.edit(event):
                self.say("Enter sets it, Escape leaves it as it is")
        elif event.key in self._closing_keys or event.character in self._closing_keys:
            self.close()
        elif self._answers and event.key in ("up", "down"):
            self._choose(-1 if event.key == "up" else 1)
        elif self._answers and event.key == "enter":
            answer = self._answers[self._chosen]
            self.close()
            answer.act()
        else:
            for answer in self._answers:
                if event.character == answer.key or (event.key == "escape" and answer is self._answers[-1]):
                    self.close()
                    answer.act()
                    break
            else:
                self.say(scroll(self, event.key) if event.key in SCROLLING else self._ways_out())
        event.prevent_default()

    def _ways_out(self) -> str:
        keys = [answer.key for answer in self._answers]
        return (
            f"answer with {', '.join(keys[:-1])} or {keys[-1]}, or arrow keys and Enter"
            if keys
            else ("Escape closes this")
        )

    def _take_value(self) -> None:
        """Take the value, or say what would have been one."""
        complaint = self._check(self._input.value.strip())
        self._problem.update(complaint)
        if not complaint:
            self.close()
