"""`journal.jsonl`: the events of a run, a line each, appended as they happen."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bntui.config.interventions import INTERVENTIONS
from bntui.messages.events import (
    Evaluating,
    Event,
    Explained,
    Finished,
    FlowRead,
    Intervened,
    Loading,
    NormalizationRead,
    Notice,
    Probed,
    Restarted,
    Stepped,
    Undone,
)
from bntui.messages.history import MAX_MARKS
from bntui.storage.event_json import from_dict, to_dict
from bntui.storage.lines import Lines

DENSE = 2_048
"""Lines' worth of losses before the width of a mean doubles: a run of any length has a journal of bounded size."""


class Journal:
    """Appends events to a file and hands every line to the operating system at once: a kill loses none.

    Losses and accuracies are written as means over 1 step at first, over 2 from step 2,048 on, over 4 from step 4,096
    on, and so on.
    """

    def __init__(self) -> None:
        # One that lacks its beginning would be of no use, so a journal that is removed is not begun again.
        self._lines = Lines(_told_gap, again=False)
        self._losses: dict[str, list[float]] = {}
        self._accuracies: dict[str, list[float]] = {}
        self._marks: deque[dict[str, Any]] = deque(maxlen=MAX_MARKS)
        """What waited at each of the newest interventions, for when they are taken back."""
        self._restart()

    def open(self, path: Path, exists: bool = False) -> None:
        """Write to a new file from now on, or go on with one. Raises OSError if it can't be yet."""
        self._lines.open(path, exists)

    def state_dict(self) -> dict[str, Any]:
        """Have the disk hold all lines so far; return their length, and the means that are still to be written.

        Raises
        ------
        OSError
            The disk does not hold them.
        """
        return {"length": self._lines.sync(), **self._pending()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises KeyError, TypeError or ValueError, and changes nothing, else."""
        width, seconds = int(state["width"]), float(state["seconds"])
        losses, accuracies = (
            {str(name): [float(value) for value in values] for name, values in state[kept].items()}
            for kept in ("losses", "accuracies")
        )
        lengths = {len(values) for kept in (losses, accuracies) for values in kept.values()}
        if width < 1 or len(lengths) > 1 or list(losses) != list(accuracies):
            raise ValueError("not the state of a journal")
        self._width, self._seconds, self._losses, self._accuracies = width, seconds, losses, accuracies

    def write(self, event: Event) -> None:
        """Append an event. Raises OSError if it has to wait until the file can be written again."""
        match event:
            case Loading() | Evaluating() | NormalizationRead(live=True) | FlowRead(live=True) | Probed(live=True):
                return
            case Explained(live=True):
                return
            case Stepped(width=1):
                self._add(*self._condense(event))
            case Finished():
                self._add(*self._rest(event.step), event)
            case Undone():
                rest = self._rest(event.step)
                if self._marks:
                    self.load_state_dict(self._marks.pop())
                self._add(*rest, event)
            case Intervened() if event.action in INTERVENTIONS:
                self._marks.append(self._pending())
                self._add(event)
            case _:
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
        self._losses, self._accuracies = {}, {}
        self._seconds = 0.0
        self._marks.clear()

    def _pending(self) -> dict[str, Any]:
        """Return how losses are condensed now, and those that wait for their mean."""
        losses, accuracies = (
            {name: list(values) for name, values in kept.items()} for kept in (self._losses, self._accuracies)
        )
        return {"width": self._width, "losses": losses, "accuracies": accuracies, "seconds": self._seconds}

    def _rest(self, step: int) -> list[Stepped]:
        """Return a mean of what waits after a step, if anything does; it may cover fewer steps than its width."""
        count = self._waiting()
        if not count:
            return []
        losses, accuracies = _means(self._losses, count, 1), _means(self._accuracies, count, 1)
        return [Stepped(step, count, losses, self._seconds, _known(accuracies))]

    def _waiting(self) -> int:
        """Return how many steps wait for their mean to be whole."""
        return len(next(iter(self._losses.values()), ()))

    def _condense(self, event: Stepped) -> list[Stepped]:
        """Return the means that `event` completes; a mean's last step is a multiple of its width."""
        done: list[Stepped] = []
        for name, values in event.losses.items():
            self._losses.setdefault(name, []).extend(values)
            unknown = (math.nan,) * len(values)
            self._accuracies.setdefault(name, []).extend(event.accuracies.get(name, unknown))
        self._seconds = event.seconds
        first = event.step - self._waiting() + 1
        while waiting := self._waiting():
            width = self._width
            # Up to where the width doubles, or to the last whole mean there is.
            count = min(waiting // width, (DENSE * width - first + 1) // width)
            if not count:
                break
            losses, accuracies = (_means(kept, width, count) for kept in (self._losses, self._accuracies))
            for kept in (*self._losses.values(), *self._accuracies.values()):
                del kept[: count * width]
            first += count * width
            done.append(Stepped(first - 1, width, losses, event.seconds, _known(accuracies)))
            if first > DENSE * width:
                self._width *= 2
        return done


def _means(kept: Mapping[str, list[float]], width: int, count: int) -> dict[str, tuple[float, ...]]:
    """Return the first `count` means over `width` values, by arm."""
    return {
        name: tuple(sum(values[i * width : (i + 1) * width]) / width for i in range(count))
        for name, values in kept.items()
    }


def _known(accuracies: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    """Return them, or nothing if none is known."""
    return {} if all(math.isnan(share) for shares in accuracies.values() for share in shares) else accuracies


def line_of(event: Event) -> str:
    """Return an event as a line, without its end."""
    return json.dumps(to_dict(event), allow_nan=False, separators=(",", ":"))


def _told_gap(count: int) -> str:
    return line_of(Notice(f"{count:,} events could not be written here"))


LINE_LIMIT = 16 << 20
"""Characters a line may have; longer ones are passed over."""


class LineReader:
    """Makes events of a journal's text, as far as it has grown.

    What was begun when the disk was full, say, and then written again whole in the next line, is passed over.

    Parameters
    ----------
    clean
        What the data of a line is put through first.
    """

    def __init__(self, clean: Callable[[Any], Any] = lambda data: data) -> None:
        self._clean = clean
        self._rest = ""
        self._too_long = False
        self._begun: list[str] = []
        """The beginnings of lines that can't be read, since the last one that could."""

    def feed(self, text: str) -> Iterator[Event | None]:
        """Yield the event of a line, and before it None for each line that is damaged.

        Parameters
        ----------
        text
            The next piece: no more than up to the end of a line.
        """
        if len(self._rest) + len(text) > LINE_LIMIT:
            self._begin(self._rest or text)
            self._rest, self._too_long = "", True
        if not self._too_long:
            self._rest += text
        if not text.endswith("\n"):
            return
        line, self._rest = self._rest, ""
        too_long, self._too_long = self._too_long, False
        if too_long:
            return
        event = read_line(line, self._clean)
        if event is None:
            self._begin(line)
            return
        yield from (None for begun in self._begun if not line.startswith(begun))
        self._begun = []
        yield event

    def end(self) -> Iterator[None]:
        """Yield None for each line that is damaged, or not whole, at the end of what there is."""
        yield from (None for _ in (*self._begun, *([self._rest] if self._rest else [])))

    def _begin(self, line: str) -> None:
        if not self._too_long:
            self._begun.append(line.rstrip("\n")[:1_000])


def read_lines(
    file: BinaryIO, length: float = math.inf, clean: Callable[[Any], Any] = lambda data: data
) -> Iterator[Event | None]:
    """Yield the event of each line in the first bytes of a journal; None for one that is damaged or not whole."""
    reader = LineReader(clean)
    while piece := file.readline(int(min(LINE_LIMIT, length))):
        length -= len(piece)
        yield from reader.feed(piece.decode(errors="replace"))
    yield from reader.end()


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
