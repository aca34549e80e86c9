"""The prediction record: one line of JSON per request on stdout, which becomes an object in S3.

    {"record": "prediction", "model", "version", "lambda_version", "id", "ids", "first", "at", "rows",
     "inputs": {name: [...]}, "outputs": {"prediction": [...], "probability": [[...]...]}, "score_us", "cold"}

Every list has `rows` elements; element i is the row whose prediction id is `<ids>-<first + i>`. `id` is Lambda's
request id. A request too large for one log event becomes several lines with the same `ids`, so no row is lost; should a
single row be too large, its inputs are left out (null) and the line says `"shortened": true`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# CloudWatch takes events of 1 MB today and took 256 KB for years; tools that read logs still expect the latter.
MAX_LINE_BYTES = 256 * 1024 - 1024

# ASCII only: a line separator within a value must not end the line
dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


class Moment:
    """UTC texts of times in milliseconds; those of the last minute are kept, since requests come in the same ones."""

    def __init__(self) -> None:
        self._minute = -1
        self._text = ""

    def date(self, epoch_ms: int) -> str:
        """`2013-04-30`."""
        return self._until_minute(epoch_ms // 60_000)[:10]

    def iso(self, epoch_ms: int) -> str:
        """`2013-04-30T12:00:00.000Z`."""
        minute, ms = divmod(epoch_ms, 60_000)
        return f"{self._until_minute(minute)}:{ms // 1000:02}.{ms % 1000:03}Z"

    def _until_minute(self, minute: int) -> str:
        if minute != self._minute:
            self._minute = minute
            self._text = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(minute * 60))
        return self._text


class Columns(NamedTuple):
    """Columns of a record: as JSON, and by name for when they have to be cut (None: a single row never is)."""

    json: str
    values: Mapping[str, Sequence[Any]] | None

    @classmethod
    def of(cls, values: Mapping[str, Sequence[Any]]) -> Columns:
        """Columns by name."""
        return cls(dumps(values), values)

    def cut(self, start: int, stop: int) -> Columns:
        """The rows from `start` to before `stop`."""
        return Columns.of({name: column[start:stop] for name, column in (self.values or {}).items()})


def lines(head: str, tail: str, rows: int, inputs: Columns, outputs: Columns, first: int = 0) -> Iterator[str]:
    """The record's lines, each ending in a newline. `head` and `tail` are the members before and behind the columns."""
    line = _line(head, tail, first, rows, inputs.json, outputs.json)
    if len(line) <= MAX_LINE_BYTES:
        yield line
    elif rows == 1:
        yield _line(head, f'"shortened":true,{tail}', first, rows, "null", outputs.json)
    else:
        # as many pieces as the whole suggests, with room for rows that are longer than others
        size = max(1, min(rows // 2, int(rows * MAX_LINE_BYTES * 0.8 / len(line))))
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            yield from lines(head, tail, stop - start, inputs.cut(start, stop), outputs.cut(start, stop), first + start)


def _line(head: str, tail: str, first: int, rows: int, inputs: str, outputs: str) -> str:
    return f'{head}"first":{first},"rows":{rows},"inputs":{inputs},"outputs":{outputs},{tail}}}\n'
