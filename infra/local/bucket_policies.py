"""Bucket policies deny as on AWS: with their conditions, which moto leaves out.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html. The local endpoint stands for
AWS's HTTPS endpoint, so `aws:SecureTransport` is true. What a policy allows to other accounts is left to moto.
"""

from __future__ import annotations

import json
from typing import Any

from flask import has_request_context, request
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from infra.local.permissions import denies

HEADERS = {"s3:if-none-match": "If-None-Match", "s3:if-match": "If-Match"}


def enforce() -> None:
    """Let moto ask this module instead of its own evaluation."""
    FakeBucket.get_permission = _permission


def _permission(bucket: Any, action: str, resource: str) -> PermissionResult:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    context = {"aws:securetransport": "true"}
    if has_request_context():
        context |= {key: value for key, name in HEADERS.items() if (value := request.headers.get(name)) is not None}
    denied = denies([json.loads(bucket.policy)], action, resource, context)
    return PermissionResult.DENIED if denied else PermissionResult.NEUTRAL
