"""Policy documents decide as IAM does; what is not understood is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.iam.policies import NotUnderstood, Question, effects
from infra.local.permissions import split_function

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:f"
CONTEXT: dict[str, str | tuple[str, ...]] = {
    "dynamodb:leadingkeys": ("A#1", "B#2"),
    "aws:sourcearn": "arn:aws:events:eu-west-1:1:rule/bus/r",
    "aws:securetransport": "true",
    "aws:principalaccount": "123456789012",
}
ROLE = "arn:aws:iam::123456789012:role/r"
SESSION = "arn:aws:sts::123456789012:assumed-role/r/s"


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": FUNCTION, **more}


def allowed(statements: list[dict[str, Any]]) -> bool:
    question = Question("lambda:InvokeFunction", FUNCTION, CONTEXT)
    return effects([{"Statement": statements}], question) == {"Allow"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], False),
        ([allow()], True),
        ([allow(Action="lambda:*", Resource="*")], True),
        ([allow(Action="LAMBDA:invokefunction")], True),
        ([allow(Action=["s3:Get*", "lambda:Invoke?unction"])], True),
        ([allow(Action="s3:*")], False),
        ([allow(Resource=FUNCTION + ":*")], False),
        ([allow(Resource=FUNCTION.upper())], False),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": "lambda:Invoke*", "Resource": "*"}], False),
        ([{"Effect": "Allow", "Action": "*", "NotResource": FUNCTION}], False),
        ([allow(), allow(Effect="Deny")], False),
        ([allow(), allow(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})], True),
        ([allow(Condition={"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:*:rule/bus/*"}})], True),
        ([allow(Condition={"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:*:rule/other/*"}})], False),
        ([allow(Condition={"StringEquals": {"aws:SourceAccount": "1"}})], False),
        ([allow(Condition={"StringEqualsIfExists": {"aws:SourceAccount": "1"}})], True),
        ([allow(Condition={"StringNotEquals": {"aws:SourceArn": ["a", "b"]}})], True),
        ([allow(Condition={"StringNotLike": {"aws:SourceArn": ["a", "arn:*"]}})], False),
        ([allow(Condition={"ArnNotLike": {"aws:PrincipalArn": "arn:*"}})], True),
        ([allow(Condition={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["A#*", "C"]}})], False),
        ([allow(Condition={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["A#*", "B#*"]}})], True),
        ([allow(Condition={"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": ["A#1"]}})], True),
        ([allow(Condition={"ForAnyValue:StringNotLike": {"dynamodb:LeadingKeys": ["A#*", "B#*"]}})], False),
        ([allow(Condition={"Null": {"aws:SourceAccount": "true"}})], True),
        ([allow(Condition={"Null": {"aws:SourceArn": "true"}})], False),
    ],
)
def test_a_callers_policies_decide(statements: list[dict[str, Any]], expected: bool) -> None:
    assert allowed(statements) is expected


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}, "DateGreaterThan"),
        ({"Condition": {"ForAllValues:NumericEquals": {"aws:SourceArn": "1"}}}, "ForAllValues:NumericEquals"),
        ({"Condition": {"ForAllValues:StringLike": {"aws:TagKeys": "a"}}}, "aws:TagKeys"),
        ({"Condition": {"StringEquals": {"aws:PrincipalTag/team": "a"}}}, "aws:PrincipalTag/team"),
        ({"Resource": "arn:aws:s3:::b/${aws:username}/*"}, "${aws:username}"),
        ({"Wherefore": "art thou"}, "Wherefore"),
    ],
)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_what_is_not_understood_is_named_and_never_skipped(more: dict[str, Any], named: str, effect: str) -> None:
    """A Deny that is skipped would be an Allow."""
    with pytest.raises(NotUnderstood) as refused:
        allowed([allow(), allow(Effect=effect, **more)])
    assert named in str(refused.value)


def test_what_is_not_understood_but_speaks_of_other_calls_does_no_harm() -> None:
    assert allowed([allow(), allow(Action="s3:*", Condition={"DateLessThan": {"aws:CurrentTime": "x"}})])


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ({"Service": "events.amazonaws.com"}, True),
        ({"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}, True),
        ({"Service": "s3.amazonaws.com"}, False),
        ({"AWS": "arn:aws:iam::1:root"}, False),
        ({"AWS": "*"}, True),
        ("*", True),
    ],
)
def test_a_resources_policy_names_who(principal: Any, expected: bool) -> None:
    policy = {"Statement": allow(Principal=principal)}
    question = Question("lambda:InvokeFunction", FUNCTION, CONTEXT, frozenset({"events.amazonaws.com"}))
    assert (effects([policy], question, of_resource=True) == {"Allow"}) is expected


@pytest.mark.parametrize(
    ("principal", "effect", "expected"),
    [
        (ROLE, "Allow", True),
        (SESSION, "Allow", True),
        ("arn:aws:sts::123456789012:assumed-role/r/other", "Allow", False),
        # the account leaves the choice to its own policies, but what it denies is denied to everybody in it
        ("arn:aws:iam::123456789012:root", "Allow", False),
        ("arn:aws:iam::123456789012:root", "Deny", True),
        ("123456789012", "Deny", True),
        ("arn:aws:iam::210987654321:root", "Deny", False),
    ],
)
def test_a_session_is_named_by_its_own_arn_and_by_its_roles(principal: str, effect: str, expected: bool) -> None:
    policy = {"Statement": allow(Principal={"AWS": principal}, Effect=effect)}
    question = Question("lambda:InvokeFunction", FUNCTION, CONTEXT, frozenset({ROLE, SESSION}))
    assert bool(effects([policy], question, of_resource=True)) is expected


@pytest.mark.parametrize("principal", [None, {"Federated": "cognito"}, {"CanonicalUser": "x"}])
def test_a_principal_of_another_kind_is_not_understood(principal: Any) -> None:
    policy = {"Statement": allow(Principal=principal)}
    with pytest.raises(NotUnderstood):
        effects([policy], Question("lambda:InvokeFunction", FUNCTION), of_resource=True)


def test_a_functions_arn_has_a_name_and_maybe_a_qualifier() -> None:
    assert split_function(FUNCTION) == ("f", None)
    assert split_function(FUNCTION + ":live") == ("f", "live")
