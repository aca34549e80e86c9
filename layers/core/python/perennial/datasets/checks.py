"""Rules on single values: an array of a column's type in, a mask of the offending rows out (None when none offends).

One rule per function, in a table; names are those of the contract, since people read them in reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from perennial.catalog.contract import Column, Threshold
from perennial.datasets.arrays import Mask, array_of, mask_of, ordinals, values_of
from perennial.datasets.convert import ordinal
from perennial.errors import CatalogInvalid


@dataclass(frozen=True)
class Violation:
    """Rows of one batch that break one rule in one column."""

    column: str
    rule: str
    mask: Mask


Rule = Callable[[Column, pa.Array], Mask | None]


def required(column: Column, typed: pa.Array) -> Mask | None:
    """No value where there must be one."""
    return mask_of(pc.is_null(typed)) if column.required and typed.null_count else None


def minimum(column: Column, typed: pa.Array) -> Mask | None:
    """Less than the least value allowed."""
    return _beyond(column, typed, column.minimum, "min", np.less)


def maximum(column: Column, typed: pa.Array) -> Mask | None:
    """More than the greatest value allowed."""
    return _beyond(column, typed, column.maximum, "max", np.greater)


def exclusive_minimum(column: Column, typed: pa.Array) -> Mask | None:
    """Not more than a bound."""
    return _beyond(column, typed, column.exclusive_minimum, "min", np.less_equal)


def exclusive_maximum(column: Column, typed: pa.Array) -> Mask | None:
    """Not less than a bound."""
    return _beyond(column, typed, column.exclusive_maximum, "max", np.greater_equal)


def multiple_of(column: Column, typed: pa.Array) -> Mask | None:
    """An integer that the step does not divide."""
    if column.multiple_of is None:
        return None
    return _found((values_of(typed) % column.multiple_of != 0) & _present(typed))


def min_length(column: Column, typed: pa.Array) -> Mask | None:
    """Fewer characters than allowed (Unicode code points)."""
    return _length(typed, column.min_length, "min", np.less)


def max_length(column: Column, typed: pa.Array) -> Mask | None:
    """More characters than allowed (Unicode code points)."""
    return _length(typed, column.max_length, "max", np.greater)


def pattern(column: Column, typed: pa.Array) -> Mask | None:
    """A text in which a pattern is not found (RE2, unanchored as in the standard)."""
    wrong: Mask | None = None
    for written in column.patterns:
        wrong = either(wrong, _unmatched(typed, written))
    return wrong


def invalid_values(column: Column, typed: pa.Array) -> Mask | None:
    """A value that is not listed."""
    return None if column.allowed is None else _unlisted(column, typed, column.allowed)


def missing_values(column: Column, typed: pa.Array) -> Mask | None:
    """A value that is listed as standing for none."""
    return _listed(column, typed, column.forbidden) if column.forbidden else None


RULES: dict[str, Rule] = {
    "required": required,
    "minimum": minimum,
    "maximum": maximum,
    "exclusiveMinimum": exclusive_minimum,
    "exclusiveMaximum": exclusive_maximum,
    "multipleOf": multiple_of,
    "minLength": min_length,
    "maxLength": max_length,
    "pattern": pattern,
    "invalidValues": invalid_values,
    "missingValues": missing_values,
}


def check(column: Column, typed: pa.Array, mistyped: Mask | None) -> list[Violation]:
    """All violations of one column; a value of the wrong type (`mistyped`, null in `typed`) breaks no further rule."""
    found = [] if mistyped is None else [Violation(column.name, "type", mistyped)]
    for name, rule in RULES.items():
        mask = rule(column, typed)
        if mask is not None and mistyped is not None:
            mask = mask & ~mistyped
        if mask is not None and mask.any():
            found.append(Violation(column.name, name, mask))
    return found


def offending(threshold: Threshold, column: Column, typed: pa.Array, mistyped: Mask | None) -> int:
    """How many rows of a batch count against a threshold; values of the wrong type are not valid either."""
    wrong = 0 if mistyped is None else int(mistyped.sum())
    nulls = int(typed.null_count) - wrong
    if threshold.metric == "nullValues":
        return nulls
    listed = tuple(value for value in threshold.values if value is not None)
    if threshold.metric == "missingValues":
        mask = _listed(column, typed, listed) if listed else None
        return _count(mask) + (nulls if None in threshold.values else 0)
    mask = _unmatched(typed, threshold.pattern) if threshold.pattern else None
    return wrong + _count(either(mask, _unlisted(column, typed, listed) if listed else None))


def either(one: Mask | None, other: Mask | None) -> Mask | None:
    """Rows in one mask or the other."""
    if one is None or other is None:
        return other if one is None else one
    return one | other


def _count(mask: Mask | None) -> int:
    return 0 if mask is None else int(mask.sum())


def _present(typed: pa.Array) -> Mask:
    return mask_of(pc.is_valid(typed)) if typed.null_count else np.ones(len(typed), dtype=np.bool_)


def _found(mask: Mask) -> Mask | None:
    return mask if mask.any() else None


def _beyond(column: Column, typed: pa.Array, bound: Any, side: str, offends: Any) -> Mask | None:
    """The extreme first, which one fast pass finds: a mask is made only where it offends."""
    if bound is None:
        return None
    limit = ordinal(column, bound)
    extreme = pc.min_max(ordinals(typed)).as_py()[side]
    if extreme is None or not offends(extreme, limit):
        return None
    return _found(offends(values_of(typed), limit) & _present(typed))


def _length(typed: pa.Array, bound: int | None, side: str, offends: Any) -> Mask | None:
    if bound is None:
        return None
    lengths = pc.utf8_length(typed)
    extreme = pc.min_max(lengths).as_py()[side]
    if extreme is None or not offends(extreme, bound):
        return None
    return _found(offends(values_of(lengths), bound) & _present(typed))


def _unmatched(typed: pa.Array, written: str) -> Mask | None:
    try:
        matched = pc.match_substring_regex(typed, pattern=written)
    except pa.ArrowInvalid as error:
        raise CatalogInvalid(f"pattern {written!r}: {error}") from error
    if matched.true_count == len(matched) - matched.null_count:
        return None
    return _found(~mask_of(matched.fill_null(True)))


def _unlisted(column: Column, typed: pa.Array, listed: tuple[Any, ...]) -> Mask | None:
    inside = _is_in(column, typed, listed)
    if inside.true_count == len(inside) - typed.null_count:
        return None
    return _found(~mask_of(inside) & _present(typed))


def _listed(column: Column, typed: pa.Array, listed: tuple[Any, ...]) -> Mask | None:
    return _found(mask_of(_is_in(column, typed, listed)))


def _is_in(column: Column, typed: pa.Array, listed: tuple[Any, ...]) -> pa.BooleanArray:
    plain = ordinals(typed)
    ordinals_of = [ordinal(column, value) for value in listed]
    if column.type == "number" and 0 in ordinals_of:
        ordinals_of += [0.0, -0.0]  # equal, but Arrow looks at their bits
    values = array_of(ordinals_of, plain.type)
    return pc.is_in(plain, value_set=values)
