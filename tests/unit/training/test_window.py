"""The window of a training: which rows count, which versions are read for them, and what is said of the others."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import TrainingDataInvalid
from perennial.training.request import TrainRequest
from perennial.training.window import Selected, select
from tests.unit.training.made import spec_of
from tests.unit.training.test_data import Stored, content

START = datetime(2024, 1, 1, tzinfo=UTC)
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
Row = tuple[float | None, float | None]  # days since START (None: no event time), label


class Counting(Stored):
    """Objects in memory that note what is read."""

    def get(self, key: str, version_id: str | None = None) -> bytes:
        self.__dict__.setdefault("read", []).append(key)
        return super().get(key, version_id)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def version(number: int, rows: list[Row]) -> tuple[bytes, dict[str, Any]]:
    """A version's file and how a request names it."""
    times = [None if day is None else at(day) for day, _ in rows]
    table = pa.table(
        {
            "at": pa.array(times, type=pa.timestamp("us", tz="UTC")),
            "late": pa.array([label for _, label in rows], type=pa.float64()),
            "id": pa.array(range(len(rows)), type=pa.int64()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    body = buffer.getvalue()
    known = sorted(time for time in times if time is not None)
    named = {
        "version": number, "rows": len(rows), "content_sha256": content(body), "files": [f"v{number}"],
        "first_event_time": known[0].isoformat() if known else None,
        "last_event_time": known[-1].isoformat().replace("+00:00", "Z") if known else None,
    }  # fmt: skip
    return body, named


def selected(
    versions: list[list[Row]], *, window: str | None = None, maturity: str = "0s", event_time: str | None = "at"
) -> tuple[Selected, list[str]]:
    """What is selected of versions 1, 2, …, and the files that were read for it, in order."""
    made = [version(number, rows) for number, rows in enumerate(versions, 1)]
    objects = Counting({f"v{number}": body for number, (body, _) in enumerate(made, 1)})
    request = TrainRequest.model_validate(
        {
            "model": "made",
            "run": "r",
            "dataset": "made",
            "seed": 0,
            "as_of": AS_OF,
            "catalog": {"bucket": "b", "key": "k"},
            "versions": [named for _, named in reversed(made)],
        }
    )
    spec = spec_of("ridge", "regression", train={"algorithm": "ridge", "window": window, "maturity": maturity})
    found = select(objects, request, spec, ["late", "at", "id"], [], event_time)
    return found, objects.__dict__["read"]


def days_of(found: Selected) -> list[float]:
    times = found.table.column("at").to_pylist()
    return [(time - START) / timedelta(days=1) for time in times]


def month(first: int, count: int = 30) -> list[Row]:
    return [(float(day), 1.0) for day in range(first, first + count)]


def test_without_a_window_all_rows_are_read_in_the_order_of_their_versions() -> None:
    found, read = selected([[(5, 1.0), (None, 1.0)], [(2, None)]], event_time=None)
    assert found.table.column("id").to_pylist() == [0, 1, 0]
    assert found.table.column("__version__").to_pylist() == [1, 1, 2]
    assert read == ["v1", "v2"]
    assert found.evidence["left_out"] == {"no label": 1}


def test_the_window_ends_with_the_newest_labelled_row_and_is_of_whole_days() -> None:
    found, _ = selected([[(day + 0.25, 1.0) for day in range(40)], [(45.5, None)]], window="10d")
    assert days_of(found) == [day + 0.25 for day in range(30, 40)] + [45.5]
    assert found.evidence["from"] == "2024-01-31T06:00:00Z"
    assert found.evidence["to"] == "2024-02-09T06:00:00Z"
    assert found.evidence["left_out"] == {"before the window": 30, "no label": 1}


def test_versions_that_the_window_does_not_reach_are_not_read() -> None:
    found, read = selected([month(-60), month(-30), month(0), month(30, 28)], window="30d")
    assert read == ["v4", "v3"]
    assert [one.version for one in found.versions] == [3, 4]
    assert found.evidence["versions_not_read"] == {"before the window": [1, 2]}
    assert found.evidence["left_out"] == {"before the window": 88}
    assert len(found.table) == 30


def test_old_rows_in_a_new_version_are_left_out_too() -> None:
    found, read = selected([month(0), [(-50, 1.0), (29.5, 1.0), (3, 1.0)]], window="5d")
    assert sorted(read) == ["v1", "v2"]
    assert days_of(found) == [25, 26, 27, 28, 29, 29.5]


def test_a_version_whose_last_day_nobody_noted_is_read() -> None:
    made = [version(number, month(first)) for number, first in ((1, -90), (2, 0))]
    objects = Counting({"v1": made[0][0], "v2": made[1][0]})
    named = [{**one, "first_event_time": None, "last_event_time": None} for _, one in made]
    request = TrainRequest.model_validate(
        {
            "model": "made",
            "run": "r",
            "dataset": "made",
            "seed": 0,
            "as_of": AS_OF,
            "catalog": {"bucket": "b", "key": "k"},
            "versions": named,
        }
    )
    spec = spec_of("ridge", "regression", train={"algorithm": "ridge", "window": "10d"})
    found = select(objects, request, spec, ["late", "at"], [], "at")
    assert (len(objects.__dict__["read"]), len(found.table)) == (2, 10)


def test_rows_whose_labels_have_not_matured_are_left_out_and_the_window_ends_before_them() -> None:
    found, read = selected([month(0), month(30, 30), month(58, 10)], window="10d", maturity="7d")
    # as_of is day 60: what is younger than day 53 has not matured
    assert days_of(found) == list(range(44, 54))
    assert read == ["v2"]
    assert found.evidence["matured_until"] == "2024-02-23T00:00:00+00:00"
    assert found.evidence["left_out"] == {"before the window": 44, "not matured": 16}
    assert found.evidence["versions_not_read"] == {"before the window": [1], "not matured": [3]}


def test_maturity_needs_no_window() -> None:
    found, _ = selected([month(0), month(30, 30)], maturity="7d")
    assert days_of(found) == list(range(54))


def test_a_row_of_the_far_future_does_not_move_the_window() -> None:
    found, _ = selected([[*month(0), (30_000, 1.0)]], window="10d")
    assert days_of(found) == list(range(20, 30))


def test_nothing_matured_is_an_error_that_says_so() -> None:
    with pytest.raises(TrainingDataInvalid, match=r"no row with a label is older than 604800 s .*\(6 rows are"):
        selected([month(54, 6)], window="10d", maturity="7d")
    with pytest.raises(TrainingDataInvalid, match="all 6 rows have yet to mature"):
        selected([month(54, 6)], maturity="7d")


def test_no_version_is_refused() -> None:
    with pytest.raises(TrainingDataInvalid, match="no dataset version"):
        selected([])


ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(-80, 70).map(lambda day: round(day, 2))), st.sampled_from([1.0, None])),
    min_size=1, max_size=12,
)  # fmt: skip


