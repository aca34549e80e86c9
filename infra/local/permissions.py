"""May this caller do this? Policies of functions, queues and roles, as far as the local cloud's services ask them.

The statements' Effect, Principal, Action, NotAction, Resource, NotResource and the common Condition operators are
evaluated; an explicit deny wins. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from infra.local.context import Cloud

log = logging.getLogger(__name__)

REMEMBERED = 1.0  # seconds (real) for which a permission once seen is believed: IAM on AWS is no faster


def allows(
    policies: Sequence[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Mapping[str, str],
    principal: str | None = None,
) -> bool:
    """Whether these policy documents allow the call.

    `principal` is a service (`events.amazonaws.com`) when the policies belong to a resource, None when they belong to
    the caller. `context` has the condition keys in lower case, e.g. `aws:sourcearn`.
    """
    verdict = False
    for policy in policies:
        for statement in _listed(policy.get("Statement")):
            if _applies(statement, action, resource, context, principal):
                if statement.get("Effect") == "Deny":
                    return False
                verdict = True
    return verdict


def denies(policies: Sequence[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Whether a statement of these policies of a resource explicitly denies the call to everybody."""
    statements = [statement for policy in policies for statement in _listed(policy.get("Statement"))]
    return any(
        statement.get("Effect") == "Deny" and _applies(statement, action, resource, context, "*")
        for statement in statements
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _like(value: str, pattern: str, fold: bool = False) -> bool:
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def _applies(
    statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str], principal: str | None
) -> bool:
    return (
        (principal is None or _names(statement.get("Principal"), principal))
        and _within(statement, "Action", action, fold=True)
        and _within(statement, "Resource", resource)
        and all(
            _holds(operator, key, _listed(wanted), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _within(statement: Mapping[str, Any], element: str, value: str, fold: bool = False) -> bool:
    if f"Not{element}" in statement:
        return not any(_like(value, pattern, fold) for pattern in _listed(statement[f"Not{element}"]))
    return any(_like(value, pattern, fold) for pattern in _listed(statement.get(element)))


def _names(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    return service in _listed(principal.get("Service")) or "*" in _listed(principal.get("AWS"))


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringNotEquals": lambda value, wanted: value != wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "StringNotLike": lambda value, wanted: not _like(value, wanted),
    "ArnEquals": _like,
    "ArnLike": _like,
    "ArnNotEquals": lambda value, wanted: not _like(value, wanted),
    "ArnNotLike": lambda value, wanted: not _like(value, wanted),
    "Bool": lambda value, wanted: value.lower() == str(wanted).lower(),
}


def _holds(operator: str, key: str, wanted: Sequence[Any], context: Mapping[str, str]) -> bool:
    name, lenient = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    if name != "Null" and name not in _OPERATORS:
        log.warning("condition operator %s is not imitated: its statement is taken not to apply", operator)
        return False
    value = context.get(key.lower())
    if name == "Null":
        return any((value is None) == (str(each).lower() == "true") for each in wanted)
    if value is None:
        return lenient or "Not" in name
    results = [_OPERATORS[name](value, str(each)) for each in wanted]
    return all(results) if "Not" in name else any(results)


class Permissions:
    """Asks the services of the cloud for their policies and decides."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._seen: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def may_invoke(self, function: str, service: str, source: str) -> bool:
        """Whether the function's (or alias's: a qualified ARN) own policy lets `service` invoke it for `source`."""
        return self._remembered(("invoke", function, service, source), lambda: self._invoke(function, service, source))

    def may_send(self, queue: str, service: str, source: str) -> bool:
        """Whether the policy of the queue (an ARN) lets `service` send to it on behalf of `source`."""
        return self._remembered(("send", queue, service, source), lambda: self._send(queue, service, source))

    def role_may(self, role: str, service: str, action: str, resource: str, source: str = "") -> bool:
        """Whether `service` may take on the role (an ARN) and the role's policies allow the action."""
        key = ("role", role, service, action, resource, source)
        return self._remembered(key, lambda: self._role(role, service, action, resource, source))

    def caller_may(self, arn: str, action: str, resource: str) -> bool:
        """Whether the IAM user or role `arn` (or a session of the role) may do this.

        A principal that IAM does not know is a key that was handed out for tests: it may do everything.
        """
        return self._remembered(("caller", arn, action, resource), lambda: self._caller(arn, action, resource))

    def _remembered(self, key: tuple[str, ...], ask: Callable[[], bool]) -> bool:
        now = time.monotonic()
        with self._lock:
            if self._seen.get(key, 0.0) > now:
                return True
        allowed = ask()
        if allowed:
            with self._lock:
                self._seen = {old: until for old, until in self._seen.items() if until > now}
                self._seen[key] = now + REMEMBERED
        return allowed

    def _context(self, source: str) -> dict[str, str]:
        account = source.split(":")[4] if source.startswith("arn:") and source.count(":") >= 5 else ""
        context = {"aws:sourcearn": source, "aws:sourceaccount": account or self._cloud.account}
        return context | {"aws:securetransport": "true"}  # AWS calls itself over TLS only

    def _invoke(self, function: str, service: str, source: str) -> bool:
        name, qualifier = split_function(function)
        asked = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
        try:
            policy = json.loads(self._cloud.client("lambda").get_policy(**asked)["Policy"])
        except ClientError:
            return False
        return allows([policy], "lambda:InvokeFunction", function, self._context(source), service)

    def _send(self, queue: str, service: str, source: str) -> bool:
        client = self._cloud.client("sqs")
        try:
            url = client.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
            found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
        except ClientError:
            return False
        policy = json.loads(found.get("Policy") or "{}")
        return allows([policy], "sqs:SendMessage", queue, self._context(source), service)

    def _role(self, role: str, service: str, action: str, resource: str, source: str) -> bool:
        name = role.rpartition("/")[2]
        try:
            trust = self._cloud.client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        except ClientError:
            return False
        trusted = allows([{"Statement": _trusting(trust)}], "sts:AssumeRole", role, self._context(source), service)
        return trusted and allows(list(self._attached("role", name)), action, resource, self._context(source))

    def _caller(self, arn: str, action: str, resource: str) -> bool:
        kind, _, rest = arn.rpartition(":")[2].partition("/")
        if kind == "assumed-role":
            kind, name = "role", rest.partition("/")[0]
        else:
            name = rest.rpartition("/")[2]
        if arn == self._cloud.admin.arn or kind not in ("user", "role"):
            return True
        try:
            getattr(self._cloud.client("iam"), f"get_{kind}")(**{f"{kind.title()}Name": name})
        except ClientError:
            return True
        return allows(list(self._attached(kind, name)), action, resource, self._context(""))

    def _attached(self, kind: str, name: str) -> Iterator[Mapping[str, Any]]:
        """Every policy document of a role or user: inline and managed ones that IAM here knows."""
        iam, who = self._cloud.client("iam"), {f"{kind.title()}Name": name}
        for policy in getattr(iam, f"list_{kind}_policies")(**who)["PolicyNames"]:
            yield _document(getattr(iam, f"get_{kind}_policy")(**who, PolicyName=policy)["PolicyDocument"])
        for attached in getattr(iam, f"list_attached_{kind}_policies")(**who)["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]
            yield _document(found["Document"])


def split_function(arn: str) -> tuple[str, str | None]:
    """Name and qualifier (alias or version) of a function's ARN."""
    parts = arn.split(":")
    return parts[6], (parts[7] if len(parts) > 7 else None)


def _trusting(document: Any) -> list[dict[str, Any]]:
    """The statements of a trust policy, which name no resource."""
    return [{**statement, "Resource": "*"} for statement in _listed(_document(document).get("Statement"))]


def _document(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else dict(json.loads(unquote(value)))
