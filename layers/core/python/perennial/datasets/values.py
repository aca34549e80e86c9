"""One text as one value: the slow and exact reading of a cell, which the fast paths must agree with.

Values are as Arrow keeps them: int (days since 1970 for dates, microseconds since 1970 in UTC for timestamps), float,
bool, str.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable

from perennial.catalog.contract import Column

Value = int | float | bool | str

_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[ T](?P<time>[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?P<part>\.[0-9]{1,9})?)?)?)"
    r"(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_BLANK = " \t\r\n\v\f"


def parser(column: Column) -> Callable[[str], Value]:
    """The reading of one text of `column`; it raises ValueError for a text that is none of its type."""
    match column.type:
        case "integer":
            return parse_integer
        case "number":
            return parse_number
        case "boolean":
            return parse_boolean
        case "date":
            return lambda text: parse_date(text, column.format)
        case "timestamp":
            return lambda text: parse_timestamp(text, column.format, column.zoned)
    return str


def parse_integer(text: str) -> int:
    """Decimal digits with an optional sign; `517.0` too, since pandas writes integers beside nulls so."""
    text = text.strip(_BLANK)
    if len(text) > 400 or not _INTEGER.fullmatch(text):
        raise ValueError("no integer")
    value = int(text.partition(".")[0])
    if not -(2**63) <= value < 2**63:
        raise ValueError("does not fit 64 bits")
    return value


def parse_number(text: str) -> float:
    """A finite decimal number, with `.` as the decimal sign."""
    text = text.strip(_BLANK)
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        raise ValueError("no number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def parse_boolean(text: str) -> bool:
    """`true`, `false`, `1` or `0` in any case."""
    match text.strip(_BLANK).lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise ValueError("no boolean")


def parse_date(text: str, pattern: str | None = None) -> int:
    """Days since 1970 of an ISO 8601 date, or of a text in the strptime `pattern`."""
    text = text.strip(_BLANK)
    if pattern:
        return (dt.datetime.strptime(text, pattern).replace(tzinfo=dt.UTC) - _EPOCH).days
    if not _DATE.fullmatch(text):
        raise ValueError("no date")
    return dt.date.fromisoformat(text).toordinal() - _EPOCH.toordinal()


def parse_timestamp(text: str, pattern: str | None = None, zoned: bool | None = None) -> int:
    """Microseconds since 1970 in UTC of an ISO 8601 timestamp, or of a text in the strptime `pattern`.

    Without a zone it is UTC; `zoned` demands one (True) or forbids it (False). Finer digits are cut.
    """
    text = text.strip(_BLANK)
    if pattern:
        return microseconds(dt.datetime.strptime(text, pattern).replace(tzinfo=dt.UTC))
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        raise ValueError("no timestamp")
    if zoned is not None and zoned != bool(match["zone"]):
        raise ValueError("has no zone" if zoned else "has a zone")
    clock = match["time"] or "00"
    if part := match["part"]:
        clock = clock.removesuffix(part) + part[:7]
    moment = dt.datetime.fromisoformat(f"{match['date']}T{clock}{match['zone'] or 'Z'}")
    return microseconds(moment)


def microseconds(moment: dt.datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND
