"""What a file to be scored is called: its model, its batch, where its answers go."""

from __future__ import annotations

import re
from dataclasses import dataclass

from perennial.datasets.batches import MAX_KEY, Drop, not_data

_KEY = re.compile(r"score/(?P<model>[^/]+)/in/(?P<path>.+)", re.DOTALL)
# The longest name of a part below its batch's folder
_LONGEST_PART = len("part-100000000-100000000.parquet")
SUCCESS = "_SUCCESS"
STAGING = "staging/score/"


@dataclass(frozen=True)
class Batch:
    """One file under `score/<model>/in/`; `path` is what follows. The same bytes under the same key are the same batch.

    `drop` is the object as ingestion would see it, in a dataset that cannot be: it names the batch and its quarantine.
    """

    model: str
    path: str
    drop: Drop

    @property
    def name(self) -> str:
        """20 hex digits."""
        return self.drop.batch

    @property
    def output(self) -> str:
        """Prefix of the answers: the file's path, or as much of its end as a key can hold, and the batch."""
        front, back = f"score/{self.model}/out/", f"/{self.name}/"
        room = MAX_KEY - len((front + back).encode()) - _LONGEST_PART
        return front + self.path.encode("utf-8", "surrogatepass")[-room:].decode("utf-8", "ignore") + back

    @property
    def staging(self) -> str:
        """Prefix of what is written before the commit."""
        return f"{STAGING}{self.name}/"

    @property
    def plan_key(self) -> str:
        """Where the plan lies for as long as the batch is under way."""
        return f"{self.staging}plan.json"


def parse_batch(key: str, etag: str, size: int, version_id: str | None = None) -> Batch | None:
    """The batch of an object; None for a key outside `score/<model>/in/`."""
    matched = _KEY.fullmatch(key)
    if matched is None:
        return None
    model, path = matched["model"], matched["path"]
    drop = Drop(key, etag.strip('"'), f"_score/{model}", key.rsplit("/", 1)[-1], size, version_id)
    return Batch(model, path, drop)


def not_scored(batch: Batch | None) -> str | None:
    """Why an object is no file to score, or None: as for ingestion, folder markers and hidden names are passed over."""
    return "lies outside score/<model>/in/" if batch is None else not_data(batch.drop.key, "score/")
