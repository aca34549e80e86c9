"""Rules: the masks equal those of a naive look at one value at a time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.catalog.contract import Column, Threshold
from perennial.catalog.rules import Condition
from perennial.datasets.checks import RULES, check, offending
from perennial.datasets.convert import ARROW
from perennial.errors import CatalogInvalid

_dates = st.dates(dt.date(2013, 1, 1), dt.date(2013, 1, 9))
_values: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-5, 5),
    "number": st.floats(-2, 2, width=16),
    "string": st.text(alphabet="abé\U0001f600", max_size=4),
    "boolean": st.booleans(),
    "date": _dates,
    "timestamp": _dates.map(lambda d: dt.datetime.combine(d, dt.time(), dt.UTC)),
}
_ordered = ("integer", "number", "date", "timestamp")
NAIVE: dict[str, tuple[tuple[str, ...], str, Callable[[Any, Any], bool]]] = {
    "minimum": (_ordered, "minimum", lambda value, bound: value < bound),
    "maximum": (_ordered, "maximum", lambda value, bound: value > bound),
    "exclusiveMinimum": (_ordered, "exclusive_minimum", lambda value, bound: value <= bound),
    "exclusiveMaximum": (_ordered, "exclusive_maximum", lambda value, bound: value >= bound),
    "multipleOf": (("integer",), "multiple_of", lambda value, bound: value % bound != 0),
    "minLength": (("string",), "min_length", lambda value, bound: len(value) < bound),
    "maxLength": (("string",), "max_length", lambda value, bound: len(value) > bound),
    "pattern": (("string",), "patterns", lambda value, bound: any(not re.search(p, value) for p in bound)),
    "invalidValues": (tuple(_values), "allowed", lambda value, bound: value not in bound),
    "missingValues": (tuple(_values), "forbidden", lambda value, bound: value in bound),
}
CASES = [(rule, kind) for rule, (kinds, _, _) in NAIVE.items() for kind in kinds]


def bound(rule: str, kind: str) -> st.SearchStrategy[Any]:
    if rule == "multipleOf":
        return st.integers(1, 4)
    if rule in {"minLength", "maxLength"}:
        return st.integers(0, 4)
    if rule == "pattern":
        return st.sampled_from([("^a",), ("b$", "^.b"), ("^[ab]*$",), (".{2}",)])
    if rule in {"invalidValues", "missingValues"}:
        return st.lists(_values[kind], min_size=1, max_size=3).map(tuple)
    return _values[kind]


@pytest.mark.parametrize(("rule", "kind"), CASES)
@given(st.data())
def test_a_mask_marks_what_a_look_at_each_value_marks(rule: str, kind: Any, data: st.DataObject) -> None:
    _, field, offends = NAIVE[rule]
    limit = data.draw(bound(rule, kind))
    values = data.draw(st.lists(st.none() | _values[kind], max_size=12))
    start = data.draw(st.integers(0, 3))
    column = Column("c", kind, **{field: limit})

    mask = RULES[rule](column, pa.array(values, ARROW[kind]).slice(start))

    expected = [value is not None and offends(value, limit) for value in values[start:]]
    assert (mask.tolist() if mask is not None else [False] * len(expected)) == expected
    assert mask is None or mask.any(), "a mask is made only where something offends"


@given(st.lists(st.none() | st.integers(0, 1)), st.data())
def test_a_value_of_the_wrong_type_breaks_that_rule_alone(values: list[int | None], data: st.DataObject) -> None:
    wrong = [value is None and data.draw(st.booleans()) for value in values]
    column = Column("c", "integer", required=True)

    found = check(column, pa.array(values, pa.int64()), np.array(wrong, dtype=np.bool_) if any(wrong) else None)

    masks = {violation.rule: violation.mask.tolist() for violation in found}
    assert masks.get("type", [False] * len(values)) == wrong
    missing = [value is None and not bad for value, bad in zip(values, wrong, strict=True)]
    assert masks.get("required", [False] * len(values)) == missing


def test_thresholds_count_what_a_row_rule_would_mark() -> None:
    some = Condition((("mustBeLessThan", 9),))
    column = Column("c", "string")
    typed = pa.array(["a", "b", None, "N/A", None])
    mistyped = np.array([False, False, True, False, False])

    counts = [
        offending(Threshold("nullValues", "c", some), column, typed, mistyped),
        offending(Threshold("missingValues", "c", some, ("N/A", None)), column, typed, mistyped),
        offending(Threshold("invalidValues", "c", some, ("a",)), column, typed, mistyped),
        offending(Threshold("invalidValues", "c", some, (), "^[ab]$"), column, typed, None),
    ]

    assert counts == [1, 2, 3, 1]


def test_a_pattern_that_only_re2_refuses_names_the_pattern() -> None:
    with pytest.raises(CatalogInvalid, match="pattern"):
        RULES["pattern"](Column("c", "string", patterns=("a{1001}",)), pa.array(["a"]))
