"""Walks the ledger's chains and says what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from perennial.governance.ledger import Ledger
from perennial.governance.records import FACTS, Record, digest, object_key, parse_key


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the object's key and what about it."""

    key: str
    what: str


@dataclass(frozen=True)
class Chain:
    """One subject's chain: how many records, and the SHA-256 of the last one (noted elsewhere, it pins the past)."""

    subject: str
    records: int
    head: str


@dataclass(frozen=True)
class Report:
    """What a verification saw. `ok` when nothing is wrong."""

    chains: list[Chain] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when every chain is whole."""
        return not self.problems

    @property
    def records(self) -> int:
        """Records in all chains."""
        return sum(chain.records for chain in self.chains)


def verify(ledger: Ledger, subject: str | None = None) -> Report:
    """Walk one subject's chain, or all: hashes, gaps, places, strangers, and records missing at the end.

    A chain alone cannot show that its last records are gone; the index in the registry table does.
    """
    report = Report()
    for name, keys in _by_subject(ledger, subject, report):
        _walk(ledger, name, keys, report)
    if subject is not None and not report.chains:
        _walk(ledger, subject, [], report)
    return report


def _by_subject(ledger: Ledger, subject: str | None, report: Report) -> Iterator[tuple[str, list[str]]]:
    """Keys in order, grouped by subject; a key that is no record's is a problem at once."""
    groups: dict[str, list[str]] = {}
    for key in ledger.objects.list(f"{subject}/" if subject else ""):
        place = parse_key(key)
        if place is None or (subject is not None and place[0] != subject):
            report.problems.append(Problem(key, "is not a ledger record's key"))
        else:
            groups.setdefault(place[0], []).append(key)
    yield from groups.items()


def _walk(ledger: Ledger, subject: str, keys: list[str], report: Report) -> None:
    previous, expected = "", 1
    for key in keys:
        body = ledger.objects.get(key)
        place = parse_key(key)
        seq = place[1] if place else 0
        if seq != expected:
            missing = object_key(subject, expected)
            report.problems.append(Problem(missing, f"is missing: the chain goes on at {seq}"))
        report.problems.extend(Problem(key, what) for what in _faults(body, subject, seq, previous, seq != expected))
        previous, expected = digest(body), seq + 1
    hinted = ledger.hinted(subject)
    if hinted >= expected:
        report.problems.append(Problem(object_key(subject, hinted), f"is missing at the end: {expected - 1} are there"))
    report.chains.append(Chain(subject, len(keys), previous))


def _faults(body: bytes, subject: str, seq: int, previous: str, after_gap: bool) -> Iterator[str]:
    try:
        record = Record.from_bytes(body)
        canonical = record.to_bytes() == body
    except ValueError as error:
        yield str(error)
        return
    if not canonical:
        yield "is not written canonically"
    if record.subject != subject:
        yield f"is a record of subject {record.subject!r}"
    if record.seq != seq:
        yield f"is record {record.seq}"
    if record.fact not in FACTS:
        yield f"states an unknown fact {record.fact!r}"
    if record.previous != previous and not after_gap:
        yield "does not carry the hash of the record before it"
