"""A prediction log and outcomes as AWS leaves them, for a made-up model of orders."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.monitoring.shelf import Shelf
from perennial.outcomes import Outcome, write_outcomes
from perennial.storage.objects import Objects
from tests.crash.calls import When, heard_by

MODEL = "returns"
FIRST = date(2024, 5, 1)


def spec(**more: Any) -> ModelSpec:
    about: dict[str, Any] = {
        "name": MODEL, "dataset": "orders", "task": "binary", "label": {"column": "returned"},
        "features": ["price", "size"], "amount_unit": "EUR", "monitor": {"window": "7d", "horizon": "2d"},
    }  # fmt: skip
    return ModelSpec.model_validate(about | more)


def day(number: int) -> date:
    """The day that lies `number` days after the first."""
    return FIRST + timedelta(days=number)


def at(number: float) -> datetime:
    """The instant so many days after the first one began."""
    return datetime.combine(FIRST, time(), UTC) + timedelta(days=number)


def ids(number: float) -> str:
    """The name of the request at an instant."""
    return f"{at(number):%Y-%m-%d}-{int(at(number).timestamp()):032x}"


def record(
    number: float,
    prices: Sequence[Any],
    *,
    sizes: Sequence[Any] | None = None,
    probability: float = 0.25,
    version: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """The record of a request at an instant, a row for each price."""
    rows = len(prices)
    found = {
        "record": "prediction", "model": MODEL, "version": version, "lambda_version": "7", "ids": ids(number),
        "first": 0, "at": f"{at(number):%Y-%m-%dT%H:%M:%S}.000Z", "rows": rows,
        "inputs": {"price": list(prices), "size": list(sizes or ["M"] * rows)},
        "outputs": {
            "prediction": [probability > 0.5] * rows, "probability": [[1 - probability, probability]] * rows,
        },
    }  # fmt: skip
    return found | more


def deliver(objects: Objects, name: str, *records: dict[str, Any], on: date) -> None:
    """Put records into the log under the date of their delivery."""
    body = b"\n\n".join(json.dumps(one).encode() for one in records)
    objects.put(f"predictions/{MODEL}/date={on}/{name}.jsonl.gz", gzip.compress(body))


def said(number: float, row: int, outcome: Any, *, after: float = 1.0, **more: Any) -> Outcome:
    """What became of a row of the request at an instant, known and received `after` days later."""
    moment = at(number + after)
    known: dict[str, Any] = {"at": moment, "received_at": moment}
    return Outcome(outcome=outcome, prediction_id=f"{ids(number)}-{row}", **(known | more))


def tell(objects: Objects, *outcomes: Outcome) -> None:
    write_outcomes(objects, MODEL, outcomes)


def shelf(objects: Objects, as_of: float, *, oldest: int = -400, **more: Any) -> Shelf:
    return Shelf(objects, spec(**more), at(as_of), day(oldest))


@contextmanager
def counted() -> Iterator[list[str]]:
    """The calls of S3 that are made."""
    calls: list[str] = []

    def count(when: When, operation: str) -> None:
        if when == "before-send" and operation.startswith("s3."):
            calls.append(operation)

    with heard_by(count):
        yield calls
