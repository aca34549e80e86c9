"""Exceptions to cdk-nag's rules, each beside the resource it concerns and with its reason."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import Acknowledgment, ArnFormat, Fn, Stack, Validations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import IConstruct


def acknowledge(construct: IConstruct, reason: str, *rules: str) -> None:
    """`rules` do not hold for `construct` (and what is in it), because of `reason`."""
    for rule in rules:
        Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def acknowledge_wildcard(construct: IConstruct, reason: str, arn: Any, suffix: str = "") -> None:
    """AwsSolutions-IAM5 for exactly the resource `arn + suffix` in the policies of `construct`."""
    acknowledge(construct, reason, f"AwsSolutions-IAM5[Resource::{_spell(Stack.of(construct).resolve(arn))}{suffix}]")


def acknowledge_versions(role: IConstruct, function: lambda_.IFunction) -> None:
    """CDK grants calling a function together with calling its versions and aliases."""
    acknowledge_wildcard(role, "Any version of this one function.", function.function_arn, ":*")


def acknowledge_executions(role: IConstruct, machine: sfn.IStateMachine) -> None:
    """Waiting for an execution takes looking at it and ending it; its name is made as it starts."""
    acknowledge_wildcard(role, "Executions of this one machine.", _executions(role, machine), "*")


def acknowledge_map(machine: sfn.StateMachine, label: str) -> None:
    """A distributed map looks at, ends and redrives the executions that it makes of its own machine."""
    for suffix in (":*", f"/{label}:*"):
        acknowledge_wildcard(machine, "Executions of this machine's own maps.", _executions(machine, machine), suffix)


def _executions(construct: IConstruct, machine: sfn.IStateMachine) -> str:
    name = Fn.select(6, Fn.split(":", machine.state_machine_arn))
    colon = ArnFormat.COLON_RESOURCE_NAME
    arn = Stack.of(construct).format_arn(service="states", resource="execution", resource_name=name, arn_format=colon)
    return str(arn)


def seen_from(construct: IConstruct, owner: IConstruct, attribute: str) -> Any:
    """An attribute of `owner` as the template of `construct` will hold it: an import when the stacks differ."""
    stack = Stack.of(owner)
    return attribute if stack == Stack.of(construct) else stack.export_value(attribute)


def _spell(value: Any) -> str:
    """A resolved value as cdk-nag writes it in the id of a finding: `<LogicalId.Attribute>` for a reference."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::GetAtt" in value:
        return f"<{'.'.join(value['Fn::GetAtt'])}>"
    if "Fn::ImportValue" in value:
        return _spell(value["Fn::ImportValue"])
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_spell(part) for part in parts)
    return json.dumps(value, separators=(",", ":"))
