"""JSON Lines, plain or gzipped: one object a line; numbers keep the text they are written in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from perennial.catalog.contract import Contract
from perennial.datasets.csv_source import BLOCK, Watched, open_bytes
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import Limits, RawBatch, Source

# A batch ends at the first of these: rows, values (those of absent keys too), bytes of lines
BATCH_ROWS = 16_384
BATCH_VALUES = 1_048_576
BATCH_BYTES = 16 * 1024 * 1024
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def open_json(path: Path, contract: Contract, limits: Limits) -> Source:
    """The rows of a JSON Lines file; a key that is absent is null, blank lines are no rows."""
    source = Source(batches=iter(()))
    source.batches = _batches(path, contract, limits, source)
    return source


def _batches(path: Path, contract: Contract, limits: Limits, source: Source) -> Iterator[RawBatch]:
    names = [column.name for column in contract.columns]
    watched = Watched(open_bytes(path), limits.text_bytes)
    most = max(1, min(BATCH_ROWS, BATCH_VALUES // len(names)))
    rows: list[list[str | None]] = []
    numbers: list[int] = []
    number, size, line = 0, 0, b""
    try:
        for line in lines_of(watched):
            if not line.strip():
                continue
            number += 1
            try:
                rows.append(_row(line, names, contract.ignore_extra))
                numbers.append(number)
                size += len(line)
            except (ValueError, RecursionError) as error:
                source.stray(number, "json", f"{error}: {line[:200].decode('utf-8', 'replace')}")
                source.check_strays()
            if len(rows) >= most or size >= BATCH_BYTES:
                yield _batch(rows, numbers)
                rows, numbers, size = [], [], 0
    finally:
        watched.close()
    if source.strays and source.strays[-1].row == number and not line.endswith(b"\n"):
        raise Refusal("truncated", f"the file ends within row {number}")
    if watched.lines + (not line.endswith(b"\n")) == number:
        source.line_of_first = 1
    if rows:
        yield _batch(rows, numbers)


def lines_of(watched: Watched) -> Iterator[bytes]:
    """The lines of a stream, the last one perhaps without its end. Raises Refusal for one that is too long."""
    rest = b""
    while block := watched.read(BLOCK // 4):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > BLOCK:
            raise Refusal("unreadable", f"a line is longer than {BLOCK:,} bytes")
        for line in lines:
            yield line + b"\n"
    watched.check()
    if rest:
        yield rest


def _row(line: bytes, names: list[str], ignore_extra: bool) -> list[str | None]:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal("encoding", f"the file is not UTF-8: {error}") from error
    found = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse, object_pairs_hook=_pairs)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - the value is wrong, not the program
    row = [_text(name, found.pop(name, None)) for name in names]
    if found and not ignore_extra:
        raise ValueError(f"unexpected key {next(iter(found))[:100]!r}")
    return row


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is written twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        if value is not None and _HALF_PAIR.search(value):
            raise ValueError(f"{name}: half of a surrogate pair")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise ValueError(f"{name}: an object or array is no value")


def _batch(rows: list[list[str | None]], numbers: list[int]) -> RawBatch:
    columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
    return RawBatch(columns, np.array(numbers, dtype=np.int64))
