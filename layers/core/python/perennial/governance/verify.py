"""Walks the ledger's chains and says what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import BaseModel, ConfigDict

from perennial.governance.records import FACTS, Record, digest, object_key, parse_key
from perennial.storage.objects import Objects


class Chain(BaseModel):
    """One subject's chain: how many records, the SHA-256 of the last one (noted elsewhere it pins the past), faults."""

    model_config = ConfigDict(frozen=True)

    subject: str
    records: int
    head: str
    problems: list[str]


class Report(BaseModel):
    """What a verification saw."""

    model_config = ConfigDict(frozen=True)

    chains: list[Chain]
    ok: bool

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong: `<object key>: <what>`."""
        return [problem for chain in self.chains for problem in chain.problems]


def verify_chains(objects: Objects, at_least: Callable[[str], int], subject: str | None) -> Report:
    """Walk one subject's chain, or all: hashes, gaps, places, strangers, and records missing at the end.

    A chain alone cannot show that its last records are gone: `at_least(subject)` is the number that the index knows of.
    """
    groups: dict[str, list[str]] = {subject: []} if subject else {}
    for key in objects.list(f"{subject}/" if subject else ""):
        place = parse_key(key)
        groups.setdefault(place[0] if place else key.rpartition("/")[0], []).append(key)
    chains = [_walk(objects, name, keys, at_least(name)) for name, keys in groups.items()]
    return Report(chains=chains, ok=not any(chain.problems for chain in chains))


def _walk(objects: Objects, subject: str, keys: list[str], at_least: int) -> Chain:
    problems: list[str] = []
    records, previous, expected = 0, "", 1
    for key in keys:
        place = parse_key(key)
        if place is None:
            problems.append(f"{key}: is not a ledger record's key")
            continue
        gap = place[1] != expected
        if gap:
            problems.append(f"{object_key(subject, expected)}: is missing, the chain goes on at {place[1]}")
        body = objects.get(key)
        problems.extend(f"{key}: {what}" for what in _faults(body, place, None if gap else previous))
        records, previous, expected = records + 1, digest(body), place[1] + 1
    if at_least >= expected:
        problems.append(f"{object_key(subject, at_least)}: is missing, the chain ends at {expected - 1}")
    return Chain(subject=subject, records=records, head=previous, problems=problems)


def _faults(body: bytes, place: tuple[str, int], previous: str | None) -> Iterator[str]:
    """What is wrong with one record; after a gap the record before it, hence `previous`, is unknown."""
    try:
        record = Record.from_bytes(body)
        canonical = record.to_bytes() == body
    except ValueError as error:
        yield str(error)
        return
    if not canonical:
        yield "is not written canonically"
    if record.subject != place[0]:
        yield f"is a record of subject {record.subject!r}"
    if record.seq != place[1]:
        yield f"is record {record.seq}"
    if record.fact not in FACTS:
        yield f"states an unknown fact {record.fact!r}"
    if previous is not None and record.previous != previous:
        yield "does not carry the hash of the record before it"
