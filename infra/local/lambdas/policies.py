"""Resource policies of functions, versions and aliases: who may invoke.

They are kept and handed out; whether they allow a call is decided elsewhere (infra/local/iam).
Source: https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from infra.local.lambdas.arns import Reference
from infra.local.lambdas.errors import Conflict, NotFound
from infra.local.lambdas.registry import Registry, check_revision

Request = Mapping[str, Any]
CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
}


class Policies:
    """AddPermission, GetPolicy, RemovePermission."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, reference: Reference, request: Request) -> dict[str, Any]:
        """AddPermission: one statement for the function, or for the version or alias that is named."""
        function, qualifier = self._registry.qualifier(reference)
        with function.lock:
            statements = function.policies.setdefault(qualifier, {})
            if statements:
                check_revision(request.get("RevisionId"), _revision(statements))
            sid = request.get("StatementId", "")
            if sid in statements:
                raise Conflict(
                    f"The statement id ({sid}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            resource = f"{function.arn}:{qualifier}" if qualifier else function.arn
            statements[sid] = _statement(sid, resource, request)
            return {"Statement": json.dumps(statements[sid], separators=(",", ":"))}

    def get(self, reference: Reference) -> dict[str, Any]:
        """GetPolicy."""
        function, qualifier = self._registry.qualifier(reference)
        statements = function.policies.get(qualifier)
        if not statements:
            raise NotFound("The resource you requested does not exist.")
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": list(statements.values())}
        return {"Policy": json.dumps(policy, separators=(",", ":")), "RevisionId": _revision(statements)}

    def find(self, arn: str) -> str | None:
        """The policy of the function, version or alias that an ARN names, or None."""
        if ":function:" not in arn:
            return None
        reference = Reference.parse(arn)
        function = self._registry.functions.get(reference.name)
        statements = function.policies.get(reference.qualifier or "") if function else None
        return json.dumps({"Statement": list(statements.values())}) if statements else None

    def remove(self, reference: Reference, sid: str, revision: str | None) -> None:
        """RemovePermission."""
        function, qualifier = self._registry.qualifier(reference)
        with function.lock:
            statements = function.policies.get(qualifier, {})
            if sid not in statements:
                raise NotFound(f"Statement {sid} is not found in resource policy.")
            check_revision(revision, _revision(statements))
            del statements[sid]


def _statement(sid: str, resource: str, request: Request) -> dict[str, Any]:
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": _principal(request.get("Principal", "")),
        "Action": request.get("Action", ""),
        "Resource": resource,
    }
    conditions: dict[str, dict[str, str]] = {}
    for member, (operator, key) in CONDITIONS.items():
        if request.get(member):
            conditions.setdefault(operator, {})[key] = request[member]
    if conditions:
        statement["Condition"] = conditions
    return statement


def _principal(text: str) -> Any:
    if text == "*":
        return "*"
    if text.endswith(".amazonaws.com"):
        return {"Service": text}
    return {"AWS": f"arn:aws:iam::{text}:root" if re.fullmatch(r"\d{12}", text) else text}


def _revision(statements: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(statements, sort_keys=True).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
