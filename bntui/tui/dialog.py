"""What is asked or told on top of the views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Static

from bntui.tui.picture import Picture

_SCROLLING = {
    "up": "scroll_up", "down": "scroll_down", "pageup": "page_up", "pagedown": "page_down", "home": "scroll_home",
    "end": "scroll_end",
}  # fmt: skip


def scroll(widget: Widget, key: str) -> None:
    """Scroll a widget, if the key is one that does."""
    if key in _SCROLLING:
        getattr(widget, f"action_{_SCROLLING[key]}")()


@dataclass(frozen=True)
class Answer:
    """One answer to a question: its key, what it says, and what it does."""

    key: str
    says: str
    act: Callable[[], object] = lambda: None


class OneLine(Input):
    """An Input that keeps the order of keys that arrive together, as over a slow line.

    As bindings, Backspace and Enter would be acted on by the app, after the letters that follow them.
    """

    async def on_key(self, event: events.Key) -> None:
        """Act on them at once."""
        if event.key == "backspace":
            event.stop()
            self.action_delete_left()
        elif event.key == "enter":
            event.stop()
            await self.action_submit()


class Dialog(VerticalScroll, can_focus=False):
    """A question, a number to be typed, or a text to read; while it is open the keys are its own.

    It is a widget that is there all the time, and has no focus unless there is something to type: to push a screen of
    its own, or to move the focus, makes Textual lay out and draw everything, which takes five times as long.
    """

    def __init__(self) -> None:
        super().__init__(id="dialog")
        self._text = Picture()
        self._input = OneLine(id="dialog-input")
        self._problem = Static(id="dialog-problem")
        self._answers: Sequence[Answer] = ()
        self._closing_keys: tuple[str, ...] = ()
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

    def tell(self, text: Text, closing: tuple[str, ...]) -> None:
        """Show a text until Escape, Enter or one of the keys that close it."""
        self._open(text)
        self._closing_keys = ("enter", *closing)

    def ask(self, question: str, *answers: Answer) -> None:
        """Ask a question; Escape is the last answer."""
        text = Text(f"{question}\n", style="bold")
        for answer in answers:
            text.append(f"\n  {answer.key}", style="bold").append(f"  {answer.says}", style="not bold")
        self._open(text)
        self._answers = answers

    def ask_value(self, question: str, value: str, check: Callable[[str], str]) -> None:
        """Ask for a value until `check` returns no complaint about it, or Escape."""
        self._open(Text(question, style="bold"))
        self._check = check
        self._input.value = value
        self._problem.update("Enter sets it, Escape leaves it as it is.")
        self._input.display = self._problem.display = True
        self._input.focus()

    def close(self) -> None:
        """Go back to the views."""
        if self._input.has_focus:
            self.screen.set_focus(None)
        self.display = False

    def _open(self, text: Text) -> None:
        self._answers, self._closing_keys = (), ()
        self._input.display = self._problem.display = False
        self._text.styles.height = text.plain.count("\n") + 1
        self._text.show(text)
        self.display = True
        self.scroll_home(animate=False)

    def take(self, event: events.Key) -> None:
        """Act on a key that was pressed while the dialog is open, and let nobody else act on it but the input."""
        if event.key == "escape" and not self._answers:
            self.close()
        elif self._input.has_focus:
            return
        elif event.key in self._closing_keys or event.character in self._closing_keys:
            self.close()
        else:
            for answer in self._answers:
                if event.character == answer.key or (event.key == "escape" and answer is self._answers[-1]):
                    self.close()
                    answer.act()
                    break
            else:
                scroll(self, event.key)
        event.prevent_default()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the value, or say what would have been one."""
        event.stop()
        complaint = self._check(event.value.strip())
        self._problem.update(complaint)
        if not complaint:
            self.close()
