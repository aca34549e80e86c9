"""Which grants of the deployed roles were used: every recorded decision, decided again without one of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.iam.policies import Question, document, effects, listed

# the role's id in the template within the name that CloudFormation gives it, which may cut off CDK's digest
ROLE = re.compile(r"^perennial-[a-z]+-[a-z]+-(?P<id>\w*?Role)[0-9A-F]*-[0-9A-F]+$")


@dataclass(frozen=True)
class Grant:
    """One action of an Allow statement of a role's policy, by the role's id in the template."""

    role: str
    action: str
    resources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {', '.join(self.resources)}"


@dataclass(frozen=True)
class Roles:
    """The statements of every role of a deployment, and what each role was allowed to do, as its cloud recorded it."""

    statements: dict[str, list[dict[str, Any]]]
    asked: dict[str, list[Question]]

    @classmethod
    def read(cls, iam: Any, decisions: Path) -> Roles:
        """From IAM of a running cloud and the record in its working directory."""
        names = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
        deployed = {name: _statements(iam, name) for name in names if ROLE.match(name)}
        asked: dict[str, list[Question]] = {name: [] for name in deployed}
        for line in decisions.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            name = record["principal"].split("/")[1]
            if record["allowed"] and name in asked:
                several = {key: tuple(value) for key, value in record["context"].items() if isinstance(value, list)}
                asked[name].append(Question(record["action"], record["resource"], {**record["context"], **several}))
        return cls(deployed, asked)

    def unused(self) -> list[Grant]:
        """The grants without which every recorded decision would have been the same."""
        return [grant for role in sorted(self.statements) for grant in self._unused(role)]

    def _unused(self, role: str) -> Iterator[Grant]:
        statements = self.statements[role]
        for place, statement in enumerate(statements):
            for action in listed(statement["Action"]):
                if statement["Effect"] == "Allow" and not self._missed(role, without(statements, place, action)):
                    yield Grant(identifier(role), action, tuple(listed(statement["Resource"])))

    def _missed(self, role: str, statements: list[dict[str, Any]]) -> bool:
        return any(effects([{"Statement": statements}], question) != {"Allow"} for question in self.asked[role])


def identifier(role: str) -> str:
    """The role's id in the template, without CDK's digest."""
    matched = ROLE.match(role)
    assert matched, role
    return matched["id"]


def without(statements: list[dict[str, Any]], place: int, action: str) -> list[dict[str, Any]]:
    """The statements but for one action of the one at `place`."""
    changed = {**statements[place], "Action": [each for each in listed(statements[place]["Action"]) if each != action]}
    return [*statements[:place], changed, *statements[place + 1 :]]


def _statements(iam: Any, role: str) -> list[dict[str, Any]]:
    assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"], role
    policies = [
        document(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    return [dict(statement) for policy in policies for statement in listed(policy["Statement"])]


def told(grants: list[Grant], reasons: Mapping[tuple[str, str], str]) -> list[str]:
    """The grants for which no reason is given."""
    return [str(grant) for grant in grants if not {(grant.role, grant.action), ("*", grant.action)} & reasons.keys()]


_TRACES = "traces are not imitated; CDK grants this with tracing"
_FAILED_UPLOAD = "an upload in parts that fails is taken back"
# (role or *, action) → why a run of the main job need not use it
REASONS: dict[tuple[str, str], str] = {
    ("*", "xray:PutTelemetryRecords"): _TRACES,
    ("*", "xray:GetSamplingRules"): _TRACES,
    ("*", "xray:GetSamplingTargets"): _TRACES,
    ("IngestWorkflowRole", "xray:PutTraceSegments"): _TRACES,
    ("LifecycleWorkflowRole", "xray:PutTraceSegments"): _TRACES,
    ("RolloutWorkflowRole", "xray:PutTraceSegments"): _TRACES,
    ("*", "s3:AbortMultipartUpload"): _FAILED_UPLOAD,
    ("IngestRole", "s3:GetObjectTagging"): "S3's guide asks for it beside the right on the version that is copied",
    ("*", "sqs:GetQueueAttributes"): "CDK grants it with the on-failure destination",
    ("*", "sqs:GetQueueUrl"): "CDK grants it with the on-failure destination",
    ("RetrainRole", "states:DescribeExecution"): "asked of a flight whose execution may have ended unheard",
    ("RetrainRole", "events:PutEvents"): "a training that is declined or fails is a fact on the bus",
    ("DeployRole", "lambda:PublishVersion"): "a rollout that was interrupted after the code had been put",
    ("DeployRole", "cloudwatch:GetMetricData"): "asked at the looks of a rollout by steps: test_redeploy.py",
    ("LifecycleWorkflowRole", "ecs:StopTask"): "an execution that is stopped or out of time ends its task",
    ("LifecycleWorkflowRole", "states:StopExecution"): "an execution that is stopped or out of time ends its rollout",
    ("DeployRole", "lambda:DeleteFunction"): "only versions beyond those that are kept are deleted",
    ("FeedbackRole", "s3:GetObject"): "an event that names no version is read by its ETag",
    ("FeedbackRole", "s3:GetObjectTagging"): "S3's guide asks for it beside the right on the version that is copied",
    ("FeedbackRole", "s3:ListBucket"): "without it S3 answers 403, not 404, for a file that is gone",
    ("RecordsSenderRole", "firehose:PutRecordBatch"): "CloudWatch Logs takes either; here it is PutRecord",
}
# roles of which the main job needs nothing → the test that measures them
ELSEWHERE = {
    "ApproveRole": "test_approval.py",
    "PromotionWorkflowRole": "test_approval.py",
    "FeedbackRole": "test_feedback.py",
    "MonitorRole": "test_monitor.py",
    "MonitorScheduleRole": "test_monitor.py",
    "ScoreRole": "test_score.py",
    "ScoreWorkflowRole": "test_score.py",
    "ScoreWorkflowStartRole": "test_score.py",
}
