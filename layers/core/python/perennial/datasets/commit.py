"""From staged files to a dataset version: one conditional write decides, everything after it can be repeated.

    staged files → claim (transaction: HEAD, VERSION, BATCH) → copy to curated/ → profile → partition → published
                 → ledger → event → staging cleaned → batch accepted

A crash before the claim leaves nothing that readers see; after it, the same call finds its own claim and goes on with
the same number. So numbers have no gaps, a batch has at most one, and a version that is listed has all its files.
The event may be put twice (a crash between it and the last write): the bus delivers at least once anyway.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial.datasets.batches import Drop
from perennial.datasets.versions import batch_sk, curated_prefix, dataset_pk, version_sk
from perennial.errors import ConditionFailed, ObjectMissing, StagingLost, StorageUnavailable
from perennial.events import (
    DATASET_BATCH_REFUSED,
    DATASET_VERSION_ACCEPTED,
    DatasetBatchRefused,
    DatasetVersionAccepted,
)
from perennial.governance.ledger import Ledger
from perennial.storage.bus import Bus
from perennial.storage.items import ABSENT, Item, Items
from perennial.storage.objects import Objects
from perennial.storage.partitions import Partitions

# Two drops at once: the loser of each transaction tries the next number. Fifty rounds outlast any crowd of drops that
# one account's concurrency allows; the waits sum to about 15 s.
_ATTEMPTS = 50
_LONGEST_WAIT_S = 0.5


@dataclass(frozen=True)
class Stores:
    """Everything ingest touches."""

    data: Objects
    items: Items
    ledger: Ledger
    bus: Bus
    partitions: Partitions


def find_batch(items: Items, drop: Drop) -> Item | None:
    """What is known of a batch: status `committed`, `accepted`, `refusing` or `refused`."""
    return items.get(dataset_pk(drop.dataset), batch_sk(drop.batch))


def claim(items: Items, drop: Drop, facts: dict[str, Any]) -> Item:
    """Make the batch the next version of its dataset; returns its BATCH item, or the one it had already.

    `facts` are the version's attributes but for its number and the keys that follow from it; `staged` are its files.
    """
    pk = dataset_pk(drop.dataset)
    for attempt in range(_ATTEMPTS):
        head = items.get(pk, "HEAD")
        latest = int(head["latest"]) if head else 0
        batch = _batch_item(drop, facts, "committed") | {"version": latest + 1}
        try:
            items.transact(
                items.put_action({"pk": pk, "sk": "HEAD", "latest": latest + 1}, *_unmoved(head)),
                items.put_action(_version_item(drop, facts, latest + 1), ABSENT),
                items.put_action(batch, *_unjudged(facts)),
            )
        except (ConditionFailed, StorageUnavailable) as error:
            found = find_batch(items, drop)
            if found is not None and not judged_anew(found, facts["contract_sha256"]):
                return found
            if attempt == _ATTEMPTS - 1:
                raise StorageUnavailable(f"dataset {drop.dataset}: no version claimed: {error}") from error
            time.sleep(random.uniform(0, min(_LONGEST_WAIT_S, 0.02 * 2**attempt)))  # noqa: S311 - spreads rivals
        else:
            return batch
    raise AssertionError("unreachable")


def judged_anew(batch: Item, contract_sha256: str) -> bool:
    """Whether a batch may be judged again: it was refused, under another contract than today's."""
    return batch["status"] in {"refusing", "refused"} and batch["contract_sha256"] != contract_sha256


def publish(stores: Stores, dataset: str, number: int) -> Item:
    """Put a claimed version's files in place and list it; returns its item. Repeating it changes nothing.

    Raises StagingLost when staged files are gone and the version is not published.
    """
    pk, sk = dataset_pk(dataset), version_sk(number)
    version = stores.items.get(pk, sk)
    if version is None:
        raise StagingLost(f"dataset {dataset} version {number}: its item was deleted")
    if version["state"] == "published":
        return version
    targets = [*version["files"], version["profile_key"]]
    try:
        for staged, target in zip(version["staged"], targets, strict=True):
            stores.data.copy(staged, target)
    except ObjectMissing as error:
        # a second delivery of the same event may have published, and cleaned up, a moment ago
        again = stores.items.get(pk, sk)
        if again is not None and again["state"] == "published":
            return again
        raise StagingLost(f"dataset {dataset} version {number}: {error}") from error
    location = f"s3://{stores.data.bucket}/{curated_prefix(dataset, number)}"
    stores.partitions.add(dataset.replace("-", "_"), [f"{number:08d}"], location)
    stores.items.update(pk, sk, {"state": "published"})
    return version


