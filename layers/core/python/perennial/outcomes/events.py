"""Input and output of stage feedback, and the facts that it puts on the bus."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from perennial.events import Message, S3Detail

OUTCOMES_ACCEPTED = "Outcomes Accepted"
OUTCOMES_REFUSED = "Outcomes Refused"


class FeedbackInput(Message):
    """One dropped file of outcomes; `as_of` is the time of the event."""

    detail: S3Detail
    as_of: datetime


class FeedbackOutput(Message):
    """What became of a file: `outcomes` counts the rows that were recorded, `quarantined` those that were not."""

    status: Literal["accepted", "refused", "ignored"]
    model: str
    batch: str
    outcomes: int = 0
    quarantined: int = 0
    report_key: str | None = None
    reason: str | None = None


class OutcomesAccepted(Message):
    """Outcomes of a model were recorded; `batch` names the dropped file, or what a request said."""

    model: str
    batch: str
    outcomes: int
    quarantined: int = 0
    as_of: datetime


class OutcomesRefused(Message):
    """A dropped file of outcomes went to quarantine whole."""

    model: str
    batch: str
    key: str
    reason: str
    report_key: str
    as_of: datetime
