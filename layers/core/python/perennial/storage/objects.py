"""S3 objects: small ones whole, large ones as streams."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from botocore.exceptions import ClientError

from perennial.errors import ConditionFailed, ObjectMissing, StorageUnavailable
from perennial.storage.translate import client, code_of, translated

# S3 says that another write of the key is under way, whose end is not known: the waits sum to at most 3 s
_CONFLICTS = 6


class Entry(NamedTuple):
    """An object as a listing tells it: `etag` without quotes, `size` in bytes, `at` when it was written."""

    key: str
    etag: str
    size: int
    at: datetime


@dataclass(frozen=True)
class Objects:
    """The objects of one bucket."""

    bucket: str

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """The whole object (for small ones). Raises ObjectMissing."""
        extra = {"VersionId": version_id} if version_id else {}
        with translated(f"get s3://{self.bucket}/{key}"):
            return bytes(client("s3").get_object(Bucket=self.bucket, Key=key, **extra)["Body"].read())

    def download(self, key: str, path: Path, version_id: str | None = None) -> None:
        """Write the object to the local file `path`. Raises ObjectMissing."""
        extra = {"ExtraArgs": {"VersionId": version_id}} if version_id else {}
        with translated(f"get s3://{self.bucket}/{key}"):
            client("s3").download_file(self.bucket, key, str(path), **extra)

    def fetch(self, key: str, path: Path, etag: str, version_id: str | None = None) -> None:
        """Write the object to `path` as it was when it had this `etag`.

        Raises ObjectMissing, and ConditionFailed when the object has been overwritten since.
        """
        extra = {"VersionId": version_id} if version_id else {"IfMatch": etag}
        with translated(f"get s3://{self.bucket}/{key}"), path.open("wb") as file:
            body = client("s3").get_object(Bucket=self.bucket, Key=key, **extra)["Body"]
            shutil.copyfileobj(body, file, 1024 * 1024)

    def find(self, key: str) -> bytes | None:
        """The whole object, or None when there is none."""
        try:
            return self.get(key)
        except ObjectMissing:
            return None

    def get_json(self, key: str) -> Any:
        """The object parsed as JSON. Raises ObjectMissing."""
        return json.loads(self.get(key))

    def find_json(self, key: str) -> Any | None:
        """The object parsed as JSON, or None when there is none."""
        body = self.find(key)
        return None if body is None else json.loads(body)

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Write the object, replacing what was there."""
        with translated(f"put s3://{self.bucket}/{key}"):
            client("s3").put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def put_json(self, key: str, value: Any) -> None:
        """Write `value` as JSON with sorted keys: same value, same bytes."""
        self.put(key, canonical_json(value), "application/json")

    def create(self, key: str, body: bytes, content_type: str = "application/json") -> bool:
        """Write the object only if there is none (If-None-Match: *); False when there was one.

        A 409 (ConditionalRequestConflict) does not say whether there is one, so the write is tried again.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        what = f"create s3://{self.bucket}/{key}"
        for attempt in range(_CONFLICTS):
            try:
                with translated(what):
                    client("s3").put_object(
                        Bucket=self.bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
                    )
            except ConditionFailed:
                return False
            except ClientError as error:
                if code_of(error) != "ConditionalRequestConflict":
                    raise
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - spreads rivals
            else:
                return True
        raise StorageUnavailable(f"{what}: another write of it was under way {_CONFLICTS} times")

    def upload(self, key: str, path: Path | IO[bytes]) -> None:
        """Write a local file or an open binary file (multipart when large)."""
        if isinstance(path, Path):
            # not upload_file, which raises an error of its own that no longer knows S3's code
            with path.open("rb") as file:
                return self.upload(key, file)
        with translated(f"put s3://{self.bucket}/{key}"):
            client("s3").upload_fileobj(path, self.bucket, key)

    def copy(self, source: str, target: str, version_id: str | None = None) -> None:
        """Copy within the bucket, on the server (multipart when large). Raises ObjectMissing."""
        origin = {"Bucket": self.bucket, "Key": source} | ({"VersionId": version_id} if version_id else {})
        with translated(f"copy s3://{self.bucket}/{source}"):
            client("s3").copy(origin, self.bucket, target)

    def delete(self, key: str) -> None:
        """Delete the object; nothing happens when there is none."""
        with translated(f"delete s3://{self.bucket}/{key}"):
            client("s3").delete_object(Bucket=self.bucket, Key=key)

    def list(self, prefix: str, start_after: str = "") -> Iterator[str]:
        """Keys under `prefix`, in order."""
        return (entry.key for entry in self.entries(prefix, start_after))

    def entries(self, prefix: str, start_after: str = "") -> Iterator[Entry]:
        """What lies under `prefix`, in the order of keys."""
        pages = client("s3").get_paginator("list_objects_v2")
        with translated(f"list s3://{self.bucket}/{prefix}"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, StartAfter=start_after):
                for item in page.get("Contents", []):
                    yield Entry(item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"])


def canonical_json(value: Any) -> bytes:
    """`value` as JSON bytes: sorted keys, no NaN, UTF-8, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
