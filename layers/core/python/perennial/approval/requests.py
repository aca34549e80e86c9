"""What people ask of stage approve over HTTPS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from perennial.catalog.model import NAME

Name = Annotated[str, Field(pattern=NAME)]


class Decided(BaseModel):
    """A decision, with its reason in up to 1,000 characters."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["approve", "reject"]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class Which(BaseModel):
    """A version, as the path names it."""

    model: Name
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,7}$")]


class Promotion(BaseModel):
    """The workspace `staging/<run>/` of a version that another environment registered."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Name
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
