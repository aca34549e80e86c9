"""What a long command is doing, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from scripts.cli.output import errors

Say = Callable[[str], None]


class Steps:
    """Shown one after the other while they run: by a spinner in a terminal, elsewhere by a line when each is done.

    `current` is the step that was entered last, `seconds` what each took that is done.
    """

    def __init__(self) -> None:
        self.current: str | None = None
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[Say]:
        """One step; it yields a function that shows a detail of it."""
        self.current, began = name, time.monotonic()
        columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
            task = progress.add_task(name, total=1)
            yield lambda detail: progress.update(task, description=f"{name}: {detail}")
            self.seconds[name] = round(time.monotonic() - began, 1)
            progress.update(task, completed=1, description=name)
        if not errors.is_terminal:
            errors.print(f"{name}: done in {self.seconds[name]} s")
