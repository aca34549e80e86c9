"""Input and output of stage score, and the facts that it puts on the bus (see perennial.events)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from perennial.events import Message, S3Detail

BATCH_SCORED = "Batch Scored"
BATCH_REFUSED = "Batch Refused"


class ScoreInput(Message):
    """A file to score (action `plan`, with the `detail` of its S3 event), or what follows from its plan: the `rows` of
    one range, the `commit` of all. `batch`, `plan` and `output` are as Plan answered.

    `as_of` is the time of the event.
    """

    action: Literal["plan", "rows", "commit"]
    as_of: datetime
    detail: S3Detail | None = None
    batch: str | None = None
    plan: str | None = None
    output: str | None = None
    range: dict[str, int] | None = None


class ScoreOutput(Message):
    """Where a batch stands. After `plan`, status `planned` means that the JSON array at `ranges` lists what is to be
    scored; anything else ends the execution. `rows` were scored (of one range, or of all), `quarantined` were not.
    """

    status: Literal["planned", "scored", "duplicate", "refused", "ignored"]
    model: str | None = None
    batch: str | None = None
    version: int | None = None
    plan: str | None = None
    ranges: str | None = None
    output: str | None = None
    rows: int = 0
    quarantined: int = 0
    report_key: str | None = None
    reason: str | None = None


class BatchScored(Message):
    """The rows of a file were scored; `output` is where the answers lie."""

    model: str
    version: int
    batch: str
    key: str
    output: str
    rows: int
    quarantined: int
    report_key: str | None
    as_of: datetime


class BatchRefused(Message):
    """A file that was to be scored went to quarantine whole."""

    model: str
    batch: str
    key: str
    reason: str
    report_key: str
    as_of: datetime
