"""Policy documents, evaluated as IAM does; whatever is not understood is refused by name, never skipped.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

Document = Mapping[str, Any]
# a key's value, or its values where a request may have several
Context = Mapping[str, str | tuple[str, ...]]

ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)  # fmt: skip
# Condition keys that whoever asks fills in where they have a value: a key that is not there then has none.
KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:requestedregion",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",  # of a topic's default policy: only services have it
        "dynamodb:leadingkeys",
        "ecs:cluster",
        "iam:passedtoservice",
        "s3:delimiter",
        "s3:if-match",
        "s3:if-none-match",
        "s3:objectcreationoperation",
        "s3:prefix",
        "s3:versionid",
    }
)


class NotUnderstood(Exception):
    """A policy says something that the local cloud cannot judge; the message names it."""


@dataclass(frozen=True)
class Question:
    """May one of `names` do `action` on `resource`?

    `names` are what a Principal may call the caller: its ARNs (a session's and its role's), or a service. `context`
    has the condition keys in lower case.
    """

    action: str
    resource: str
    context: Context = field(default_factory=dict)
    names: frozenset[str] = frozenset()


def statements(documents: Sequence[Document]) -> list[Mapping[str, Any]]:
    """Every statement of the documents."""
    return [statement for document in documents for statement in listed(document.get("Statement"))]


def effects(documents: Sequence[Document], question: Question, *, of_resource: bool = False) -> set[str]:
    """The effects (Allow, Deny) of the statements that apply; raises NotUnderstood.

    `of_resource`: the documents belong to a resource, and their statements name whom they are for.
    """
    return {
        str(statement.get("Effect"))
        for statement in statements(documents)
        if applies(statement, question, of_resource=of_resource)
    }


def applies(statement: Mapping[str, Any], question: Question, *, of_resource: bool = False) -> bool:
    """Whether a statement is about the question; raises NotUnderstood when that hangs on something unknown."""
    if unknown := statement.keys() - ELEMENTS:
        raise NotUnderstood(f"the policy element {', '.join(sorted(unknown))}")
    return (
        (not of_resource or _names(statement.get("Principal"), question, statement.get("Effect") == "Deny"))
        and _within(statement, "Action", question.action, fold=True)
        and _within(statement, "Resource", question.resource)
        and all(
            _holds(operator, key, [str(each) for each in listed(wanted)], question.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one as the one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def document(value: Any) -> Document:
    """A policy as IAM keeps it: a document, its JSON, or that with URL escapes."""
    return value if isinstance(value, Mapping) else _parsed(str(value))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Document:
    found = json.loads(text if text.lstrip().startswith("{") else unquote(text))
    return dict(found)


def like(value: str, pattern: str, fold: bool = False) -> bool:
    """Whether `value` has the form of `pattern`, in which `*` is anything and `?` any one character."""
    return _compiled(pattern, fold).fullmatch(value) is not None


@lru_cache(maxsize=8192)
def _compiled(pattern: str, fold: bool) -> re.Pattern[str]:
    if "${" in pattern:
        raise NotUnderstood(f"the policy variable in {pattern}")
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if fold else 0))


def _within(statement: Mapping[str, Any], element: str, value: str, fold: bool = False) -> bool:
    if f"Not{element}" in statement:
        return not any(like(value, pattern, fold) for pattern in listed(statement[f"Not{element}"]))
    return any(like(value, pattern, fold) for pattern in listed(statement.get(element)))


def _names(principal: Any, question: Question, deny: bool) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        raise NotUnderstood(f"the principal {principal!r}")
    if unknown := principal.keys() - {"AWS", "Service"}:
        raise NotUnderstood(f"the kind of principal {', '.join(sorted(unknown))}")
    wanted = {*listed(principal.get("Service")), *listed(principal.get("AWS"))}
    if "*" in wanted or wanted & question.names:
        return True
    # the account as such is everybody in it for a Deny; an Allow only leaves the choice to the account's own policies
    account = question.context.get("aws:principalaccount")
    return deny and account is not None and bool(wanted & {account, f"arn:aws:iam::{account}:root"})


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}
_NEGATED = {name.replace("String", "StringNot").replace("Arn", "ArnNot"): name for name in _OPERATORS if name != "Bool"}


SETS = {"ForAllValues": all, "ForAnyValue": any}


def _holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    quantifier, _, single = operator.rpartition(":")
    name = single.removesuffix("IfExists")
    known = _OPERATORS.keys() | _NEGATED.keys() | ({"Null"} if not quantifier else set())
    if quantifier not in SETS.keys() | {""} or name not in known:
        raise NotUnderstood(f"the condition operator {operator}")
    if key.lower() not in KEYS:
        raise NotUnderstood(f"the condition key {key}")
    value = context.get(key.lower())
    if quantifier:
        values = () if value is None else (value,) if isinstance(value, str) else value
        return SETS[quantifier](_holds_for(name, wanted, each) for each in values)
    if isinstance(value, tuple):
        raise NotUnderstood(f"the condition operator {operator} for the several values of {key}")
    if name == "Null":
        return any((value is None) == (each.lower() == "true") for each in wanted)
    if value is None:
        return single != name or name in _NEGATED
    return _holds_for(name, wanted, value)


def _holds_for(name: str, wanted: Sequence[str], value: str) -> bool:
    if name in _NEGATED:
        return not any(_OPERATORS[_NEGATED[name]](value, each) for each in wanted)
    return any(_OPERATORS[name](value, each) for each in wanted)
