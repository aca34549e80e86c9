"""S3's `Object Created` and `Object Deleted` events as EventBridge gets them from a bucket with EventBridge on.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

from infra.local.clock import Clock

_CREATED = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}
_DELETED = {
    "ObjectRemoved:Delete": "Permanently Deleted",
    "ObjectRemoved:DeleteMarkerCreated": "Delete Marker Created",
}


class Sequencer:
    """Numbers in hexadecimal that grow with every event, compared as text after padding to one length."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """A number greater than every one before: nanoseconds of the clock, or one more than the last."""
        with self._lock:
            self._last = max(self._last + 1, int(self._clock.time() * 1e9))
            return f"{self._last:018X}"


def object_event(account: str, bucket: Any, name: str, key: Any, sequencer: str) -> dict[str, Any] | None:
    """Detail type, resources and detail of the event `name` (`s3:ObjectCreated:Put`, …); None for other kinds.

    `bucket` and `key` are moto's.
    """
    kind = str(getattr(name, "value", name)).removeprefix("s3:")
    if kind == "ObjectCreated:Put" and key.multipart is not None:
        return None  # moto puts the object before it completes the upload and tells of both
    described: dict[str, Any] = {"key": key.name}
    if kind in _CREATED:
        described |= {"size": key.size, "etag": key.etag.strip('"')}
    elif kind not in _DELETED:
        return None
    if key.version_id not in (None, "null"):
        described["version-id"] = str(key.version_id)
    described["sequencer"] = sequencer
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": described,
        "request-id": secrets.token_hex(8).upper(),
        "requester": account,
        "source-ip-address": "127.0.0.1",
        "reason": _CREATED.get(kind, "DeleteObject"),
    }
    if kind in _DELETED:
        detail["deletion-type"] = _DELETED[kind]
    return {
        "detail-type": "Object Created" if kind in _CREATED else "Object Deleted",
        "resources": [f"arn:aws:s3:::{bucket.name}"],
        "detail": detail,
    }
