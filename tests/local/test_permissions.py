"""Policy documents decide as IAM does, as far as they are imitated."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.permissions import allows, split_function

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:f"
CONTEXT = {"aws:sourcearn": "arn:aws:events:eu-west-1:1:rule/bus/r", "aws:securetransport": "true"}


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": FUNCTION, **more}


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
        ([{"Effect": "Allow", "Action": "*", "NotResource": FUNCTION}], False),
        ([allow(), allow(Effect="Deny")], False),
        ([allow(), allow(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})], True),
        ([allow(Condition={"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:*:rule/bus/*"}})], True),
        ([allow(Condition={"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:*:rule/other/*"}})], False),
        ([allow(Condition={"StringEquals": {"aws:SourceAccount": "1"}})], False),
        ([allow(Condition={"StringEqualsIfExists": {"aws:SourceAccount": "1"}})], True),
        ([allow(Condition={"StringNotEquals": {"aws:SourceArn": ["a", "b"]}})], True),
        ([allow(Condition={"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}})], False),
    ],
)
def test_a_callers_policies_decide(statements: list[dict[str, Any]], expected: bool) -> None:
    assert allows([{"Statement": statements}], "lambda:InvokeFunction", FUNCTION, CONTEXT) is expected


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ({"Service": "events.amazonaws.com"}, True),
        ({"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}, True),
        ({"Service": "s3.amazonaws.com"}, False),
        ({"AWS": "arn:aws:iam::1:root"}, False),
        ({"AWS": "*"}, True),
        ("*", True),
        (None, False),
    ],
)
def test_a_resources_policy_names_who(principal: Any, expected: bool) -> None:
    policy = {"Statement": allow(Principal=principal)}
    assert allows([policy], "lambda:InvokeFunction", FUNCTION, CONTEXT, "events.amazonaws.com") is expected


def test_a_functions_arn_has_a_name_and_maybe_a_qualifier() -> None:
    assert split_function(FUNCTION) == ("f", None)
    assert split_function(FUNCTION + ":live") == ("f", "live")
