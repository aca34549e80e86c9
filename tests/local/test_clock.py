"""A local cloud whose clock begins in the past: what it stamps, fires and keeps is of that time."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.local.clock import Clock
from scripts.cli.local import ROOT
from scripts.cli.output import Failure
from scripts.cli.up import moment

PAST = datetime(2013, 4, 1, 6, tzinfo=UTC)


def test_a_clock_begins_where_it_is_set_and_goes_on_from_there() -> None:
    clock = Clock(PAST)
    assert PAST <= clock.now() < PAST + timedelta(seconds=5)
    clock.advance(86_400)
    assert PAST + timedelta(days=1) <= clock.now() < PAST + timedelta(days=1, seconds=5)


@pytest.mark.parametrize(("text", "found"), [("2013-04-01T06:00", PAST), ("2013-04-01T08:00+02:00", PAST)])
def test_a_time_is_utc_unless_it_says_otherwise(text: str, found: datetime) -> None:
    assert moment(text) == found


def test_what_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(Failure, match="'April' is no time; write 2013-04-01"):
        moment("April")


# In a process of its own, since one process has one cloud: prints what was refused and what was kept.
LOGS = """
import json, sys
from datetime import datetime
from pathlib import Path
from infra.local.cloud import LocalCloud

stamps = [int(text) for text in sys.argv[3:]]
with LocalCloud(Path(sys.argv[1]), clock=datetime.fromisoformat(sys.argv[2])) as running:
    logs = running.cloud.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    events = [{"timestamp": stamp, "message": str(stamp)} for stamp in stamps]
    told = logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=events)
    kept = logs.get_log_events(logGroupName="g", logStreamName="s")["events"]
    print(json.dumps([told["rejectedLogEventsInfo"], [event["timestamp"] for event in kept]]))
"""


def test_logs_of_the_cloud_s_own_time_are_kept(tmp_path: Path) -> None:
    stamps = [int(at.timestamp() * 1000) for at in (PAST - timedelta(days=15), PAST)]
    words = [str(tmp_path / "cloud"), PAST.isoformat(), *map(str, stamps)]
    done = subprocess.run(
        [sys.executable, "-c", LOGS, *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    # older than a fortnight by the cloud's clock is too old; 2013 itself is not
    assert json.loads(done.stdout) == [{"tooOldLogEventEndIndex": 1}, stamps[1:]]
