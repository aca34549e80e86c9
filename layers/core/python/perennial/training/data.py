"""From dataset versions to labelled rows, in exactly the dtypes that serving sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from perennial.catalog.model import ModelSpec
from perennial.datasets.parts import ContentDigest
from perennial.errors import TrainingDataInvalid
from perennial.storage.objects import Objects
from perennial.training.features import Feature, prepare
from perennial.training.label import read_label
from perennial.training.request import NamedVersion

Array = np.ndarray[Any, Any]
VERSION = "__version__"


@dataclass(frozen=True)
class Rows:
    """Labelled rows.

    `features` has one column per tensor, `others` one per further column that is known at prediction; `label` holds
    class indices (int64, −1: a class that training never saw) or values (float64); `time` is datetime64[us] in UTC, or
    None when the dataset has no event time; `version` int64 is the dataset version of each, where that is known.
    """

    features: pd.DataFrame
    label: Array
    time: Array | None
    classes: list[Any] | None
    others: pd.DataFrame = field(default_factory=pd.DataFrame)
    version: Array | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, chosen: Array) -> Rows:
        """The rows at which the boolean mask `chosen` is true."""
        time = None if self.time is None else self.time[chosen]
        others = self.others[chosen].reset_index(drop=True) if len(self.others.columns) else self.others
        features = self.features[chosen].reset_index(drop=True)
        version = None if self.version is None else self.version[chosen]
        return replace(self, features=features, label=self.label[chosen], time=time, others=others, version=version)


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables below each other. Raises TrainingDataInvalid when they do not have the same types."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TrainingDataInvalid(f"the versions do not have the same types: {error}") from error


def read_version(
    objects: Objects, version: NamedVersion, columns: Sequence[str], optional: Sequence[str] = ()
) -> pa.Table:
    """The named columns of a version and its number in column VERSION, one file in memory at a time.

    All columns are read once, since the recorded digest is over all of them. An `optional` column is left out of a
    version that lacks it. Raises TrainingDataInvalid when a column is missing, or the version does not hold the rows
    that were recorded for it.
    """
    tables: list[pa.Table] = []
    digest: ContentDigest | None = None
    for key in version.files:
        file = pq.ParquetFile(pa.BufferReader(objects.get(key)), pre_buffer=False)
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            raise TrainingDataInvalid(f"version {version.version} ({key}) has no column {missing[0]!r}")
        digest = digest or ContentDigest(file.schema_arrow)
        chosen = [*columns, *(name for name in optional if name in file.schema_arrow.names)]
        for batch in file.iter_batches():
            digest.add(batch)
            tables.append(pa.Table.from_batches([batch]).select(chosen))
    rows = digest.rows if digest else 0
    if rows != version.rows:
        raise TrainingDataInvalid(f"version {version.version} has {rows} rows, {version.rows} were recorded")
    if digest and digest.hexdigest() != version.content_sha256:
        raise TrainingDataInvalid(f"version {version.version} does not hold the rows that were recorded for it")
    table = join_tables(tables) if tables else pa.table({name: pa.nulls(0) for name in columns})
    return table.append_column(VERSION, pa.array(np.full(len(table), version.version, dtype=np.int64)))


def times_of(column: pa.ChunkedArray) -> Array:
    """Event times datetime64[us] [n] in UTC of a column of dates or timestamps; NaT for null."""
    found: Array = column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return found


def to_rows(
    table: pa.Table,
    spec: ModelSpec,
    features: Sequence[Feature],
    event_time: str | None,
    others: Sequence[Feature] = (),
) -> Rows:
    """Features, label and event time of the rows that have a label (and an event time, where the dataset has one).

    Raises TrainingDataInvalid: too few rows, one class, a label that does not fit the task.
    """
    if event_time is not None:
        table = table.filter(table.column(event_time).is_valid())
    table, label, classes = read_label(table, spec)
    time = None if event_time is None else times_of(table.column(event_time))
    known = [other for other in others if other.name in table.column_names]
    version = table.column(VERSION).to_numpy() if VERSION in table.column_names else None
    return Rows(_frame(table, features), label, time, classes, _frame(table, known), version)


def _frame(table: pa.Table, features: Sequence[Feature]) -> pd.DataFrame:
    columns = {feature.tensor: prepare(table.column(feature.name), feature) for feature in features}
    # the dtype is given: pandas would make a type of its own of text
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def without_unseen_classes(train: Rows, holdout: Rows) -> tuple[Rows, Rows]:
    """Both sides with the classes of the training side only; held-out rows of another class get label −1.

    A class that appears for the first time in the held-out days cannot be learnt, but its rows count: as errors.
    """
    if train.classes is None:
        return train, holdout
    present = np.unique(train.label)
    index = np.full(len(train.classes), -1, dtype=np.int64)
    index[present] = np.arange(len(present))
    classes = [train.classes[int(code)] for code in present]
    return (
        replace(train, label=index[train.label], classes=classes),
        replace(holdout, label=np.where(holdout.label < 0, -1, index[holdout.label]), classes=classes),
    )
