"""What the governor decides, and why. Pure: facts in, decision out.

An arrival is *pending* until a flight has frozen a set of dataset versions with it inside, or has failed with it. Its
rows stay in the dataset, so every later training sees them. A training that failed by its input, or by a defect, is
therefore not repeated for the same data: bad data would loop for ever.

When the surroundings were at fault, the arrivals are *returned*: their rows are unseen again, and go with the next
arrival however small, but they start nothing by themselves. So an arrival is a reason to start once, and an outage that
lasts does not loop either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from perennial.catalog.train import When


@dataclass(frozen=True)
class Arrival:
    """A dataset version that the governor heard of. `flight` took it into account (None: none did), unless that very
    flight `returned` it.
    """

    dataset: str
    version: int
    rows: int
    flight: str | None = None
    returned: str | None = None

    @property
    def pending(self) -> bool:
        """Whether no training saw it."""
        return self.flight == self.returned


@dataclass(frozen=True)
class Start:
    """Start a training."""

    reason: str


@dataclass(frozen=True)
class Decline:
    """Start none."""

    reason: str


def pending(arrivals: Collection[Arrival]) -> list[Arrival]:
    """The arrivals that no training saw yet, oldest first."""
    return sorted((arrival for arrival in arrivals if arrival.pending), key=lambda one: one.version)


def on_arrival(when: When, arrivals: Collection[Arrival]) -> Start | Decline:
    """Start once enough unseen rows have come."""
    unseen = pending(arrivals)
    rows = sum(arrival.rows for arrival in unseen)
    if not unseen:
        return Decline("every arrival was taken into account")
    if rows < when.min_rows:
        return Decline(f"{rows} unseen rows are fewer than {when.min_rows}")
    if all(arrival.returned for arrival in unseen):
        return Decline(f"{rows} unseen rows wait for the next arrival, since a passing fault ended their training")
    return Start(f"{rows} unseen rows in {len(unseen)} dataset versions")


def on_schedule(known: int, trained: int) -> Start | Decline:
    """Start when the dataset has more versions than a finished training saw, whatever their rows.

    Counts, since a version whose ingestion died and was resumed comes after later ones. A training that failed did not
    finish: a schedule tries again what a passing fault prevented.
    """
    if known <= trained:
        return Decline("no dataset version since the last training" if known else "the dataset has no version")
    return Start(f"scheduled, with {known - trained} dataset versions since the last training")


def settled(known: int, seen: int) -> bool:
    """Whether no dataset version came since the last look, when `seen` were known."""
    return known > 0 and known == seen
