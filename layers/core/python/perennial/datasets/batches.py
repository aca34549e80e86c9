"""What a dropped object is called: its dataset, its batch, its place in quarantine."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from perennial.catalog.model import NAME

RAW = "raw/"
STAGING = "staging/ingest/"
# Where objects go that name no dataset; no dataset can be called so
UNKNOWN = "_unknown"
_RESERVED = {"report.json", "rows.parquet"}
# Bytes of a key; https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY = 1024


@dataclass(frozen=True)
class Drop:
    """One dropped object. `dataset` is `_unknown` when the key names none that could exist."""

    key: str
    etag: str
    dataset: str
    name: str
    size: int
    version_id: str | None = None

    @property
    def batch(self) -> str:
        """The batch this object is: the same bytes under the same key are the same batch."""
        return batch_id(self.dataset, self.key, self.etag)

    @property
    def quarantine(self) -> str:
        """Prefix of this batch in quarantine."""
        return f"quarantine/{self.dataset}/{self.batch}/"

    @property
    def original(self) -> str:
        """Where the object itself goes when it is refused whole: its name, or as much of its end as a key can hold."""
        name = f"original-{self.name}" if self.name in _RESERVED else self.name
        room = MAX_KEY - len(self.quarantine)
        return self.quarantine + name.encode("utf-8", "surrogatepass")[-room:].decode("utf-8", "ignore")

    @property
    def staging(self) -> str:
        """Prefix of what ingestion writes before the commit, apart from the workspaces of runs."""
        return f"{STAGING}{self.batch}/"

    def staged(self, contract_sha256: str) -> str:
        """Prefix of what is staged under one contract: two deliveries may be judged under different ones."""
        return f"{self.staging}{contract_sha256[:8]}/"


def batch_id(dataset: str, key: str, etag: str) -> str:
    """20 hex digits that name the batch of an object; `etag` without its quotes."""
    return hashlib.sha256(f"{dataset}\0{key}\0{etag}".encode("utf-8", "surrogatepass")).hexdigest()[:20]


def parse_drop(key: str, etag: str, size: int, version_id: str | None = None) -> Drop:
    """The drop of an object under `raw/`: the first folder is the dataset, the rest is free."""
    dataset, slash, rest = key.removeprefix(RAW).partition("/")
    known = slash and rest and re.fullmatch(NAME, dataset)
    return Drop(key, etag.strip('"'), dataset if known else UNKNOWN, key.rsplit("/", 1)[-1], size, version_id)


def not_data(key: str, inbox: str = RAW) -> str | None:
    """Why an object is no data at all, or None: folder markers, and names that Hive and Spark hide (`_SUCCESS`)."""
    if not key.startswith(inbox):
        return f"lies outside {inbox}"
    if key.endswith(("/", "_$folder$")):
        return "a folder marker"
    if any(part.startswith((".", "_")) for part in key.split("/")[2:]):
        return "a hidden name (begins with . or _)"
    return None
