"""What calls need that take more than the action of their name on the resource that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.ecs.exceptions import TaskDefinitionNotFoundException
from moto.ecs.models import ecs_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from infra.local.iam.calls import ApiCall, NotImitated
from infra.local.iam.need import Need, Place

Needing = Callable[[ApiCall, Place], Iterator[Need]]


def pass_role(role: Any, service: str) -> Iterator[Need]:
    """To hand a role to a service takes iam:PassRole on it."""
    if role:
        yield Need("iam:PassRole", str(role), {"iam:passedtoservice": service})


# --- DynamoDB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
# and https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html

_PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def _item(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    yield _on_item(action, call.parameters, place)


def _on_item(action: str, target: Mapping[str, Any], place: Place) -> Need:
    """`dynamodb:LeadingKeys` is the partition key of the item."""
    key = target.get("Key") or target.get("Item") or {}
    return _on_keys(action, target["TableName"], [key.get(_partition_key(target["TableName"], place))], place)


def _on_keys(action: str, table: str, keys: list[Any], place: Place) -> Need:
    values = tuple(dict.fromkeys(str(next(iter(key.values()))) for key in keys if key))
    return Need(f"dynamodb:{action}", _table(table, place), {"dynamodb:leadingkeys": values})


def _partition_key(table: str, place: Place) -> str:
    found = dynamodb_backends[place.account][place.region].tables.get(table.rpartition("/")[2])
    return str(found.hash_key_attr) if found is not None else ""


def _transaction(call: ApiCall, place: Place) -> Iterator[Need]:
    for item in call.parameters.get("TransactItems", []):
        for part, target in item.items():
            action = "GetItem" if part == "Get" else _PARTS.get(part)
            if action is None:
                raise NotImitated(f"{call} with {part}")
            yield _on_item(action, target, place)


def _batch(call: ApiCall, place: Place) -> Iterator[Need]:
    for table, asked in call.parameters.get("RequestItems", {}).items():
        name = _partition_key(table, place)
        if isinstance(asked, Mapping):
            items = list(asked.get("Keys", []))
        else:
            targets = [target for each in asked for target in each.values()]
            items = [target.get("Item") or target.get("Key") or {} for target in targets]
        yield _on_keys(call.operation, table, [item.get(name) for item in items], place)


def _query(call: ApiCall, place: Place) -> Iterator[Need]:
    """The partition that a query names is in its key condition: `pk = :value`, in some spelling."""
    table, index = call.parameters["TableName"], call.parameters.get("IndexName")
    if index or "KeyConditionExpression" not in call.parameters:
        raise NotImitated(f"{call} of an index, or without KeyConditionExpression")
    values = call.parameters.get("ExpressionAttributeValues", {})
    names = call.parameters.get("ExpressionAttributeNames", {})
    equal = {
        names.get(name, name): values.get(value)
        for name, value in re.findall(r"([#\w]+)\s*=\s*(:\w+)", call.parameters["KeyConditionExpression"])
    }
    partition = equal.get(_partition_key(table, place))
    if partition is None:
        raise NotImitated(f"{call} with the condition {call.parameters['KeyConditionExpression']!r}")
    yield _on_keys("Query", table, [partition], place)


def _table(name: str, place: Place) -> str:
    return place.arn("dynamodb", name if name.startswith("arn:") else f"table/{name}")


# --- Lambda: https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html

_NAME = re.compile(
    r"(arn:[^:]+:lambda:[^:]+:\d+:function:|\d{12}:function:|function:)?(?P<name>[^:]+)(:(?P<qualifier>[^:]+))?"
)
_ON_FUNCTION = (
    "GetFunction GetFunctionConfiguration PublishVersion ListVersionsByFunction CreateAlias GetAlias UpdateAlias "
    "DeleteAlias ListAliases DeleteFunction AddPermission RemovePermission GetPolicy PutFunctionConcurrency "
    "GetFunctionConcurrency DeleteFunctionConcurrency PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig "
    "GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig"
)


def _function(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    """On the function, or on the version or alias that the call names."""
    named = _NAME.fullmatch(str(call.parameters.get("FunctionName", "")))
    if named is None:
        raise NotImitated(f"{call} without FunctionName")
    qualifier = call.parameters.get("Qualifier") or named["qualifier"]
    name = f"function:{named['name']}" + (f":{qualifier}" if qualifier else "")
    yield Need(f"lambda:{action}", place.arn("lambda", name))


def _configured(call: ApiCall, place: Place) -> Iterator[Need]:
    yield from _function(call.operation, call, place)
    yield from pass_role(call.parameters.get("Role"), "lambda.amazonaws.com")
    for layer in call.parameters.get("Layers") or []:
        yield Need("lambda:GetLayerVersion", str(layer))
    yield from _code(call.parameters.get("Code") or {})


def _coded(call: ApiCall, place: Place) -> Iterator[Need]:
    yield from _function(call.operation, call, place)
    yield from _code(call.parameters)


def _code(source: Mapping[str, Any]) -> Iterator[Need]:
    """Lambda fetches the code in the name of who puts it there."""
    if "S3Bucket" in source:
        action = "s3:GetObjectVersion" if source.get("S3ObjectVersion") else "s3:GetObject"
        yield Need(action, f"arn:aws:s3:::{source['S3Bucket']}/{source['S3Key']}")


# --- ECS: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security_iam_id-based-policy-examples.html


def _run_task(call: ApiCall, place: Place) -> Iterator[Need]:
    name = str(call.parameters.get("taskDefinition", ""))
    try:
        found = ecs_backends[place.account][place.region].describe_task_definition(name)
    except TaskDefinitionNotFoundException:
        yield Need("ecs:RunTask", place.arn("ecs", f"task-definition/{name}"))
        return
    yield Need("ecs:RunTask", found.arn, {"ecs:cluster": _cluster(call, place)})
    overrides = call.parameters.get("overrides") or {}
    held = {"taskRoleArn": "task_role_arn", "executionRoleArn": "execution_role_arn"}
    roles = {overrides.get(name) or getattr(found, attribute, None) for name, attribute in held.items()}
    for role in sorted(filter(None, roles)):
        yield from pass_role(role, "ecs-tasks.amazonaws.com")


def _tasks(call: ApiCall, place: Place) -> Iterator[Need]:
    cluster = _cluster(call, place)
    for task in call.parameters.get("tasks") or [call.parameters.get("task", "")]:
        name = f"task/{cluster.rpartition('/')[2]}/{task}"
        yield Need(f"ecs:{call.operation}", place.arn("ecs", task if task.startswith("arn:") else name))


def _cluster(call: ApiCall, place: Place) -> str:
    name = str(call.parameters.get("cluster") or "default")
    return place.arn("ecs", name if name.startswith("arn:") else f"cluster/{name}")


# --- EventBridge, Scheduler, Glue, SQS, SSM, Step Functions


def _put_events(call: ApiCall, place: Place) -> Iterator[Need]:
    for bus in dict.fromkeys(str(entry.get("EventBusName") or "default") for entry in call.parameters["Entries"]):
        yield Need("events:PutEvents", place.arn("events", bus if bus.startswith("arn:") else f"event-bus/{bus}"))


def _rule(call: ApiCall, place: Place) -> Iterator[Need]:
    bus = str(call.parameters.get("EventBusName") or "default").rpartition("/")[2]
    name = str(call.parameters.get("Name") or call.parameters.get("Rule"))
    yield Need(
        f"events:{call.operation}", place.arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")
    )
    for target in call.parameters.get("Targets") or []:
        yield from pass_role(target.get("RoleArn"), "events.amazonaws.com")


def _schedule(call: ApiCall, place: Place) -> Iterator[Need]:
    group = call.parameters.get("GroupName") or "default"
    yield Need(f"scheduler:{call.operation}", place.arn("scheduler", f"schedule/{group}/{call.parameters['Name']}"))
    target = call.parameters.get("Target") or {}
    yield from pass_role(target.get("RoleArn"), "scheduler.amazonaws.com")


def _glue(call: ApiCall, place: Place) -> Iterator[Need]:
    """Glue asks for the catalog and the database too: https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html."""
    database = call.parameters.get("DatabaseName") or call.parameters.get("Name")
    table = call.parameters.get("TableName") or call.parameters.get("Name") or "*"
    table = (call.parameters.get("TableInput") or {}).get("Name", table)
    resources = ["catalog", f"database/{database}"]
    if "Table" in call.operation or "Partition" in call.operation:
        resources.append(f"table/{database}/{table}")
    for resource in resources:
        yield Need(f"glue:{call.operation}", place.arn("glue", resource))


def _queue(action: str, call: ApiCall, place: Place) -> Iterator[Need]:
    name = str(call.parameters.get("QueueUrl", "")).rpartition("/")[2]
    if not name:
        raise NotImitated(f"{call} without QueueUrl")
    yield Need(f"sqs:{action}", place.arn("sqs", name))


def _parameters(call: ApiCall, place: Place) -> Iterator[Need]:
    named = [call.parameters[key] for key in ("Name", "Path") if key in call.parameters]
    for name in [*named, *call.parameters.get("Names", [])]:
        yield Need(f"ssm:{call.operation}", place.arn("ssm", f"parameter/{name.removeprefix('/')}"))


def _machine(call: ApiCall, place: Place) -> Iterator[Need]:
    name = call.parameters.get("stateMachineArn") or f"stateMachine:{call.parameters.get('name')}"
    yield Need(f"states:{call.operation}", place.arn("states", str(name)))
    yield from pass_role(call.parameters.get("roleArn"), "states.amazonaws.com")


def _token(call: ApiCall, place: Place) -> Iterator[Need]:
    """A task token belongs to the state machine that waits for it; no machine waits for an unknown one."""
    token = call.parameters.get("taskToken")
    for machine in list(stepfunctions_parser_backends[place.account][place.region].state_machines):
        for execution in list(machine.executions):
            worker = execution.exec_worker
            pool = getattr(getattr(worker, "env", None), "callback_pool_manager", None)
            if pool is not None and pool.get(token) is not None:
                yield Need(f"states:{call.operation}", machine.arn)
                return
    yield Need(f"states:{call.operation}", place.arn("states", "stateMachine:unknown"))


def _each(needing: Callable[..., Iterator[Need]], service: str, operations: str) -> dict[str, Needing]:
    """`needing` for every operation; its first argument is the operation's own name."""
    return {f"{service}:{name}": partial(needing, name) for name in operations.split()}


