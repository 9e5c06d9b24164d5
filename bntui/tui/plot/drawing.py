"""What a drawn panel is: its text, and what a click on it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from bntui.tui.plot.axes import Axis


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a panel shows."""

    text: Text
    left: int = 0
    """The column at which its x axis begins."""
    x_axis: Axis | None = None
    """None where nothing is drawn along one; else it counts what `View.x_axis` says."""
    channels: Sequence[int | None] = ()
    """Which channel each line is of, where a click chooses one."""

    def x_at(self, column: int) -> float | None:
        """Return the x under the middle of a column, None outside the axis."""
        if self.x_axis is None or not 0 <= column - self.left < self.x_axis.cells:
            return None
        share = (column - self.left + 0.5) / self.x_axis.cells
        return self.x_axis.low + share * (self.x_axis.high - self.x_axis.low)
