"""Every call is judged by its caller's policies and the resource's own, and refused as AWS refuses it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.context import Cloud, Principal
from infra.local.iam import calls, needs, needs_compound, needs_objects
from infra.local.iam.need import Need
from tests.local import made
from tests.local.principals import client, document, role, session, user
from tests.local.small_functions import create, settled, until


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def caller(cloud: Cloud, *statements: dict[str, Any]) -> Principal:
    """A session of a new role with these rights."""
    return session(cloud, role(cloud, "lambda.amazonaws.com", *statements))


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def said(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Message"])


# --- the words of a refusal, per protocol


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "status", "error", "resource"),
    [
        ("s3", "get_object", {"Bucket": "b-1", "Key": "a/ü"}, 403, "AccessDenied", '"arn:aws:s3:::b-1/a/ü"'),
        ("dynamodb", "get_item", {"TableName": "t-1", "Key": {"pk": {"S": "1"}}}, 400, "AccessDeniedException",
         "arn:aws:dynamodb:eu-west-1:123456789012:table/t-1"),
        ("lambda", "invoke", {"FunctionName": "f", "Qualifier": "live"}, 403, "AccessDeniedException",
         "arn:aws:lambda:eu-west-1:123456789012:function:f:live"),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": "m"}, 403,
         "AccessDenied", "arn:aws:sns:eu-west-1:123456789012:t"),
        ("iam", "create_user", {"UserName": "eve"}, 403, "AccessDenied", "arn:aws:iam::123456789012:user/eve"),
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m"}]}, 400,
         "AccessDeniedException", "*"),
        ("events", "put_events", {"Entries": [{"EventBusName": "other", "Source": "s"}]}, 400,
         "AccessDeniedException", "arn:aws:events:eu-west-1:123456789012:event-bus/other"),
        ("ssm", "get_parameter", {"Name": "/a/b"}, 400, "AccessDeniedException",
         "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b"),
    ],
)  # fmt: skip
def test_a_refusal_is_in_the_services_own_words(
    cloud: Cloud, service: str, operation: str, arguments: dict[str, Any], status: int, error: str, resource: str
) -> None:
    who = caller(cloud)
    with pytest.raises(ClientError) as refused:
        getattr(client(cloud, who, service), operation)(**arguments)
    assert (code(refused), refused.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (error, status)
    action = {"invoke": "InvokeFunction"}.get(operation, "".join(word.title() for word in operation.split("_")))
    reason = f"because no identity-based policy allows the {service}:{action} action"
    assert said(refused) == (
        f"User: {who.arn} is not authorized to perform: {service}:{action} on resource: {resource} {reason}"
    )


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "named"),
    [
        ("s3", "get_bucket_cors", {"Bucket": "b-1"}, "s3:GetBucketCors"),
        ("dynamodb", "execute_statement", {"Statement": "SELECT * FROM t"}, "dynamodb:ExecuteStatement"),
        ("ec2", "describe_instances", {}, "ec2:DescribeInstances"),
        ("dynamodb", "query", {"TableName": "t-1", "IndexName": "index", "KeyConditionExpression": "a = :a"}, "index"),
    ],
)
def test_an_operation_whose_needs_are_not_known_is_refused_by_name(
    cloud: Cloud, service: str, operation: str, arguments: dict[str, Any], named: str
) -> None:
    """Even to who may do everything: a call that cannot be judged here may be denied on AWS."""
    with pytest.raises(ClientError) as refused:
        getattr(client(cloud, caller(cloud, allow("*")), service), operation)(**arguments)
    assert "cannot judge this call" in said(refused)
    assert named in said(refused)


def test_every_operation_of_the_tables_exists() -> None:
    """A misspelt name would never be asked for, and its right one be refused."""
    named = {*needs._PLAIN, *needs._FREE, *needs_compound.NEEDS, *needs_objects.NEEDS}
    assert not [name for name in named if name.split(":")[1] not in calls.model(name.split(":")[0]).operation_names]


def test_what_clients_do_to_their_models_does_not_change_what_is_read(cloud: Cloud) -> None:
    """botocore takes the bucket out of the paths of the model of S3 when a client first uses it."""
    made.bucket(cloud)
    calls._routes.cache_clear()
    assert made.bucket(cloud)


def test_a_request_of_nobody_and_of_an_unknown_key_is_refused(cloud: Cloud) -> None:
    bucket = made.bucket(cloud)
    cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(urllib.error.HTTPError) as anonymous:
        urllib.request.urlopen(f"{cloud.endpoint}/{bucket}/k", timeout=10)
    assert anonymous.value.code == 403
    stranger = client(cloud, Principal("AKIAUNKNOWN", "secret", ""), "s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        stranger.get_object(Bucket=bucket, Key="k")
    unsigned: Any = boto3.client("sts", endpoint_url=cloud.endpoint, config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError):
        unsigned.get_caller_identity()


def test_a_target_of_another_service_than_signed_for_is_refused(cloud: Cloud) -> None:
    """The scope says which service judges; the target must not make another one answer."""
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={caller(cloud, allow('dynamodb:*')).access_key}/20260101/"
        "eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        "X-Amz-Target": "AWSEvents.PutEvents",
    }
    request = urllib.request.Request(cloud.endpoint, b'{"Entries": []}', headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert b"AWSEvents is not dynamodb" in refused.value.read()


# --- where rights come from


def test_a_changed_policy_counts_at_once(cloud: Cloud) -> None:
    arn = role(cloud, "lambda.amazonaws.com")
    name, iam, ssm = arn.rpartition("/")[2], cloud.client("iam"), client(cloud, session(cloud, arn), "ssm")
    cloud.client("ssm").put_parameter(Name=f"/{name}", Value="v", Type="String")

    def may() -> bool:
        try:
            ssm.get_parameter(Name=f"/{name}")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDeniedException"
            return False
        return True

    seen = [may()]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(allow("ssm:GetParameter")))
    seen.append(may())
    iam.put_role_policy(RoleName=name, PolicyName="d", PolicyDocument=document({**allow("ssm:*"), "Effect": "Deny"}))
    seen.append(may())
    iam.delete_role_policy(RoleName=name, PolicyName="d")
    seen.append(may())
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    seen.append(may())
    policy = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("ssm:GetParameter")))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    seen.append(may())
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=document(allow("s3:*")), SetAsDefault=True)
    seen.append(may())
    assert seen == [False, True, False, True, False, True, False]


def test_a_boundary_limits_what_policies_allow(cloud: Cloud) -> None:
    arn = role(cloud, "lambda.amazonaws.com", allow("*"))
    name, iam = arn.rpartition("/")[2], cloud.client("iam")
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("ssm:*")))["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    who = session(cloud, arn)
    client(cloud, who, "ssm").get_parameters_by_path(Path="/none")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(cloud, who, "dynamodb").list_tables()


def test_a_users_key_has_the_rights_of_the_user_and_its_groups(cloud: Cloud) -> None:
    who = user(cloud, "ana", allow("dynamodb:ListTables"))
    client(cloud, who, "dynamodb").list_tables()
    with pytest.raises(ClientError, match="AccessDenied"):
        client(cloud, who, "iam").list_users()
    iam, group = cloud.client("iam"), made.name("group")
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=document(allow("iam:ListUsers")))
    iam.add_user_to_group(GroupName=group, UserName=who.arn.rpartition("/")[2])
    client(cloud, who, "iam").list_users()


def test_a_queue_may_let_a_role_in_that_has_no_rights_itself(cloud: Cloud) -> None:
    arn = role(cloud, "lambda.amazonaws.com")
    queue = made.queue(cloud, service=None)
    sqs, who = cloud.client("sqs"), session(cloud, arn)
    url = sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
    send = client(cloud, who, "sqs").send_message
    with pytest.raises(ClientError, match="AccessDenied"):
        send(QueueUrl=url, MessageBody="m")
    statement = {**allow("sqs:SendMessage", queue), "Principal": {"AWS": arn}}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    send(QueueUrl=url, MessageBody="m")
    denied = {**allow("sqs:SendMessage", queue), "Effect": "Deny", "Principal": "*"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement, denied)})
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        send(QueueUrl=url, MessageBody="m")


def test_a_functions_policy_may_let_a_role_in(cloud: Cloud) -> None:
    name = create(cloud, "def handle(event, context):\n    return 1\n")
    arn = role(cloud, "lambda.amazonaws.com")
    invoke = client(cloud, session(cloud, arn), "lambda").invoke
    with pytest.raises(ClientError, match="AccessDenied"):
        invoke(FunctionName=name)
    cloud.client("lambda").add_permission(
        FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=arn
    )
    assert invoke(FunctionName=name)["StatusCode"] == 200


# --- what single calls need


def test_who_may_not_list_is_not_told_what_is_missing(cloud: Cloud) -> None:
    bucket = made.bucket(cloud)
    key = {"Bucket": bucket, "Key": "missing"}
    reading = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    blind = client(cloud, caller(cloud, reading), "s3")
    with pytest.raises(ClientError) as refused:
        blind.get_object(**key)
    assert code(refused) == "AccessDenied"
    assert f's3:ListBucket on resource: "arn:aws:s3:::{bucket}"' in said(refused)
    with pytest.raises(ClientError, match="403"):
        blind.head_object(**key)
    seeing = client(cloud, caller(cloud, reading, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")), "s3")
    with pytest.raises(ClientError, match="NoSuchKey"):
        seeing.get_object(**key)


def test_a_prefix_in_a_condition_is_that_of_the_listing(cloud: Cloud) -> None:
    bucket = made.bucket(cloud)
    own = {"StringLike": {"s3:prefix": "mine/*"}}
    s3 = client(cloud, caller(cloud, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=own)), "s3")
    s3.list_objects_v2(Bucket=bucket, Prefix="mine/a")
    for other in ({}, {"Prefix": "yours/"}):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.list_objects_v2(Bucket=bucket, **other)


def test_a_copy_needs_its_source_and_its_target(cloud: Cloud) -> None:
    bucket = made.bucket(cloud)
    cloud.client("s3").put_object(Bucket=bucket, Key="from/ä b", Body=b"x")
    copy = {"Bucket": bucket, "Key": "to/x", "CopySource": {"Bucket": bucket, "Key": "from/ä b"}}
    get, put = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/from/*"), allow("s3:PutObject", "arn:aws:s3:::*/to/*")
    for rights, needed in (((get,), "s3:PutObject"), ((put,), "s3:GetObject")):
        with pytest.raises(ClientError, match=needed):
            client(cloud, caller(cloud, *rights), "s3").copy_object(**copy)
    client(cloud, caller(cloud, get, put), "s3").copy_object(**copy)


@pytest.mark.parametrize("versioned", [False, True])
def test_a_copy_of_tags_needs_more_than_a_copy_without(cloud: Cloud, versioned: bool) -> None:
    bucket, own = made.bucket(cloud), cloud.client("s3")
    own.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = {"VersionId": own.put_object(Bucket=bucket, Key="from/x", Body=b"x", Tagging="scan=clean")["VersionId"]}
    bare = {"VersionId": own.put_object(Bucket=bucket, Key="from/bare", Body=b"x")["VersionId"]}
    named = "ObjectVersion" if versioned else "Object"
    source, target = f"arn:aws:s3:::{bucket}/from/*", f"arn:aws:s3:::{bucket}/to/*"
    rights = [allow(f"s3:Get{named}", source), allow("s3:PutObject", target)]

    def copy(key: str, which: dict[str, str], *more: dict[str, Any], **how: str) -> None:
        origin = {"Bucket": bucket, "Key": key} | (which if versioned else {})
        s3 = client(cloud, caller(cloud, *rights, *more), "s3")
        s3.copy_object(Bucket=bucket, Key="to/x", CopySource=origin, **how)

    copy("from/bare", bare)
    copy("from/x", version, TaggingDirective="REPLACE")
    reading, writing = allow(f"s3:Get{named}Tagging", source), allow("s3:PutObjectTagging", target)
    with pytest.raises(ClientError, match=f"s3:Get{named}Tagging"):
        copy("from/x", version, writing)
    with pytest.raises(ClientError, match="s3:PutObjectTagging"):
        copy("from/x", version, reading)
    copy("from/x", version, reading, writing)
    assert own.get_object_tagging(Bucket=bucket, Key="to/x")["TagSet"] == [{"Key": "scan", "Value": "clean"}]


def test_each_part_of_a_transaction_is_judged_by_its_partition(cloud: Cloud) -> None:
    table = made.name("table")
    cloud.client("dynamodb").create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )  # fmt: skip
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["A#*"]}}
    rights = allow(["dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchWriteItem"], Condition=own)
    dynamodb = client(cloud, caller(cloud, rights), "dynamodb")

    def put(pk: str) -> dict[str, Any]:
        return {"Put": {"TableName": table, "Item": {"pk": {"S": pk}}}}

    dynamodb.transact_write_items(TransactItems=[put("A#1"), put("A#2")])
    with pytest.raises(ClientError, match="dynamodb:PutItem"):
        dynamodb.transact_write_items(TransactItems=[put("A#1"), put("B#1")])
    delete = {"Delete": {"TableName": table, "Key": {"pk": {"S": "A#1"}}}}
    with pytest.raises(ClientError, match="dynamodb:DeleteItem"):
        dynamodb.transact_write_items(TransactItems=[delete])
    batch = [{"PutRequest": put(pk)["Put"]} for pk in ("A#3", "B#3")]
    with pytest.raises(ClientError, match="dynamodb:BatchWriteItem"):
        dynamodb.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": one["PutRequest"]["Item"]}} for one in batch]}
        )
    asked = {"TableName": table, "ExpressionAttributeNames": {"#k": "pk"}, "KeyConditionExpression": "#k = :v"}
    assert dynamodb.query(**asked, ExpressionAttributeValues={":v": {"S": "A#1"}})["Count"] == 1
    with pytest.raises(ClientError, match="dynamodb:Query"):
        dynamodb.query(**asked, ExpressionAttributeValues={":v": {"S": "B#1"}})


# --- roles: who may take them on, hand them over, and what services do with them


def test_lambda_takes_no_role_that_does_not_trust_it_or_cannot_trace(cloud: Cloud) -> None:
    other = role(cloud, "states.amazonaws.com", allow("*"))
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        create(cloud, "", Role=other)
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        create(cloud, "", Role="arn:aws:iam::123456789012:role/nobody")
    poor = role(cloud, "lambda.amazonaws.com")
    with pytest.raises(ClientError, match="PutTraceSegments on XRAY"):
        create(cloud, "", Role=poor, TracingConfig={"Mode": "Active"})
    name, queue = create(cloud, "def handle(event, context): pass\n", Role=poor), made.queue(cloud)
    with pytest.raises(ClientError, match="SendMessage on SQS"):
        cloud.client("lambda").put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnFailure": {"Destination": queue}}
        )


def test_a_function_does_what_its_role_may_and_logs_only_then(cloud: Cloud) -> None:
    body = (
        "import boto3, botocore\ndef handle(event, context):\n    print('a line')\n    try:\n"
        "        boto3.client('dynamodb').list_tables()\n    except botocore.exceptions.ClientError as error:\n"
        "        return error.response['Error']['Message']\n    return 'done'\n"
    )
    arn = role(cloud, "lambda.amazonaws.com")
    silent = create(cloud, body, Role=arn, Timeout=30)
    reply = json.loads(cloud.client("lambda").invoke(FunctionName=silent)["Payload"].read())
    who = f"arn:aws:sts::123456789012:assumed-role/{arn.rpartition('/')[2]}/{silent}"
    assert reply.startswith(f"User: {who} is not authorized to perform: dynamodb:ListTables on resource: *")
    rights = [allow("dynamodb:ListTables"), allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])]
    loud = create(cloud, body, Role=role(cloud, "lambda.amazonaws.com", *rights), Timeout=30)
    assert json.loads(cloud.client("lambda").invoke(FunctionName=loud)["Payload"].read()) == "done"
    logs = cloud.client("logs")
    until(lambda: logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{loud}")["logGroups"])
    assert not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{silent}")["logGroups"]


def test_to_hand_a_role_over_takes_pass_role_for_that_service(cloud: Cloud) -> None:
    name = create(cloud, "def handle(event, context): pass\n")
    given = role(cloud, "lambda.amazonaws.com")
    change = {"FunctionName": name, "Role": given}
    configure = allow("lambda:UpdateFunctionConfiguration")
    to_tasks = allow(
        "iam:PassRole", given, Condition={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    )
    for rights in ((configure,), (configure, to_tasks)):
        with pytest.raises(ClientError, match="iam:PassRole"):
            client(cloud, caller(cloud, *rights), "lambda").update_function_configuration(**change)
    client(cloud, caller(cloud, configure, allow("iam:PassRole", given)), "lambda").update_function_configuration(
        **change
    )
    settled(cloud, name)


def test_code_is_fetched_in_the_name_of_who_deploys_it(cloud: Cloud) -> None:
    name, bucket = create(cloud, "def handle(event, context): pass\n"), made.bucket(cloud)
    who = caller(cloud, allow("lambda:UpdateFunctionCode"))
    with pytest.raises(ClientError, match="s3:GetObject"):
        client(cloud, who, "lambda").update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="secret.zip")


WAITING = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True, "Parameters": {}}


def test_a_machine_needs_a_role_that_trusts_it_and_may_have_its_rule_and_its_log(cloud: Cloud) -> None:
    states, plain = cloud.client("stepfunctions"), {"Type": "Pass", "End": True}

    def make(arn: str, state: dict[str, Any], **members: Any) -> str:
        definition = json.dumps({"StartAt": "Only", "States": {"Only": state}})
        reply = states.create_state_machine(name=made.name("m"), definition=definition, roleArn=arn, **members)
        return str(reply["stateMachineArn"])

    with pytest.raises(ClientError, match="authorized to assume the provided role"):
        make(role(cloud, "lambda.amazonaws.com", allow("*")), plain)
    poor = role(cloud, "states.amazonaws.com")
    with pytest.raises(ClientError, match="not authorized to create managed-rule"):
        make(poor, WAITING)
    group = {"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:eu-west-1:123456789012:log-group:g:*"}}
    with pytest.raises(ClientError, match="not authorized to access the Log Destination"):
        make(poor, plain, loggingConfiguration={"level": "ALL", "destinations": [group]})
    machine = make(poor, plain)
    with pytest.raises(ClientError, match="not authorized to create managed-rule"):
        definition = json.dumps({"StartAt": "Only", "States": {"Only": WAITING}})
        states.update_state_machine(stateMachineArn=machine, definition=definition)


def test_a_state_fails_when_the_machines_role_may_not_call(cloud: Cloud) -> None:
    function = create(cloud, "def handle(event, context): return 1\n")
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{function}"
    # the right to call the function is none to call its alias
    machine_role = role(cloud, "states.amazonaws.com", allow("lambda:InvokeFunction", arn))
    cloud.client("lambda").publish_version(FunctionName=function)
    states = cloud.client("stepfunctions")

    def run(name: str) -> dict[str, Any]:
        call = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": name}}
        definition = json.dumps({"StartAt": "Call", "States": {"Call": {**call, "End": True}}})
        machine = states.create_state_machine(name=made.name("m"), definition=definition, roleArn=machine_role)
        started = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        until(lambda: states.describe_execution(executionArn=started)["status"] != "RUNNING", 30)
        ended: dict[str, Any] = states.describe_execution(executionArn=started)
        return ended

    assert run(arn)["status"] == "SUCCEEDED"
    failed = run(f"{arn}:1")
    assert (failed["status"], failed["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    assert f"not authorized to perform: lambda:InvokeFunction on resource: {arn}:1" in failed["cause"]


def test_a_role_is_taken_on_by_whom_it_trusts_under_its_own_name(cloud: Cloud) -> None:
    ana, bob = user(cloud, "ana"), user(cloud, "bob", allow("sts:AssumeRole"))
    trust = {"Effect": "Allow", "Principal": {"AWS": ana.arn}, "Action": "sts:AssumeRole"}
    made_role = cloud.client("iam").create_role(RoleName=made.name("role"), AssumeRolePolicyDocument=document(trust))
    arn, unique = made_role["Role"]["Arn"], made_role["Role"]["RoleId"]
    wanted = {"RoleArn": arn, "RoleSessionName": "bob@example.com"}
    with pytest.raises(ClientError, match="AccessDenied"):
        client(cloud, bob, "sts").assume_role(**wanted)
    reply = client(cloud, ana, "sts").assume_role(**wanted)
    name = arn.rpartition("/")[2]
    # the session is called as ana likes, but the role before it says whose rights these are
    assert reply["AssumedRoleUser"] == {
        "Arn": f"arn:aws:sts::123456789012:assumed-role/{name}/bob@example.com",
        "AssumedRoleId": f"{unique}:bob@example.com",
    }
    keys = reply["Credentials"]
    who = Principal(keys["AccessKeyId"], keys["SecretAccessKey"], "")
    identity = client(cloud, who, "sts").get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (reply["AssumedRoleUser"]["Arn"], f"{unique}:bob@example.com")
    for forged in ("bob/..", "../../user/bob", "a:b", "x"):
        config = Config(parameter_validation=False)
        sts = boto3.session.Session(ana.access_key, ana.secret_key, region_name=cloud.region).client(
            "sts", endpoint_url=cloud.endpoint, config=config
        )
        with pytest.raises(ClientError, match="ValidationError"):
            sts.assume_role(RoleArn=arn, RoleSessionName=forged)


def test_decisions_cost_little(cloud: Cloud) -> None:
    """A call that was decided before is decided again in well under a tenth of what the call itself takes."""
    who, authority = caller(cloud, allow("ssm:GetParameter")), cloud.authority
    need = Need("ssm:GetParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/x")
    authority.may(who, need)
    begun = time.perf_counter()
    for _ in range(1000):
        assert authority.may(who, need).allowed
    assert time.perf_counter() - begun < 0.5
