"""What IAM knows of users and roles: their policies and who may take on a role. Read from moto, kept until IAM changes.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.iam.models import IAMBackend, iam_backends

from infra.local.iam.policies import Document, document, listed

PARTITION = "aws"


@dataclass(frozen=True)
class Identity:
    """A user or role that IAM knows: what its policies say, what its boundary says (None: no boundary)."""

    arn: str
    unique: str
    policies: tuple[Document, ...]
    boundary: Document | None
    trust: tuple[dict[str, Any], ...] = ()


def split(arn: str) -> tuple[str, str]:
    """Kind (`user`, `role` or what else the ARN says) and name of a principal; a session is its role."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    return ("role", rest.partition("/")[0]) if kind == "assumed-role" else (kind, rest.rpartition("/")[2])


def session_arn(role: str, session: str) -> str:
    """The ARN of a session of the role `role` (an ARN)."""
    account = role.split(":")[4]
    return f"arn:aws:sts::{account}:assumed-role/{role.rpartition('/')[2]}/{session}"


def find(account: str, kind: str, name: str) -> Identity | None:
    """The user or role of this name, or None."""
    iam = iam_backends[account][PARTITION]
    held = next((each for each in _all(iam, kind) if each.name == name), None)
    if held is None:
        return None
    boundary = getattr(held, "permissions_boundary_arn", None)
    trust = document(held.assume_role_policy_document) if kind == "role" else {}
    return Identity(
        arn=held.arn,
        unique=held.id,
        policies=tuple(_policies(iam, held, kind)),
        boundary=_managed(iam, boundary) if boundary else None,
        # a trust policy names no resource
        trust=tuple({**statement, "Resource": "*"} for statement in listed(trust.get("Statement"))),
    )


def user_of_key(account: str, access_key: str) -> tuple[str, str] | None:
    """ARN and secret of the IAM user to whom an active access key belongs."""
    for user in list(iam_backends[account][PARTITION].users.values()):
        for key in user.access_keys:
            if key.access_key_id == access_key and key.status == "Active":
                return str(user.arn), str(key.secret_access_key)
    return None


def _all(iam: IAMBackend, kind: str) -> list[Any]:
    return list((iam.roles if kind == "role" else iam.users).values())


def _policies(iam: IAMBackend, held: Any, kind: str) -> Iterator[Document]:
    holders = [held]
    if kind == "user":
        holders += [group for group in list(iam.groups.values()) if held in group.users]
    for holder in holders:
        yield from (document(text) for text in holder.policies.values())
        yield from (_managed(iam, arn) for arn in holder.managed_policies)


def _managed(iam: IAMBackend, arn: str) -> Document:
    policy: Any = iam.managed_policies[arn]
    version = next(each for each in policy.versions if each.version_id == policy.default_version_id)
    return document(version.document)
