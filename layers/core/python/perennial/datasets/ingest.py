"""A dropped object becomes a dataset version, or goes to quarantine with its reasons. Nothing is ever lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perennial.catalog.contract import Contract
from perennial.catalog.load import Catalog
from perennial.datasets import commit
from perennial.datasets.batches import UNKNOWN, Drop, not_data, parse_drop
from perennial.datasets.commit import Stores
from perennial.datasets.grids import find_grid, keep_grid
from perennial.datasets.quarantine import MAX_REASON, put_report
from perennial.datasets.refusal import Refusal
from perennial.datasets.report import Findings
from perennial.datasets.source import Limits
from perennial.errors import ConditionFailed, ObjectMissing, StagingLost
from perennial.events import IngestInput, IngestOutput
from perennial.storage.items import Item


def ingest(message: IngestInput, stores: Stores, catalog: Catalog, limits: Limits | None = None) -> IngestOutput:
    """Ingest the object that an S3 event names. The same event again has the same result and adds nothing.

    Raises StorageUnavailable (the same call may succeed later) and StagingLost.
    """
    thing = message.detail.object
    drop = parse_drop(thing.key, thing.etag, thing.size, thing.version_id)
    foreign = message.detail.bucket.name != stores.data.bucket
    if reason := "another bucket's event" if foreign else not_data(drop.key):
        return _ignored(drop, reason)
    contract = catalog.contracts.get(drop.dataset)
    known = commit.find_batch(stores.items, drop)
    if known is not None and not commit.judged_anew(known, _sha256(contract)):
        return _resume(stores, drop, contract, known, limits)
    try:
        batch = _judge(stores, drop, contract, catalog, message.as_of, limits)
    except ObjectMissing:
        return _ignored(drop, "the object is gone")
    except ConditionFailed:
        return _ignored(drop, "the object was overwritten; its own event follows")
    return _finish(stores, drop, contract, batch, limits)


def _ignored(drop: Drop, reason: str) -> IngestOutput:
    return IngestOutput(status="ignored", dataset=drop.dataset, batch=drop.batch, reason=reason)


def _sha256(contract: Contract | None) -> str:
    return contract.sha256 if contract else "none"


def _resume(stores: Stores, drop: Drop, contract: Contract | None, batch: Item, limits: Limits | None) -> IngestOutput:
    if batch["status"] != "accepted":
        return _finish(stores, drop, contract, batch, limits)
    # a rival that lost the claim may have left its staged files
    commit.clean(stores.data, drop)
    return _output(drop, batch, "duplicate")


def _judge(
    stores: Stores, drop: Drop, contract: Contract | None, catalog: Catalog, at: datetime, limits: Limits | None
) -> Item:
    """Read and check the object; stage it and claim a version, or put it into quarantine."""
    about = {"contract_sha256": _sha256(contract), "at": at.astimezone(UTC).isoformat()}
    if contract is None:
        findings, refusal = Findings(), _unknown(drop, catalog)
        findings.add_refusal(refusal)
        return _quarantine(stores, drop, refusal, findings, about | {"rows": 0, "quarantined": 0})
    with TemporaryDirectory(prefix="ingest-") as folder:
        sifted = _sift(stores, drop, contract, Path(folder), limits)
        about |= {"rows": sifted.accepted, "quarantined": sifted.quarantined}
        if sifted.refusal is not None:
            return _quarantine(stores, drop, sifted.refusal, sifted.findings, about)
        return commit.claim(stores.items, drop, about | _stage(stores, drop, contract, sifted))


def _unknown(drop: Drop, catalog: Catalog) -> Refusal:
    there = ", ".join(sorted(catalog.contracts)) or "none"
    if drop.dataset == UNKNOWN:
        return Refusal(
            "datasetUnknown", f"the key names no dataset: raw/<dataset>/<file> is expected; there is {there}"
        )
    return Refusal("datasetUnknown", f"dataset {drop.dataset!r} has no contract; there is {there}")


def _sift(stores: Stores, drop: Drop, contract: Contract, folder: Path, limits: Limits | None) -> Any:
    # pyarrow takes 0.2 s to load: a repeated event does without
    from perennial.datasets.sift import refused, sift

    limits = limits or Limits()
    if drop.size > limits.file_bytes:
        message = f"{drop.size:,} bytes; at most {limits.file_bytes:,} are read here"
        return refused(Refusal("tooLarge", message))
    path = folder / "dropped"
    stores.data.fetch(drop.key, path, drop.etag, drop.version_id)
    return sift(path, drop.name, contract, folder, limits, find_grid(stores.data, contract))


def _stage(stores: Stores, drop: Drop, contract: Contract, sifted: Any) -> dict[str, Any]:
    """Write what the commit will move, and the refused rows; returns the version's facts."""
    prefix = drop.staged(contract.sha256)
    staged = [prefix + part.path.name for part in sifted.parts]
    for key, part in zip(staged, sifted.parts, strict=True):
        stores.data.upload(key, part.path)
    sifted = _on_the_grid(stores, contract, sifted)
    profile_key = f"{prefix}profile.json"
    stores.data.put_json(profile_key, {"dataset": drop.dataset, "batch": drop.batch, **sifted.profile})
    report_key = None
    if sifted.rejects is not None:
        stores.data.upload(f"{drop.quarantine}rows.parquet", sifted.rejects)
        report_key = put_report(stores.data, drop, sifted.findings, rows=sifted.rows, quarantined=sifted.quarantined)
    times = sifted.profile["columns"].get(contract.event_time, {})
    return {
        "staged": [*staged, profile_key],
        "file_sha256": [part.sha256 for part in sifted.parts],
        "content_sha256": sifted.content_sha256,
        "report_key": report_key,
        "first_event_time": times.get("min"),
        "last_event_time": times.get("max"),
    }


