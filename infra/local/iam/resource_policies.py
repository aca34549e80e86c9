"""Policies that resources themselves have, as moto keeps them: buckets, queues, topics, and the trust of roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from infra.local.iam import principals

# the text of the policy of a resource (an ARN), or None
ResourcePolicy = Callable[[str], str | None]


def finders(region: str, account: str) -> dict[str, ResourcePolicy]:
    """How to find the policy of a resource, by the service in its ARN."""
    return {
        "iam": partial(_trust, account),
        "s3": partial(_bucket, account),
        "sns": partial(_topic, region, account),
        "sqs": partial(_queue, region, account),
    }


def _bucket(account: str, arn: str) -> str | None:
    bucket = s3_backends[account]["aws"].buckets.get(arn.split(":::", 1)[1].partition("/")[0])
    policy = bucket.policy if bucket is not None else None
    return policy.decode() if isinstance(policy, bytes) else policy


def _queue(region: str, account: str, arn: str) -> str | None:
    queue = sqs_backends[account][region].queues.get(arn.rpartition(":")[2])
    policy = queue.attributes.get("Policy") or queue.policy if queue is not None else None
    return json.dumps(policy) if isinstance(policy, dict) else policy


def _topic(region: str, account: str, arn: str) -> str | None:
    topic = sns_backends[account][region].topics.get(arn)
    return topic.policy if topic is not None else None


def _trust(account: str, arn: str) -> str | None:
    if ":role/" not in arn:
        return None
    identity = principals.find(account, *principals.split(arn))
    return json.dumps({"Statement": list(identity.trust)}) if identity else None
