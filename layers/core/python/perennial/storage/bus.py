"""Perennial's own event bus."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from perennial.errors import StorageUnavailable
from perennial.events import SOURCE
from perennial.storage.translate import client, translated


@dataclass(frozen=True)
class Bus:
    """The bus `perennial-<env>`; delivery is at least once, so consumers deduplicate."""

    name: str

    def put(self, fact: str, detail: BaseModel) -> None:
        """Put one fact (a detail-type in the past tense). Raises StorageUnavailable when the bus did not take it."""
        entry = {"EventBusName": self.name, "Source": SOURCE, "DetailType": fact, "Detail": detail.model_dump_json()}
        with translated(f"put event {fact} on {self.name}"):
            reply = client("events").put_events(Entries=[entry])
        if reply.get("FailedEntryCount"):
            raise StorageUnavailable(f"put event {fact} on {self.name}: {reply['Entries']}")
