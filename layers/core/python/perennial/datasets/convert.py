"""From the arrays of a file to the types of its contract, column by column.

A value that is none of its type becomes null and is marked, so that it costs its row and not the file. Fast paths (one
Arrow cast of the whole column) must agree with perennial.datasets.values, which reads one text at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from perennial.catalog.contract import Column
from perennial.datasets.arrays import Mask, array_of, mask_of, ordinals, text_buffers, values_of
from perennial.datasets.refusal import Refusal
from perennial.datasets.values import Value, microseconds, parser

Converted = tuple[pa.Array, Mask | None]

ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}
_NUMPY = {"integer": np.int64, "number": np.float64, "boolean": np.bool_, "date": np.int32, "timestamp": np.int64}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# The years that Python, Athena and people share
_FIRST_DAY, _LAST_DAY = (dt.date(1, 1, 1).toordinal() - 719163, dt.date(9999, 12, 31).toordinal() - 719163)
_FIRST_SECOND, _LAST_SECOND = _FIRST_DAY * 86400, (_LAST_DAY + 1) * 86400 - 1


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The schema in which a contract's rows are kept."""
    return pa.schema([pa.field(column.name, ARROW[column.type]) for column in columns])


def convert(column: Column, raw: pa.Array, missing: tuple[str, ...] = ()) -> Converted:
    """`raw` as the column's type, and which values are none of it (None when all are).

    `missing` are the texts that mean null; a CSV reader has applied them already. Raises Refusal when the file's type
    cannot hold such a column at all.
    """
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    kind = raw.type
    if pa.types.is_null(kind):
        return raw.cast(ARROW[column.type]), None
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        raw = raw.cast(pa.string())
    if pa.types.is_string(raw.type):
        return _from_text(column, without(raw, missing))
    typed = _FROM.get(column.type, _nothing)(column, raw, missing)
    if typed is None:
        message = f"column {column.name}: the file holds {kind}, the contract says {column.type}"
        raise Refusal("columns", message, (column.name,))
    return typed


