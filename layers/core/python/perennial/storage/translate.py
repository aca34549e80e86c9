"""From botocore's errors to named reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from perennial.errors import AccessRefused, ConditionFailed, ObjectMissing, PerennialError, StorageUnavailable

_REASONS: dict[str, type[PerennialError]] = {
    "NoSuchKey": ObjectMissing,
    "NoSuchBucket": ObjectMissing,
    "NoSuchVersion": ObjectMissing,
    "EntityNotFoundException": ObjectMissing,
    "404": ObjectMissing,
    "PreconditionFailed": ConditionFailed,
    "PreconditionFailedException": ConditionFailed,
    "412": ConditionFailed,
    "AlreadyExistsException": ConditionFailed,
    "ConditionalCheckFailedException": ConditionFailed,
    "TransactionCanceledException": ConditionFailed,
    "AccessDenied": AccessRefused,
    "AccessDeniedException": AccessRefused,
    "403": AccessRefused,
}
_TRANSIENT = {
    "SlowDown",
    "InternalError",
    "InternalServerError",
    "InternalFailure",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "Throttling",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "TransactionInProgressException",
    # a single write of an item that is in somebody's transaction; botocore does not try it again
    "TransactionConflictException",
    "ConcurrentModificationException",
    "OperationTimeoutException",
    "InternalServiceException",
    "500",
    "502",
    "503",
    "504",
}


@cache
def client(service: str) -> Any:
    """A boto3 client of `service` with bounded retries and timeouts, one per process (clients are thread-safe)."""
    factory: Any = boto3.client
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=16,
    )
    return factory(service, config=config)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise botocore's errors as named reasons; `what` says what was tried, for the reader of the message.

    Raises ObjectMissing, ConditionFailed, AccessRefused or StorageUnavailable; any other code, and a call with wrong
    arguments (ParamValidationError), leaves as it came.
    """
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code == "TransactionCanceledException" and _only_conflicts(error):
            raise StorageUnavailable(f"{what}: {error}") from error
        if code in _REASONS:
            raise _REASONS[code](f"{what}: {error}") from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _TRANSIENT or status >= 500:
            raise StorageUnavailable(f"{what}: {error}") from error
        raise
    except NoCredentialsError as error:
        raise AccessRefused(f"{what}: {error}") from error
    except ParamValidationError:
        raise
    except (BotoCoreError, Boto3Error) as error:
        raise StorageUnavailable(f"{what}: {error}") from error


def code_of(error: ClientError) -> str:
    """The service's name for an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _only_conflicts(error: ClientError) -> bool:
    """A cancelled transaction in which no condition failed was merely in another's way."""
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    codes = {reason.get("Code") for reason in reasons} - {"None", None}
    return bool(codes) and "ConditionalCheckFailed" not in codes
