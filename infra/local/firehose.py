"""Firehose to S3: what a stream's configuration means, how records are processed, how objects are named.

Source: https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html, …/s3-prefixes.html and
…/writing-with-cloudwatch-logs-decompression.html
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import secrets
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MEGABYTE = 1024 * 1024
# what the role of a stream must allow: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
ON_BUCKET = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
ON_OBJECT = ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload")
_EXPRESSION = re.compile(r"!\{([a-zA-Z]+):([^}]*)\}")
_JAVA_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']")
_JAVA_LETTERS = {"y": "year", "u": "year", "M": "month", "d": "day", "H": "hour", "m": "minute", "s": "second"}


class Unsupported(ValueError):
    """A configuration that Firehose refuses or that is not imitated."""


@dataclass(frozen=True)
class Destination:
    """Where and how a stream delivers; sizes in bytes, the interval in seconds of the cloud's clock."""

    bucket: str
    role: str
    prefix: str
    error_prefix: str
    size: int
    interval: float
    zone: tzinfo
    gzip: bool = False
    extension: str = ""
    decompress: bool = False
    extract: bool = False
    delimiter: bytes = b""


@dataclass
class Buffer:
    """What has arrived for a stream and is not yet in S3: good data and records that failed, apart."""

    arrived: float  # epoch seconds of the oldest record
    parts: list[bytes] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0


def destination(config: Mapping[str, Any]) -> Destination:
    """Read an ExtendedS3DestinationConfiguration; raises Unsupported."""
    _refuse_unknown(config)
    hints = config.get("BufferingHints") or {}
    prefix, error_prefix = config.get("Prefix") or "", config.get("ErrorOutputPrefix") or ""
    _check_prefixes(prefix, error_prefix)
    compression = config.get("CompressionFormat") or "UNCOMPRESSED"
    processors = _processors(config)
    try:
        zone = ZoneInfo(config.get("CustomTimeZone") or "UTC")
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unsupported(f"there is no time zone {config['CustomTimeZone']!r}") from error
    return Destination(
        bucket=str(config["BucketARN"]).rpartition(":")[2],
        role=str(config["RoleARN"]),
        prefix=prefix,
        error_prefix=error_prefix,
        size=int(hints.get("SizeInMBs", 5)) * MEGABYTE,
        interval=float(hints.get("IntervalInSeconds", 300)),
        zone=zone,
        gzip=compression == "GZIP",
        extension=config.get("FileExtension") or (".gz" if compression == "GZIP" else ""),
        decompress="Decompression" in processors,
        extract="CloudWatchLogProcessing" in processors,
        delimiter=b"\n" if "AppendDelimiterToRecord" in processors else b"",
    )


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    if (config.get("CompressionFormat") or "UNCOMPRESSED") not in ("UNCOMPRESSED", "GZIP"):
        raise Unsupported(f"CompressionFormat {config['CompressionFormat']} is not imitated")
    for name in ("DynamicPartitioningConfiguration", "DataFormatConversionConfiguration"):
        if (config.get(name) or {}).get("Enabled"):
            raise Unsupported(f"{name} is not imitated")
    if (config.get("S3BackupMode") or "Disabled") != "Disabled":
        raise Unsupported("S3BackupMode is not imitated")
    hints = config.get("BufferingHints") or {}
    if not 1 <= int(hints.get("SizeInMBs", 5)) <= 128 or not 0 <= int(hints.get("IntervalInSeconds", 300)) <= 900:
        raise Unsupported("BufferingHints want 1 to 128 MB and 0 to 900 seconds")


def _processors(config: Mapping[str, Any]) -> set[str]:
    processing = config.get("ProcessingConfiguration") or {}
    if not processing.get("Enabled", False):
        return set()
    found = set()
    for processor in processing.get("Processors") or []:
        kind = processor["Type"]
        parameters = {each["ParameterName"]: each["ParameterValue"] for each in processor.get("Parameters") or []}
        expected = {
            "Decompression": {"CompressionFormat": "GZIP"},
            "CloudWatchLogProcessing": {"DataMessageExtraction": "true"},
            "AppendDelimiterToRecord": {},
        }.get(kind)
        told = {name: value for name, value in parameters.items() if kind != "AppendDelimiterToRecord"}
        if expected is None or {name: str(value).lower() for name, value in told.items()} != {
            name: value.lower() for name, value in expected.items()
        }:
            raise Unsupported(f"the processor {kind} with {parameters} is not imitated")
        found.add(kind)
    if "CloudWatchLogProcessing" in found and "Decompression" not in found:
        raise Unsupported("CloudWatchLogProcessing needs Decompression before it")
    return found


