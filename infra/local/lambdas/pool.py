"""Execution environments of all functions: reused, started when none is free, ended when idle or outdated.

A machine has room for few processes: beyond `per_function` and `in_total` a request waits for a free environment.
On AWS it would get one of its own; only reserved and account concurrency refuse requests (429), here as there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.lambdas.errors import Throttled
from infra.local.lambdas.model import SETTLING, Function, Version
from infra.local.lambdas.sandbox import Sandbox


@dataclass(frozen=True)
class Limits:
    """How many environments, how many requests, how long idle (seconds)."""

    per_function: int = 8
    in_total: int = 24
    account_concurrency: int = 1000
    idle: float = 300.0
    patience: float = 120.0


class Concurrency:
    """Counts the requests in flight and refuses those beyond the reserved or the account's concurrency."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._flying: dict[str, int] = {}

    def enter(self, function: Function) -> int:
        """Count one more request of the function; returns how many there are. Raises Throttled."""
        with self._lock:
            flying = self._flying.get(function.name, 0)
            if function.reserved is not None and flying >= function.reserved:
                raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            if sum(self._flying.values()) >= self._limits.account_concurrency:
                raise Throttled("ConcurrentInvocationLimitExceeded")
            self._flying[function.name] = flying + 1
            return flying + 1

    def leave(self, function: Function) -> None:
        """One request less."""
        with self._lock:
            self._flying[function.name] -= 1


class Pool:
    """Hands out environments. `make` creates one for a snapshot, not yet started."""

    def __init__(self, make: Callable[[Version], Sandbox], limits: Limits) -> None:
        self._make = make
        self._limits = limits
        self._changed = threading.Condition()
        # most recently used last
        self._idle: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._retired: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sweep, name="lambda-reaper", daemon=True)
        self._thread.start()

    def lease(self, version: Version) -> Sandbox:
        """A warm environment of the snapshot, or a new one; waits for room. Raises Throttled after long patience."""
        deadline = time.monotonic() + self._limits.patience
        evicted: Sandbox | None = None
        with self._changed:
            while True:
                if self._stopping.is_set():
                    raise Throttled("ConcurrentInvocationLimitExceeded")
                sandbox = self._warm(version)
                if sandbox is None and self._room(version):
                    evicted = self._evict()
                    sandbox = self._make(version)
                if sandbox is not None:
                    self._busy.add(sandbox)
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    raise Throttled("ConcurrentInvocationLimitExceeded")
        if evicted is not None:
            evicted.close()
        return sandbox

    def _warm(self, version: Version) -> Sandbox | None:
        for sandbox in reversed(self._idle):
            if sandbox.version.key == version.key and sandbox.alive:
                self._idle.remove(sandbox)
                return sandbox
        return None

    def _room(self, version: Version) -> bool:
        siblings = sum(sandbox.version.function == version.function for sandbox in self._busy)
        return siblings < self._limits.per_function and len(self._busy) < self._limits.in_total

    def _evict(self) -> Sandbox | None:
        """The longest idle environment, when there would be one too many."""
        if len(self._idle) + len(self._busy) < self._limits.in_total:
            return None
        return self._idle.pop(0) if self._idle else None

    def give_back(self, sandbox: Sandbox) -> None:
        """The request is done: keep the environment for the next one, unless it is dead or outdated."""
        with self._changed:
            self._busy.discard(sandbox)
            keep = sandbox.ready and sandbox.alive and not self._outdated(sandbox) and not self._stopping.is_set()
            if keep:
                sandbox.idle_since = time.monotonic()
                self._idle.append(sandbox)
            self._changed.notify()
        if not keep:
            sandbox.close()

    def retire(self, version: Version) -> None:
        """New calls will not run this snapshot, once the update that replaces it has settled."""
        with self._changed:
            self._retired[version.key] = time.monotonic() + SETTLING

    def _outdated(self, sandbox: Sandbox) -> bool:
        return time.monotonic() >= self._retired.get(sandbox.version.key, float("inf"))

    def _sweep(self) -> None:
        while not self._stopping.wait(1.0):
            oldest = time.monotonic() - self._limits.idle
            with self._changed:
                doomed = [s for s in self._idle if s.idle_since < oldest or self._outdated(s) or not s.alive]
                self._idle = [sandbox for sandbox in self._idle if sandbox not in doomed]
            for sandbox in doomed:
                sandbox.close()

    def stop(self) -> None:
        """End every environment, busy ones too."""
        self._stopping.set()
        with self._changed:
            doomed = [*self._idle, *self._busy]
            self._idle = []
            self._changed.notify_all()
        for sandbox in doomed:
            sandbox.close()
        self._thread.join(timeout=5)
