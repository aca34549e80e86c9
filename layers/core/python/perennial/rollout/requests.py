"""What people ask of stage deploy over HTTPS."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


def _optional(schema: dict[str, Any]) -> None:
    del schema["default"]  # which stands for "not named", and cannot be said


class Rollback(BaseModel):
    """The version that is to serve no longer, and why, in up to 1,000 characters.

    What made it serve is named too, as whoever asks has seen it: the `rollout` that is under way (the ARN of its
    execution), or the `change` of the champion (its number in the history). So the same request never takes back more
    than was meant, however often it comes.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"oneOf": [{"required": ["rollout"]}, {"required": ["change"]}]}
    )

    version: Annotated[int, Field(ge=1)]
    rollout: Annotated[str, Field(min_length=1, max_length=2048, json_schema_extra=_optional)] = ""
    change: Annotated[int, Field(ge=1, json_schema_extra=_optional)] = 0
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _one(self) -> Rollback:
        if len({"rollout", "change"} & self.model_fields_set) != 1:
            raise ValueError("name either the rollout or the change that is to be taken back")
        return self
