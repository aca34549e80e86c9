"""One thread that looks at running processes: whether they have ended, and what memory they hold."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

INTERVAL = 0.05  # seconds between two looks
# rounds of looks between two searches for child processes: each reads the machine's whole process table, once for all
CHILDREN_EVERY = 10


@dataclass(eq=False)
class Watched:
    """A process under watch. `exceeded` and `ended` are called once, from the watching thread."""

    child: subprocess.Popen[bytes]
    limit: int
    exceeded: Callable[[], None]
    ended: Callable[[], None]
    peak: int = 0
    children: list[psutil.Process] = field(default_factory=list)
    _process: psutil.Process | None = None
    _told: bool = False

    def resident(self) -> int:
        """Bytes that the process and its children hold in memory now; 0 when it is gone."""
        try:
            if self._process is None:
                self._process = psutil.Process(self.child.pid)
            held: int = self._process.memory_info().rss
            for child in self.children:
                held += child.memory_info().rss
        except psutil.Error:
            self.children = []
            return 0
        self.peak = max(self.peak, held)
        return held

    def look(self) -> None:
        """One look; tells what there is to tell."""
        if self._told:
            return
        if self.child.poll() is not None:
            self._told = True
            self.ended()
        elif self.resident() > self.limit:
            self._told = True
            self.exceeded()


class Watcher:
    """Looks at every watched process some twenty times a second."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-watcher", daemon=True)
        self._thread.start()

    def add(self, watched: Watched) -> None:
        """Begin to watch."""
        with self._lock:
            self._watched.add(watched)
        self._something.set()

    def remove(self, watched: Watched) -> None:
        """Watch no longer."""
        with self._lock:
            self._watched.discard(watched)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._something.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        rounds = 0
        while not self._stopping.is_set():
            with self._lock:
                watched = list(self._watched)
                if not watched:
                    self._something.clear()
            if not watched:
                self._something.wait()
                continue
            if rounds % CHILDREN_EVERY == 0:
                _find_children(watched)
            rounds += 1
            for one in watched:
                one.look()
            self._stopping.wait(INTERVAL)


def _find_children(watched: Iterable[Watched]) -> None:
    """Tell each watched process what it and its children have started."""
    of: dict[int, list[psutil.Process]] = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            of.setdefault(process.ppid(), []).append(process)

    def family(pid: int) -> Iterator[psutil.Process]:
        for child in of.get(pid, []):
            yield child
            yield from family(child.pid)

    for one in watched:
        one.children = list(family(one.child.pid))