def announce(stores: Stores, drop: Drop, version: Item) -> None:
    """Record and tell that a version was accepted, then clean up. Repeating it adds no record."""
    number, at = int(version["version"]), datetime.fromisoformat(version["at"])
    shown = ("version", "batch", "key", "rows", "quarantined", "content_sha256", "contract_sha256", "report_key")
    stores.ledger.append(
        f"dataset/{drop.dataset}",
        "accepted",
        key=f"ingest/{drop.batch}",
        at=at,
        actor="ingest",
        evidence={name: version[name] for name in shown if name in version},
    )
    fact = DatasetVersionAccepted(
        dataset=drop.dataset,
        version=number,
        batch=drop.batch,
        rows=version["rows"],
        quarantined=version["quarantined"],
        as_of=at,
    )
    stores.bus.put(DATASET_VERSION_ACCEPTED, fact)
    clean(stores.data, drop)
    stores.items.update(dataset_pk(drop.dataset), batch_sk(drop.batch), {"status": "accepted"})


def clean(data: Objects, drop: Drop) -> None:
    """Delete what was staged for a batch."""
    for key in list(data.list(drop.staging)):
        data.delete(key)


def refuse(items: Items, drop: Drop, facts: dict[str, Any]) -> Item:
    """Note that a batch goes to quarantine whole; returns its BATCH item, or the one it had already."""
    batch = _batch_item(drop, facts, "refusing")
    try:
        items.put(batch, *_unjudged(facts))
    except ConditionFailed:
        return find_batch(items, drop) or batch
    return batch


def announce_refusal(stores: Stores, drop: Drop, batch: Item) -> None:
    """Record and tell that a batch was refused. Repeating it adds no record."""
    at = datetime.fromisoformat(batch["at"])
    shown = ("batch", "key", "reason", "rows", "report_key", "contract_sha256")
    stores.ledger.append(
        f"dataset/{drop.dataset}",
        "refused",
        key=f"ingest/{drop.batch}/{batch['contract_sha256'][:16]}",
        at=at,
        actor="ingest",
        evidence={name: batch[name] for name in shown if name in batch},
    )
    fact = DatasetBatchRefused(
        dataset=drop.dataset,
        batch=drop.batch,
        key=drop.key,
        reason=batch["reason"],
        report_key=batch["report_key"],
        as_of=at,
    )
    stores.bus.put(DATASET_BATCH_REFUSED, fact)
    stores.items.update(dataset_pk(drop.dataset), batch_sk(drop.batch), {"status": "refused"})


def _batch_item(drop: Drop, facts: dict[str, Any], status: str) -> Item:
    shown = ("rows", "quarantined", "reason", "report_key", "contract_sha256", "at")
    return {
        "pk": dataset_pk(drop.dataset),
        "sk": batch_sk(drop.batch),
        "dataset": drop.dataset,
        "batch": drop.batch,
        "key": drop.key,
        "status": status,
        **{name: facts[name] for name in shown if facts.get(name) is not None},
    }


def _version_item(drop: Drop, facts: dict[str, Any], number: int) -> Item:
    prefix = curated_prefix(drop.dataset, number)
    parts = [key.rsplit("/", 1)[-1] for key in facts["staged"][:-1]]
    return {
        "pk": dataset_pk(drop.dataset),
        "sk": version_sk(number),
        "dataset": drop.dataset,
        "version": number,
        "batch": drop.batch,
        "key": drop.key,
        "state": "committed",
        "files": [prefix + part for part in parts],
        "profile_key": f"profiles/{drop.dataset}/version={number:08d}.json",
        **facts,
    }


def _unmoved(head: Item | None) -> tuple[str, dict[str, Any] | None]:
    return (ABSENT, None) if head is None else ("latest = :latest", {":latest": head["latest"]})


def _unjudged(facts: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, str]]:
    """No one judged the batch yet, or it was refused under another contract."""
    return (
        f"{ABSENT} OR (#status IN (:refusing, :refused) AND contract_sha256 <> :contract)",
        {":refusing": "refusing", ":refused": "refused", ":contract": facts["contract_sha256"]},
        {"#status": "status"},
    )
