"""The clock of the local cloud: real time plus an offset, from where it was set on; it can be driven forward."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Real time plus an offset in seconds; whoever waits on it wakes when it is driven past the deadline. It begins at
    `start` (None: now).

    Schedules, Waits and retries of the local cloud read this clock only, so a month passes in one `advance`.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = 0.0 if start is None else start.timestamp() - time.time()
        self._moved = threading.Condition()
        self._watchers: list[Callable[[], None]] = []

    def time(self) -> float:
        """Seconds since the Unix epoch on this clock."""
        return time.time() + self._offset

    def now(self) -> datetime:
        """The present on this clock, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Drive the clock forward by `seconds` (≥ 0; ValueError otherwise) and wake every waiter."""
        if seconds < 0:
            raise ValueError(f"a clock goes forward only, not {seconds} seconds")
        with self._moved:
            self._offset += seconds
            self._moved.notify_all()
            watchers = list(self._watchers)
        for moved in watchers:
            moved()

    def watch(self, moved: Callable[[], None]) -> Callable[[], None]:
        """Call `moved` whenever the clock has been driven forward; returns what ends this."""
        with self._moved:
            self._watchers.append(moved)

        def unwatch() -> None:
            with self._moved:
                self._watchers.remove(moved)

        return unwatch

    def wait_until(self, deadline: float, cancel: threading.Event | None = None) -> bool:
        """Block until `deadline` (epoch seconds on this clock); False when `cancel` was set first.

        A waiter notices `cancel` within a quarter of a second.
        """
        with self._moved:
            while (left := deadline - self.time()) > 0:
                if cancel is not None and cancel.is_set():
                    return False
                self._moved.wait(min(left, 0.25) if cancel is not None else left)
        return not (cancel is not None and cancel.is_set())
