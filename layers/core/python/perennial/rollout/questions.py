"""What a published version is asked before it serves, and what it has to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.registry import ModelVersion
from perennial.rollout.golden import Golden, check_answer, request_event
from perennial.serving.signature import Signature, parse_signature
from perennial.storage.objects import Objects


@dataclass(frozen=True)
class Question:
    """An inference request; `check` raises SmokeFailed for an answer that is not what training saw."""

    event: dict[str, Any]
    check: Callable[[Any], None]


def golden_of(version: ModelVersion, objects: Objects) -> tuple[Signature, Golden]:
    """The signature of a version, and its golden rows."""
    signature = parse_signature(objects.get(f"{version.prefix}signature.json"))
    return signature, Golden.parse(objects.get(f"{version.prefix}golden.json"))


def question(version: ModelVersion, objects: Objects, at: datetime, *, by_number: bool = False) -> Question:
    """The golden rows of a version; `by_number` where a function carries others beside it."""
    signature, golden = golden_of(version, objects)
    event = request_event(signature, golden, at, version.version if by_number else None)
    return Question(event, lambda payload: check_answer(payload, signature, golden, version.version))
