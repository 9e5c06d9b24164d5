"""How a person looks at a run: what all views share, and the ways to change it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from bntui.messages.history import History

SMOOTHINGS = (0.0, 0.5, 0.8, 0.95)
AXES = ("step", "epoch", "seconds")
QUANTITIES = ("gap", "mean", "variance", "γ", "β")
"""What is told of the channels of a normalization layer, one at a time; of mean and variance the running ones."""
SORTS = ("gap", "variance", "γ", "drift", "channel")
"""By what the channels of a layer are sorted; drift is how far the running mean went since the last epoch."""


@dataclass
class View:
    """How a person looks at a run. Each method changes one thing, and says what it did or why it could not."""

    log_y: bool = False
    smoothing: float = 0.95
    x_axis: str = "step"
    recent: bool = False
    """Whether the charts show the recent past alone."""
    cursor: int | None = None
    """Step under the inspect cursor."""
    layer: int = 0
    """Which layer the views of one layer show, counted over all arms, and on beyond the last."""
    unit: int | None = None
    """Which of its units; None for all together, where that can be shown."""
    replay: bool = False
    """Whether nothing trains that could be looked into."""
    quantity: str = QUANTITIES[0]
    """What the heat map of the channels shows."""
    sort: str = SORTS[0]
    """By what the table of channels is sorted."""
    page: int = 0
    """Which page of the explain view is shown, where it takes several; counted on beyond the last."""

    def switch_log_y(self, history: History) -> str:
        """Switch the losses' y axis."""
        self.log_y = not self.log_y
        return f"y axis of the losses: {'logarithmic' if self.log_y else 'linear'}"

    def next_smoothing(self, history: History) -> str:
        """Take the next smoothing."""
        self.smoothing = SMOOTHINGS[(SMOOTHINGS.index(self.smoothing) + 1) % len(SMOOTHINGS)]
        return f"smoothing {self.smoothing or 'off'}"

    def next_x_axis(self, history: History) -> str:
        """Take the next x axis."""
        self.x_axis = AXES[(AXES.index(self.x_axis) + 1) % len(AXES)]
        return f"x axis in {self.x_axis.rstrip('s')}s"

    def next_quantity(self, history: History) -> str:
        """Have the heat map of the channels show the next quantity."""
        self.quantity = QUANTITIES[(QUANTITIES.index(self.quantity) + 1) % len(QUANTITIES)]
        return f"the heat map shows {self.quantity}"

    def next_sort(self, history: History) -> str:
        """Sort the channels by the next quantity."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        return f"channels sorted by {self.sort}"

    def zoom(self, history: History) -> str:
        """Zoom to the recent past, or to everything."""
        self.recent = not self.recent
        return "zoomed to the recent past" if self.recent else "zoomed to everything"

    def turn(self, key: str) -> None:
        """Turn the pages of the explain view by a key that scrolls."""
        match key:
            case "home":
                self.page = 0
            case "end":
                self.page = -1
            case "up" | "pageup":
                self.page -= 1
            case _:
                self.page += 1

    def move_cursor(self, history: History, by: int) -> str:
        """Move the inspect cursor by a fiftieth of what is shown."""
        recent = history.recent
        first, last = recent[0][0] if self.recent and recent else 1, history.step
        now = last if self.cursor is None else self.cursor
        return self.inspect(history, max(first, now + by * max(1, (last - first) // 50)))

    def inspect(self, history: History, step: int) -> str:
        """Put the inspect cursor on a step, of which there is none before the first."""
        if not history.step:
            return "no step to inspect yet"
        self.cursor = max(1, min(history.step, step))
        return f"inspecting step {self.cursor:,}"

    def take_cursor_away(self, history: History) -> str:
        """Take the inspect cursor away."""
        if self.cursor is None:
            return "no inspect cursor to take away"
        self.cursor = None
        return "the inspect cursor is gone"


class StepAxis:
    """Where a step lies on the x axis."""

    def __init__(self, history: History, kind: str) -> None:
        self._kind = kind
        self._epochs_at = history.epochs_at
        series = history.steps
        self._steps = [0, *(series.width * (i + 1) for i in range(len(series.seconds))), max(1, history.step)]
        self._seconds = [0.0, *series.seconds, history.train_seconds]

    def at(self, step: int) -> float:
        """Return the x of a step; of one that the run has not reached, as if it went on as fast as so far."""
        if self._kind == "step":
            return float(step)
        if self._kind == "epoch":
            return self._epochs_at(step)
        if step > self._steps[-1]:
            return self._seconds[-1] * step / self._steps[-1]
        right = min(max(1, bisect.bisect_left(self._steps, step)), len(self._steps) - 1)
        left = right - 1
        width = self._steps[right] - self._steps[left]
        share = (step - self._steps[left]) / width if width else 1.0
        return self._seconds[left] + share * (self._seconds[right] - self._seconds[left])

    def step_at(self, x: float) -> int:
        """Return the step that lies nearest to an x."""
        if self._kind == "step":
            return round(x)
        # Epochs and seconds grow with the steps: the first step that does not lie before.
        return bisect.bisect_left(range(self._steps[-1] + 1), x, key=self.at)
