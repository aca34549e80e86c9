"""The request of a run (`staging/<run>/request.json`): everything a training depends on, by name and digest."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """Base of the request's parts; what the governor adds for others is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NamedVersion(Part):
    """A dataset version with the content that the registry recorded for it; `files` are keys of Parquet objects."""

    version: int = Field(ge=1)
    rows: int = Field(ge=0)
    content_sha256: str
    files: list[str]


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
