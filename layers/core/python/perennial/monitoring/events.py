"""Input and output of stage monitor, and what it puts on the bus."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from perennial.events import Message

DRIFT_DETECTED = "Drift Detected"
PERFORMANCE_DEGRADED = "Performance Degraded"


class MonitorInput(Message):
    """A look at a model. Without `from` and `to` it is one at the spec's window, which ends with the last whole day
    before `as_of`; only such a look raises alarms.
    """

    model: str
    as_of: AwareDatetime
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")


class MonitorOutput(Message):
    """What was seen, in short; all of it lies at `report_key`, and for people at `html_key`.

    `state` is watched, no traffic, no reference or nothing serves. `alarms` are sentences; they were `raised` unless
    a person named the days.
    """

    model: str
    state: str
    first: date
    last: date
    predictions: int
    alarms: list[str]
    raised: bool
    report_key: str
    html_key: str


class AlarmRaised(Message):
    """The monitor found that the inputs or scores of a model have moved, or that it became worse.

    `key` names the alarm: the same alarm of the same version has the same one, whenever it is found again. `outcomes`
    were known in the window. `summary` says in a sentence what moved, by how much and since when; the evidence lies at
    `report_key`.
    """

    model: str
    version: int
    reason: Literal["drift", "performance"]
    key: str
    outcomes: int
    summary: str
    report_key: str
    as_of: datetime
