"""Dialogs: help, a question, a number."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from bntui.errors import UsageError
from bntui.tui.keys import KEYS, spell
from bntui.values import learning_rate


class HelpScreen(ModalScreen[None]):
    """Every key and what it does."""

    BINDINGS = [Binding("escape,question_mark,q,enter", "close", "close")]

    def compose(self) -> ComposeResult:
        """List the key table."""
        text = Text("Keys\n\n", style="bold")
        for key in KEYS:
            text.append(f"{spell(key.keys):>12}  ", style="bold")
            text.append(f"{key.help}\n", style="not bold")
        text.append("\nEscape closes this list.", style="dim not bold")
        with VerticalScroll(classes="dialog"):
            yield Static(text)

    def action_close(self) -> None:
        """Close."""
        self.dismiss()


class Question(ModalScreen[str]):
    """A question with a key for each answer; Escape is the last one.

    Parameters
    ----------
    question
        One sentence.
    answers
        Key, what it returns and what it says.
    """

    def __init__(self, question: str, answers: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__()
        self._question, self._answers = question, answers

    def compose(self) -> ComposeResult:
        """Show the question and its answers."""
        with Vertical(classes="dialog"):
            yield Label(self._question)
            for key, _, says in self._answers:
                yield Label(Text.assemble("  ", (key, "bold"), f"  {says}"))

    def on_mount(self) -> None:
        """Bind the answers' keys."""
        for key, answer, says in self._answers:
            self._bindings.bind(key, f"answer('{answer}')", says)
        self._bindings.bind("escape", f"answer('{self._answers[-1][1]}')", "")

    def action_answer(self, answer: str) -> None:
        """Return an answer."""
        self.dismiss(answer)


class LearningRateScreen(ModalScreen[float | None]):
    """Ask for a learning rate, and take only one that a run takes."""

    BINDINGS = [Binding("escape", "cancel", "cancel")]

    def __init__(self, now: float) -> None:
        super().__init__()
        self._now = now

    def compose(self) -> ComposeResult:
        """Show the input with the rate in force."""
        with Vertical(classes="dialog"):
            yield Label("Learning rate")
            yield Input(f"{self._now:g}", id="rate")
            yield Label("", id="problem")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the rate, or say what would have been one."""
        try:
            self.dismiss(float(learning_rate(event.value.strip())))
        except (ValueError, UsageError) as error:
            self.query_one("#problem", Label).update(f"takes {error}")

    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)
