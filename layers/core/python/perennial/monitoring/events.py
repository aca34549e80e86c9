"""What the monitor puts on the bus."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from perennial.events import Message

DRIFT_DETECTED = "Drift Detected"
PERFORMANCE_DEGRADED = "Performance Degraded"


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
