"""What is written beside what was refused."""

from __future__ import annotations

from typing import Any

from perennial.datasets.batches import Drop
from perennial.datasets.report import Findings
from perennial.storage.objects import Objects

# Events and states carry the reason: it must stay far below their limits
MAX_REASON = 1000


def put_report(data: Objects, drop: Drop, findings: Findings, under: str | None = None, /, **about: Any) -> str:
    """Write the report of a batch (file, dataset, batch, reason, and what `about` adds) under a prefix, the batch's
    quarantine if none is said; returns its key.
    """
    key = f"{under or drop.quarantine}report.json"
    named = {"file": drop.key, "dataset": drop.dataset, "batch": drop.batch, "reason": None}
    data.put_json(key, findings.report(**(named | about)))
    return key
