"""Every resource type: what it understands against AWS's own schemas, and its life on a running cloud."""

from __future__ import annotations

import copy
from typing import Any
from uuid import uuid4

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from infra.local.assembly import Stack
from infra.local.context import Cloud
from infra.local.provision import Provisioner
from infra.local.resources import REGISTRY
from infra.local.resources.base import Place, ResourceError
from infra.local.resources.s3 import lifecycle_rule
from infra.local.resources.security_groups import permission

REGION = "eu-west-1"
STAGE = "AWS::ApiGatewayV2::Stage"
TYPES = sorted(set(REGISTRY) - {"AWS::CDK::Metadata"})


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return found


def names(pointers: list[str]) -> set[str]:
    """The top-level properties among JSON pointers such as /properties/Name."""
    return {pointer.split("/")[2] for pointer in pointers if pointer.count("/") == 2}


@pytest.mark.parametrize("kind", TYPES)
def test_understood_properties_exist_in_cloudformation(kind: str) -> None:
    assert set(REGISTRY[kind].properties) <= set(schema(kind)["properties"])


@pytest.mark.parametrize("kind", TYPES)
def test_a_change_replaces_exactly_when_it_does_in_cloudformation(kind: str) -> None:
    told = schema(kind)
    create_only = names(told.get("createOnlyProperties", [])) | names(told.get("conditionalCreateOnlyProperties", []))
    assert set(REGISTRY[kind].replaces) == create_only & REGISTRY[kind].properties


def test_a_lifecycle_rule_reads_the_same_in_the_words_of_the_api() -> None:
    rule = {
        "Id": "r",
        "Status": "Enabled",
        "Prefix": "p/",
        "TagFilters": [{"Key": "k", "Value": "v"}],
        "ExpirationInDays": 3,
        "NoncurrentVersionExpirationInDays": 4,
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 2}],
    }
    assert lifecycle_rule(rule) == {
        "ID": "r",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "p/", "Tags": [{"Key": "k", "Value": "v"}]}},
        "Expiration": {"Days": 3},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 4},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        "Transitions": [{"StorageClass": "GLACIER", "Days": 2}],
    }


def test_a_security_group_rule_reads_the_same_in_the_words_of_the_api() -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.0.0.0/8", "Description": "d"}
    ports = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    assert permission(rule) == ports | {"IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "d"}]}
    other = ports | {"UserIdGroupPairs": [{"GroupId": "sg-1"}]}
    assert permission(ports | {"SourceSecurityGroupId": "sg-1"}) == other


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def trust(*services: str) -> dict[str, Any]:
    named = [f"{service}.amazonaws.com" for service in services]
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": named}}
    return {"Version": "2012-10-17", "Statement": [allow]}


def policy(action: str, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource} | more]}


ANYONE = {"Principal": {"AWS": "*"}}
SERVICE = {"Principal": {"Service": "delivery.logs.amazonaws.com"}}
PASS = '{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}'

