"""What the demo must have seen for every stage to have done its job. Each check raises Failure when it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.cli.output import Failure

LEAKS_ABOVE, USELESS_BELOW = 0.80, 0.55
FEWEST_REQUESTS = 1000
LONGEST = 240.0  # seconds
FACTS = ("trained", "gated", "registered", "deployed")


def expect(condition: bool, message: str) -> None:
    """Raise Failure with the message unless the condition holds."""
    if not condition:
        raise Failure(message)


def every_row_is_kept(versions: Sequence[Mapping[str, Any]], file_rows: Sequence[int]) -> None:
    """One dataset version per file, numbered from 1; each row of a file is in its version or in quarantine."""
    numbers = [version["version"] for version in versions]
    expect(numbers == list(range(1, len(file_rows) + 1)), f"{len(file_rows)} files became the versions {numbers}")
    kept = sorted(version["rows"] + version["quarantined"] for version in versions)
    expect(kept == sorted(file_rows), f"files of {sorted(file_rows)} rows became versions of {kept}")


def trained_once(executions: Sequence[Mapping[str, Any]], champion: int | None) -> None:
    """One training, which succeeded and put version 1 into service."""
    for execution in executions:
        expect(execution["status"] == "SUCCEEDED", f"{execution['name']} {execution['status']}: {execution['why']}")
    expect(len(executions) == 1, f"three files must start one training, not {len(executions)}")
    expect(champion is not None, "no version became champion")
    expect(champion == 1, f"the champion is version {champion}, not 1")


def predictions_are_honest(requests: Mapping[str, Any], faults: Sequence[str]) -> None:
    """Enough requests, none failed, and an AUC that neither a leak nor a useless model has."""
    expect(not faults, f"{len(faults)} of {requests['count']} requests failed, the first with: {faults[:1]}")
    expect(requests["count"] >= FEWEST_REQUESTS, f"only {requests['count']} requests were sent")
    auc = requests["auc"]
    expect(auc is not None, "the flights that landed are of one class: there is no AUC")
    expect(auc <= LEAKS_ABOVE, f"AUC {auc:.3f} is above {LEAKS_ABOVE}: a column leaks the label")
    expect(auc >= USELESS_BELOW, f"AUC {auc:.3f} is below {USELESS_BELOW}: the model learned nothing")


def story_is_complete(facts: Sequence[str]) -> None:
    """The ledger of the model has each decision of one training once."""
    for fact in FACTS:
        count = list(facts).count(fact)
        expect(count == 1, f"the ledger of the model has {count} records of {fact!r}: {list(facts)}")


def in_time(seconds: float) -> None:
    """The whole demo took no longer than it may."""
    expect(seconds <= LONGEST, f"it took {seconds:.0f} s, more than {LONGEST:.0f}")
