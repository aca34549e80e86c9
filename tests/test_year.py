"""`scripts/demo --year` as a user runs it: it takes minutes, so with --full only; its parts have tests of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.demos import demo

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("year")]


def replayed(workdir: Path, example: str) -> tuple[int, dict[str, Any], str, str]:
    """Exit status, timeline, everything printed, the page."""
    told, page = workdir / "year.json", workdir / "year.html"
    status, said = demo(workdir, "--year", "--example", example, "--json", str(told), "--html", str(page))
    return status, json.loads(told.read_text()), said, page.read_text(encoding="utf-8")


def test_the_year_of_flights_shows_that_the_loop_pays(tmp_path: Path) -> None:
    status, told, said, page = replayed(tmp_path, "flights")
    # how long it takes is for a person to look at, not for a test of a busy machine
    wrong = [reason for reason in told["wrong"] if not reason.startswith("it took")]
    assert wrong == [], said
    assert status == (1 if told["wrong"] else 0)
    assert [month["month"] for month in told["months"]] == [f"2013-{number:02d}" for number in range(4, 13)]
    assert sum(month["rows"] for month in told["months"]) == 249_351
    assert {one["kind"]: one["passed"] for one in told["refused"]} == {
        "shuffled labels": False,
        "stale window": False,
        "leaked feature": False,
    }
    assert 0.55 < told["means"]["frozen"] < told["means"]["served"] < 0.80
    assert told["deployed"] < told["monthly_deployments"]
    assert len(told["windows"]) >= 30
    assert {"requested", "gated", "deployed", "declined"} <= {event["kind"] for event in told["events"]}
    assert told["faults"] == 0
    assert "never retrained" in said
    assert len(page) < 500_000


def test_the_same_code_replays_the_second_example(tmp_path: Path) -> None:
    _, told, said, _ = replayed(tmp_path, "parcels")
    assert [month["month"] for month in told["months"]] == [f"2025-{number:02d}" for number in range(4, 13)]
    assert not [reason for reason in told["wrong"] if reason.startswith("the challenger")], said
    assert len(told["refused"]) == 3
    assert told["faults"] == 0
    assert told["windows"]
    assert all(month["served"] is not None for month in told["months"])