# logical id → (type, properties, what changes in place; None: the type has nothing to change)
LIFE: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None]] = {
    "Bucket": (
        "AWS::S3::Bucket",
        {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "ObjectLockEnabled": True,
            "ObjectLockConfiguration": {
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": "1"}},
            },
            "LifecycleConfiguration": {"Rules": [{"Id": "a", "Status": "Enabled", "ExpirationInDays": 1}]},
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": "true"},
        },
        {"LifecycleConfiguration": {"Rules": [{"Id": "b", "Status": "Enabled", "ExpirationInDays": 2}]}},
    ),
    "BucketPolicy": (
        "AWS::S3::BucketPolicy",
        {"Bucket": ref("Bucket"), "PolicyDocument": policy("s3:GetObject", "*", **ANYONE)},
        {"PolicyDocument": policy("s3:PutObject", "*", **ANYONE)},
    ),
    "Table": (
        "AWS::DynamoDB::Table",
        {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "SSESpecification": {"SSEEnabled": True},
            "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "DeletionProtectionEnabled": True,
        },
        {
            "DeletionProtectionEnabled": False,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
            "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": False},
        },
    ),
    "Parameter": ("AWS::SSM::Parameter", {"Type": "String", "Value": arn("Table")}, {"Value": "other"}),
    "Bus": ("AWS::Events::EventBus", {"Name": "NAME-bus"}, None),
    "BusPolicy": (
        "AWS::Events::EventBusPolicy",
        {
            "EventBusName": ref("Bus"),
            "StatementId": "s",
            "Statement": {"Effect": "Allow", "Action": "events:PutEvents", "Resource": arn("Bus"), "Principal": "*"},
        },
        None,
    ),
    "Rule": (
        "AWS::Events::Rule",
        {
            "EventBusName": ref("Bus"),
            "EventPattern": {"source": ["a"]},
            "State": "ENABLED",
            "Targets": [
                {
                    "Id": "t",
                    "Arn": arn("Queue"),
                    "DeadLetterConfig": {"Arn": arn("DeadLetters")},
                    "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": "60"},
                    "InputTransformer": {"InputPathsMap": {"d": "$.detail"}, "InputTemplate": '{"d":<d>}'},
                }
            ],
        },
        {"Targets": [{"Id": "u", "Arn": arn("Queue")}], "State": "DISABLED"},
    ),
    "Group": ("AWS::Scheduler::ScheduleGroup", {}, None),
    "Schedule": (
        "AWS::Scheduler::Schedule",
        {
            "GroupName": ref("Group"),
            "ScheduleExpression": "rate(1 day)",
            "State": "DISABLED",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": arn("Queue"), "RoleArn": arn("Role"), "Input": "{}"},
        },
        {"ScheduleExpression": "rate(2 days)"},
    ),
    "Machine": (
        "AWS::StepFunctions::StateMachine",
        {
            "DefinitionString": PASS,
            "RoleArn": arn("Role"),
            "TracingConfiguration": {"Enabled": True},
            "LoggingConfiguration": {
                "Level": "ERROR",
                "IncludeExecutionData": False,
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("Logs")}}],
            },
        },
        {"DefinitionString": PASS.replace('"A"', '"B"')},
    ),
    "Logs": ("AWS::Logs::LogGroup", {"RetentionInDays": 7}, {"RetentionInDays": 30}),
    "Filter": (
        "AWS::Logs::SubscriptionFilter",
        {
            "LogGroupName": ref("Logs"),
            "FilterPattern": '{ $.record = "prediction" }',
            "DestinationArn": arn("Stream"),
            "RoleArn": arn("Role"),
        },
        {"FilterPattern": ""},
    ),
    "LogsPolicy": (
        "AWS::Logs::ResourcePolicy",
        {"PolicyName": "NAME-p", "PolicyDocument": policy("logs:PutLogEvents", "*", **SERVICE)},
        {"PolicyDocument": policy("logs:CreateLogStream", "*", **SERVICE)},
    ),
    "Stream": (
        "AWS::KinesisFirehose::DeliveryStream",
        {
            "DeliveryStreamType": "DirectPut",
            "ExtendedS3DestinationConfiguration": {
                "BucketARN": arn("Bucket"),
                "RoleARN": arn("Role"),
                "Prefix": "p/!{timestamp:yyyy-MM-dd}/",
                "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
                "BufferingHints": {"IntervalInSeconds": "60", "SizeInMBs": 5},
            },
        },
        None,
    ),
    "Role": (
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": trust("lambda", "states"),
            "Policies": [{"PolicyName": "in", "PolicyDocument": policy("*", "*")}],
        },
        {
            "AssumeRolePolicyDocument": trust("lambda", "states", "scheduler"),
            "Policies": [{"PolicyName": "in", "PolicyDocument": policy("*", "*", Sid="New")}],
            "Description": "new",
        },
    ),
    "Policy": (
        "AWS::IAM::Policy",
        {"PolicyName": "p", "PolicyDocument": policy("s3:GetObject", "*"), "Roles": [ref("Role")]},
        {"PolicyName": "q", "PolicyDocument": policy("s3:PutObject", "*")},
    ),
    "Managed": (
        "AWS::IAM::ManagedPolicy",
        {"PolicyDocument": policy("s3:GetObject", "*"), "Roles": [ref("Role")]},
        {"PolicyDocument": policy("s3:PutObject", "*"), "Roles": []},
    ),
    "Layer": (
        "AWS::Lambda::LayerVersion",
        {"LayerName": "NAME-layer", "Content": {"S3Bucket": "NAME-code", "S3Key": "code.zip"}},
        None,
    ),
    "Function": (
        "AWS::Lambda::Function",
        {
            "Code": {"S3Bucket": "NAME-code", "S3Key": "code.zip"},
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Role": arn("Role"),
            "Layers": [ref("Layer")],
            "Environment": {"Variables": {"AA": "1", "NUMBER": 2}},
            "MemorySize": "256",
            "Timeout": 5,
        },
        {"Environment": {"Variables": {"AA": "2"}}, "Timeout": 6},
    ),
    "Version": ("AWS::Lambda::Version", {"FunctionName": ref("Function")}, None),
    "Alias": (
        "AWS::Lambda::Alias",
        {"FunctionName": ref("Function"), "Name": "live", "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}},
        {"Description": "new"},
    ),
    "Permission": (
        "AWS::Lambda::Permission",
        {"FunctionName": ref("Alias"), "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"},
        None,
    ),
    "Invoke": (
        "AWS::Lambda::EventInvokeConfig",
        {
            "FunctionName": ref("Function"),
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 1,
            "DestinationConfig": {"OnFailure": {"Destination": arn("DeadLetters")}},
        },
        {"MaximumRetryAttempts": 0},
    ),
    "Api": ("AWS::ApiGatewayV2::Api", {"Name": "NAME-api", "ProtocolType": "HTTP"}, {"Description": "new"}),
    "Integration": (
        "AWS::ApiGatewayV2::Integration",
        {
            "ApiId": ref("Api"),
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": ref("Alias"),
            "PayloadFormatVersion": "2.0",
        },
        {"Description": "new"},
    ),
    "ApiRoute": (
        "AWS::ApiGatewayV2::Route",
        {
            "ApiId": ref("Api"),
            "RouteKey": "GET /x",
            "AuthorizationType": "AWS_IAM",
            "Target": {"Fn::Join": ["/", ["integrations", ref("Integration")]]},
        },
        {"RouteKey": "GET /y"},
    ),
    "Stage": (
        "AWS::ApiGatewayV2::Stage",
        {
            "ApiId": ref("Api"),
            "StageName": "$default",
            "AutoDeploy": True,
            "DefaultRouteSettings": {"ThrottlingBurstLimit": "10", "ThrottlingRateLimit": 5},
            "AccessLogSettings": {"DestinationArn": arn("Logs"), "Format": "$context.requestId"},
        },
        {"DefaultRouteSettings": {"ThrottlingBurstLimit": 20, "ThrottlingRateLimit": 5}},
    ),
    "Cluster": ("AWS::ECS::Cluster", {}, None),
    "Task": (
        "AWS::ECS::TaskDefinition",
        {
            "Family": "NAME-task",
            "Cpu": "256",
            "Memory": "512",
            "NetworkMode": "awsvpc",
            "RequiresCompatibilities": ["FARGATE"],
            "ContainerDefinitions": [
                {"Name": "c", "Image": "i", "Environment": [{"Name": "A", "Value": "1"}], "Essential": True}
            ],
        },
        None,
    ),
    "Vpc": ("AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": True}, {"EnableDnsHostnames": False}),
    "Subnet": (
        "AWS::EC2::Subnet",
        {
            "VpcId": ref("Vpc"),
            "CidrBlock": "10.0.0.0/24",
            "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
            "MapPublicIpOnLaunch": True,
        },
        {"MapPublicIpOnLaunch": False},
    ),
    "Routes": ("AWS::EC2::RouteTable", {"VpcId": ref("Vpc")}, None),
    "Association": (
        "AWS::EC2::SubnetRouteTableAssociation",
        {"SubnetId": ref("Subnet"), "RouteTableId": ref("Routes")},
        None,
    ),
    "Gateway": ("AWS::EC2::InternetGateway", {}, None),
    "Attachment": (
        "AWS::EC2::VPCGatewayAttachment",
        {"VpcId": ref("Vpc"), "InternetGatewayId": ref("Gateway")},
        None,
    ),
    "Out": (
        "AWS::EC2::Route",
        {"RouteTableId": ref("Routes"), "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": ref("Gateway")},
        None,
    ),
    "Endpoint": (
        "AWS::EC2::VPCEndpoint",
        {
            "VpcId": ref("Vpc"),
            "ServiceName": "com.amazonaws.eu-west-1.s3",
            "VpcEndpointType": "Gateway",
            "RouteTableIds": [ref("Routes")],
        },
        None,
    ),
    "Security": (
        "AWS::EC2::SecurityGroup",
        {
            "GroupDescription": "d",
            "VpcId": ref("Vpc"),
            "SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}],
        },
        {"SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]},
    ),
    "Ingress": (
        "AWS::EC2::SecurityGroupIngress",
        {"GroupId": ref("Security"), "IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIp": "10.0.0.0/8"},
        None,
    ),
    "Egress": (
        "AWS::EC2::SecurityGroupEgress",
        {"GroupId": ref("Security"), "IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIp": "10.0.0.0/8"},
        None,
    ),
    "Flow": (
        "AWS::EC2::FlowLog",
        {
            "ResourceId": ref("Vpc"),
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogDestinationType": "s3",
            "LogDestination": {"Fn::Join": ["", [arn("Bucket"), "/flow/"]]},
        },
        None,
    ),
    "DeadLetters": ("AWS::SQS::Queue", {"SqsManagedSseEnabled": True}, {"MessageRetentionPeriod": 1209600}),
    "Queue": (
        "AWS::SQS::Queue",
        {"RedrivePolicy": {"deadLetterTargetArn": arn("DeadLetters"), "maxReceiveCount": 3}, "VisibilityTimeout": 60},
        {"VisibilityTimeout": 90},
    ),
    "QueuePolicy": (
        "AWS::SQS::QueuePolicy",
        {"Queues": [ref("Queue")], "PolicyDocument": policy("sqs:SendMessage", arn("Queue"), **ANYONE)},
        {"PolicyDocument": policy("sqs:ReceiveMessage", arn("Queue"), **ANYONE)},
    ),
    "Topic": ("AWS::SNS::Topic", {"DisplayName": "d"}, {"DisplayName": "e"}),
    "TopicPolicy": (
        "AWS::SNS::TopicPolicy",
        {"Topics": [ref("Topic")], "PolicyDocument": policy("sns:Publish", ref("Topic"), **ANYONE)},
        {"PolicyDocument": policy("sns:Subscribe", ref("Topic"), **ANYONE)},
    ),
    "Subscription": (
        "AWS::SNS::Subscription",
        {"TopicArn": ref("Topic"), "Protocol": "sqs", "Endpoint": arn("Queue")},
        {"RawMessageDelivery": True},
    ),
    "Database": (
        "AWS::Glue::Database",
        {"CatalogId": ref("AWS::AccountId"), "DatabaseInput": {"Name": "NAME_db"}},
        {"DatabaseInput": {"Name": "NAME_db", "Description": "new"}},
    ),
    "GlueTable": (
        "AWS::Glue::Table",
        {
            "CatalogId": ref("AWS::AccountId"),
            "DatabaseName": ref("Database"),
            "TableInput": {
                "Name": "t",
                "TableType": "EXTERNAL_TABLE",
                "PartitionKeys": [{"Name": "version", "Type": "string"}],
                "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "int"}], "Location": "s3://b/"},
            },
        },
        None,
    ),
    "Alarm": (
        "AWS::CloudWatch::Alarm",
        {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}],
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "Period": 60,
            "Statistic": "Maximum",
            "Threshold": "0",
        },
        {"Threshold": 1},
    ),
    "Dashboard": ("AWS::CloudWatch::Dashboard", {"DashboardBody": '{"widgets":[]}'}, {"DashboardBody": '{"a":1}'}),
    "Metadata": ("AWS::CDK::Metadata", {"Analytics": "v2:x"}, {"Analytics": "v2:y"}),
}


