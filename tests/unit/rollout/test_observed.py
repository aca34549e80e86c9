"""From the prediction log to observations: which records count, and how many are read."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perennial.rollout import observed as module
from perennial.rollout.evidence import Arms
from perennial.rollout.observed import Seen, observed
from perennial.storage.objects import Objects
from tests.aws import fresh_account

ARMS = Arms("late", "predict-late", "live", challenger="3", champion="2")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = (NOON, NOON + timedelta(hours=1))


def record(minute: float, number: int = 1, **changes: Any) -> dict[str, Any]:
    at = NOON + timedelta(minutes=minute)
    known = {
        "record": "prediction", "model": "late", "version": 7, "lambda_version": "3",
        "id": f"r{number}", "ids": f"i{number}",
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "first": 0, "rows": 2,
        "inputs": {"hour": [1, 2]}, "outputs": {"prediction": [True, False], "probability": [[0.2, 0.8], [0.9, 0.1]]},
        "score_us": 500, "environment": "e", "cold": False,
    }  # fmt: skip
    return known | changes


def put(objects: Objects, minute: float, *records: dict[str, Any]) -> None:
    """An object whose oldest record arrived so many minutes after noon."""
    at = NOON + timedelta(minutes=minute)
    key = f"predictions/late/date={at:%Y-%m-%d}/predict-late-1-{at:%Y-%m-%d-%H-%M-%S}-{records[0]['ids']}.jsonl.gz"
    objects.put(key, gzip.compress("\n".join(map(json.dumps, records)).encode()))


def flat(objects: Objects, windows: list[tuple[datetime, datetime]]) -> list[Seen]:
    """What was seen in all the windows."""
    return [seen for window in observed(objects, ARMS, windows) for seen in window]


@pytest.fixture
def objects() -> Any:
    with fresh_account() as account:
        yield Objects(account.bucket("data"))


def test_a_request_is_one_observation(objects: Objects) -> None:
    put(objects, 1, record(1), record(1, first=1), record(1, 2, lambda_version="2", cold=True, inputs=None))
    assert flat(objects, [HOUR]) == [
        Seen(True, 2, 500, False, (0.2, 0.8), '{"hour": 1}', environment="e"),
        Seen(False, 2, 500, True, (0.2, 0.8), None, environment="e"),
    ]


def test_a_regression_s_output_is_its_prediction(objects: Objects) -> None:
    put(objects, 1, record(1, outputs={"prediction": [7.5, 2]}))
    assert [seen.outputs for seen in flat(objects, [HOUR])] == [(7.5,)]


def test_only_the_window_and_the_two_versions_count_and_each_once(objects: Objects) -> None:
    put(objects, -5, record(-0.1, 1), record(0, 2))
    put(objects, 30, record(30, 3), record(30, 4, lambda_version="1"), record(30, 5, record="smoke"))
    put(objects, 31, record(30, 3))  # delivered twice
    put(objects, 59, record(59.9, 6), record(60, 7))
    assert len(flat(objects, [HOUR])) == 3
    assert flat(objects, [(NOON, NOON)]) == []


def test_a_request_to_two_models_at_once_is_one(objects: Objects) -> None:
    put(objects, 1, record(1, 1, id="one", ids="1a"), record(1, 2, id="one", ids="1b"), record(1, 3, id="other"))
    assert len(flat(objects, [HOUR])) == 2


def test_who_asked_for_a_version_by_its_number_takes_no_part(objects: Objects) -> None:
    put(objects, 1, record(1, 1), record(1, 2, by_number=True))
    assert len(flat(objects, [HOUR])) == 1


def test_requests_come_in_the_order_in_which_they_were_asked(objects: Objects) -> None:
    """An environment's log is delivered in pieces of its own."""
    put(objects, 1, *(record(minute, minute, lambda_version="3") for minute in (1, 3, 5)))
    put(objects, 2, *(record(minute, minute, lambda_version="2") for minute in (2, 4, 6)))
    assert [seen.challenger for seen in flat(objects, [HOUR])] == [True, False] * 3


def test_what_was_delivered_on_the_next_day_is_found(objects: Objects) -> None:
    midnight = 12 * 60
    put(objects, midnight + 3, record(midnight - 1))
    window = (NOON + timedelta(minutes=midnight - 10), NOON + timedelta(minutes=midnight))
    assert len(flat(objects, [window])) == 1


def test_of_each_window_no_more_is_read_than_is_enough(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute in range(0, 60, 10):
        put(objects, minute, *(record(minute, 100 * minute + number) for number in range(5)))
    half = NOON + timedelta(minutes=30)
    monkeypatch.setattr(module, "RECORDS", 7)
    assert len(flat(objects, [(NOON, half), (half, HOUR[1])])) == 14
    monkeypatch.setattr(module, "OBJECTS", 1)
    assert len(flat(objects, [HOUR])) == 5
