"""`journal.jsonl`: the events of a run, a line each, appended as they happen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bntui.run.events import (
    BatchNormRead,
    Event,
    Explained,
    Finished,
    FlowRead,
    Loading,
    Notice,
    Probed,
    Restarted,
    Stepped,
    from_dict,
    to_dict,
)
from bntui.storage.lines import Lines

DENSE = 2_048
"""Lines' worth of losses before the width of a mean doubles: a run of any length has a journal of bounded size."""


class Journal:
    """Appends events to a file and hands every line to the operating system at once: a kill loses none.

    Losses are written as means over 1 step at first, over 2 from step 2,048 on, over 4 from step 4,096 on, and so on.
    """

    def __init__(self, path: Path | None = None) -> None:
        # One that lacks its beginning would be of no use, so a journal that is removed is not begun again.
        self._lines = Lines(_told_gap, again=False)
        self._restart()
        if path is not None:
            self.open(path)

    def open(self, path: Path, exists: bool = False) -> None:
        """Write to a new file from now on, or go on with one. Raises OSError if it can't be yet."""
        self._lines.open(path, exists)

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned. Raises KeyError, TypeError or ValueError, and changes nothing, if not."""
        width, seconds = int(state["width"]), float(state["seconds"])
        bn, plain = ([float(loss) for loss in state[arm]] for arm in ("bn", "plain"))
        if width < 1 or len(bn) != len(plain):
            raise ValueError("not the state of a journal")
        self._width, self._seconds = width, seconds
        self._bn[:], self._plain[:] = bn, plain

    def state(self) -> dict[str, Any]:
        """Have the disk hold all lines so far; return their length, and the losses that are still to be written.

        Raises
        ------
        OSError
            The disk does not hold them.
        """
        return {"length": self._lines.sync(), "width": self._width, "bn": list(self._bn),
                "plain": list(self._plain), "seconds": self._seconds}  # fmt: skip

    def write(self, event: Event) -> None:
        """Append an event. Raises OSError if it has to wait until the file can be written again."""
        if isinstance(event, Loading) or (
            isinstance(event, BatchNormRead | FlowRead | Probed | Explained) and event.live
        ):
            return
        if isinstance(event, Stepped) and event.width == 1:
            self._add(*self._condense(event))
            return
        if isinstance(event, Finished) and self._bn:
            # The last mean may cover fewer steps than its width.
            count = len(self._bn)
            means = [(sum(losses) / count,) for losses in (self._bn, self._plain)]
            self._add(Stepped(event.step, count, means[0], means[1], self._seconds), event)
            return
        if isinstance(event, Restarted):
            self._restart()
        self._add(event)

    def close(self) -> None:
        """Close the file. Raises OSError."""
        self._lines.close()

    def _add(self, *events: Event) -> None:
        """Append events, all of them even if the first has to wait."""
        failure = None
        for event in events:
            try:
                self._lines.add(line_of(event))
            except OSError as error:
                failure = error
        if failure is not None:
            raise failure

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


def line_of(event: Event) -> str:
    """Return an event as a line, without its end."""
    return json.dumps(to_dict(event), allow_nan=False, separators=(",", ":"))


def _told_gap(count: int) -> str:
    return line_of(Notice(f"{count:,} events could not be written here"))


LINE_LIMIT = 16 << 20
"""Characters a line may have; longer ones are passed over."""


def read_lines(
    file: BinaryIO, length: float = math.inf, clean: Callable[[Any], Any] = lambda data: data
) -> Iterator[Event | None]:
    """Yield the event of each line in the first bytes of a journal; None for one that is damaged or not whole.

    What was begun when the disk was full, say, and then written again whole in the next line, is passed over.
    """
    begun: list[bytes] = []
    too_long = False
    while line := file.readline(int(min(LINE_LIMIT, length))):
        length -= len(line)
        whole = line.endswith(b"\n")
        event = read_line(line.decode(errors="replace"), clean) if whole and not too_long else None
        if event is not None:
            yield from (None for half in begun if not line.startswith(half))
            begun = []
            yield event
        elif not too_long:
            begun.append(line.rstrip(b"\n")[:1_000])
        too_long = not whole
    yield from (None for half in begun)


def read_events(file: BinaryIO, clean: Callable[[Any], Any] = lambda data: data) -> Iterator[Event]:
    """Yield the events of a journal up to its end, as `read_lines`, without those that are damaged."""
    return (event for event in read_lines(file, clean=clean) if event is not None)


def read_line(line: str, clean: Callable[[Any], Any] = lambda data: data) -> Event | None:
    """Return the event of a line, its data put through `clean` first; None if it is damaged."""
    try:
        data = clean(json.loads(line))
        return from_dict(data) if isinstance(data, dict) else None
    except (ValueError, RecursionError):
        return None
