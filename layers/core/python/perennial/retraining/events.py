"""Input and output of stage retrain, and what people ask of it over HTTPS."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from perennial.events import DatasetVersionAccepted, Message
from perennial.monitoring.events import AlarmRaised


class RetrainInput(Message):
    """What the governor is asked: an arrival, a schedule, an alarm of the monitor (`ask`), a settled flight to freeze,
    one that goes on in a new execution, or one that ended.

    `leg` numbers the executions of a flight, `look` the looks of an execution.
    """

    action: Literal["arrive", "schedule", "ask", "freeze", "hand-over", "finish"]
    as_of: datetime
    detail: DatasetVersionAccepted | None = None
    alarm: AlarmRaised | None = None
    model: str | None = None
    flight: str | None = None
    leg: int = 1
    look: int = 1
    seen: int = 0
    run: str | None = None
    failure: dict[str, Any] | None = None


class RetrainOutput(Message):
    """`ready` once no dataset version arrived since the last look; then `run` and `request_key` name the training, else
    `next_look` counts on.

    After `finish` with a failure, `error` and `cause` are what the execution fails with.
    """

    model: str | None = None
    flight: str | None = None
    ready: bool = False
    next_look: int = 1
    seen: int = 0
    settle_seconds: int = 0
    run: str | None = None
    request_key: str | None = None
    started: list[str] = Field(default=[])
    declined: str | None = None
    error: str | None = None
    cause: str | None = None


class Retrain(BaseModel):
    """Why a training is wanted, in up to 1,000 characters."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
