"""`journal.jsonl`: the events of a run, a line each, appended as they happen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from bntui.events import (
    BatchNormRead,
    Event,
    Explained,
    Finished,
    FlowRead,
    Loading,
    Probed,
    Restarted,
    Stepped,
    from_dict,
    to_dict,
)

DENSE = 2_048
"""Lines' worth of losses before the width of a mean doubles: a run of any length has a journal of bounded size."""


class Journal:
    """Appends events to a file and hands every line to the operating system at once: a kill loses none.

    Losses are written as means over 1 step at first, over 2 from step 2,048 on, over 4 from step 4,096 on, and so on.
    """

    def __init__(self, path: Path, state: dict[str, Any] | None = None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._restart()
        if state is not None:
            self._width, self._seconds = int(state["width"]), float(state["seconds"])
            self._bn += map(float, state["bn"])
            self._plain += map(float, state["plain"])

    def state(self) -> dict[str, Any]:
        """Have the disk hold all lines so far; return their length, and the losses that are still to be written."""
        os.fsync(self._file.fileno())
        return {"length": os.fstat(self._file.fileno()).st_size, "width": self._width, "bn": list(self._bn),
                "plain": list(self._plain), "seconds": self._seconds}  # fmt: skip

    def write(self, event: Event) -> None:
        """Append an event. Raises OSError when the file can't be written."""
        if isinstance(event, Loading) or (
            isinstance(event, BatchNormRead | FlowRead | Probed | Explained) and event.live
        ):
            return
        if isinstance(event, Stepped) and event.width == 1:
            for condensed in self._condense(event):
                self._append(condensed)
            return
        if isinstance(event, Finished) and self._bn:
            # The last mean may cover fewer steps than its width.
            count = len(self._bn)
            means = [(sum(losses) / count,) for losses in (self._bn, self._plain)]
            self._append(Stepped(event.step, count, means[0], means[1], self._seconds))
        self._append(event)
        if isinstance(event, Restarted):
            self._restart()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, event: Event) -> None:
        self._file.write(json.dumps(to_dict(event), allow_nan=False, separators=(",", ":")) + "\n")

    def _restart(self) -> None:
        self._width = 1
        self._bn: list[float] = []
        self._plain: list[float] = []
        self._seconds = 0.0

    def _condense(self, event: Stepped) -> list[Stepped]:
        """Return the means that `event` completes; a mean's last step is a multiple of its width."""
        done: list[Stepped] = []
        self._bn += event.bn
        self._plain += event.plain
        self._seconds = event.seconds
        first = event.step - len(self._bn) + 1
        while self._bn:
            width = self._width
            # Up to where the width doubles, or to the last whole mean there is.
            count = min(len(self._bn) // width, (DENSE * width - first + 1) // width)
            if not count:
                break
            values = [
                tuple(sum(losses[i * width : (i + 1) * width]) / width for i in range(count))
                for losses in (self._bn, self._plain)
            ]
            del self._bn[: count * width], self._plain[: count * width]
            first += count * width
            done.append(Stepped(first - 1, width, values[0], values[1], event.seconds))
            if first > DENSE * width:
                self._width *= 2
        return done


LINE_LIMIT = 16 << 20
"""Characters a line may have; longer ones are passed over."""


def read_events(file: TextIO) -> Iterator[Event]:
    """Yield the events of a journal up to its end; a line that is damaged or not whole is passed over."""
    too_long = False
    while line := file.readline(LINE_LIMIT):
        whole = line.endswith("\n")
        if whole and not too_long:
            event = read_line(line)
            if event is not None:
                yield event
        too_long = not whole


def read_line(line: str, clean: Callable[[Any], Any] = lambda data: data) -> Event | None:
    """Return the event of a line, its data put through `clean` first; None if it is damaged."""
    try:
        data = clean(json.loads(line))
        return from_dict(data) if isinstance(data, dict) else None
    except (ValueError, RecursionError):
        return None
