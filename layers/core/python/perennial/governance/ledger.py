"""The ledger: append-only, hash-chained records of every decision, one chain per subject.

Records are objects, since S3 has a right to create that is not a right to overwrite (If-None-Match, Object Lock). An
index item per idempotency key in the registry table names the position a record is to take:

    claim a position (DynamoDB, conditional) → put the record there (S3, If-None-Match) → on a conflict move the claim

A claim moves only past a position that another record holds, and a record is put only at the position that its key
claims. So a key never has two records, whatever crashes, repeats or races; and since a record needs the bytes of the
one before it, there are no gaps.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.errors import ConditionFailed, LedgerBroken, ObjectMissing, StorageUnavailable
from perennial.governance.records import Fact, Record, checked_subject, digest, instant, object_key, parse_key
from perennial.governance.verify import Report, verify_chains
from perennial.storage.items import Items
from perennial.storage.objects import Objects

# Each failed attempt means that another writer's record was put: only a livelock that cannot be comes this far.
ATTEMPTS = 2000
# Of writers at once one wins every position, so they need not hurry: who lost waits a share of this many seconds, twice
# as many each time. With calls of 10 ms a thousand writers then make 15 attempts each, in 50 s, at two thousand calls a
# second; without, 215 in 33 s at 46 thousand, which is more than a partition of DynamoDB takes.
FIRST_WAIT, LONGEST_WAIT = 0.02, 5.0


@dataclass(frozen=True)
class Ledger:
    """The ledger bucket with its index in the registry table."""

    objects: Objects
    items: Items

    def append(self, subject: str, fact: Fact, *, key: str, at: datetime, actor: str, evidence: dict[str, Any]) -> int:
        """Record `fact` about `subject` and return its number; a `key` that was recorded before returns that number.

        `evidence` is JSON (no NaN: ValueError). Subjects are `dataset/<name>`, `feedback/<model>` and `model/<name>`.
        Raises StorageUnavailable, and LedgerBroken when the record before is gone.
        """
        checked_subject(subject)
        moment = instant(at)
        for lost in range(ATTEMPTS):
            seq = self._claim(subject, key)
            record = Record(
                seq=seq,
                subject=subject,
                fact=fact,
                key=key,
                at=moment,
                actor=actor,
                evidence=evidence,
                previous=self._previous(subject, seq),
            )
            if self.objects.create(object_key(subject, seq), record.to_bytes()):
                self._hint(subject, seq)
                return seq
            holder = self._find(subject, seq)
            if holder is not None and holder.key == key:
                self._hint(subject, seq)
                return seq
            if holder is not None:
                _wait(key, lost)
                self._move(subject, key, seq)
        raise StorageUnavailable(f"ledger {subject}: no free position after {ATTEMPTS} attempts")

    def get(self, subject: str, seq: int) -> Record:
        """One record. Raises ObjectMissing."""
        return Record.from_bytes(self.objects.get(object_key(subject, seq)))

    def find(self, subject: str, key: str) -> Record | None:
        """The record that an idempotency key has, or None when it has none (yet)."""
        item = self.items.get(_pk(checked_subject(subject)), _sk(key))
        record = self._find(subject, int(item["seq"])) if item else None
        return record if record is not None and record.key == key else None

    def read(self, subject: str | None = None) -> Iterator[Record]:
        """The records of a subject, or of all, in order."""
        for key in self.objects.list(f"{checked_subject(subject)}/" if subject else ""):
            yield Record.from_bytes(self.objects.get(key))

    def verify(self, subject: str | None = None) -> Report:
        """Walk one subject's chain, or all; the report says what is wrong."""
        return verify_chains(self.objects, self.hinted, subject)

    def head(self, subject: str) -> int:
        """The number of the last record, 0 when there is none; the objects are the truth, the hint saves listing."""
        hinted = self.hinted(subject)
        start = object_key(subject, hinted) if hinted else ""
        head = hinted
        for key in self.objects.list(f"{subject}/", start_after=start):
            place = parse_key(key)
            head = place[1] if place else head
        return head

    def _claim(self, subject: str, key: str) -> int:
        """The position that `key` claims; a new key claims the one after the last record."""
        item = self.items.get(_pk(subject), _sk(key))
        if item is None:
            seq = self.head(subject) + 1
            if self.items.create({"pk": _pk(subject), "sk": _sk(key), "seq": seq}):
                return seq
            item = self.items.get(_pk(subject), _sk(key)) or {"seq": seq}
        return int(item["seq"])

    def _move(self, subject: str, key: str, held: int) -> None:
        """Claim the position after the last record instead of `held`, unless another attempt at the key moved it."""
        try:
            self.items.update(
                _pk(subject), _sk(key), {"seq": max(self.head(subject), held) + 1}, "seq = :held", {":held": held}
            )
        except ConditionFailed:
            return

    def _previous(self, subject: str, seq: int) -> str:
        if seq == 1:
            return ""
        try:
            return digest(self.objects.get(object_key(subject, seq - 1)))
        except ObjectMissing as error:
            raise LedgerBroken(f"ledger {subject}: record {seq - 1} is missing, so {seq} cannot follow") from error

    def _find(self, subject: str, seq: int) -> Record | None:
        try:
            return self.get(subject, seq)
        except ObjectMissing:
            return None

    def hinted(self, subject: str) -> int:
        """A number that the last record has at least; 0 when nothing is known."""
        item = self.items.get(_pk(subject), "HEAD")
        return int(item["latest"]) if item else 0

    def _hint(self, subject: str, seq: int) -> None:
        try:
            self.items.update(
                _pk(subject),
                "HEAD",
                {"latest": seq},
                "attribute_not_exists(latest) OR latest < :latest",
                {":latest": seq},
            )
        except ConditionFailed:
            return


def _pk(subject: str) -> str:
    return f"LEDGER#{subject}"


def _sk(key: str) -> str:
    return f"KEY#{key}"


def _wait(key: str, lost: int) -> None:
    """Sleep a share of the wait that the key and the number of attempts that it lost draw."""
    drawn = int.from_bytes(hashlib.sha256(f"{key} {lost}".encode()).digest()[:4], "big") / 2**32
    time.sleep(drawn * min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(lost, 10)))