def _on_the_grid(stores: Stores, contract: Contract, sifted: Any) -> Any:
    """Histograms are counted on one grid for all versions; one that has just been made is kept for the next."""
    if sifted.grid is None:
        return sifted
    grid = keep_grid(stores.data, contract, sifted.grid)
    # another version of the dataset may have made the grid a moment ago
    return sifted if grid == sifted.grid else sifted.recounted(contract, grid)


def _quarantine(stores: Stores, drop: Drop, refusal: Refusal, findings: Findings, about: dict[str, Any]) -> Item:
    stores.data.copy(drop.key, drop.original, drop.version_id)
    reason = f"{refusal.rule}: {refusal.message}"[:MAX_REASON]
    counted = {"rows": about["quarantined"], "quarantined": about["quarantined"]}
    key = put_report(stores.data, drop, findings, **counted, reason=reason)
    return commit.refuse(stores.items, drop, about | {"reason": reason, "report_key": key})


def _finish(stores: Stores, drop: Drop, contract: Contract | None, batch: Item, limits: Limits | None) -> IngestOutput:
    """Everything after the decision, from wherever the last attempt left it."""
    if batch["status"] == "accepted":
        return _resume(stores, drop, contract, batch, limits)
    if batch["status"] in {"refusing", "refused"}:
        if batch["status"] == "refusing":
            commit.announce_refusal(stores, drop, batch)
        return _output(drop, batch, "refused")
    try:
        version = commit.publish(stores, drop.dataset, batch["version"])
    except StagingLost:
        _stage_again(stores, drop, contract, batch, limits)
        version = commit.publish(stores, drop.dataset, batch["version"])
    commit.announce(stores, drop, version)
    return _output(drop, batch, "accepted")


def _stage_again(stores: Stores, drop: Drop, contract: Contract | None, batch: Item, limits: Limits | None) -> None:
    """A claim outlived its staged files (they expire): make them again from the same bytes under the same contract."""
    what = f"dataset {drop.dataset} version {batch['version']}"
    if contract is None or contract.sha256 != batch["contract_sha256"]:
        raise StagingLost(f"{what}: the contract under which it was committed has changed since")
    with TemporaryDirectory(prefix="ingest-") as folder:
        try:
            sifted = _sift(stores, drop, contract, Path(folder), limits)
        except (ObjectMissing, ConditionFailed) as error:
            raise StagingLost(f"{what}: {error}") from error
        if sifted.refusal is not None:
            raise StagingLost(f"{what}: {sifted.refusal.message}")
        _stage(stores, drop, contract, sifted)


def _output(drop: Drop, batch: Item, status: Any) -> IngestOutput:
    return IngestOutput(
        status=status,
        dataset=drop.dataset,
        batch=drop.batch,
        version=batch.get("version"),
        rows=batch.get("rows", 0),
        quarantined=batch.get("quarantined", 0),
        report_key=batch.get("report_key"),
        reason=batch.get("reason"),
    )
