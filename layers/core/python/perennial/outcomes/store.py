"""Where outcomes lie: `outcomes/<model>/date=<date of arrival, UTC>/<digest>.jsonl.gz`.

An object is named by what its outcomes say, in no order, and is written once (If-None-Match): the same request or file
again adds nothing on the same day. On another day it adds an object which says nothing new, so reading it changes
nothing either.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import takewhile
from typing import NamedTuple

from perennial.outcomes.record import Outcome, parse_outcome
from perennial.serving.log import keys_of_dates, parse_lines
from perennial.storage.objects import Objects, canonical_json

OUTCOMES = "outcomes/"
# Where people drop files of outcomes: feedback/<model>/<any path>
INBOX = "feedback/"
# In one object: some megabytes in memory, some hundred kilobytes at rest
MAX_LINES = 50_000


class Written(NamedTuple):
    """`accepted` outcomes are new; `duplicates` say what this call, or an earlier one, has said already."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class Outcomes:
    """What stands: for each subject the newest outcome. `repeats` said the same again; `conflicts` are the subjects of
    which different things were said.
    """

    standing: list[Outcome]
    repeats: int
    conflicts: int

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.standing)

    def __len__(self) -> int:
        return len(self.standing)


def write_outcomes(objects: Objects, model: str, outcomes: Iterable[Outcome]) -> Written:
    """Record outcomes of a model; what is there already is not written again. Raises StorageUnavailable."""
    accepted = said = 0
    days: dict[date, dict[str, Outcome]] = defaultdict(dict)
    for outcome in outcomes:
        said += 1
        days[outcome.received_at.astimezone(UTC).date()].setdefault(outcome.digest, outcome)
    for day, distinct in days.items():
        ordered = sorted(distinct)
        for start in range(0, len(ordered), MAX_LINES):
            digests = ordered[start : start + MAX_LINES]
            lines = b"".join(canonical_json(distinct[digest].line()) + b"\n" for digest in digests)
            key = f"{OUTCOMES}{model}/date={day:%Y-%m-%d}/{_name(digests)}.jsonl.gz"
            if objects.create(key, gzip.compress(lines, mtime=0), "application/gzip"):
                accepted += len(digests)
    return Written(accepted, said - accepted)


def batch_of(outcomes: Iterable[Outcome]) -> str:
    """32 hex digits that name what these outcomes say together, in whatever order and however often each."""
    return _name(sorted({outcome.digest for outcome in outcomes}))


def _name(digests: list[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]


def read_outcomes(objects: Objects, model: str, first: date, last: date) -> Outcomes:
    """The outcomes of a model that arrived on the dates `first` to `last` (UTC), one per subject, in order of subject.

    Keeps all of them in memory, about a kilobyte each. Raises StorageUnavailable.
    """
    prefix = f"{OUTCOMES}{model}/"
    return settle(
        parse_outcome(line)
        for key in keys_of_dates(objects, prefix, first, last)
        for line in parse_lines(objects.get(key))
    )


def first_outcomes(objects: Objects, model: str, first: date, last: date, most: int) -> Outcomes:
    """As `read_outcomes`, but of the `most` objects at most that were written first.

    So a later call reads again whatever an earlier one has read, and only more of it. Raises StorageUnavailable.
    """
    prefix = f"{OUTCOMES}{model}/"
    beyond = f"{prefix}date={last + timedelta(days=1):%Y-%m-%d}/"
    listed = objects.entries(f"{prefix}date=", start_after=f"{prefix}date={first:%Y-%m-%d}/")
    found = sorted((entry.at, entry.key) for entry in takewhile(lambda entry: entry.key < beyond, listed))
    return settle(parse_outcome(line) for _, key in found[:most] for line in parse_lines(objects.get(key)))


def settle(outcomes: Iterable[Outcome]) -> Outcomes:
    """For each subject the outcome that stands; the same whatever the order, and however often one is repeated."""
    standing: dict[tuple[object, ...], Outcome] = {}
    said: dict[tuple[object, ...], set[tuple[object, ...]]] = defaultdict(set)
    count = 0
    for outcome in outcomes:
        count += 1
        subject = outcome.subject
        said[subject].add((outcome.outcome, outcome.amount))
        if subject not in standing or standing[subject].rank < outcome.rank:
            standing[subject] = outcome
    conflicts = sum(len(values) > 1 for values in said.values())
    ordered = sorted(standing.values(), key=lambda outcome: repr(outcome.subject))
    return Outcomes(ordered, count - sum(map(len, said.values())), conflicts)
