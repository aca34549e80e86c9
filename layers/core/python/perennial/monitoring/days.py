"""The predictions of a day as one table, out of many small objects of the log, read once.

    monitoring/<model>/day=YYYY-MM-DD/predictions.parquet
        id, at, version, lambda_version, prediction, probability, shortened, inputs.<feature> …

A day is sealed once it is settled: its table is written by a conditional write, and never again. Days that are not are
made afresh from the log each time, and not kept. The same log gives the same bytes.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from perennial.monitoring import DAY_FILES
from perennial.monitoring.calendar import ONE, Span, is_settled
from perennial.serving.log import read_records
from perennial.storage.objects import Objects

PREDICTIONS = "predictions.parquet"
INPUT = "inputs."
# Days that are read of the log at once: bounds memory when many are new.
BATCH_DAYS = 7
_PARQUET = "application/vnd.apache.parquet"


def day_key(model: str, day: date, name: str) -> str:
    """Where a file of a day lies."""
    return f"{DAY_FILES}{model}/day={day}/{name}"


def sealed(objects: Objects, model: str, span: Span) -> set[tuple[date, str]]:
    """Day and name of the files that are there; one list call for each thousand, of the span and nothing else."""
    prefix = f"{DAY_FILES}{model}/day="
    found = set()
    for key in objects.list(prefix, start_after=f"{prefix}{span.first}"):
        text, _, name = key.removeprefix(prefix).partition("/")
        if text > str(span.last):
            break
        found.add((date.fromisoformat(text), name))
    return found


def read_days(
    objects: Objects, model: str, span: Span, as_of: datetime, there: set[tuple[date, str]]
) -> dict[date, pa.Table]:
    """The table of each day of `span`, in order of days; those that have settled by `as_of` are sealed.

    `there` is what `sealed` found. Raises StorageUnavailable.
    """
    tables = {day: from_parquet(objects.get(day_key(model, day, PREDICTIONS))) for day in span if _has(there, day)}
    for part in runs([day for day in span if day not in tables]):
        fresh = from_log(objects, model, part)
        for day in part:
            tables[day] = _seal(objects, model, day, fresh[day]) if is_settled(day, as_of) else fresh[day]
    return {day: tables[day] for day in span}


def _has(there: set[tuple[date, str]], day: date) -> bool:
    return (day, PREDICTIONS) in there


def _seal(objects: Objects, model: str, day: date, table: pa.Table) -> pa.Table:
    key = day_key(model, day, PREDICTIONS)
    if objects.create(key, to_parquet(table), _PARQUET):
        return table
    return from_parquet(objects.get(key))


def runs(days: Sequence[date]) -> Iterator[Span]:
    """Consecutive days together, at most BATCH_DAYS."""
    start = 0
    for end in range(1, len(days) + 1):
        if end == len(days) or days[end] - days[end - 1] != ONE or end - start == BATCH_DAYS:
            yield Span(days[start], days[end - 1])
            start = end


def from_log(objects: Objects, model: str, span: Span) -> dict[date, pa.Table]:
    """The tables of consecutive days, out of what was delivered on them and on the day before and after.

    An object lies under the date of its oldest record, which may be the day before that of the others.
    """
    rows: dict[date, _Rows] = {day: _Rows() for day in span}
    for record in read_records(objects, model, span.first - ONE, span.last + ONE):
        day = date.fromisoformat(record["at"][:10])
        if day in rows:
            rows[day].add(record)
    return {day: found.table() for day, found in rows.items()}


class _Rows:
    """The rows of a day, column by column."""

    def __init__(self) -> None:
        self._count = 0
        self._columns: dict[str, list[Any]] = defaultdict(list)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the rows of a record (shape: serving/record.py)."""
        rows, inputs, outputs = int(record["rows"]), record["inputs"], record["outputs"]
        at = int(datetime.fromisoformat(record["at"]).timestamp() * 1000)
        first = int(record["first"])
        self._extend("id", [f"{record['ids']}-{first + row}" for row in range(rows)])
        self._extend("at", [at] * rows)
        self._extend("version", [int(record["version"])] * rows)
        self._extend("lambda_version", [str(record["lambda_version"])] * rows)
        self._extend("prediction", outputs["prediction"])
        self._extend("probability", outputs.get("probability") or [None] * rows)
        self._extend("shortened", [inputs is None] * rows)
        for name, values in (inputs or {}).items():
            self._extend(INPUT + name, values)
        self._count += rows

    def _extend(self, name: str, values: Iterable[Any]) -> None:
        column = self._columns[name]
        column += [None] * (self._count - len(column))  # records before this one lack the input
        column += values

    def table(self) -> pa.Table:
        """The rows in order of time and id."""
        columns = {name: values + [None] * (self._count - len(values)) for name, values in self._columns.items()}
        order = sorted(range(self._count), key=lambda row: (columns["at"][row], columns["id"][row]))
        return pa.table(
            {
                name: typed([columns.get(name, [])[row] for row in order], _FIXED.get(name))
                for name in (*_FIXED, "prediction", *sorted(set(columns) - {*_FIXED, "prediction"}))
            }
        )


_FIXED = {
    "id": pa.string(),
    "at": pa.timestamp("ms", "UTC"),
    "version": pa.int64(),
    "lambda_version": pa.string(),
    "probability": pa.list_(pa.float64()),
    "shortened": pa.bool_(),
}
_INT64 = range(-(2**63), 2**63)


def typed(values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array:
    """JSON values as an array: of booleans, integers, numbers or texts, as all of them are; else each as JSON text."""
    if kind is None:
        kinds = {type(value) for value in values if value is not None}
        if kinds == {bool}:
            kind = pa.bool_()
        elif kinds == {int} and all(value is None or value in _INT64 for value in values):
            kind = pa.int64()
        elif kinds and kinds <= {int, float}:
            kind, values = pa.float64(), [None if value is None else float(value) for value in values]
        else:
            texts = kinds <= {str}
            kind = pa.string()
            values = [value if texts or value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return pa.array(values, kind, from_pandas=False)


def to_parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file; the same table is always the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def from_parquet(body: bytes) -> pa.Table:
    """The table of a Parquet file."""
    with pq.ParquetFile(pa.BufferReader(body), pre_buffer=False) as file:
        return file.read(use_threads=False)


def moment(milliseconds: int) -> datetime:
    """The instant of a value of column `at`."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
