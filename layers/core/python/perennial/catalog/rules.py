"""What a contract's rules are made of: conditions on counts, patterns, date formats.

Nothing here or in the rest of the catalog needs pyarrow: stages without that layer read contracts too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from perennial.catalog.odcs import Number, Quality

_OPERATORS: dict[str, str] = {
    "must_be": "mustBe",
    "must_not_be": "mustNotBe",
    "must_be_greater_than": "mustBeGreaterThan",
    "must_be_greater_or_equal_to": "mustBeGreaterOrEqualTo",
    "must_be_less_than": "mustBeLessThan",
    "must_be_less_or_equal_to": "mustBeLessOrEqualTo",
    "must_be_between": "mustBeBetween",
    "must_not_be_between": "mustNotBeBetween",
}


@dataclass(frozen=True)
class Condition:
    """What a count (rows) or share (percent) must satisfy: all of `operators`, each as (ODCS name, value)."""

    operators: tuple[tuple[str, Any], ...]
    unit: Literal["rows", "percent"] = "rows"

    def holds(self, count: int, rows: int) -> bool:
        """Whether `count` of `rows` is acceptable; a share of no rows is zero."""
        value = count if self.unit == "rows" else (100.0 * count / rows if rows else 0.0)
        return all(_holds(name, value, bound) for name, bound in self.operators)

    @property
    def tolerates_none(self) -> bool:
        """Whether the condition says "none at all": then each offending row is refused, instead of the file."""
        return any(
            (name in {"mustBe", "mustBeLessOrEqualTo"} and bound == 0)
            or (name == "mustBeLessThan" and self.unit == "rows" and 0 < bound <= 1)
            for name, bound in self.operators
        )

    def __str__(self) -> str:
        unit = " percent" if self.unit == "percent" else ""
        return " and ".join(f"{name} {bound}{unit}" for name, bound in self.operators)


def _holds(operator: str, value: Number, bound: Any) -> bool:
    match operator:
        case "mustBe":
            return bool(value == bound)
        case "mustNotBe":
            return bool(value != bound)
        case "mustBeGreaterThan":
            return bool(value > bound)
        case "mustBeGreaterOrEqualTo":
            return bool(value >= bound)
        case "mustBeLessThan":
            return bool(value < bound)
        case "mustBeLessOrEqualTo":
            return bool(value <= bound)
        case "mustBeBetween":  # the standard: equivalent to mustBeGreaterThan and mustBeLessThan
            return bool(bound[0] < value < bound[1])
        case "mustNotBeBetween":
            return not bound[0] < value < bound[1]
    raise AssertionError(operator)


def condition(quality: Quality) -> Condition:
    """The condition of a quality rule. Raises ValueError when it has none, or one that nothing can satisfy."""
    values = {name: getattr(quality, field) for field, name in _OPERATORS.items()}
    found = [(name, value) for name, value in values.items() if value is not None]
    if not found:
        raise ValueError(f"no condition; one of {', '.join(_OPERATORS.values())} is expected")
    for name, bound in found:
        if isinstance(bound, tuple) and not bound[0] < bound[1]:
            raise ValueError(f"{name}: the smaller number comes first")
    return Condition(tuple(found), quality.unit)


@dataclass(frozen=True)
class Threshold:
    """A rule on the whole file: at most so many rows of `column` may be null, listed, or not valid."""

    metric: Literal["nullValues", "missingValues", "invalidValues"]
    column: str
    accept: Condition
    values: tuple[Any, ...] = ()
    pattern: str | None = None


# What Python's syntax has and RE2 (linear time, so no regular expression can hang a stage) has not
_NOT_RE2 = re.compile(r"\(\?(?:[=!]|<[=!]|>|\()|(?<!\\)(?:\\\\)*\\[1-9]|\(\?P=|[*+?}]\+")


def check_pattern(pattern: str) -> str:
    """`pattern` itself. Raises ValueError when it is no regular expression that RE2 takes."""
    if len(pattern) > 1000:
        raise ValueError("pattern: longer than 1000 characters")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern: {pattern!r} is no regular expression: {error}") from error
    if _NOT_RE2.search(pattern):
        raise ValueError(f"pattern: {pattern!r} uses lookaround, backreferences or possessive repeats; RE2 has none")
    return pattern


_DATE_LETTERS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


def date_format(written: str) -> str:
    """A JDK DateTimeFormatter pattern of whole fields (`dd.MM.yyyy HH:mm`) as strptime's. Raises ValueError."""
    parts = re.findall(r"[A-Za-z]+|'[^']*'|[^A-Za-z']+", written)
    if "".join(parts) != written or "yyyy" not in parts or "MM" not in parts or "dd" not in parts:
        raise ValueError(f"format: {written!r} must name yyyy, MM and dd")
    return "".join(_date_part(part, written) for part in parts)


def _date_part(part: str, written: str) -> str:
    if part[0].isalpha():
        if part not in _DATE_LETTERS:
            raise ValueError(f"format: {written!r}: {part!r} is none of {', '.join(_DATE_LETTERS)}")
        return _DATE_LETTERS[part]
    return part.strip("'").replace("%", "%%")
