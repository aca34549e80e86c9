"""What a security review asks of the templates: nothing public, unlogged, lost, or allowed at large."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lock import ROOT
from infra.synth import node, synthesize
from tests.infra.conftest import CATALOG, MODELS, App, Resource, listed, text

# Actions that AWS lets nobody narrow to a resource, each with the reason it is needed.
WITHOUT_RESOURCE = {
    "xray:PutTraceSegments": "traces belong to no resource",
    "xray:PutTelemetryRecords": "traces belong to no resource",
    "xray:GetSamplingRules": "Step Functions asks how much to trace",
    "xray:GetSamplingTargets": "Step Functions asks how much to trace",
    "logs:CreateLogDelivery": "a state machine's log is delivered by CloudWatch Logs",
    "logs:GetLogDelivery": "as above",
    "logs:UpdateLogDelivery": "as above",
    "logs:DeleteLogDelivery": "as above",
    "logs:ListLogDeliveries": "as above",
    "logs:PutResourcePolicy": "as above",
    "logs:DescribeResourcePolicies": "as above",
    "logs:DescribeLogGroups": "as above",
    "cloudwatch:GetMetricData": "metrics belong to no resource",
    "ecr:GetAuthorizationToken": "one token for all repositories",
}


def statements(app: App) -> Iterator[tuple[str, dict[str, Any]]]:
    for policy in app.of("AWS::IAM::Policy"):
        for statement in policy.props["PolicyDocument"]["Statement"]:
            yield policy.id, statement


@pytest.fixture(scope="module", params=["dev", "prod", pytest.param("staging", marks=pytest.mark.full)])
def each(request: pytest.FixtureRequest) -> App:
    """Every environment that is shipped, checked by cdk-nag."""
    return App.read(synthesize(env=request.param, catalog=CATALOG, nag=True))


def test_cdk_nag_finds_nothing(each: App) -> None:
    report = json.loads((each.folder / "validation-report.json").read_text(encoding="utf-8"))
    found = [
        (violation["ruleName"], [construct["constructPath"] for construct in violation["violatingConstructs"]])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
    ]
    assert not found


def acknowledged(app: App) -> Iterator[tuple[str, str]]:
    for path in app.folder.glob("*.metadata.json"):
        for entries in json.loads(path.read_text(encoding="utf-8")).values():
            for entry in entries:
                if entry["type"] == "aws:cdk:acknowledged-rules":
                    yield from entry["data"].items()


def test_every_exception_from_a_rule_says_why(app: App) -> None:
    reasons = dict(acknowledged(app))
    assert any("AwsSolutions-IAM5" in rule for rule in reasons)
    assert not [rule for rule, reason in reasons.items() if len(reason.split()) < 4]


@pytest.mark.full
def test_cdk_nag_would_find_a_public_bucket(tmp_path: Path) -> None:
    """The check above would also pass if the packs were not there."""
    program = (
        "import aws_cdk as cdk; from aws_cdk import aws_s3 as s3; from infra.nag import check\n"
        f"app = cdk.App(outdir={str(tmp_path)!r}); s3.Bucket(cdk.Stack(app, 'bad'), 'Bucket'); check(app); app.synth()"
    )
    subprocess.run(
        [sys.executable, "-c", program], env={"JSII_NODE": str(node()), "PATH": "", "PYTHONPATH": "."}, check=False
    )
    assert "AwsSolutions-S10" in (tmp_path / "validation-report.json").read_text(encoding="utf-8")


def test_cfn_lint_finds_nothing(each: App) -> None:
    templates = [str(path) for path in sorted(each.folder.glob("*.template.json"))]
    # W3005: CDK writes a DependsOn beside the reference that already implies it
    program = str(Path(sys.executable).with_name("cfn-lint"))
    command = [program, "--ignore-checks", "W3005", "--", *templates]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_no_custom_resource_and_no_metadata_hide_in_the_templates(app: App) -> None:
    types = {resource.type for resource in app.all()}
    assert not [type_ for type_ in types if type_.startswith("Custom::") or "CustomResource" in type_]
    assert "AWS::CDK::Metadata" not in types


def test_the_dead_letter_queues_policy_does_not_grow_with_the_rules(app: App) -> None:
    """SQS takes 20 statements; what CDK adds for a rule of its own is one more per model."""
    [policy] = [one for one in app.all() if one.type == "AWS::SQS::QueuePolicy"]
    statements = policy.props["PolicyDocument"]["Statement"]
    assert [one.get("Sid") for one in statements if one["Effect"] == "Allow"] == ["Rules"]
    assert len(statements) == 2
    sources = [text(one) for one in statements[1]["Condition"]["ArnLike"]["aws:SourceArn"]]
    assert [one.partition(":rule/")[2] for one in sources] == ["perennial-dev-*", "perennial-dev/perennial-dev-*"]
    hops = [one for one in app.all() if one.type == "AWS::Events::Rule"]
    assert all("DeadLetterConfig" in target for hop in hops for target in hop.props["Targets"])


def test_nothing_is_named_at_random(app: App) -> None:
    """A uuid in an id would rename, and so replace, its resource at every synthesis."""
    uuid = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.I)
    assert not [resource.id for resource in app.all() if uuid.search(resource.id)]


def test_templates_stay_within_cloudformations_limits(app: App) -> None:
    for path in app.folder.glob("*.template.json"):
        assert path.stat().st_size < 1_000_000
        assert len(json.loads(path.read_text(encoding="utf-8"))["Resources"]) < 500


def test_no_bucket_is_public_or_unencrypted_or_unversioned(app: App) -> None:
    for bucket in app.of("AWS::S3::Bucket"):
        assert set(bucket.props["PublicAccessBlockConfiguration"].values()) == {True}, bucket.id
        assert bucket.props["BucketEncryption"], bucket.id
        assert bucket.id.startswith("AccessLogs") or bucket.props["VersioningConfiguration"] == {"Status": "Enabled"}


def test_every_bucket_refuses_plain_http(app: App) -> None:
    policies = {policy.props["Bucket"]["Ref"]: policy for policy in app.of("AWS::S3::BucketPolicy")}
    for bucket in app.of("AWS::S3::Bucket"):
        denied = policies[bucket.id].props["PolicyDocument"]["Statement"][0]
        assert denied["Effect"] == "Deny"
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_ledger_takes_new_records_and_gives_none_back(app: App) -> None:
    (ledger,) = [bucket for bucket in app.of("AWS::S3::Bucket") if bucket.id.startswith("Ledger")]
    lock = ledger.props["ObjectLockConfiguration"]
    assert lock == {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Days": 1, "Mode": "GOVERNANCE"}}}
    (policy,) = [p for p in app.of("AWS::S3::BucketPolicy") if p.props["Bucket"] == {"Ref": ledger.id}]
    denied = {s["Sid"]: s for s in policy.props["PolicyDocument"]["Statement"] if "Sid" in s}
    assert denied["OnlyNewRecords"]["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    assert set(denied["NoDeletes"]["Action"]) >= {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    assert {s["Effect"] for s in denied.values()} == {"Deny"}


def test_every_log_ends_and_belongs_to_somebody(app: App) -> None:
    for group in app.of("AWS::Logs::LogGroup"):
        assert group.props["RetentionInDays"] == 14, group.id
    for function in app.of("AWS::Lambda::Function"):
        assert function.props["LoggingConfig"]["LogGroup"]["Ref"], function.id


def test_tables_bill_by_request_and_can_be_recovered(app: App) -> None:
    for table in app.of("AWS::DynamoDB::Table"):
        assert table.props["BillingMode"] == "PAY_PER_REQUEST"
        assert table.props["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_every_asynchronous_hop_retries_for_a_stated_time_and_then_keeps_the_message(app: App) -> None:
    letters = {"Fn::GetAtt": [app.one("AWS::SQS::Queue").id, "Arn"]}
    rules = [target for rule in app.of("AWS::Events::Rule") for target in rule.props["Targets"]]
    schedules = [schedule.props["Target"] for schedule in app.of("AWS::Scheduler::Schedule")]
    for target in [*rules, *schedules]:
        assert target["DeadLetterConfig"] == {"Arn": letters}
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 7200, "MaximumRetryAttempts": 20}
    asynchronous = [target for target in [*rules, *schedules] if "Function" in text(target["Arn"])]
    called = {text(target["Arn"]).strip("${}").split(".")[0] for target in asynchronous}
    configured = {
        config.props["FunctionName"]["Ref"]: config.props for config in app.of("AWS::Lambda::EventInvokeConfig")
    }
    assert called == set(configured)
    for config in configured.values():
        assert config["MaximumEventAgeInSeconds"] == 7200
        assert config["MaximumRetryAttempts"] == 2
        assert config["DestinationConfig"] == {"OnFailure": {"Destination": letters}}


def test_dead_letters_wait_two_weeks_and_raise_an_alarm(app: App) -> None:
    queue = app.one("AWS::SQS::Queue")
    assert queue.props["MessageRetentionPeriod"] == 14 * 86400
    alarm = app.one("AWS::CloudWatch::Alarm", AlarmName="perennial-dev-dead-letters")
    assert alarm.props["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue.id, "QueueName"]}}]


def test_only_listed_actions_are_allowed_on_every_resource(app: App) -> None:
    allowed = {
        action
        for _, statement in statements(app)
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    assert allowed <= WITHOUT_RESOURCE.keys()
    assert WITHOUT_RESOURCE.keys() <= allowed, "a reason for what nobody does"


def test_a_workflow_stops_tasks_of_its_own_cluster_only(app: App) -> None:
    cluster = app.one("AWS::ECS::Cluster").props["ClusterName"]
    found = [
        (policy, listed(statement["Resource"]))
        for policy, statement in statements(app)
        if "ecs:StopTask" in listed(statement["Action"])
    ]
    ((policy, (tasks,)),) = found
    assert policy.startswith("LifecycleWorkflowRole")
    assert text(tasks).endswith(f":task/{cluster}/*")


def test_no_policy_allows_actions_by_pattern(app: App) -> None:
    assert not [(policy, s["Action"]) for policy, s in statements(app) if any("*" in a for a in listed(s["Action"]))]


def test_no_role_takes_a_managed_policy(app: App) -> None:
    assert not [role.id for role in app.of("AWS::IAM::Role") if role.props.get("ManagedPolicyArns")]


def test_policies_fit_into_their_roles(app: App) -> None:
    """All inline policies of a role together: 10,240 characters without white space, references resolved."""
    for policy in app.of("AWS::IAM::Policy"):
        document = json.dumps(policy.props["PolicyDocument"], separators=(",", ":"))
        assert len(document) < 10_240, policy.id


def test_predict_may_write_its_log_and_nothing_else(app: App) -> None:
    allowed: dict[str, list[str]] = {policy: [] for policy, _ in statements(app) if policy.startswith("Predict")}
    for policy, statement in statements(app):
        if policy in allowed:
            allowed[policy] += listed(statement["Action"])
    assert len(allowed) == 2
    assert all(set(actions) == {"logs:CreateLogStream", "logs:PutLogEvents"} for actions in allowed.values())


def test_nothing_runs_by_the_hour(app: App) -> None:
    hourly = {"AWS::EC2::NatGateway", "AWS::EC2::Instance", "AWS::ECS::Service", "AWS::RDS::DBInstance"}
    assert not hourly & {resource.type for resource in app.all()}
    assert {r.props["VpcEndpointType"] for r in app.of("AWS::EC2::VPCEndpoint")} == {"Gateway"}


def test_training_tasks_cannot_be_reached(app: App) -> None:
    group: Resource = app.one("AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group.props


def test_training_tasks_speak_https_and_nothing_else(app: App) -> None:
    (out,) = app.one("AWS::EC2::SecurityGroup").props["SecurityGroupEgress"]
    assert (out["IpProtocol"], out["FromPort"], out["ToPort"], out["CidrIp"]) == ("tcp", 443, 443, "0.0.0.0/0")
    assert "AWS::EC2::SecurityGroupEgress" not in {resource.type for resource in app.all()}


def test_every_alarm_names_its_runbook_article(app: App) -> None:
    for alarm in app.of("AWS::CloudWatch::Alarm"):
        named = re.search(r"docs/runbook/\S+\.md", alarm.props["AlarmDescription"])
        assert named, alarm.id
        assert (ROOT / named[0]).is_file(), named[0]


def test_every_alarm_tells_the_topic_that_alarms_may_write(app: App) -> None:
    topic = app.one("AWS::SNS::Topic", TopicName="perennial-dev-alerts")
    for alarm in app.of("AWS::CloudWatch::Alarm"):
        for told in ("AlarmActions", "OKActions"):
            assert [topic.id in text(action) for action in alarm.props[told]] == [True], alarm.id
    (policy,) = app.of("AWS::SNS::TopicPolicy")
    allowed = [one for one in policy.props["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
    assert [one["Principal"] for one in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_recorded_predictions_end_and_what_was_dropped_does_not(app: App) -> None:
    (data,) = [bucket for bucket in app.of("AWS::S3::Bucket") if bucket.id.startswith("Data")]
    rules = data.props["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert expiring == {"staging/": 30, "predictions/": 90, "predictions-failed/": 90, "monitoring/": 90}


def test_delete_markers_of_expired_objects_go_too(app: App) -> None:
    (data,) = [bucket for bucket in app.of("AWS::S3::Bucket") if bucket.id.startswith("Data")]
    markers = [rule for rule in data.props["LifecycleConfiguration"]["Rules"] if "ExpiredObjectDeleteMarker" in rule]
    (rule,) = markers
    assert rule["ExpiredObjectDeleteMarker"] is True
    assert "Prefix" not in rule  # wherever objects expire
    assert "ExpirationInDays" not in rule  # S3 refuses both in one rule


def test_production_keeps_what_must_not_be_lost_when_its_stacks_go() -> None:
    prod = App.read(synthesize(env="prod", catalog=CATALOG, nag=True))
    kept = prod.of("AWS::S3::Bucket", "AWS::DynamoDB::Table")
    assert {(one.raw["DeletionPolicy"], one.raw["UpdateReplacePolicy"]) for one in kept} == {("Retain", "Retain")}
    tables = prod.of("AWS::DynamoDB::Table")
    assert all(table.props["DeletionProtectionEnabled"] for table in tables)
    assert all(table.props["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] for table in tables)


def test_operations_lists_the_alarms_of_the_template(app: App) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    listed_there = dict(re.findall(r"^\| `([a-z-]+)`(, one per model)? \|", page, re.MULTILINE))
    names = {alarm.props["AlarmName"].removeprefix("perennial-dev-") for alarm in app.of("AWS::CloudWatch::Alarm")}
    assert names == {
        name
        for article, each in listed_there.items()
        for name in ([f"{article}-{model}" for model in MODELS] if each else [article])
    }
