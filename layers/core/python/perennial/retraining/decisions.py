"""What the governor decides, and why. Pure: facts in, decision out; time is an input.

An arrival is *pending* until a flight has frozen a set of dataset versions with it inside, or has failed with it. Its
rows stay in the dataset, so every later training sees them. A training that failed by its input, or by a defect, is
therefore not repeated for the same data: bad data would loop for ever.

When the surroundings were at fault, the arrivals are *returned*: their rows are unseen again, and go with the next
arrival however small, but they start nothing by themselves. So an arrival is a reason to start once, and an outage that
lasts does not loop either.

A flight counts from when it took off, whatever became of it: for the cool-down and for the budget, which is about cost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from perennial.catalog.train import When

# The span that a monthly budget is about.
MONTH = timedelta(days=30)
# When an alarm that was declined may be asked about again, unless the reason says so itself.
AGAIN = timedelta(days=1)

Reason = Literal["data", "schedule", "drift", "performance", "person"]


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
    """Start none. From `not_before` on it may be asked again (None: that is not a matter of time)."""

    reason: str
    not_before: datetime | None = None


@dataclass(frozen=True)
class Wait:
    """Start none now: whoever ends the flight under way looks again, but starts nothing `not_before`."""

    reason: str
    not_before: datetime | None = None


Decision = Start | Decline | Wait


def pending(arrivals: Collection[Arrival]) -> list[Arrival]:
    """The arrivals that no training saw yet, oldest first."""
    return sorted((arrival for arrival in arrivals if arrival.pending), key=lambda one: one.version)


def held_back(when: When, starts: Collection[datetime], at: datetime, *, person: bool = False) -> Decline | None:
    """Why no training may start at `at`, whoever asks, when trainings have started at `starts`; None when one may.

    A person may ask within the cool-down, but nobody goes beyond the budget.
    """
    held: list[Decline] = []
    if starts and when.cool_down and not person:
        last = max(starts)
        earliest = last + timedelta(seconds=when.cool_down)
        if at < earliest:
            held.append(
                Decline(f"the last training started at {moment(last)}: cool-down until {moment(earliest)}", earliest)
            )
    recent = sorted(start for start in starts if start > at - MONTH)
    if when.monthly is not None and len(recent) >= when.monthly:
        earliest = recent[-when.monthly] + MONTH
        spent = f"{len(recent)} of {when.monthly} trainings in 30 days"
        held.append(Decline(f"{spent}: the budget allows none until {moment(earliest)}", earliest))
    return max(held, key=lambda one: one.not_before or at, default=None)


def behind(when: When, reason: Reason, flight: str, started: datetime, at: datetime) -> Decline | Wait:
    """What becomes of a trigger while `flight` is under way: data waits for its end, whatever else is declined."""
    told = f"a training is under way: {flight}"
    if reason == "data":
        return Wait(told, started + timedelta(seconds=when.cool_down) if when.cool_down else None)
    return Decline(told, at + AGAIN if is_alarm(reason) else None)


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


def switched_off(when: When, reason: Reason) -> Decline | None:
    """Why an alarm of that kind does not ask for trainings of the model; None when it does."""
    if (reason == "drift" and not when.drift) or (reason == "performance" and not when.performance):
        return Decline(f"alarms of {reason} start nothing here: train.when.{reason} is false")
    return None


def learned_already(known: int, trained: int, maturity: int, at: datetime) -> Decline | None:
    """Why a training would learn what the last one did: it saw all `known` dataset versions. None when it would not, or
    when their rows mature only with time, so that nobody knows without reading them.
    """
    if known > trained or maturity:
        return None
    return Decline("no dataset version since the last training, which would be repeated", at + AGAIN)


def on_alarm(when: When, told: str, outcomes: int, last: datetime | None, at: datetime) -> Start | Decline:
    """Start when no training started since the alarm, and enough new `outcomes` are known; `told` is what it says."""
    if last is not None and at <= last:
        return Decline(f"a training has started since, at {moment(last)}", at + AGAIN)
    if outcomes < when.outcomes:
        return Decline(f"{outcomes} new outcomes are fewer than {when.outcomes}", at + AGAIN)
    return Start(told)


def new_outcomes(report: Mapping[str, Any] | None, alarmed: int, last: datetime | None) -> int:
    """How many of an alarm's outcomes are new since the last training started.

    All of them (`alarmed`) when there was no training yet. Else those that the monitor's report counts (monitor.json,
    `performance.by_day`) for predictions asked for on a UTC day after that of the start: an outcome of an older
    prediction tells of a world that the training may have seen. None, when there is no such report.
    """
    if last is None:
        return alarmed
    days = ((report or {}).get("performance") or {}).get("by_day") or []
    start = last.astimezone(UTC).date()
    return sum(int(day["rows"]) for day in days if date.fromisoformat(day["day"]) > start)


def is_alarm(reason: Reason) -> bool:
    """Whether the monitor asks, who may ask again and again about the same."""
    return reason in ("drift", "performance")


def settled(known: int, seen: int) -> bool:
    """Whether no dataset version came since the last look, when `seen` were known."""
    return known > 0 and known == seen


def moment(at: datetime) -> str:
    """An instant as people read it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
