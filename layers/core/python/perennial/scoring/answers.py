"""The part of a range: what is told of each of its rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from perennial.datasets.rejects import ROW
from perennial.scoring.table import score_table
from perennial.serving.predictor import Predictor
from perennial.serving.signature import PREDICTION, PREDICTION_ID, PROBABILITY

# Names of the columns that are made here; a column of the file that is called so is not carried along.
OWN = frozenset({"row", "model", "version", PREDICTION, PROBABILITY, PREDICTION_ID})


@dataclass(frozen=True)
class Told:
    """What every row of a batch has in common. The id of row i is `<ids>-<i>`, and begins with a date as all do."""

    model: str
    version: int
    ids: str
    carried: Sequence[str]


def answers(predictor: Predictor, rows: pa.Table, told: Told) -> pa.Table:
    """One row per row: `row` (its number in the file, from 1), the carried columns, `prediction`, `probability`,
    `model`, `version`, `prediction_id`. Raises ScoringFailed.
    """
    numbers = rows.column(ROW)
    scored = score_table(predictor, rows)
    columns = {"row": numbers} | {name: rows.column(name) for name in told.carried}
    columns |= {name: scored.column(name) for name in scored.column_names}
    columns["model"] = _constant(told.model, pa.string(), len(numbers))
    columns["version"] = _constant(told.version, pa.int64(), len(numbers))
    ids, dash = pa.scalar(told.ids), pa.scalar("-")
    columns[PREDICTION_ID] = pc.binary_join_element_wise(ids, numbers.cast(pa.string()), dash)
    return pa.table(columns)


def to_parquet(table: pa.Table) -> bytes:
    """The bytes of a part: equal answers give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="snappy", row_group_size=max(1, table.num_rows))
    return buffer.getvalue()


def _constant(value: str | int, kind: pa.DataType, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), rows)
