"""Time that leaves out pauses."""

from __future__ import annotations

import time


class Stopwatch:
    """Seconds between `start` and `stop`, added up."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """Begin to count."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stop counting, if it counts."""
        self._total, self._since = self.seconds(), None

    def add(self, seconds: float) -> None:
        """Count some that were counted before."""
        self._total += seconds

    def seconds(self) -> float:
        """Return the seconds counted so far."""
        return self._total + (0.0 if self._since is None else time.perf_counter() - self._since)