def _same(needing: Needing, service: str, operations: str) -> dict[str, Needing]:
    return {f"{service}:{name}": needing for name in operations.split()}


NEEDS: dict[str, Needing] = {
    **_same(_transaction, "dynamodb", "TransactWriteItems TransactGetItems"),
    **_same(_batch, "dynamodb", "BatchGetItem BatchWriteItem"),
    "dynamodb:Query": _query,
    **_each(_item, "dynamodb", "GetItem PutItem UpdateItem DeleteItem"),
    "lambda:Invoke": partial(_function, "InvokeFunction"),
    "lambda:UpdateFunctionCode": _coded,
    **_each(_function, "lambda", _ON_FUNCTION),
    **_same(_configured, "lambda", "CreateFunction UpdateFunctionConfiguration"),
    "ecs:RunTask": _run_task,
    **_same(_tasks, "ecs", "DescribeTasks StopTask"),
    "events:PutEvents": _put_events,
    **_same(_rule, "events", "PutRule PutTargets RemoveTargets DescribeRule DeleteRule EnableRule DisableRule"),
    **_same(_schedule, "scheduler", "CreateSchedule UpdateSchedule"),
    **_same(_glue, "glue", "GetDatabase GetTable GetTables UpdateTable DeleteTable CreateTable"),
    **_same(_glue, "glue", "GetPartition GetPartitions CreatePartition BatchCreatePartition DeletePartition"),
    **_same(_glue, "glue", "UpdatePartition BatchDeletePartition"),
    **_each(_queue, "sqs", "SendMessage ReceiveMessage DeleteMessage ChangeMessageVisibility PurgeQueue DeleteQueue"),
    **_each(_queue, "sqs", "GetQueueAttributes SetQueueAttributes"),
    **_same(_parameters, "ssm", "GetParameter GetParameters GetParametersByPath PutParameter DeleteParameter"),
    **_same(_machine, "stepfunctions", "CreateStateMachine UpdateStateMachine"),
    **_same(_token, "stepfunctions", "SendTaskSuccess SendTaskFailure SendTaskHeartbeat"),
}
