"""Small contracts and files for the tests of this folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from perennial.catalog.contract import Column, Contract
from perennial.datasets.sift import Sifted, sift
from perennial.datasets.source import Limits

CORPORA = Path(__file__).parents[4] / "shared" / "corpora"


def contract(*columns: Column, **more: Any) -> Contract:
    """A contract of these columns; its missing text is the empty one unless said otherwise."""
    return Contract(name="tiny", version="1", columns=columns, **more)


def texts(*names: str, **more: Any) -> Contract:
    """A contract of columns of text without rules."""
    return contract(*(Column(name, "string") for name in names), **more)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file as Python's own writer makes it."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def sifted(folder: Path, name: str, body: bytes, agreed: Contract, limits: Limits | None = None) -> Sifted:
    """The file sifted in `folder`."""
    path = folder / "dropped"
    path.write_bytes(body)
    return sift(path, name, agreed, folder, limits)


def good_rows(result: Sifted) -> list[dict[str, Any]]:
    """The accepted rows."""
    return [row for part in result.parts for row in pq.ParquetFile(part.path).read().to_pylist()]


def bad_rows(result: Sifted) -> list[dict[str, Any]]:
    """The refused rows as text."""
    return pq.ParquetFile(result.rejects).read().to_pylist() if result.rejects else []
