"""One ledger record: its shape, its bytes, its place in the bucket."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from perennial.storage.objects import canonical_json

Fact = Literal[
    "accepted",
    "refused",
    "requested",
    "declined",
    "trained",
    "gated",
    "registered",
    "shifted",
    "deployed",
    "inconclusive",
    "rolled back",
    "failed",
    "approval requested",
    "approved",
    "rejected",
    "approval expired",
    "scored",
    "alarmed",
]
FACTS: tuple[str, ...] = get_args(Fact)

# the second part is a dataset or model as named from outside, so nearly anything; a slash would make another subject
_SUBJECT = re.compile(r"[a-z]+/[^/\x00-\x1f]{1,512}")
_KEY = re.compile(r"(?P<subject>.+)/(?P<seq>\d{8})\.json", re.DOTALL)


class Record(BaseModel):
    """One decision. `previous` is the SHA-256 of the exact bytes of the record before it, "" for the first.

    `at` is RFC 3339 in UTC; `key` makes the append idempotent; `actor` is the stage or the person that decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seq: int
    subject: str
    fact: str
    key: str
    at: str
    actor: str
    evidence: dict[str, Any]
    previous: str

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same record is always the same bytes. Raises ValueError on NaN in the evidence."""
        return canonical_json(self.model_dump())

    @classmethod
    def from_bytes(cls, body: bytes) -> Record:
        """The record in the bytes of an object. Raises ValueError when it is none."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise ValueError(f"is not a ledger record: {error.error_count()} fields are wrong") from error


def digest(body: bytes) -> str:
    """SHA-256 of a record's bytes, in hex: what the next record carries."""
    return hashlib.sha256(body).hexdigest()


def object_key(subject: str, seq: int) -> str:
    """Where record `seq` of a subject lies in the ledger bucket."""
    return f"{subject}/{seq:08d}.json"


def parse_key(key: str) -> tuple[str, int] | None:
    """Subject and seq of an object key, or None when it is no record's key."""
    match = _KEY.fullmatch(key)
    return (match["subject"], int(match["seq"])) if match else None


def checked_subject(subject: str) -> str:
    """`subject` itself. Raises ValueError unless it is `<kind>/<name>`."""
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(f"not a ledger subject: {subject!r}")
    return subject


def instant(at: datetime) -> str:
    """An aware time as RFC 3339 in UTC. Raises ValueError on a naive one, whose meaning depends on the machine."""
    if at.tzinfo is None:
        raise ValueError(f"a ledger time needs its zone: {at}")
    return at.astimezone(UTC).isoformat()
