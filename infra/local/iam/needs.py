"""What a caller needs for a call: actions on resources. An operation that is in no table here is not imitated.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter

from infra.local.iam import needs_compound, needs_objects
from infra.local.iam.calls import ApiCall, NotImitated
from infra.local.iam.need import Need, Place

# model's name of a service → {resource: operations that take the action of their own name on it}
_TABLES = {
    "cloudwatch": {"*": "PutMetricData GetMetricData GetMetricStatistics ListMetrics"},
    "dynamodb": {
        "table/{TableName}": "Scan DescribeTable UpdateTable DeleteTable "
        "CreateTable DescribeTimeToLive UpdateTimeToLive DescribeContinuousBackups UpdateContinuousBackups",
        "*": "ListTables",
    },
    "ecr": {"*": "GetAuthorizationToken"},
    "events": {"event-bus/{Name}": "CreateEventBus DeleteEventBus", "*": "ListEventBuses"},
    "firehose": {
        "deliverystream/{DeliveryStreamName}": "PutRecord PutRecordBatch DescribeDeliveryStream DeleteDeliveryStream"
    },
    "iam": {
        "role/{RoleName}": "CreateRole GetRole DeleteRole PutRolePolicy GetRolePolicy DeleteRolePolicy "
        "AttachRolePolicy DetachRolePolicy ListRolePolicies ListAttachedRolePolicies UpdateAssumeRolePolicy "
        "PutRolePermissionsBoundary DeleteRolePermissionsBoundary UpdateRole",
        "user/{UserName}": "CreateUser GetUser DeleteUser PutUserPolicy AttachUserPolicy CreateAccessKey "
        "DeleteAccessKey ListAccessKeys",
        "*": "ListRoles ListUsers ListPolicies",
    },
    "logs": {
        "log-group:{logGroupName}:log-stream:{logStreamName}": "CreateLogStream PutLogEvents GetLogEvents "
        "DeleteLogStream",
        "log-group:{logGroupName}": "CreateLogGroup DeleteLogGroup FilterLogEvents DescribeLogStreams "
        "PutRetentionPolicy DeleteRetentionPolicy PutSubscriptionFilter DeleteSubscriptionFilter",
        "*": "DescribeLogGroups",
    },
    "scheduler": {"schedule/{GroupName}/{Name}": "DeleteSchedule GetSchedule"},
    "sns": {"{TopicArn}": "Publish Subscribe GetTopicAttributes SetTopicAttributes DeleteTopic"},
    "sqs": {"{QueueName}": "GetQueueUrl CreateQueue"},
    "stepfunctions": {
        "stateMachine:{stateMachineArn}": "StartExecution StartSyncExecution DescribeStateMachine "
        "DeleteStateMachine ListExecutions",
        "execution:{executionArn}": "DescribeExecution StopExecution GetExecutionHistory RedriveExecution",
        "*": "ListStateMachines",
    },
    "sts": {"role/{RoleArn}": "AssumeRole"},
    "xray": {"*": "PutTraceSegments PutTelemetryRecords GetSamplingRules GetSamplingTargets"},
}
_WORDS = {"stepfunctions": "states"}
_DEFAULTS = {"GroupName": "default"}
# what anybody may do who has a key
_FREE = frozenset({"sts:GetCallerIdentity"})

_PLAIN = {
    f"{service}:{operation}": resource
    for service, table in _TABLES.items()
    for resource, operations in table.items()
    for operation in operations.split()
}


def needs(call: ApiCall, place: Place) -> list[Need]:
    """Everything that must be allowed for the call; raises NotImitated when that is not known."""
    name = str(call)
    if name in _FREE:
        return []
    if name in _PLAIN:
        word = _WORDS.get(call.service, call.service)
        return [Need(f"{word}:{call.operation}", _resource(_PLAIN[name], call, word, place))]
    special = needs_objects.NEEDS if call.service == "s3" else needs_compound.NEEDS
    if name not in special:
        raise NotImitated(f"what {name} needs is not known")
    return list(special[name](call, place))


def _resource(form: str, call: ApiCall, word: str, place: Place) -> str:
    if form == "*":
        return form
    values = dict(_values(form, call))
    whole = next((value for value in values.values() if value.startswith("arn:")), None)
    return whole or place.arn(word, form.format(**values))


def _values(form: str, call: ApiCall) -> Iterator[tuple[str, str]]:
    for _, name, _, _ in Formatter().parse(form):
        if name is not None:
            yield name, parameter(call, name)


def parameter(call: ApiCall, name: str) -> str:
    """A parameter that the call must have; raises NotImitated."""
    value = call.parameters.get(name, _DEFAULTS.get(name))
    if not isinstance(value, str) or not value:
        raise NotImitated(f"{call} without {name}")
    return value