@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(7, 60), st.integers(0, 20))
def test_what_is_selected_is_what_reading_everything_would_select(
    versions: list[list[Row]], window: int, maturity: int
) -> None:
    flat = [(day, label, number) for number, rows in enumerate(versions, 1) for day, label in rows]
    ripe = [(at(day), label, number) for day, label, number in flat if day is not None and at(day) <= at(60 - maturity)]
    anchors = [time for time, label, _ in ripe if label is not None]
    if not anchors:
        with pytest.raises(TrainingDataInvalid):
            selected(versions, window=f"{window}d", maturity=f"{maturity}d")
        return
    first = max(anchors).date() - timedelta(days=window - 1)
    expected = [(time, label, number) for time, label, number in ripe if time.date() >= first]
    found, _ = selected(versions, window=f"{window}d", maturity=f"{maturity}d")
    columns = (found.table.column(name).to_pylist() for name in ("at", "late", "__version__"))
    assert list(zip(*columns, strict=True)) == expected
    left = {why: rows for why, rows in found.evidence["left_out"].items() if why != "no label"}
    assert sum(left.values()) == len(flat) - len(expected)


def test_event_times_without_zone_and_dates_are_utc() -> None:
    request = TrainRequest.model_validate(
        {
            "model": "m",
            "run": "r",
            "dataset": "d",
            "seed": 0,
            "as_of": AS_OF,
            "catalog": {"bucket": "b", "key": "k"},
            "versions": [
                {
                    "version": 1,
                    "rows": 1,
                    "content_sha256": "c",
                    "files": [],
                    "first_event_time": "2024-01-01",
                    "last_event_time": "2024-01-02T03:00:00",
                }
            ],
        }
    )
    assert request.versions[0].first_event_time == START
    assert request.versions[0].last_event_time == datetime(2024, 1, 2, 3, tzinfo=UTC)
