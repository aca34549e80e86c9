"""Reading values: one bad text costs one value, and the fast paths agree with reading one text at a time."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perennial.catalog.contract import Column
from perennial.datasets.arrays import mask_of, ordinals, to_text
from perennial.datasets.convert import ARROW, convert
from perennial.datasets.refusal import Refusal
from perennial.datasets.values import parse_timestamp, parser

KINDS = ["integer", "number", "boolean", "date", "timestamp", "string"]
_noise = st.text(alphabet="0123456789+-.eExXnaNinfTZ: truefalsYy\u0661_,", max_size=12)
_texts = {
    "integer": st.integers(-(2**64), 2**64).map(str) | st.sampled_from(["007", "1.0", "+3", " 4 ", "0x1F", "-0"]),
    "number": st.floats().map(repr) | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    "boolean": st.sampled_from(["true", "False", "1", "0", "TRUE", "t", "yes", "2"]),
    "date": st.dates().map(str) | st.sampled_from(["2013-02-30", "0000-01-01", "2013-1-1", "20130101"]),
    "timestamp": st.datetimes().map(lambda t: t.isoformat())
    | st.datetimes(timezones=st.just(dt.UTC)).map(lambda t: t.isoformat().replace("+00:00", "Z"))
    | st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=-5, minutes=-30)))).map(str)
    | st.sampled_from(["2013-01-01", "2013-01-01T24:00:00Z", "2013-01-01 10", "2013-01-01T10:00:00.123456789Z"]),
    "string": st.text(max_size=5),
}


def naive(column: Column, texts: list[str | None]) -> tuple[list[Any], list[bool]]:
    """One text at a time."""
    parse = parser(column)
    values: list[Any] = []
    wrong: list[bool] = []
    for text in texts:
        try:
            values.append(None if text is None else parse(text))
            wrong.append(False)
        except ValueError:
            values.append(None)
            wrong.append(True)
    return values, wrong


def same(one: list[Any], other: list[Any]) -> bool:
    return all(
        a == b or (isinstance(a, float) and math.isclose(a, b, rel_tol=1e-15)) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("zoned", [None, True, False])
@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_a_column_reads_as_its_texts_one_by_one(kind: Any, zoned: bool | None, data: st.DataObject) -> None:
    column = Column("c", kind, zoned=zoned)
    pool = data.draw(st.sampled_from([_texts[kind], _texts[kind] | _noise]))
    texts = data.draw(st.lists(st.none() | pool, max_size=8))

    typed, mistyped = convert(column, pa.array(texts, pa.string()))

    values, wrong = naive(column, texts)
    assert typed.type == ARROW[kind]
    assert same(ordinals(typed).to_pylist(), values)
    assert (mistyped.tolist() if mistyped is not None else [False] * len(texts)) == wrong


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_values_of_a_type_survive_a_round_trip_through_text(kind: Any, data: st.DataObject) -> None:
    values = {
        "integer": st.integers(-(2**63), 2**63 - 1),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "date": st.dates(),
        "timestamp": st.datetimes(timezones=st.just(dt.UTC)),
        "string": st.text(),
    }[kind]
    typed = pa.array(data.draw(st.lists(st.none() | values)), ARROW[kind])

    again, mistyped = convert(Column("c", kind), to_text(typed))

    assert mistyped is None
    assert again.equals(typed)


@pytest.mark.parametrize(
    ("kind", "given_", "expected"),
    [
        ("integer", pa.array([1, None], pa.uint8()), [1, None]),
        ("integer", pa.array([1, 2**63], pa.uint64()), [1, "wrong"]),
        ("integer", pa.array([1.0, 1.5, math.nan, 1e30, None]), [1, "wrong", "wrong", "wrong", None]),
        ("integer", pa.array(["1", "NA"]), [1, None]),
        ("integer", pa.array(["1", "x"]).dictionary_encode(), [1, "wrong"]),
        ("integer", pa.nulls(2), [None, None]),
        ("number", pa.array([1, None], pa.int32()), [1.0, None]),
        ("number", pa.array([0.5, math.inf, math.nan], pa.float32()), [0.5, "wrong", "wrong"]),
        ("boolean", pa.array([True, None]), [True, None]),
        ("string", pa.array(["a", "NA"], pa.large_string()), ["a", None]),
        ("date", pa.array([dt.date(2013, 1, 1)], pa.date64()), [dt.date(2013, 1, 1)]),
        ("timestamp", pa.array([0, 10**18, None], pa.timestamp("ns")), [0, 10**15, None]),
        ("timestamp", pa.array([1, 2**40], pa.timestamp("s", "Europe/Paris")), [10**6, "wrong"]),
    ],
)
def test_types_of_parquet_become_the_contracts(kind: Any, given_: pa.Array, expected: list[Any]) -> None:
    typed, mistyped = convert(Column("c", kind), given_, ("NA",))

    values = (ordinals(typed) if kind == "timestamp" else typed).to_pylist()
    marks = mistyped.tolist() if mistyped is not None else [False] * len(values)
    assert ["wrong" if mark else value for value, mark in zip(values, marks, strict=True)] == expected


@pytest.mark.parametrize(
    ("kind", "given_"),
    [
        ("integer", pa.array([True])), ("integer", pa.array([[1]])), ("number", pa.array([dt.date(2013, 1, 1)])),
        ("string", pa.array([1])), ("string", pa.array([b"x"])), ("date", pa.array([0], pa.timestamp("s"))),
        ("timestamp", pa.array([dt.date(2013, 1, 1)])), ("boolean", pa.array([1])),
    ],
)  # fmt: skip
def test_a_type_that_cannot_hold_the_column_refuses_the_file(kind: Any, given_: pa.Array) -> None:
    with pytest.raises(Refusal, match="column c: the file holds"):
        convert(Column("c", kind), given_)


def test_nan_is_missing_only_where_the_contract_spells_missing_so() -> None:
    raw = pa.array([1.5, math.nan])

    assert convert(Column("c", "number"), raw, ("NaN",))[0].to_pylist() == [1.5, None]
    mistyped = convert(Column("c", "number"), raw)[1]
    assert mistyped is not None
    assert mistyped.tolist() == [False, True]


def test_dates_in_a_format_of_the_contract() -> None:
    typed, mistyped = convert(Column("c", "date", format="%d.%m.%Y"), pa.array(["31.01.2013", "31.02.2013", None]))

    assert typed.to_pylist() == [dt.date(2013, 1, 31), None, None]
    assert mistyped is not None
    assert mistyped.tolist() == [False, True, False]


def test_a_timestamp_without_zone_is_utc() -> None:
    assert parse_timestamp("1970-01-01T00:00:01") == parse_timestamp("1970-01-01T01:00:01+01:00") == 10**6


@given(st.lists(st.booleans()), st.integers(0, 20))
@example([], 0)
def test_masks_are_read_from_their_bits(values: list[bool], start: int) -> None:
    array = pa.array(values, pa.bool_()).slice(min(start, len(values)))

    assert mask_of(array).tolist() == values[start:]
    assert mask_of(array).dtype == np.bool_
