"""Dropped objects that nobody has judged: their event was lost, or their ingestion ended before it was done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from perennial.datasets.batches import RAW, Drop, not_data, parse_drop
from perennial.datasets.commit import find_batch
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.storage.workflows import Workflow

_SETTLED = {"accepted", "refused"}


@dataclass(frozen=True)
class Unsettled:
    """An object under `raw/` without a result: `unseen`, or `unfinished` when its ingestion had begun to decide."""

    drop: Drop
    at: datetime
    state: Literal["unseen", "unfinished"]


def unsettled(data: Objects, items: Items, *, before: datetime) -> Iterator[Unsettled | None]:
    """Look at every object under `raw/` that was written before `before`; None for each that is settled, or no data."""
    for entry in data.entries(RAW):
        if entry.at >= before or not_data(entry.key):
            yield None
            continue
        drop = parse_drop(entry.key, entry.etag, entry.size)
        batch = find_batch(items, drop)
        if batch is not None and batch["status"] in _SETTLED:
            yield None
        else:
            yield Unsettled(drop, entry.at, "unseen" if batch is None else "unfinished")


def ingest_again(workflow: Workflow, bucket: str, drop: Drop, at: datetime) -> str:
    """Start the ingestion of a drop as its event would have; the name of the execution.

    Ingestion of what was ingested in the meantime changes nothing, so that sweeping too much does no harm.
    """
    request: dict[str, Any] = {
        "detail": {"bucket": {"name": bucket}, "object": {"key": drop.key, "size": drop.size, "etag": drop.etag}},
        "time": at.isoformat(),
    }
    name = f"sweep-{drop.batch}-{int(at.timestamp())}"
    workflow.start(name, request)
    return name
