"""The schedule expressions that a model spec may hold: `rate(…)` and `cron(…)` of EventBridge Scheduler.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
Scheduler's guide does not say whether it takes `rate(1 days)`; the one of EventBridge's rules says that they do not
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html), so it is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RATE = re.compile(r"rate\(\s*(?:1\s+(?:minute|hour|day)|(?!1\s)[1-9][0-9]*\s+(?:minute|hour|day)s)\s*\)")
_CRON = re.compile(r"cron\((.*)\)")
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/0*[1-9][0-9]*)?", re.ASCII)


@dataclass(frozen=True)
class _Field:
    """One field of cron(…): its bounds, the names of its values, and what it may be as a whole (a pattern)."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    whole: str = ""

    def check(self, text: str) -> None:
        if self.whole and re.fullmatch(self.whole, text):
            return
        for part in text.split(","):
            match = _PART.fullmatch(part)
            if match is None or not all(self._takes(value) for value in match.groups() if value):
                raise ValueError(f"{self.name} {text!r} is not made of values from {self.low} to {self.high}")

    def _takes(self, value: str) -> bool:
        return value in self.names or (value.isdecimal() and self.low <= int(value) <= self.high)


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of month", 1, 31, whole=r"\?|LW?|([1-9]|[12][0-9]|3[01])W"),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 1, 7, _DAYS, whole=rf"\?|L|([1-7]|{'|'.join(_DAYS)})(#[1-5]|L)"),
    _Field("year", 1970, 2199),
)


def check_schedule(text: str) -> str:
    """`text`, if EventBridge Scheduler takes it. Raises ValueError, which says what is wrong."""
    if _RATE.fullmatch(text):
        return text
    cron = _CRON.fullmatch(text)
    if cron is None:
        raise ValueError(f"{text!r} is no schedule; write rate(1 day), rate(30 days) or cron(0 6 ? * MON *)")
    fields = cron[1].upper().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(fields)} fields; cron takes minutes hours day month weekday year")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError(f"{text!r}: exactly one of day of month and day of week must be ?")
    for field, value in zip(_FIELDS, fields, strict=True):
        field.check(value)
    return text
