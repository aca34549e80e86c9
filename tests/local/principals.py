"""Roles, users and their keys, made for a test; every name is new unless it is given."""

from __future__ import annotations

import json
from typing import Any

import boto3

from infra.local.context import Cloud, Principal
from infra.local.iam.principals import session_arn
from tests.local import made

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def role(cloud: Cloud, service: str, *statements: dict[str, Any], name: str = "") -> str:
    """The ARN of a role that `service` may take on, with one inline policy."""
    name = name or made.name("role")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    iam = cloud.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return arn


def user(cloud: Cloud, name: str, *statements: dict[str, Any]) -> Principal:
    """An IAM user with an access key and one inline policy."""
    name, iam = made.name(name), cloud.client("iam")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Principal(key["AccessKeyId"], key["SecretAccessKey"], arn)


def session(cloud: Cloud, role_arn: str, name: str = "session") -> Principal:
    """A session of a role, as a service would get it."""
    return cloud.credentials.issue(session_arn(role_arn, name))


def client(cloud: Cloud, principal: Principal, service: str) -> Any:
    """A boto3 client that signs as `principal`."""
    keys = boto3.session.Session(principal.access_key, principal.secret_key, region_name=cloud.region)
    made_client: Any = keys.client(service, endpoint_url=cloud.endpoint)  # type: ignore[call-overload]
    return made_client


def standing_roles(cloud: Cloud) -> None:
    """The roles of tests that are about something else: they may do everything."""
    for name, service in (("small", "lambda"), ("states", "states"), ("train", "ecs-tasks")):
        role(cloud, f"{service}.amazonaws.com", EVERYTHING, name=name)
