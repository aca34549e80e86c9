"""A dropped file as a stream of batches, whatever its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perennial.catalog.contract import Contract
from perennial.datasets.refusal import Refusal

MAX_COLUMNS = 10_000
MAX_STRAY_ROWS = 10_000
MAX_STRAY_TEXT = 500


@dataclass(frozen=True)
class Limits:
    """What one file may cost: bytes as dropped (they lie in /tmp, whole), bytes decompressed, rows."""

    file_bytes: int = 1024**3
    text_bytes: int = 2 * 1024**3
    rows: int = 100_000_000


@dataclass(frozen=True)
class RawBatch:
    """Rows as they stand in the file: columns in the contract's order, and the number of each row (first is 1)."""

    columns: list[pa.Array]
    numbers: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stray:
    """A row that is no row of the table at all: a wrong number of fields, no JSON object."""

    row: int
    rule: str
    text: str


@dataclass
class Source:
    """One opened file. `strays`, `unterminated_column` and `line_of_first` are complete once `batches` is exhausted.

    `missing` are the texts in the batches that still have to be read as null. `unterminated_column` names the column
    that the last row ends in, when the file ends without a line end: only there can a cut show as a wrong value.
    `line_of_first` is the line of row 1, when rows are lines one to one.
    """

    batches: Iterator[RawBatch]
    missing: tuple[str, ...] = ()
    strays: list[Stray] = field(default_factory=list)
    unterminated_column: str | None = None
    line_of_first: int | None = None

    def stray(self, row: int, rule: str, text: str) -> None:
        """Note a row that is none."""
        self.strays.append(Stray(row, rule, text[:MAX_STRAY_TEXT]))

    def check_strays(self) -> None:
        """Raises Refusal when there are too many stray rows for a table."""
        if len(self.strays) > MAX_STRAY_ROWS:
            raise Refusal("unreadable", f"more than {MAX_STRAY_ROWS:,} rows do not have the shape of the table")


Opener = Callable[[Path, Contract, Limits], Source]

# What a file begins with, whatever it is called
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive or an Excel sheet",
    b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"ARROW1": "Arrow",
    b"SQLite format 3": "SQLite",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"<?xml": "XML",
}
_EXPECTED = {".csv": None, ".csv.gz": "gzip", ".jsonl": None, ".jsonl.gz": "gzip", ".parquet": "Parquet"}


def open_source(path: Path, name: str, contract: Contract, limits: Limits = Limits()) -> Source:
    """The rows of the file at `path`, which was dropped as `name`. Raises Refusal for what can be seen at once."""
    return _opener(checked_kind(path, name, limits))(path, contract, limits)


def checked_kind(path: Path, name: str, limits: Limits = Limits()) -> str:
    """The ending that says what the file is (`.csv.gz`), once its size and first bytes agree. Raises Refusal."""
    kind = _kind(name)
    size = path.stat().st_size
    if size == 0:
        raise Refusal("empty", "the file is empty")
    if size > limits.file_bytes:
        raise Refusal("tooLarge", f"{size:,} bytes; at most {limits.file_bytes:,} are read here")
    _verify(path, name, kind)
    return kind


def _kind(name: str) -> str:
    for suffix in sorted(_EXPECTED, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return suffix
    raise Refusal("kind", f"{name!r}: the name must end in {', '.join(_EXPECTED)}")


def _verify(path: Path, name: str, kind: str) -> None:
    """The content decides whether the name is true."""
    with path.open("rb") as file:
        head = file.read(64)
    found = next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)
    if found == _EXPECTED[kind]:
        return
    if found is not None:
        raise Refusal("kind", f"{name!r} holds {found}")
    raise Refusal("kind", f"{name!r} does not hold {_EXPECTED[kind]}")


def _opener(kind: str) -> Opener:
    """Loaded on demand: a CSV should not pay for Parquet."""
    if kind == ".parquet":
        from perennial.datasets.parquet_source import open_parquet

        return open_parquet
    if kind.startswith(".jsonl"):
        from perennial.datasets.json_source import open_json

        return open_json
    from perennial.datasets.csv_source import open_csv

    return open_csv


def check_columns(found: list[str], contract: Contract) -> None:
    """The columns of a file against its contract. Raises Refusal naming what is missing, unexpected or doubled."""
    if len(found) > MAX_COLUMNS:
        raise Refusal("columns", f"{len(found):,} columns; at most {MAX_COLUMNS:,} are read")
    counts = Counter(found)
    expected = {column.name: None for column in contract.columns}
    twice = sorted(name for name, count in counts.items() if count > 1)
    absent = [name for name in expected if name not in counts]
    extra = [] if contract.ignore_extra else [name for name in found if name not in expected]
    wrong = [
        f"{what}: {', '.join(repr(name[:100]) for name in names[:20])}{' …' if len(names) > 20 else ''}"
        for what, names in (("missing", absent), ("unexpected", extra), ("doubled", twice))
        if names
    ]
    if wrong:
        raise Refusal("columns", f"wrong columns; {'; '.join(wrong)}", tuple(absent + extra + twice)[:1000])
