"""The outcomes that arrived on a day as one object, out of many small ones, read once.

    monitoring/<model>/day=YYYY-MM-DD/outcomes.jsonl.gz     as perennial/outcomes/store.py writes them, in order

Sealed and kept as predictions are (days.py); `day` is that of the arrival.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from perennial.monitoring.calendar import day_of, is_settled
from perennial.monitoring.days import day_key
from perennial.outcomes import Outcome
from perennial.outcomes.record import parse_outcome
from perennial.outcomes.store import OUTCOMES
from perennial.serving.log import keys_of_dates, parse_lines
from perennial.storage.objects import Objects, canonical_json

NAME = "outcomes.jsonl.gz"


def read_arrivals(
    objects: Objects, model: str, day: date, as_of: datetime, there: set[tuple[date, str]]
) -> list[Outcome]:
    """What arrived on a day, as often as it was said; a day that has settled by `as_of` is sealed.

    `there` is what days.sealed found. Raises StorageUnavailable.
    """
    if (day, NAME) in there:
        return _parsed(objects.get(day_key(model, day, NAME)))
    return _arrived(objects, model, day, as_of)


def _arrived(objects: Objects, model: str, day: date, as_of: datetime) -> list[Outcome]:
    keys = keys_of_dates(objects, f"{OUTCOMES}{model}/", day, day)
    lines = sorted(canonical_json(line) for key in keys for line in parse_lines(objects.get(key)))
    body = gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)
    if is_settled(day, as_of):
        key = day_key(model, day, NAME)
        if not objects.create(key, body, "application/gzip"):
            body = objects.get(key)
    return _parsed(body)


def _parsed(body: bytes) -> list[Outcome]:
    return [parse_outcome(line) for line in parse_lines(body)]


def about(said: Outcome) -> date:
    """The day of the prediction that an outcome is about, as far as it says so: ids begin with their date."""
    if said.event_time is not None:
        return day_of(said.event_time)
    return date.fromisoformat((said.prediction_id or "")[:10])


def count_late(arrivals: Iterable[Outcome], horizon: timedelta) -> int:
    """How many different outcomes came when the cohort of their prediction was complete already."""
    late = {(said.subject, said.digest) for said in arrivals if day_of(said.received_at) > about(said) + horizon}
    return len(late)