def without(raw: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    """`raw` (text) with the texts of `missing` as nulls."""
    if not missing:
        return raw
    found = pc.is_in(raw, value_set=array_of(missing, pa.string()))
    return pc.if_else(found, pa.nulls(len(raw), pa.string()), raw) if pc.any(found).as_py() else raw


def _from_text(column: Column, raw: pa.Array) -> Converted:
    if column.type == "string":
        return raw, None
    fast = _fast(column, raw)
    return (fast, None) if fast is not None else _slow(column, raw)


def _fast(column: Column, raw: pa.Array) -> pa.Array | None:
    """The whole column at once, or None when a value needs a closer look."""
    if column.format or (column.type == "integer" and _holds_letter_x(raw)):
        return None
    target = ARROW[column.type]
    if column.type == "timestamp" and column.zoned is not True and len(raw):
        first = next((text for text in raw[:64].to_pylist() if text), "")
        if not first.endswith("Z") and "+" not in first and first.count("-") < 3:
            target = pa.timestamp("us")
    try:
        typed = raw.cast(target)
    except pa.ArrowInvalid:
        return None
    if column.type == "timestamp":
        if column.zoned is False and target.tz:
            return None
        typed = typed.view(pa.int64()).view(ARROW["timestamp"])
    return typed if _plausible(column, typed) else None


def _holds_letter_x(raw: pa.Array) -> bool:
    """Arrow would read 0x1F as 31."""
    body = text_buffers(raw)[1].tobytes()
    return b"x" in body or b"X" in body


def _plausible(column: Column, typed: pa.Array) -> bool:
    if column.type not in {"number", "date", "timestamp"}:
        return True
    found = pc.min_max(ordinals(typed)).as_py()
    low, high = found["min"], found["max"]
    if low is None:
        return True
    if column.type == "number":
        return bool(np.isfinite(low) and np.isfinite(high) and not _any_nan(typed))
    per_second = 10**6 if column.type == "timestamp" else 1
    first, last = (_FIRST_SECOND, _LAST_SECOND) if column.type == "timestamp" else (_FIRST_DAY, _LAST_DAY)
    return bool(first * per_second <= low and high < (last + 1) * per_second)


def _any_nan(typed: pa.Array) -> bool:
    found = np.isnan(values_of(typed))
    return bool(found.any() and (found & mask_of(pc.is_valid(typed))).any())


def _slow(column: Column, raw: pa.Array) -> Converted:
    """Each distinct text by itself."""
    encoded = raw.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    values: npt.NDArray[Any] = np.zeros(len(texts), dtype=_NUMPY[column.type])
    wrong = np.zeros(len(texts), dtype=np.bool_)
    parse: Callable[[str], Value] = parser(column)
    for position, text in enumerate(texts):
        try:
            values[position] = parse(text)
        except (ValueError, OverflowError):
            wrong[position] = True
    storage = {"date": pa.int32(), "timestamp": pa.int64()}.get(column.type, ARROW[column.type])
    distinct = pa.array(values, storage, mask=wrong)
    typed = distinct.take(encoded.indices)
    typed = typed.view(ARROW[column.type]) if storage != ARROW[column.type] else typed
    if not wrong.any():
        return typed, None
    return typed, mask_of(pc.is_valid(raw)) & ~mask_of(pc.is_valid(typed))


def _masked(values: npt.NDArray[Any], valid: Mask, good: Mask, target: pa.DataType) -> Converted:
    """`values` where valid and good; what is valid but not good is marked."""
    storage = {"timestamp[us, tz=UTC]": pa.int64(), "date32[day]": pa.int32()}.get(str(target), target)
    typed = pa.array(values, storage, mask=~(valid & good))
    wrong = valid & ~good
    return (typed.view(target) if storage != target else typed), (wrong if wrong.any() else None)


def _valid(raw: pa.Array) -> Mask:
    return mask_of(pc.is_valid(raw))


def _to_integer(column: Column, raw: pa.Array, missing: tuple[str, ...]) -> Converted | None:
    kind = raw.type
    if pa.types.is_decimal(kind):
        return _slow(column, raw.cast(pa.string()))
    if pa.types.is_uint64(kind):
        values = values_of(raw)
        return _masked(values.astype(np.int64), _valid(raw), values < 2**63, ARROW["integer"])
    if pa.types.is_integer(kind):
        return raw.cast(pa.int64()), None
    if not pa.types.is_floating(kind):
        return None
    values, valid = _floats(raw, missing)
    good = np.isfinite(values) & (np.floor(values) == values) & (values >= -(2.0**63)) & (values < 2.0**63)
    return _masked(np.where(good, values, 0).astype(np.int64), valid, good, ARROW["integer"])


def _to_number(column: Column, raw: pa.Array, missing: tuple[str, ...]) -> Converted | None:
    if pa.types.is_decimal(raw.type) or pa.types.is_integer(raw.type):
        # beyond 2**53 an integer has no exact double: the nearest one is what a number means
        return raw.cast(pa.float64(), safe=False), None
    if not pa.types.is_floating(raw.type):
        return None
    if "NaN" not in missing and pa.types.is_float64(raw.type) and _plausible(column, raw):
        return raw, None
    values, valid = _floats(raw, missing)
    return _masked(values, valid, np.isfinite(values), ARROW["number"])


def _floats(raw: pa.Array, missing: tuple[str, ...]) -> tuple[npt.NDArray[np.float64], Mask]:
    """Values as float64, and which count as present: NaN does unless the contract spells missing so."""
    values = values_of(raw.cast(pa.float64()))
    valid = _valid(raw)
    return values, (valid & ~np.isnan(values) if "NaN" in missing else valid)


def _to_boolean(_column: Column, raw: pa.Array, _missing: tuple[str, ...]) -> Converted | None:
    return (raw, None) if pa.types.is_boolean(raw.type) else None


def _to_date(_column: Column, raw: pa.Array, _missing: tuple[str, ...]) -> Converted | None:
    if not pa.types.is_date(raw.type):
        return None
    days = values_of(raw.cast(pa.date32(), safe=False))
    return _masked(days, _valid(raw), (days >= _FIRST_DAY) & (days <= _LAST_DAY), ARROW["date"])


def _to_timestamp(column: Column, raw: pa.Array, _missing: tuple[str, ...]) -> Converted | None:
    if not pa.types.is_timestamp(raw.type):
        return None
    if column.zoned is not None and column.zoned != bool(raw.type.tz):
        return None
    per_second = _PER_SECOND[raw.type.unit]
    ticks = raw.view(pa.int64())
    values = values_of(ticks)
    seconds = values // per_second
    good = (seconds >= _FIRST_SECOND) & (seconds <= _LAST_SECOND)
    kept = np.where(good, values, 0)
    micros = kept // (per_second // 10**6) if per_second > 10**6 else kept * (10**6 // per_second)
    return _masked(micros, _valid(raw), good, ARROW["timestamp"])


def _nothing(_column: Column, _raw: pa.Array, _missing: tuple[str, ...]) -> Converted | None:
    return None


_FROM: dict[str, Callable[[Column, pa.Array, tuple[str, ...]], Converted | None]] = {
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "date": _to_date,
    "timestamp": _to_timestamp,
}


def ordinal(column: Column, bound: Any) -> Any:
    """A contract's literal on the scale of `ordinals`."""
    if column.type == "date":
        return bound.toordinal() - 719163
    return microseconds(bound) if column.type == "timestamp" else bound
