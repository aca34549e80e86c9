"""Kill a process at its n-th AWS call, in either of the two ways that a call can be cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from perennial.storage.translate import client

When = Literal["before-send", "after-call"]


class Crash(BaseException):
    """The process died here. No `except` of the library may catch it, as none survives a SIGKILL."""


@contextmanager
def crash_at(number: int, when: When, *services: str) -> Iterator[None]:
    """Die at the `number`-th call to any of `services`, and swallow the death.

    `before-send`: the call never happened; `after-call`: it happened and nobody knows.
    """
    seen = 0

    def hook(**_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Crash

    clients = [client(service) for service in services]
    for one in clients:
        one.meta.events.register_first(when, hook)
    try:
        yield
    except Crash:
        pass
    finally:
        for one in clients:
            one.meta.events.unregister(when, hook)
