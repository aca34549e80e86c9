"""Who calls: an IAM principal as API Gateway verified it, under an id that the caller cannot choose.

A session of a role counts as the role: whoever assumes one names the session as they like. The same holds for the name
of a federated user, behind which there is no role, so those cannot be told apart and may not decide.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from perennial.serving.errors import RequestRefused

_ARN = re.compile(r"arn:[a-z-]+:(?P<service>iam|sts)::(?P<account>\d{12}):(?P<kind>[a-z-]+)(?:/.+)?")
_USER_ID = re.compile(r"AIDA[A-Z0-9]+")
_SESSION_ID = re.compile(r"(?P<role>AROA[A-Z0-9]+):.+")


class Principal(BaseModel):
    """`id` is unique for ever (of a user, of a role, or the account's number for its root); `arn` is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    arn: str


def caller(event: Mapping[str, Any]) -> Principal:
    """Who signed a request (payload format 2.0). Raises RequestRefused (403) when it cannot be told."""
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    iam = authorizer.get("iam") or {}
    arn, user = str(iam.get("userArn") or ""), str(iam.get("userId") or "")
    named = _ARN.fullmatch(arn)
    match (named["service"], named["kind"]) if named else None:
        case ("iam", "user") if _USER_ID.fullmatch(user):
            return Principal(id=user, arn=arn)
        case ("sts", "assumed-role") if session := _SESSION_ID.fullmatch(user):
            return Principal(id=session["role"], arn=arn)
        case ("iam", "root") if named and user == named["account"]:
            return Principal(id=user, arn=arn)
    raise RequestRefused(f"{arn[:200] or 'an unsigned request'} is neither an IAM user nor a role", 403)
