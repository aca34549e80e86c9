"""The way back from what serves: to which version, and by which Lambda versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perennial.registry import Champion


def way_back(history: Sequence[Champion]) -> int | None:
    """The version that served before the one that serves, oldest change first; None when nothing did.

    A version that serves again is where it was before: what was taken back is never gone back to.
    """
    served: list[int] = []
    for entry in history:
        if entry.version in served:
            del served[served.index(entry.version) :]
        if entry.version is not None:
            served.append(entry.version)
    return served[-2] if len(served) > 1 else None


def target(history: Sequence[Champion]) -> int | None:
    """The version that serves once the last change is taken back: an experiment's champion goes on alone."""
    if history and history[-1].experiment is not None:
        return history[-1].version
    return way_back(history)


def carriers(history: Sequence[Champion], version: int | None) -> Iterator[Champion]:
    """The changes since which a Lambda version carried the version by itself, newest first: an experiment is never
    gone back to.
    """
    for entry in reversed(history):
        if version is not None and entry.version == version and entry.experiment is None and entry.lambda_version:
            yield entry
