"""Kill a process at its n-th AWS call, in either of the two ways that a call can be cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.crash.calls import When, heard_by

__all__ = ["Crash", "Death", "When", "crash_at"]


class Crash(BaseException):
    """The process died here. No `except` of the library may catch it, as none survives a SIGKILL."""


class Death:
    """Dies at the `number`-th call (of an operation), and then at every further one: what is dead makes no calls.

    `before-send`: the call never happened; `after-call`: it happened and nobody knows.
    """

    def __init__(self, number: int, when: When, operation: str = "") -> None:
        self.left, self.when, self.operation, self.happened = number, when, operation, False

    def __call__(self, when: When, operation: str) -> None:
        if when == self.when and operation.startswith(self.operation):
            self.left -= 1
        if self.left <= 0:
            self.happened = True
            raise Crash(f"{when} {operation}")


@contextmanager
def crash_at(number: int, when: When, operation: str = "") -> Iterator[Death]:
    """Die at the `number`-th call of any service (or of one operation), and swallow the death."""
    death = Death(number, when, operation)
    with suppress(Crash), heard_by(death):
        yield death
