"""Distributed maps: an item each from a list in S3, failures that count, rights that are asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.local.context import Cloud
from tests.local.small_functions import unique
from tests.local.test_workflows import ended, machine, refused, run, start

PASS: dict[str, Any] = {"Type": "Pass", "End": True}


def bucket(cloud: Cloud, items: Any) -> str:
    name = unique("items")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket=name, Key="list.json", Body=json.dumps(items).encode())
    return name


def over(name: str, state: dict[str, Any], key: str = "list.json", **members: Any) -> dict[str, Any]:
    """A distributed map over the list in a bucket."""
    return {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket": name, "Key": key},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "One",
            "States": {"One": state},
        },
        "MaxConcurrency": 2,
        "End": True,
        **members,
    }


def test_each_item_of_the_list_is_mapped_once_with_what_is_selected(cloud: Cloud) -> None:
    name = bucket(cloud, [{"n": number} for number in range(7)])
    selector = {"item.$": "$$.Map.Item.Value", "whole.$": "$.whole"}
    found = run(cloud, machine(cloud, ("Each", over(name, PASS, ItemSelector=selector))), {"whole": "w"})
    assert found["status"] == "SUCCEEDED"
    assert json.loads(found["output"]) == [{"item": {"n": number}, "whole": "w"} for number in range(7)]


def test_an_item_that_fails_fails_the_map_by_the_threshold(cloud: Cloud) -> None:
    name = bucket(cloud, [1, 2, 3])
    fail = {"Type": "Fail", "Error": "Own", "Cause": "three"}
    choice = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 3, "Next": "Bad"}], "Default": "Good"}
    one = over(name, choice)
    one["ItemProcessor"]["States"] |= {"Bad": fail, "Good": {"Type": "Succeed"}}
    found = run(cloud, machine(cloud, ("Each", one)))
    assert (found["status"], found["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    tolerant = run(cloud, machine(cloud, ("Each", one | {"ToleratedFailurePercentage": 34.5})))
    assert tolerant["status"] == "SUCCEEDED"
    caught = one | {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Told"}]}
    assert run(cloud, machine(cloud, ("Each", caught), ("Told", PASS)))["status"] == "SUCCEEDED"


@pytest.mark.parametrize("items", [{"no": "list"}, None])
def test_a_list_that_cannot_be_read_fails_the_map_by_name(cloud: Cloud, items: Any) -> None:
    name = bucket(cloud, items or [])
    found = run(cloud, machine(cloud, ("Each", over(name, PASS, key="list.json" if items else "gone.json"))))
    assert (found["status"], found["error"]) == ("FAILED", "States.ItemReaderFailed")


def test_what_all_items_answer_must_fit_into_a_state(cloud: Cloud) -> None:
    name = bucket(cloud, ["x" * 1000] * 300)
    found = run(cloud, machine(cloud, ("Each", over(name, PASS, ResultPath=None))))
    assert (found["status"], found["error"]) == ("FAILED", "States.DataLimitExceeded")
    few = {"Type": "Pass", "Result": "x", "End": True}
    assert run(cloud, machine(cloud, ("Each", over(name, few))))["status"] == "SUCCEEDED"


def test_a_machine_whose_role_may_not_start_itself_maps_nothing(cloud: Cloud) -> None:
    name = bucket(cloud, [1])
    iam, role = cloud.client("iam"), unique("role")
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(
        RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    client = cloud.client("stepfunctions")
    definition = {"StartAt": "Each", "States": {"Each": over(name, PASS)}}
    made = client.create_state_machine(name=unique("machine"), definition=json.dumps(definition), roleArn=arn)

    def allowed(*actions: str) -> dict[str, Any]:
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
        }
        iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps(document))
        return ended(cloud, start(cloud, made["stateMachineArn"]))

    assert allowed("states:StartExecution")["error"] == "States.ItemReaderFailed"
    denied = allowed("s3:GetObject")
    assert (denied["status"], "states:StartExecution" in denied["cause"]) == ("FAILED", True)
    assert allowed("s3:GetObject", "states:StartExecution")["status"] == "SUCCEEDED"


def test_a_map_has_states_that_are_checked_too(cloud: Cloud) -> None:
    broken = over("any", {"Type": "Pass", "Next": "Nowhere"})
    definition = json.dumps({"StartAt": "Each", "States": {"Each": broken}})
    role = "arn:aws:iam::123456789012:role/states"
    code, _ = refused(
        cloud.client("stepfunctions").create_state_machine, name=unique(), definition=definition, roleArn=role
    )
    assert code == "InvalidDefinition"
