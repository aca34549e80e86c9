"""Work that waits for its time: threads run jobs when the cloud's clock reaches them, in the order of their times."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable
from itertools import count

from infra.local.clock import Clock

log = logging.getLogger(__name__)

Job = Callable[[], None]


class Agenda:
    """Jobs by due time (epoch seconds on `clock`); equal times run in the order in which they were put down.

    With one worker (the default) jobs never overlap, so whatever they do happens in the order of their times. Driving
    the clock over several due times runs each of them once.
    """

    def __init__(self, clock: Clock, name: str, workers: int = 1) -> None:
        self.clock = clock
        self._jobs: list[tuple[float, int, Job]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._busy = 0
        self._open = True
        self._unwatch = clock.watch(self._wake)
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def at(self, when: float, job: Job) -> None:
        """Run `job` once the clock is at `when` or later; ignored after `stop`."""
        with self._changed:
            if self._open:
                heapq.heappush(self._jobs, (when, next(self._numbers), job))
                self._changed.notify()

    def soon(self, job: Job) -> None:
        """Run `job` now, after what is due already."""
        self.at(self.clock.time(), job)

    def settle(self, timeout: float = 10.0) -> bool:
        """Wait (real seconds) until nothing is due and nothing runs; False when that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy and self._seconds_left() > 0, timeout)

    def stop(self) -> None:
        """Run nothing more; waits for the jobs that run already."""
        self._unwatch()
        with self._changed:
            self._open = False
            self._jobs.clear()
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _seconds_left(self) -> float:
        return self._jobs[0][0] - self.clock.time() if self._jobs else threading.TIMEOUT_MAX

    def _next(self) -> Job | None:
        with self._changed:
            while self._open:
                left = self._seconds_left()
                if left <= 0:
                    self._busy += 1
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(min(left, 3600.0))
        return None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except Exception:  # one job's failure must not end the thread that runs the others
                log.exception("a job of the local cloud failed")
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()
