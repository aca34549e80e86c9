"""Schedule expressions of EventBridge Scheduler and of EventBridge rules: `rate(…)`, `cron(…)`, `at(…)`.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_RATE = re.compile(r"^rate\(\s*([1-9]\d*)\s+(minute|minutes|hour|hours|day|days)\s*\)$")
_CRON = re.compile(r"^cron\((.*)\)$")
_AT = re.compile(r"^at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)$")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS = {"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6}
_MONTHS |= {"JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_YEARS = (1970, 2199)


class InvalidExpression(ValueError):
    """Not a schedule expression, or one that AWS does not take."""


@dataclass(frozen=True)
class Rate:
    """Every `seconds` from the moment it was made (or from its start date)."""

    seconds: int

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        """The first time after `moment`, counted from `start` (itself the first time when it lies ahead)."""
        if moment < start:
            return start
        steps = int((moment - start).total_seconds() // self.seconds) + 1
        return start + timedelta(seconds=steps * self.seconds)


@dataclass(frozen=True)
class Once:
    """One moment."""

    when: datetime

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        """The moment, while it lies ahead."""
        return self.when if self.when > moment else None


@dataclass(frozen=True)
class Cron:
    """Minutes, hours, days, months and years in a time zone; `days` and `weekdays` as written."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str
    months: frozenset[int]
    weekdays: str
    years: frozenset[int]
    zone: ZoneInfo

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        """The first time after `moment`; None when the years are used up."""
        local = max(moment, start - timedelta(microseconds=1)).astimezone(self.zone)
        day = local.date()
        while day.year <= max(self.years):
            if day.year not in self.years:
                day = date(day.year + 1, 1, 1)
            elif day.month not in self.months:
                day = _next_month(day)
            else:
                if self._on(day):
                    for found in self._times(day):
                        if found > moment and found >= start:
                            return found
                day += timedelta(days=1)
        return None

    def _times(self, day: date) -> Iterator[datetime]:
        moments = [
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
            for hour in self.hours
            for minute in self.minutes
        ]
        # a time that the change to summer time leaves out does not exist: AWS skips it that day
        there = [local.astimezone(UTC) for local in moments if _exists(local)]
        yield from sorted(there)

    def _on(self, day: date) -> bool:
        if self.weekdays == "?":
            return _day_matches(self.days, day)
        return _weekday_matches(self.weekdays, day)


Expression = Rate | Once | Cron


def parse(text: str, timezone: str = "UTC") -> Expression:
    """A Scheduler expression; raises InvalidExpression."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidExpression(f"there is no time zone {timezone!r}") from error
    if rate := _RATE.match(text):
        return Rate(int(rate[1]) * _UNITS[rate[2].removesuffix("s")])
    if at := _AT.match(text):
        try:
            return Once(datetime.fromisoformat(at[1]).replace(tzinfo=zone).astimezone(UTC))
        except ValueError as error:
            raise InvalidExpression(f"{text}: {error}") from error
    if cron := _CRON.match(text):
        return _cron(cron[1].split(), zone)
    raise InvalidExpression(f"{text!r} is not rate(…), cron(…) or at(…)")


def parse_rule_expression(text: str) -> Expression:
    """A rule's expression: UTC, no at(…), and a unit that agrees with its number; raises InvalidExpression."""
    expression = parse(text)
    if isinstance(expression, Once):
        raise InvalidExpression("a rule takes rate(…) and cron(…) only")
    if (rate := _RATE.match(text)) and (rate[1] == "1") == rate[2].endswith("s"):
        raise InvalidExpression(f"{text}: one of 'rate(1 day)' and 'rate(2 days)' is the form")
    return expression


def _cron(fields: list[str], zone: ZoneInfo) -> Cron:
    if len(fields) != 6:
        raise InvalidExpression(f"cron wants 6 fields, not {len(fields)}: minutes hours day month weekday year")
    minutes, hours, days, months, weekdays, years = (field.upper() for field in fields)
    if (days == "?") == (weekdays == "?"):
        raise InvalidExpression("exactly one of day-of-month and day-of-week must be ?")
    _check_days(days)
    _check_weekdays(weekdays)
    return Cron(
        tuple(sorted(_numbers(minutes, 0, 59))),
        tuple(sorted(_numbers(hours, 0, 23))),
        days,
        frozenset(_numbers(months, 1, 12, _MONTHS)),
        weekdays,
        frozenset(_numbers(years, *_YEARS)),
        zone,
    )


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The values that a field of lists, ranges, steps and * stands for; raises InvalidExpression."""

    def number(text: str) -> int:
        if names and text in names:
            return names[text]
        if not text.isdecimal() or not low <= int(text) <= high:
            raise InvalidExpression(f"{text!r} in {field!r} is not between {low} and {high}")
        return int(text)

    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step) > 0):
            raise InvalidExpression(f"{part!r} has no step")
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = number(begin)
            last = number(end) if dash else (high if slash else first)
        values = range(first, last + 1) if first <= last else [*range(first, high + 1), *range(low, last + 1)]
        found.update(list(values)[:: int(step) if slash else 1])
    return found


def _check_days(field: str) -> None:
    if field not in ("?", "L", "LW") and not re.fullmatch(r"([1-9]|[12]\d|3[01])W", field):
        _numbers(field, 1, 31)


def _check_weekdays(field: str) -> None:
    if field != "?" and not re.fullmatch(r"([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(#[1-5]|L)", field) and field != "L":
        _numbers(field, 1, 7, _DAYS)


def _day_matches(field: str, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if field == "L":
        return day.day == last
    if field.endswith("W"):
        wanted = last if field == "LW" else int(field[:-1])
        return wanted <= last and day == _nearest_weekday(day.replace(day=wanted), last)
    return day.day in _numbers(field, 1, 31)


def _nearest_weekday(day: date, last: int) -> date:
    if day.weekday() == 5:
        return day - timedelta(days=1) if day.day > 1 else day + timedelta(days=2)
    if day.weekday() == 6:
        return day + timedelta(days=1) if day.day < last else day - timedelta(days=2)
    return day


def _weekday_matches(field: str, day: date) -> bool:
    number = day.isoweekday() % 7 + 1  # Sunday is 1
    if field == "L":
        return number == 7
    if field.endswith("L"):
        last = calendar.monthrange(day.year, day.month)[1]
        return number in _numbers(field[:-1], 1, 7, _DAYS) and day.day + 7 > last
    if "#" in field:
        name, _, nth = field.partition("#")
        return number in _numbers(name, 1, 7, _DAYS) and (day.day - 1) // 7 + 1 == int(nth)
    return number in _numbers(field, 1, 7, _DAYS)


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _exists(local: datetime) -> bool:
    return local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None)
