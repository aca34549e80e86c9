"""Outcomes as rows of a table: the contract that they are read under, and back from the rows that kept it.

    prediction_id, outcome[, amount][, at]      or      <entity columns>, event_time, outcome[, amount][, at]

`outcome` follows the rules of the label's column, as in training data; the entity's columns have the types of the
dataset's, but none of its rules, since a prediction may be asked about values that no contract knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from perennial.catalog.contract import Column, Contract
from perennial.catalog.model import ModelSpec
from perennial.datasets.refusal import Refusal
from perennial.outcomes.limits import MAX_AMOUNT, PREDICTION_ID
from perennial.outcomes.record import Outcome

# A clock ahead of ours must not make its outcomes stand against every correction to come
AHEAD = timedelta(days=1)
_BATCH_ROWS = 8192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def outcome_contract(spec: ModelSpec, dataset: Contract, names: Collection[str], received_at: datetime) -> Contract:
    """What a table with these columns has to keep; a column that it lacks or has too much is left for the reader to
    refuse. Raises Refusal when it names what the model's spec does not.
    """
    latest = received_at + AHEAD
    if "prediction_id" in names:
        about = [Column("prediction_id", "string", required=True, patterns=(PREDICTION_ID,))]
    elif spec.entity:
        about = [Column(name, dataset.column(name).type, required=True) for name in spec.entity]
        about.append(Column("event_time", "timestamp", required=True, maximum=latest))
    else:
        message = f"model {spec.name!r} names no entity in its spec: outcomes need the prediction_id they are about"
        raise Refusal("columns", message, ("prediction_id",))
    label = replace(dataset.column(spec.label.column), name="outcome", required=True, unique=False)
    optional = [
        Column("amount", "number", minimum=-MAX_AMOUNT, maximum=MAX_AMOUNT),
        Column("at", "timestamp", maximum=latest),
    ]
    if "amount" in names and spec.amount_unit is None:
        message = f"model {spec.name!r} names no amount_unit in its spec: nobody could tell what the amounts are"
        raise Refusal("columns", message, ("amount",))
    return Contract(
        name=spec.name,
        version=dataset.version,
        columns=(*about, label, *[column for column in optional if column.name in names]),
        missing=dataset.missing,
        sha256=dataset.sha256,
    )


def outcomes_of(paths: Iterable[Path], spec: ModelSpec, received_at: datetime) -> Iterator[Outcome]:
    """The outcomes in Parquet files of rows that keep the contract, in order."""
    for path in paths:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
                # whole microseconds: what class Arrow's datetimes have for a zone depends on what is installed
                columns = [
                    column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
                    for column in batch.columns
                ]
                for row in zip(*(column.to_pylist() for column in columns), strict=True):
                    yield _outcome(dict(zip(batch.schema.names, row, strict=True)), spec, received_at)


def _outcome(row: dict[str, Any], spec: ModelSpec, received_at: datetime) -> Outcome:
    by_id = row.get("prediction_id")
    return Outcome(
        outcome=row["outcome"],
        at=_moment(row.get("at")) or received_at,
        received_at=received_at,
        prediction_id=by_id,
        entity={} if by_id is not None else {name: row[name] for name in spec.entity},
        event_time=_moment(row.get("event_time")),
        amount=row.get("amount"),
    )


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
