"""A file under `score/<model>/in/` becomes a plan: the version that scores it, and the ranges of its rows.

    read and check → stage rows, refused rows and their report → one conditional write of the plan

The plan pins the champion of that moment. It is the first that stands, whoever else reads the same file: what is staged
lies under a digest of what it was made with. It goes when the batch is committed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perennial.catalog.contract import Contract
from perennial.catalog.load import Catalog
from perennial.datasets.quarantine import MAX_REASON, put_report
from perennial.datasets.refusal import Refusal
from perennial.datasets.report import Findings
from perennial.datasets.source import Limits
from perennial.errors import ConditionFailed, NothingServes, ObjectMissing
from perennial.registry import ModelVersion, Registry
from perennial.registry.fetch import fetch
from perennial.scoring.batch import SUCCESS, Batch, not_scored, parse_batch
from perennial.scoring.commit import Stores, clean, told
from perennial.scoring.events import BATCH_REFUSED, BatchRefused, ScoreInput, ScoreOutput
from perennial.scoring.ranges import range_of
from perennial.scoring.survey import Survey, survey
from perennial.serving.signature import Signature, parse_signature
from perennial.storage.objects import canonical_json


@dataclass(frozen=True)
class _Setting:
    """What a file is read with."""

    batch: Batch
    contract: Contract
    champion: ModelVersion
    facts: dict[str, Any]

    @property
    def staged(self) -> str:
        """Prefix of what is staged under exactly these facts."""
        return f"{self.batch.staging}{hashlib.sha256(canonical_json(self.facts)).hexdigest()[:16]}/"


def plan(
    message: ScoreInput, stores: Stores, catalog: Catalog, range_rows: int, limits: Limits | None = None
) -> ScoreOutput:
    """Plan the scoring of the object that an S3 event names. The same event again has the same plan.

    Raises ModelUnknown, NothingServes, BundleInvalid, StorageUnavailable; the file stays where it is.
    """
    if message.detail is None:
        raise ValueError("a plan is of an S3 event")
    thing = message.detail.object
    batch = parse_batch(thing.key, thing.etag, thing.size, thing.version_id)
    foreign = message.detail.bucket.name != stores.data.bucket
    reason = "another bucket's event" if foreign else not_scored(batch)
    if reason or batch is None:
        return ScoreOutput(status="ignored", reason=reason)
    spec = catalog.model(batch.model)
    if known := _known(batch, stores):
        return known
    champion = Registry(stores.items).champion(batch.model)
    if champion is None:
        raise NothingServes(f"model {batch.model} has no version that serves yet; {thing.key} waits for one")
    contract = catalog.contract(spec.dataset)
    facts = _facts(batch, champion, contract, message.as_of, range_rows)
    try:
        return _make(_Setting(batch, contract, champion, facts), stores, limits or Limits())
    except ConditionFailed:
        return ScoreOutput(status="ignored", reason="the object was overwritten; its own event follows")


def _known(batch: Batch, stores: Stores) -> ScoreOutput | None:
    """What became of the batch, or its plan when that can still be followed."""
    manifest = stores.data.find_json(batch.output + SUCCESS)
    planned = stores.data.find_json(batch.plan_key)
    if planned is not None and (manifest is not None or _whole(planned, stores)):
        return _planned(batch, planned)
    if manifest is not None:
        # a rival that read the same file may have left what it staged
        clean(stores.data, manifest)
        return told(manifest, "duplicate")
    stores.data.delete(batch.plan_key)
    return None


def _whole(planned: dict[str, Any], stores: Stores) -> bool:
    """Whether all that the plan is about is still in staging, each range as rows or scored already."""
    base = planned["staged"]
    there = set(stores.data.list(base))
    listed = stores.data.find_json(planned["ranges"]) or []
    names = [range_of(item).name for item in listed]
    whole = all({f"{base}rows/{name}.parquet", f"{base}parts/{name}.json"} & there for name in names)
    return bool(names) and whole and (not planned["quarantined"] or f"{base}report.json" in there)


def _facts(
    batch: Batch, champion: ModelVersion, contract: Contract, as_of: datetime, range_rows: int
) -> dict[str, Any]:
    pinned = {name: getattr(champion, name) for name in ("version", "sha256", "lambda_version", "code_sha256")}
    return pinned | {
        "model": batch.model,
        "batch": batch.name,
        "key": batch.drop.key,
        "etag": batch.drop.etag,
        "output": batch.output,
        "plan": batch.plan_key,
        "contract_sha256": contract.sha256,
        "range_rows": range_rows,
        "at": as_of.astimezone(UTC).isoformat(),
    }


def _make(setting: _Setting, stores: Stores, limits: Limits) -> ScoreOutput:
    """Read the file and stage what is in it, or put it into quarantine."""
    with TemporaryDirectory(prefix="score-") as folder:
        root = Path(folder)
        (root / "bundle").mkdir()
        signature = parse_signature(fetch(setting.champion, stores.data, root / "bundle").signature)
        try:
            surveyed = _survey(setting, stores, signature, root, limits)
        except ObjectMissing:
            return ScoreOutput(status="ignored", reason="the object is gone")
        if surveyed.refusal is not None:
            return _refuse(setting, stores, surveyed, surveyed.refusal)
        return _stage(setting, stores, surveyed, signature, root)


def _survey(setting: _Setting, stores: Stores, signature: Signature, root: Path, limits: Limits) -> Survey:
    drop = setting.batch.drop
    if drop.size > limits.file_bytes:
        refusal, findings = Refusal("tooLarge", f"{drop.size:,} bytes; at most {limits.file_bytes:,}"), Findings()
        findings.add_refusal(refusal)
        return Survey([], [], 0, 0, refusal, findings, None)
    stores.data.fetch(drop.key, root / "file", drop.etag, drop.version_id)
    size = setting.facts["range_rows"]
    return survey(root / "file", drop.name, signature, setting.contract, root, size, limits)


def _stage(setting: _Setting, stores: Stores, surveyed: Survey, signature: Signature, root: Path) -> ScoreOutput:
    batch, staged = setting.batch, setting.staged
    for one in surveyed.ranges:
        stores.data.upload(f"{staged}rows/{one.name}.parquet", root / "rows" / f"{one.name}.parquet")
    if surveyed.rejects is not None:
        stores.data.upload(f"{staged}rows.parquet", surveyed.rejects)
        _report(setting, stores, surveyed, staged)
    # beside what is cleaned up: an execution that is late to it must find it
    ranges = f"{batch.staging}ranges-{staged[-17:-1]}.json"
    stores.data.put_json(ranges, [one.to_json() for one in surveyed.ranges])
    made = setting.facts | {
        "staged": staged,
        "ranges": ranges,
        "quarantine": batch.drop.quarantine,
        "carried": surveyed.carried,
        "task": signature.task,
        "classes": signature.classes,
        "rows": surveyed.rows,
        "quarantined": surveyed.quarantined,
    }
    if not stores.data.create(batch.plan_key, canonical_json(made)):
        made = stores.data.get_json(batch.plan_key)
    return _planned(batch, made)


def _planned(batch: Batch, planned: dict[str, Any]) -> ScoreOutput:
    return ScoreOutput(
        status="planned",
        model=batch.model,
        batch=batch.name,
        version=planned["version"],
        plan=batch.plan_key,
        ranges=planned["ranges"],
        output=batch.output,
        rows=planned["rows"] - planned["quarantined"],
        quarantined=planned["quarantined"],
    )


def _report(setting: _Setting, stores: Stores, surveyed: Survey, under: str | None = None, **about: Any) -> str:
    counted = {"rows": surveyed.rows, "quarantined": surveyed.quarantined}
    batch, findings = setting.batch, surveyed.findings
    return put_report(stores.data, batch.drop, findings, under, model=batch.model, **counted, **about)


def _refuse(setting: _Setting, stores: Stores, surveyed: Survey, refusal: Refusal) -> ScoreOutput:
    """Put the whole file into quarantine, record and tell it. Repeating it adds no record."""
    batch, drop = setting.batch, setting.batch.drop
    reason = f"{refusal.rule}: {refusal.message}"[:MAX_REASON]
    stores.data.copy(drop.key, drop.original, drop.version_id)
    report_key = _report(setting, stores, surveyed, reason=reason)
    at = datetime.fromisoformat(setting.facts["at"])
    shown = ("version", "sha256", "contract_sha256", "batch", "key")
    stores.ledger.append(
        f"model/{batch.model}",
        "refused",
        # another champion, or another contract, may judge the same file otherwise
        key=f"score/{batch.name}/{setting.champion.sha256[:16]}/{setting.contract.sha256[:16]}",
        at=at,
        actor="score",
        evidence={name: setting.facts[name] for name in shown} | {"reason": reason, "report_key": report_key},
    )
    fact = BatchRefused(
        model=batch.model, batch=batch.name, key=drop.key, reason=reason, report_key=report_key, as_of=at
    )
    stores.bus.put(BATCH_REFUSED, fact)
    return ScoreOutput(
        status="refused",
        model=batch.model,
        batch=batch.name,
        version=setting.champion.version,
        quarantined=surveyed.quarantined,
        report_key=report_key,
        reason=reason,
    )
