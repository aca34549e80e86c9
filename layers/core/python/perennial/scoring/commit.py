"""The parts of a batch become its answers, by one conditional write: `_SUCCESS`, which is the manifest.

    copy parts and refused rows → delete parts of another plan → write _SUCCESS if there is none → ledger → event →
    clean up

Readers take a folder for whole once it holds `_SUCCESS`, as those of Spark and Hive do, and pass over that file. A
crash anywhere is made good by the same call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from perennial.errors import PlanLost
from perennial.governance.ledger import Ledger
from perennial.scoring.batch import SUCCESS
from perennial.scoring.events import BATCH_SCORED, BatchScored, ScoreInput, ScoreOutput
from perennial.scoring.ranges import range_of
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects, canonical_json

# Of the plan, what the manifest tells.
_TOLD = (
    "model", "version", "sha256", "lambda_version", "code_sha256", "task", "classes", "batch", "key", "etag",
    "contract_sha256", "at", "rows", "quarantined", "carried", "output", "plan",
)  # fmt: skip
_EVIDENCE = (
    "version", "sha256", "lambda_version", "code_sha256", "batch", "key", "etag", "rows", "scored", "quarantined",
    "output", "report_key", "contract_sha256",
)  # fmt: skip


@dataclass(frozen=True)
class Stores:
    """Everything score touches."""

    data: Objects
    items: Items
    ledger: Ledger
    bus: Bus


def commit(message: ScoreInput, stores: Stores) -> ScoreOutput:
    """Commit a batch all of whose ranges are scored; one that is committed stays as it is.

    Raises PlanLost, StorageUnavailable.
    """
    if message.plan is None or message.output is None:
        raise ValueError("a commit is of a plan")
    success = message.output + SUCCESS
    manifest = stores.data.find_json(success)
    if manifest is None:
        planned = stores.data.find_json(message.plan)
        if planned is None:
            raise PlanLost(f"batch {message.batch}: its plan is gone")
        manifest = _publish(planned, stores)
        if not stores.data.create(success, canonical_json(manifest)):
            manifest = stores.data.get_json(success)
    _announce(manifest, stores)
    clean(stores.data, manifest)
    return told(manifest, "scored")


def _publish(planned: dict[str, Any], stores: Stores) -> dict[str, Any]:
    """Put everything in its place; the manifest."""
    parts = []
    for item in stores.data.get_json(planned["ranges"]):
        name = range_of(item).name
        facts = stores.data.find_json(f"{planned['staged']}parts/{name}.json")
        if facts is None:
            raise PlanLost(f"batch {planned['batch']}: {name} is not scored")
        key = f"{planned['output']}{name}.parquet"
        stores.data.copy(f"{planned['staged']}parts/{name}.parquet", key)
        parts.append({**facts, "key": key})
    _delete_others(planned["output"], {part["key"] for part in parts}, stores.data)
    scored = sum(part["rows"] for part in parts)
    if scored + planned["quarantined"] != planned["rows"]:
        raise PlanLost(f"batch {planned['batch']}: {scored} rows are scored, more or fewer than were planned")
    report_key = None
    if planned["quarantined"]:
        for name in ("rows.parquet", "report.json"):
            stores.data.copy(planned["staged"] + name, planned["quarantine"] + name)
        report_key = f"{planned['quarantine']}report.json"
    return {name: planned[name] for name in _TOLD} | {"scored": scored, "parts": parts, "report_key": report_key}


def _delete_others(output: str, keys: set[str], data: Objects) -> None:
    """Delete the parts that a try by another plan left when it died in the midst of this: its plan has expired, or it
    was lost, so nobody goes on with it.
    """
    for key in list(data.list(output)):
        if key not in keys and not key.endswith(SUCCESS):
            data.delete(key)


def _announce(manifest: dict[str, Any], stores: Stores) -> None:
    """Record and tell that a batch was scored. Repeating it adds no record."""
    at = datetime.fromisoformat(manifest["at"])
    stores.ledger.append(
        f"model/{manifest['model']}",
        "scored",
        key=f"score/{manifest['batch']}",
        at=at,
        actor="score",
        evidence={name: manifest[name] for name in _EVIDENCE},
    )
    same = ("model", "version", "batch", "key", "output", "quarantined", "report_key")
    fact = BatchScored(**{name: manifest[name] for name in same}, rows=manifest["scored"], as_of=at)
    stores.bus.put(BATCH_SCORED, fact)


def clean(data: Objects, manifest: dict[str, Any]) -> None:
    """Delete what was staged for a committed batch, its plan last; the lists of ranges are left to expire, since an
    execution of a repeated event may be about to read one.
    """
    staging = manifest["plan"].removesuffix("plan.json")
    for key in list(data.list(staging)):
        if "/" in key.removeprefix(staging):
            data.delete(key)
    data.delete(manifest["plan"])


def told(manifest: dict[str, Any], status: Literal["scored", "duplicate"]) -> ScoreOutput:
    """What a stage answers about a committed batch."""
    same = ("model", "batch", "version", "output", "quarantined", "report_key")
    return ScoreOutput(status=status, rows=manifest["scored"], **{name: manifest[name] for name in same})
