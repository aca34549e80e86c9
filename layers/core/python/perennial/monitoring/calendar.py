"""UTC days: when one is settled, which ones a window spans, how often it is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from perennial.catalog.monitor import DAY, Monitor

ONE = timedelta(days=1)
# After the beginning of a day: by then everything that was recorded on it has been delivered. Firehose names an object
# after the oldest record in it and tries for a day; feedback tries a file for two hours.
# https://docs.aws.amazon.com/firehose/latest/dev/basic-deliver.html
SETTLED = timedelta(days=2, hours=3)

_RATE = re.compile(r"rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)")
_YEAR = 365.0


@dataclass(frozen=True)
class Span:
    """The days `first` to `last`, both included."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range(len(self)))

    def __len__(self) -> int:
        return max((self.last - self.first).days + 1, 0)

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day <= self.last

    @property
    def name(self) -> str:
        """`2013-04-01_2013-04-28`."""
        return f"{self.first}_{self.last}"

    def since(self, day: date) -> Span:
        """The part from `day` on."""
        return Span(max(self.first, day), self.last)


def day_of(moment: datetime) -> date:
    """The day of an instant."""
    return moment.astimezone(UTC).date()


def is_settled(day: date, as_of: datetime) -> bool:
    """Whether everything of a day is there, so that it may be sealed."""
    return as_of >= datetime.combine(day, time(), UTC) + SETTLED


def last_settled(as_of: datetime) -> date:
    """The newest day that is settled."""
    return day_of(as_of - SETTLED)


def window_of(spec: Monitor, as_of: datetime, first: date | None, last: date | None) -> Span:
    """The days that were asked for; those that were not: the spec's window, which ends with the last whole day."""
    end = last or day_of(as_of) - ONE
    return Span(first or end - timedelta(days=spec.window // DAY - 1), end)


def cohort_of(window: Span, spec: Monitor, as_of: datetime) -> Span:
    """As many days as the window has, the last of which is as new as a complete cohort can be, and no newer than it."""
    complete = last_settled(as_of) - timedelta(seconds=spec.horizon)
    end = min(window.last, complete)
    return Span(end - timedelta(days=len(window) - 1), end)


def alpha_of(schedule: str | None) -> float:
    """What one look may spend of one false alarm a year: d / 365, where it is looked at every d days.

    Windows end with whole days, so looking more often than daily is looking at the same again. Of cron(…) a day is
    taken, which is never too much.
    """
    rate = _RATE.fullmatch(schedule or "")
    days = int(rate[1]) if rate and rate[2] == "day" else 1
    return min(days, 28) / _YEAR
