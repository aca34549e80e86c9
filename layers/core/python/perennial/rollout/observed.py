"""What the prediction log says of the two versions of a rollout: one observation per request, in order.

Of each step, records are read from its beginning on, up to a fixed number. The tests that are asked of them may stop
whenever they like, and those numbers are enough for them; what comes later in a step is judged by its errors alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.rollout.evidence import Arms
from perennial.serving.log import PREDICTIONS, Prediction, keys_of_dates, parse_lines, rows_of
from perennial.storage.objects import Objects

# Of one step, so that a look at the last of five ends within the stage's two minutes: 20,000 records of a row or two
# are some 20 MB and parsed in half a second, and an object takes some 30 ms to come.
RECORDS = 20_000
OBJECTS = 400
# An object is named by the arrival of its oldest record, which may be this much later than the record was made, or, for
# the record that opened it, earlier than the last one that it holds.
# https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html
_HELD = timedelta(minutes=15)
_NAMED = re.compile(r"-(\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2})-[^/]*$")


@dataclass(frozen=True)
class Seen:
    """A request that the alias gave to one of the versions: how many rows it had, how long scoring took, and the
    outputs for its first row (a probability per class, or the prediction) with that row's inputs as text (None in a
    shortened record).

    `environment` names the execution environment that answered ("" in records that do not say).
    `row` is that first row; `loss` and `amount` are what came of it, None as long as nobody knows (rollout.results).
    """

    challenger: bool
    rows: int
    score_us: int
    cold: bool
    outputs: tuple[float, ...]
    inputs: str | None
    row: Prediction | None = field(default=None, compare=False, repr=False)
    loss: float | None = None
    amount: float | None = None
    environment: str = ""


def observed(objects: Objects, arms: Arms, windows: Sequence[tuple[datetime, datetime]]) -> list[list[Seen]]:
    """The requests of both versions in each window, at most RECORDS of it. Raises StorageUnavailable."""
    return [_window(objects, arms, since, until) for since, until in windows]


def _window(objects: Objects, arms: Arms, since: datetime, until: datetime) -> list[Seen]:
    """In the order in which requests came: the log has them by environment."""
    found: dict[str, tuple[str, Seen]] = {}
    keys = _keys(objects, arms.model, since, until)
    for record in (record for key in keys for record in parse_lines(objects.get(key))):
        # a request to two models at once has a record of each
        if record["id"] not in found and _belongs(record, arms, since, until):
            found[record["id"]] = (record["at"], seen_in(record, arms))
            if len(found) == RECORDS:
                break
    return [seen for _, seen in sorted(found.values(), key=lambda one: one[0])]


def _keys(objects: Objects, model: str, since: datetime, until: datetime) -> list[str]:
    """The objects that may hold records of a window, oldest first."""
    if since >= until:
        return []
    first, last = since - _HELD, until + _HELD
    keys = keys_of_dates(objects, f"{PREDICTIONS}{model}/", first.date(), last.date())
    return [key for key in keys if first <= _named_at(key, since) <= last][:OBJECTS]


def _named_at(key: str, otherwise: datetime) -> datetime:
    match = _NAMED.search(key)
    return datetime.strptime(match[1], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC) if match else otherwise


def _belongs(record: Mapping[str, Any], arms: Arms, since: datetime, until: datetime) -> bool:
    """A request's first piece, of one of the two versions, within the window; not one that chose its version itself,
    which Lambda counts elsewhere.
    """
    if record["record"] != "prediction" or record["first"] != 0 or record.get("by_number"):
        return False
    if record["lambda_version"] not in (arms.challenger, arms.champion):
        return False
    return since <= datetime.fromisoformat(record["at"]) < until


def seen_in(record: Mapping[str, Any], arms: Arms) -> Seen:
    """The observation that a record is (its shape: perennial/serving/record.py)."""
    outputs, inputs = record["outputs"], record["inputs"]
    first = outputs["probability"][0] if "probability" in outputs else [outputs["prediction"][0]]
    asked = None if inputs is None else {name: values[0] for name, values in inputs.items()}
    return Seen(
        challenger=record["lambda_version"] == arms.challenger,
        rows=record["rows"],
        score_us=record["score_us"],
        cold=record["cold"],
        outputs=tuple(float(value) for value in first),
        inputs=None if asked is None else json.dumps(asked, sort_keys=True),
        environment=record.get("environment", ""),
        row=next(rows_of(record)),
    )
