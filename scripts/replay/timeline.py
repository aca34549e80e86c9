"""What happened in a replayed year, as one record: by month what served and how good it was, and every decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Month:
    """One calendar month: what was asked, and how well the loop, the first model and a monthly new one answered."""

    month: str
    rows: int
    versions: dict[str, int]
    served: float | None
    frozen: float | None = None
    always: float | None = None


@dataclass
class Event:
    """Something that was decided: when, what, about which version, and why."""

    at: str
    kind: str
    text: str
    version: int | None = None


# What is wrong with the challengers that must not serve.
SHUFFLED, STALE, LEAKED = "shuffled labels", "stale window", "leaked feature"


@dataclass
class Timeline:
    """The year. `deployed` counts the versions put into service after the first, of which a monthly retraining would
    have made `months_after_the_first`.
    """

    example: str
    model: str
    metric: str
    greater_is_better: bool
    months: list[Month] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    deployed: int = 0
    requests: int = 0
    faults: int = 0

    def mean(self, name: str) -> float | None:
        """The mean over months of `served`, `frozen` or `always`; None while one is missing."""
        return mean([getattr(month, name) for month in self.months])

    @property
    def months_after_the_first(self) -> int:
        """Trainings of who retrains every month: one before each month but the first."""
        return max(0, len(self.months) - 1)

    def to_json(self) -> dict[str, Any]:
        """The record with its sums."""
        sums = {name: self.mean(name) for name in ("served", "frozen", "always")}
        return asdict(self) | {"means": sums, "monthly_deployments": self.months_after_the_first}


def mean(values: Sequence[float | None]) -> float | None:
    """The mean, None when there is none or one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