def _check_prefixes(prefix: str, error_prefix: str) -> None:
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    if "error-output-type" in prefix:
        raise Unsupported("Prefix must not have !{firehose:error-output-type}")
    evaluated(prefix, moment)
    evaluated(error_prefix, moment, "x")
    if _EXPRESSION.search(prefix) and "!{firehose:error-output-type}" not in error_prefix:
        raise Unsupported("a Prefix with expressions needs an ErrorOutputPrefix with !{firehose:error-output-type}")


def evaluated(prefix: str, moment: datetime, error_type: str = "") -> str:
    """A prefix with its expressions filled in; one without any gets the default yyyy/MM/dd/HH/."""

    def fill(found: re.Match[str]) -> str:
        namespace, value = found[1], found[2]
        if namespace == "timestamp":
            return java_time(value, moment)
        if (namespace, value) == ("firehose", "random-string"):
            return secrets.token_urlsafe(8).replace("-", "x").replace("_", "y")[:11]
        if (namespace, value) == ("firehose", "error-output-type") and error_type:
            return error_type
        raise Unsupported(f"{found[0]} is not imitated")

    if "!{" in _EXPRESSION.sub("", prefix):
        raise Unsupported(f"{prefix!r} has a malformed expression")
    if not _EXPRESSION.search(prefix):
        return prefix + java_time("yyyy/MM/dd/HH/", moment)
    return _EXPRESSION.sub(fill, prefix)


def java_time(pattern: str, moment: datetime) -> str:
    """A moment by a Java DateTimeFormatter pattern of numeric fields and literals; raises Unsupported."""
    parts, position = [], 0
    while position < len(pattern):
        found = _JAVA_TOKEN.match(pattern, position)
        if found is None:
            raise Unsupported(f"the time format {pattern!r} is malformed")
        text, position = found[0], found.end()
        if found[1] is not None:
            parts.append(found[1].replace("''", "'") or "'")
        elif not text[0].isalpha():
            parts.append(text)
        elif text[0] in _JAVA_LETTERS and len(text) <= 4 and not (text[0] == "M" and len(text) > 2):
            number = str(getattr(moment, _JAVA_LETTERS[text[0]]))
            parts.append(number[-2:] if text == "yy" else number.zfill(len(text)))
        else:
            raise Unsupported(f"{text!r} in the time format {pattern!r} is not imitated")
    return "".join(parts)


def object_name(stream: str, version: str, moment: datetime, extension: str) -> str:
    """The part of the key after the prefix."""
    return f"{stream}-{version}-{java_time('yyyy-MM-dd-HH-mm-ss', moment)}-{uuid.uuid4()}{extension}"


def take(into: Buffer, record: bytes, how: Destination, now: float) -> None:
    """Process one record and put what comes out into the buffer."""
    try:
        data = _processed(record, how)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        into.failed.append(_failure(record, error, now))
        into.size += len(record)
        return
    into.parts.append(data)
    into.size += len(data)


def _processed(record: bytes, how: Destination) -> bytes:
    if not how.decompress:
        return record + how.delimiter
    text = gzip.decompress(record)
    if not how.extract:
        return text + how.delimiter
    found = json.loads(text)
    if found["messageType"] != "DATA_MESSAGE":
        return b""
    return b"".join(event["message"].encode() + how.delimiter for event in found["logEvents"])


def _failure(record: bytes, error: Exception, now: float) -> dict[str, Any]:
    return {
        "attemptsMade": 1,
        "arrivalTimestamp": int(now * 1000),
        "errorCode": "DecompressionFailed",
        "errorMessage": str(error),
        "attemptEndingTimestamp": int(now * 1000),
        "rawData": base64.b64encode(record).decode(),
    }


def decoded(data: Any) -> bytes | None:
    """The bytes of a record as the API carries them (base64), or None when they are no such thing."""
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None