def template(name: str, *, changed: bool) -> dict[str, Any]:
    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(item) for key, item in value.items()}
        if isinstance(value, list):
            return [named(item) for item in value]
        return value.replace("NAME", name) if isinstance(value, str) else value

    resources = {}
    for logical_id, (kind, properties, change) in LIFE.items():
        merged = copy.deepcopy(properties) | ((change or {}) if changed else {})
        if changed and "Tags" in REGISTRY[kind].properties - ({"Tags"} if kind == STAGE else set()):
            tags_are_map = kind in {"AWS::SSM::Parameter", "AWS::ApiGatewayV2::Api"}
            merged["Tags"] = {"k": "v"} if tags_are_map else [{"Key": "k", "Value": "v"}]
        resources[logical_id] = {"Type": kind, "Properties": named(merged)}
    # a target must be allowed before a rule names it, and a gateway attached before a route goes through it
    resources["Out"]["DependsOn"] = ["Attachment"]
    return {"Resources": resources}


def test_every_type_lives_from_creation_through_changes_to_deletion(cloud: Cloud) -> None:
    assert {kind for kind, _, _ in LIFE.values()} == set(REGISTRY)
    # given code for the functions
    name = f"l{uuid4().hex[:8]}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=f"{name}-code", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket=f"{name}-code", Key="code.zip", Body=EMPTY_ZIP)
    provisioner = Provisioner(cloud)

    def bring(body: dict[str, Any]) -> dict[str, str]:
        return provisioner.provision([Stack(name, body)])[name]

    # when everything is made, then changed, then changed back, then taken away
    assert set(bring(template(name, changed=False)).values()) == {"created"}
    attributes = {item.declared.type: set(item.made.attributes) for item in provisioner.stacks[name].resources.values()}
    for kind in TYPES:
        told = schema(kind)
        assert attributes[kind] <= set(told["properties"]) | names(told.get("readOnlyProperties", [])), kind
    unchanging = {
        key for key, (kind, _, change) in LIFE.items() if change is None and "Tags" not in REGISTRY[kind].properties
    }
    for changed in (True, False):
        done = bring(template(name, changed=changed))
        assert set(done.values()) == {"updated"}
        assert set(LIFE) - set(done) == unchanging
        assert bring(template(name, changed=changed)) == {}
    bring(template(name, changed=True))  # without the table's protection
    assert {key: how for key, how in bring({"Resources": {}}).items() if how != "deleted"} == {}


EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"Description": "x" * 2049}, "TableInput.Description: 2049 characters"),
        ({"StorageDescriptor": {"Columns": [{"Name": "a\nb"}]}}, "TableInput.StorageDescriptor.Columns.1.Name"),
        ({"Parameters": {"a\nb": "c"}}, "TableInput.Parameters"),
    ],
)
def test_glue_refuses_texts_beyond_its_lengths_and_patterns(cloud: Cloud, table: dict[str, Any], place: str) -> None:
    props = {"DatabaseName": "none", "TableInput": {"Name": "t"} | table}
    with pytest.raises(ResourceError, match=place):
        REGISTRY["AWS::Glue::Table"].create(Place(cloud, "stack", "T"), props)
