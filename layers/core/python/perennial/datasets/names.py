"""What a file's columns are called, before its rows are read."""

from __future__ import annotations

import json
from pathlib import Path

from perennial.datasets.refusal import Refusal
from perennial.datasets.source import MAX_COLUMNS, Limits


def column_names(path: Path, kind: str, limits: Limits, most: int = MAX_COLUMNS) -> list[str]:
    """The names of the columns of a file of this kind (see `checked_kind`): of JSON Lines every key of every row, until
    there are more than `most`. Raises Refusal.
    """
    if kind == ".parquet":
        return _parquet_names(path)
    if kind.startswith(".jsonl"):
        return _json_names(path, limits, most)
    from perennial.datasets.csv_source import read_header as read_csv_header

    return read_csv_header(path)


def _parquet_names(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise Refusal("unreadable", f"the Parquet footer cannot be read: {error}") from error
    return names


def _json_names(path: Path, limits: Limits, most: int) -> list[str]:
    """Every key of every row, in the order in which they first occur."""
    from perennial.datasets.csv_source import Watched, open_bytes
    from perennial.datasets.json_source import lines_of

    found: dict[str, None] = {}
    watched = Watched(open_bytes(path), limits.text_bytes)
    try:
        for line in lines_of(watched):
            found.update(dict.fromkeys(_keys(line)))
            if len(found) > most:
                break
    finally:
        watched.close()
    if not found:
        raise Refusal("empty", "no line is a JSON object with keys")
    return list(found)


def _keys(line: bytes) -> list[str]:
    try:
        row = json.loads(line.decode("utf-8-sig")) if line.strip() else {}
    except UnicodeDecodeError as error:
        raise Refusal("encoding", f"the file is not UTF-8: {error}") from error
    except (ValueError, RecursionError):
        # the survey counts it among the rows that are none
        return []
    return list(row) if isinstance(row, dict) else []
