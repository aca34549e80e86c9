"""Dataset versions as readers see them: immutable, numbered from 1, listed once all their files are in place.

No pyarrow here: the command line and light stages read versions too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from perennial.errors import VersionUnknown
from perennial.storage.items import Items

State = Literal["committed", "published"]


class DatasetVersion(BaseModel):
    """The rows of one accepted batch. `files` are keys of Parquet objects in the data bucket, in order of the rows.

    `content_sha256` is over the rows (perennial.datasets.parts), `first_event_time` and `last_event_time` are ISO 8601
    text or None without an event time, `key` is the object under raw/ that the rows came from.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: str
    version: int
    batch: str
    key: str
    rows: int
    quarantined: int
    content_sha256: str
    contract_sha256: str
    files: tuple[str, ...]
    file_sha256: tuple[str, ...]
    profile_key: str
    first_event_time: str | None = None
    last_event_time: str | None = None
    at: datetime


def list_versions(items: Items, dataset: str, after: int = 0) -> list[DatasetVersion]:
    """The published versions of a dataset numbered above `after`, in order.

    A version whose ingestion died between commit and publication is missing until it resumes; later ones are listed.
    """
    found = items.query(dataset_pk(dataset), "VERSION#")
    return [_version(item) for item in found if item["version"] > after and item["state"] == "published"]


def get_version(items: Items, dataset: str, version: int) -> DatasetVersion:
    """One published version. Raises VersionUnknown."""
    item = items.get(dataset_pk(dataset), version_sk(version))
    if item is None or item["state"] != "published":
        raise VersionUnknown(f"dataset {dataset} has no version {version}")
    return _version(item)


def dataset_pk(dataset: str) -> str:
    """Partition of a dataset's items."""
    return f"DATASET#{dataset}"


def version_sk(version: int) -> str:
    """Sort key of a version's item: zero-padded, so that the order of keys is the order of versions."""
    return f"VERSION#{version:08d}"


def batch_sk(batch: str) -> str:
    """Sort key of a batch's item."""
    return f"BATCH#{batch}"


def curated_prefix(dataset: str, version: int) -> str:
    """Where the files of a version lie."""
    return f"curated/{dataset}/version={version:08d}/"


def _version(item: dict[str, Any]) -> DatasetVersion:
    return DatasetVersion.model_validate(item)
