"""The prediction record: one line of JSON per request on stdout, which becomes an object in S3.

    {"record": "prediction", "model", "version", "lambda_version", "id", "ids", "first", "at", "rows",
     "inputs": {name: [...]}, "outputs": {"prediction": [...], "probability": [[...]...]},
     "score_us", "environment", "cold"[, "by_number": true]}

Every list has `rows` elements; element i is the row whose prediction id is `<ids>-<first + i>`. `id` is Lambda's
request id, `environment` that of the first request that the same execution environment answered; with
`by_number` the version was asked for by its number, and not drawn by the alias. A request too large
for one log event becomes several lines with the same `ids`, so no row is lost; should a single row be too large, its
inputs are left out (null) and the line says `"shortened": true`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

# CloudWatch takes events of 1 MB today and took 256 KB for years; tools that read logs still expect the latter.
MAX_LINE_BYTES = 256 * 1024 - 1024
_SAMPLE = 100

# ASCII only: a line separator within a value must not end the line
dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


class Moment:
    """UTC texts of times in milliseconds; those of the last minute are kept, since requests come in the same ones."""

    def __init__(self) -> None:
        self._minute = -1
        self._date = self._text = ""

    def texts(self, epoch_ms: int) -> tuple[str, str]:
        """The date and the instant: `2013-04-30`, `2013-04-30T12:00:00.000Z`."""
        minute, ms = divmod(epoch_ms, 60_000)
        if minute != self._minute:
            self._minute = minute
            self._text = time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(minute * 60))
            self._date = self._text[:10]
        digits = str(100_000 + ms)
        return self._date, f"{self._text}{digits[1:3]}.{digits[3:]}Z"


class Columns(Protocol):
    """Columns of a record."""

    def json(self, start: int, stop: int) -> str:
        """The rows from `start` to before `stop` as a JSON object of lists."""
        ...


class Values(NamedTuple):
    """Columns by name, written when they are asked for."""

    by_name: Mapping[str, Sequence[Any]]

    def json(self, start: int, stop: int) -> str:
        """See Columns."""
        return dumps({name: column[start:stop] for name, column in self.by_name.items()})


class Row(NamedTuple):
    """The columns of a single row, written already."""

    text: str

    def json(self, start: int, stop: int) -> str:
        """See Columns."""
        return self.text


def lines(head: str, tail: str, rows: int, inputs: Columns, outputs: Columns) -> Iterable[str]:
    """The record's lines, each ending in a newline. `head` and `tail` are the members before and behind the columns."""
    if rows > 1:
        return _pieces(head, tail, rows, inputs, outputs)
    line = _line(head, tail, 0, 1, inputs.json(0, 1), outputs.json(0, 1))
    return (line if len(line) <= MAX_LINE_BYTES else _shortened(head, tail, 0, outputs),)


def _pieces(head: str, tail: str, rows: int, inputs: Columns, outputs: Columns) -> Iterator[str]:
    size = rows
    if rows > _SAMPLE:
        # most of a large record would be written twice if the whole were tried first
        sample = len(inputs.json(0, _SAMPLE)) + len(outputs.json(0, _SAMPLE))
        size = max(1, int(_SAMPLE * MAX_LINE_BYTES * 0.9 / sample))
    for start in range(0, rows, size):
        yield from _piece(head, tail, start, min(start + size, rows), inputs, outputs)


def _piece(head: str, tail: str, start: int, stop: int, inputs: Columns, outputs: Columns) -> Iterator[str]:
    line = _line(head, tail, start, stop - start, inputs.json(start, stop), outputs.json(start, stop))
    if len(line) <= MAX_LINE_BYTES:
        yield line
    elif stop - start == 1:
        yield _shortened(head, tail, start, outputs)
    else:
        middle = (start + stop) // 2
        yield from _piece(head, tail, start, middle, inputs, outputs)
        yield from _piece(head, tail, middle, stop, inputs, outputs)


def _shortened(head: str, tail: str, row: int, outputs: Columns) -> str:
    return _line(head, f'"shortened":true,{tail}', row, 1, "null", outputs.json(row, row + 1))


def _line(head: str, tail: str, first: int, rows: int, inputs: str, outputs: str) -> str:
    return f'{head}"first":{first},"rows":{rows},"inputs":{inputs},"outputs":{outputs},{tail}}}\n'
