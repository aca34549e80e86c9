"""What all parts of a model spec have in common."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_seconds(text: str) -> int:
    """`"90s"`, `"5m"`, `"1h"`, `"2d"` as whole seconds. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*([smhd])\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no span of time; write 90s, 5m, 1h or 2d")
    return int(match[1]) * _UNITS[match[2]]


def _seconds(value: Any) -> Any:
    return parse_seconds(value) if isinstance(value, str) else value


# The longest Wait of Step Functions, somewhat more than three years: an execution with a longer one fails uncaught.
# https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
LONGEST_WAIT = 99_999_999

Seconds = Annotated[int, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_WAIT)]


class Spec(BaseModel):
    """Base of the spec's parts: an unknown word is an error, since a typo must not become a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
