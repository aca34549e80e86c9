"""The prediction log, read back: records as Firehose delivered them, and their rows one by one.

Delivery is at least once, and a log event's line end may leave a blank line: a record counts once, blank lines never.
Objects lie under the date on which they were delivered (UTC), which may be the day after that of the prediction; who
wants predictions of a window reads a day more on each side.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from perennial.storage.objects import Objects

PREDICTIONS = "predictions/"
# Why rows of a record cannot be looked at again.
SHORTENED = "the record was too large for its inputs"


class Prediction(NamedTuple):
    """One answered row. `inputs` are as the caller sent them (None when the record was shortened), `probability` one
    number per class (None for a regression).
    """

    id: str
    at: datetime
    version: int
    lambda_version: str
    inputs: Mapping[str, Any] | None
    prediction: Any
    probability: list[float] | None


def read_records(objects: Objects, model: str, first: date, last: date) -> Iterator[dict[str, Any]]:
    """The records of a model that were delivered on the dates `first` to `last`, each once (shape: serving/record.py).

    Keeps the names of the records it has seen, some 100 bytes each. Raises StorageUnavailable.
    """
    seen: set[tuple[str, int]] = set()
    for key in keys_of_dates(objects, f"{PREDICTIONS}{model}/", first, last):
        for record in parse_lines(objects.get(key)):
            name = (record["ids"], record["first"])
            if record["record"] == "prediction" and name not in seen:
                seen.add(name)
                yield record


def rows_of(record: Mapping[str, Any]) -> Iterator[Prediction]:
    """The rows of a record; the id of row i is `<ids>-<first + i>`."""
    at, inputs, outputs = datetime.fromisoformat(record["at"]), record["inputs"], record["outputs"]
    probability = outputs.get("probability")
    for row in range(record["rows"]):
        yield Prediction(
            id=f"{record['ids']}-{record['first'] + row}",
            at=at,
            version=record["version"],
            lambda_version=record["lambda_version"],
            inputs=None if inputs is None else {name: values[row] for name, values in inputs.items()},
            prediction=outputs["prediction"][row],
            probability=None if probability is None else probability[row],
        )


def keys_of_dates(objects: Objects, prefix: str, first: date, last: date) -> Iterator[str]:
    """The keys below `<prefix>date=YYYY-MM-DD/` of the dates `first` to `last`, in order."""
    beyond = f"{prefix}date={last + timedelta(days=1):%Y-%m-%d}/"
    for key in objects.list(f"{prefix}date=", start_after=f"{prefix}date={first:%Y-%m-%d}/"):
        if key >= beyond:
            return
        yield key


def parse_lines(body: bytes) -> Iterator[dict[str, Any]]:
    """The objects of gzipped JSON lines, blank lines left out."""
    for line in gzip.decompress(body).splitlines():
        if line.strip():
            yield json.loads(line)
