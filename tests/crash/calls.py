"""Every AWS call of a test's account is announced twice: before it is sent, and once it was answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

When = Literal["before-send", "after-call"]
Listener = Callable[[When, str], None]

# most specific first: these run before whatever answers the call
EVENTS: tuple[str, ...] = ("before-send.*.*", "after-call.*.*")

_listeners: list[Listener] = []
_here = threading.local()


def announce(event_name: str, **_: Any) -> None:
    """botocore's hook: tell the listeners `when` and which operation (`s3.PutObject`)."""
    if getattr(_here, "unheard", False):
        return
    when, _dot, operation = event_name.partition(".")
    for listener in list(_listeners):
        listener("before-send" if when == "before-send" else "after-call", operation)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Tell `listener` of every call, in the thread that makes it."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def unheard() -> Iterator[None]:
    """Calls of this thread that are not those of a stage: an imitated service's own, or the test's."""
    before = getattr(_here, "unheard", False)
    _here.unheard = True
    try:
        yield
    finally:
        _here.unheard = before
