"""The request of a run (`staging/<run>/request.json`): everything a training depends on, by name and digest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _instant(value: str | datetime | None) -> datetime | None:
    """As the registry has it: a timestamp, or of a date its midnight in UTC."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


Instant = Annotated[datetime, BeforeValidator(_instant)]


class Part(BaseModel):
    """Base of the request's parts; what the governor adds for others is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NamedVersion(Part):
    """A dataset version with the content that the registry recorded for it; `files` are keys of Parquet objects.

    The event times of its first and last row, where the dataset has one, say whether it need be read at all.
    """

    version: int = Field(ge=1)
    rows: int = Field(ge=0)
    content_sha256: str
    files: list[str]
    first_event_time: Instant | None = None
    last_event_time: Instant | None = None


class CatalogAt(Part):
    """The catalog zip of the deployment that made the request."""

    bucket: str
    key: str


class TrainRequest(Part):
    """What one run trains, on what, with which seed."""

    model: str
    run: str
    dataset: str
    versions: list[NamedVersion]
    seed: int = Field(ge=0, lt=2**31)
    as_of: datetime
    catalog: CatalogAt
    flight: str | None = None
    reason: str | None = None

    def ordered(self) -> list[NamedVersion]:
        """The versions by number: the order in which a request lists them changes nothing."""
        return sorted(self.versions, key=lambda version: version.version)
