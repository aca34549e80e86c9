"""Stage feedback by file: an object under `feedback/<model>/` becomes outcomes; rows that are none go to quarantine.

Nothing notes that an event was done: doing it again writes the same objects, the same report, the same record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from perennial.catalog.load import Catalog
from perennial.catalog.model import NAME
from perennial.datasets.batches import UNKNOWN, Drop, not_data
from perennial.datasets.names import column_names
from perennial.datasets.quarantine import MAX_REASON, put_report
from perennial.datasets.refusal import Refusal
from perennial.datasets.sift import Sifted, refused, sift
from perennial.datasets.source import Limits, checked_kind
from perennial.errors import ConditionFailed, ObjectMissing
from perennial.governance.ledger import Ledger
from perennial.outcomes.events import (
    OUTCOMES_ACCEPTED,
    OUTCOMES_REFUSED,
    FeedbackInput,
    FeedbackOutput,
    OutcomesAccepted,
    OutcomesRefused,
)
from perennial.outcomes.record import Outcome
from perennial.outcomes.store import INBOX, MAX_LINES, write_outcomes
from perennial.outcomes.table import outcome_contract, outcomes_of
from perennial.storage.bus import Bus
from perennial.storage.objects import Objects

# Two million rows take about a minute and a half (46 µs each), in 230 MB; more come in several files
LIMITS = Limits(file_bytes=256 * 1024**2, text_bytes=1024**3, rows=2_000_000)


@dataclass(frozen=True)
class Stores:
    """Where outcomes, reports and facts go."""

    data: Objects
    ledger: Ledger
    bus: Bus


def subject_of(model: str) -> str:
    """The ledger's subject for files of outcomes."""
    return f"feedback/{model}"


def record_key(drop: Drop, fact: str) -> str:
    """The ledger's key for what became of a file: under another catalog it may be judged otherwise."""
    return f"feedback/{drop.batch}/{fact}"


def parse_feedback(key: str, etag: str, size: int = 0, version_id: str | None = None) -> tuple[str, Drop]:
    """Model and drop of an object: the first folder is the model. Quarantine keeps it where no dataset can be."""
    model, slash, rest = key.removeprefix(INBOX).partition("/")
    known = model if slash and rest and re.fullmatch(NAME, model) else UNKNOWN
    return known, Drop(key, etag.strip('"'), f"_feedback/{known}", key.rsplit("/", 1)[-1], size, version_id)


def record_file(message: FeedbackInput, stores: Stores, catalog: Catalog, limits: Limits = LIMITS) -> FeedbackOutput:
    """Record the outcomes of the object that an S3 event names. Raises StorageUnavailable."""
    thing = message.detail.object
    model, drop = parse_feedback(thing.key, thing.etag, thing.size, thing.version_id)
    foreign = message.detail.bucket.name != stores.data.bucket
    if reason := "another bucket's event" if foreign else not_data(drop.key, INBOX):
        return FeedbackOutput(status="ignored", model=model, batch=drop.batch, reason=reason)
    with TemporaryDirectory(prefix="feedback-") as folder:
        try:
            return _File(stores, catalog, model, drop, message.as_of.astimezone(UTC)).record(Path(folder), limits)
        except ObjectMissing:
            reason = "the object is gone"
        except ConditionFailed:
            reason = "the object was overwritten; its own event follows"
    return FeedbackOutput(status="ignored", model=model, batch=drop.batch, reason=reason)


@dataclass(frozen=True)
class _File:
    stores: Stores
    catalog: Catalog
    model: str
    drop: Drop
    at: datetime

    def record(self, folder: Path, limits: Limits) -> FeedbackOutput:
        """Everything that one file comes to."""
        try:
            sifted = self._sift(folder, limits)
        except Refusal as refusal:
            sifted = refused(refusal)
        if sifted.refusal is not None:
            return self._refuse(sifted, sifted.refusal)
        spec = self.catalog.model(self.model)
        rows = outcomes_of([part.path for part in sifted.parts], spec, self.at)
        for chunk in _chunks(rows):
            write_outcomes(self.stores.data, self.model, chunk)
        report_key = None
        if sifted.rejects is not None:
            self.stores.data.upload(f"{self.drop.quarantine}rows.parquet", sifted.rejects)
            counted = {"rows": sifted.rows, "quarantined": sifted.quarantined}
            report_key = put_report(self.stores.data, self.drop, sifted.findings, **counted)
        return self._accept(sifted.accepted, sifted.quarantined, report_key)

    def _sift(self, folder: Path, limits: Limits) -> Sifted:
        if self.model not in self.catalog.models:
            there = ", ".join(sorted(self.catalog.models)) or "none"
            raise Refusal(
                "modelUnknown", f"the key names no model: {INBOX}<model>/<file> is expected; there is {there}"
            )
        if self.drop.size > limits.file_bytes:
            raise Refusal("tooLarge", f"{self.drop.size:,} bytes; at most {limits.file_bytes:,} are read here")
        path = folder / "dropped"
        self.stores.data.fetch(self.drop.key, path, self.drop.etag, self.drop.version_id)
        names = column_names(path, checked_kind(path, self.drop.name, limits), limits)
        spec = self.catalog.model(self.model)
        contract = outcome_contract(spec, self.catalog.contract(spec.dataset), names, self.at)
        return sift(path, self.drop.name, contract, folder, limits)

    def _accept(self, outcomes: int, quarantined: int, report_key: str | None) -> FeedbackOutput:
        counted: dict[str, Any] = {"outcomes": outcomes, "quarantined": quarantined}
        fact = OutcomesAccepted(model=self.model, batch=self.drop.batch, **counted, as_of=self.at)
        self.stores.bus.put(OUTCOMES_ACCEPTED, fact)
        self._note("accepted", {**counted, "report_key": report_key})
        about = {"model": self.model, "batch": self.drop.batch, "report_key": report_key}
        return FeedbackOutput(status="accepted", **about, **counted)

    def _refuse(self, sifted: Sifted, refusal: Refusal) -> FeedbackOutput:
        drop = self.drop
        self.stores.data.copy(drop.key, drop.original, drop.version_id)
        reason = f"{refusal.rule}: {refusal.message}"[:MAX_REASON]
        counted = {"rows": sifted.rows, "quarantined": sifted.rows}
        key = put_report(self.stores.data, drop, sifted.findings, **counted, reason=reason)
        about: dict[str, Any] = {"reason": reason, "report_key": key}
        fact = OutcomesRefused(model=self.model, batch=drop.batch, key=drop.key, **about, as_of=self.at)
        self.stores.bus.put(OUTCOMES_REFUSED, fact)
        self._note("refused", {**about, "quarantined": sifted.rows})
        return FeedbackOutput(status="refused", model=self.model, batch=drop.batch, quarantined=sifted.rows, **about)

    def _note(self, fact: Literal["accepted", "refused"], evidence: dict[str, Any]) -> None:
        """The record comes last: who finds it knows that all the rest is done."""
        self.stores.ledger.append(
            subject_of(self.model),
            fact,
            key=record_key(self.drop, fact),
            at=self.at,
            actor="feedback",
            evidence={"batch": self.drop.batch, "key": self.drop.key, **evidence},
        )


def _chunks(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    """As many at a time as an object holds."""
    rows = iter(outcomes)
    while chunk := list(islice(rows, MAX_LINES)):
        yield chunk
