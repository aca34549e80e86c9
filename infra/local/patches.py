"""Replacing functions of moto while a cloud runs, and putting them back when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Patches:
    """What was replaced where; undone in reverse order."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set the attribute `name` of a module or class to `value`."""
        self._replaced.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def after(self, owner: Any, name: str, then: Callable[[], None]) -> None:
        """Call `then` after each successful call of the method `name` of the class `owner`."""
        original = getattr(owner, name)

        def followed(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            then()
            return result

        self.replace(owner, name, followed)

    def undo(self) -> None:
        """Put everything back."""
        while self._replaced:
            owner, name, original = self._replaced.pop()
            setattr(owner, name, original)
