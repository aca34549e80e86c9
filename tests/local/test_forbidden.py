"""What each role of the template must not do, tried with the role's own credentials against the deployed template."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.cloud import LocalCloud
from infra.local.context import Cloud
from infra.local.iam.policies import listed
from infra.synth import synthesize
from tests.local import made, principals
from tests.local.grants import ROLE, identifier
from tests.local.small_functions import until

pytestmark = [pytest.mark.xdist_group("deployed-template"), pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
PREDICT = "perennial-dev-predict-flight-delays"


@dataclass(frozen=True)
class Deployed:
    """The template on a cloud: its roles by their ids, and what tests call its resources."""

    cloud: Cloud
    roles: dict[str, str]
    values: dict[str, str]

    def client(self, role: str, service: str) -> Any:
        """A client with the credentials of one of the template's roles (None: the developer's)."""
        return principals.client(self.cloud, principals.session(self.cloud, self.roles[role]), service)

    def filled(self, value: Any) -> Any:
        """The value with `{data}`, `{ledger}`, … replaced in every text."""
        if isinstance(value, str):
            return re.sub(r"\{(\w+)\}", lambda found: self.values[found[1]], value)
        if isinstance(value, dict):
            return {key: self.filled(inner) for key, inner in value.items()}
        return [self.filled(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def deployed(local_cloud: LocalCloud) -> Iterator[Deployed]:
    local_cloud.provision(synthesize(env="dev"))
    cloud = local_cloud.cloud
    pages = cloud.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/perennial/dev", Recursive=True)
    named = {each["Name"].rpartition("/")[2]: each["Value"] for page in pages for each in page["Parameters"]}
    iam = cloud.client("iam")
    found = [role for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    roles = {identifier(role["RoleName"]): role["Arn"] for role in found if ROLE.match(role["RoleName"])}
    values = {
        "data": named["data-bucket"],
        "ledger": named["ledger-bucket"],
        "registry": named["registry-table"],
        "triggers": named["triggers-table"],
        "ingest": named["ingest-workflow"],
        "rollout": named["rollout-workflow"],
        "bus": named["bus"],
        "deployer": roles["DeployRole"],
        "predict": PREDICT,
    }
    seeded = cloud.client("s3")
    seeded.put_object(Bucket=values["data"], Key="curated/flights/seed.parquet", Body=b"x")
    seeded.put_object(Bucket=values["ledger"], Key="model/seed/00000001.json", Body=b"{}", IfNoneMatch="*")
    yield Deployed(cloud, roles, values)


def item(pk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": "CHAMPION"}}


def put(pk: str, table: str = "{registry}") -> dict[str, Any]:
    return {"TableName": table, "Item": item(pk)}


def objects(key: str, bucket: str = "{data}", **more: Any) -> dict[str, Any]:
    return {"Bucket": bucket, "Key": key, **more}


LEDGER = "model/seed/00000001.json"
COPY = {"CopySource": {"Bucket": "{data}", "Key": "curated/flights/seed.parquet"}}
FORBIDDEN: list[tuple[str, str, str, dict[str, Any]]] = [
    # predict may write its own log
    ("PredictFlightDelaysRole", "s3", "get_object", objects("models/x")),
    ("PredictFlightDelaysRole", "s3", "list_objects_v2", {"Bucket": "{data}"}),
    ("PredictFlightDelaysRole", "s3", "put_object", objects("predictions/x", Body=b"")),
    ("PredictFlightDelaysRole", "dynamodb", "get_item", {"TableName": "{registry}", "Key": item("MODEL#m")}),
    ("PredictFlightDelaysRole", "events", "put_events", {"Entries": [{"Source": "perennial", "DetailType": "Lie",
     "Detail": "{}", "EventBusName": "{bus}"}]}),
    ("PredictFlightDelaysRole", "lambda", "invoke", {"FunctionName": PREDICT}),
    ("PredictFlightDelaysRole", "logs", "put_log_events", {"logGroupName": "/aws/lambda/perennial-dev-ingest",
     "logStreamName": "s", "logEvents": [{"timestamp": 0, "message": "lie"}]}),
    ("PredictFlightDelaysRole", "logs", "filter_log_events", {"logGroupName": f"/aws/lambda/{PREDICT}"}),
    ("PredictFlightDelaysRole", "firehose", "put_record", {"DeliveryStreamName": PREDICT, "Record": {"Data": b"x"}}),
    # ingest makes dataset versions: it neither serves nor changes what was dropped or accepted
    ("IngestRole", "lambda", "update_alias", {"FunctionName": PREDICT, "Name": "live", "FunctionVersion": "1"}),
    ("IngestRole", "lambda", "update_function_code", {"FunctionName": PREDICT, "ZipFile": b"x"}),
    ("IngestRole", "s3", "put_object", objects("raw/flights/x", Body=b"")),
    ("IngestRole", "s3", "put_object", objects("staging/run/evaluation.json", Body=b"{}")),
    ("IngestRole", "s3", "put_object", objects("staging/run/model.onnx", Body=b"")),
    ("IngestRole", "s3", "put_object", objects("staging/score/batch/plan.json", Body=b"{}")),
    ("IngestRole", "s3", "delete_object", objects("staging/run/evaluation.json")),
    ("IngestRole", "s3", "put_object", objects("models/m/1/model.onnx", Body=b"")),
    ("IngestRole", "s3", "put_object_tagging", objects("raw/flights/x", Tagging={"TagSet": []})),
    ("IngestRole", "s3", "delete_object", objects("curated/flights/seed.parquet")),
    ("IngestRole", "s3", "delete_objects", {"Bucket": "{data}", "Delete": {"Objects": [{"Key": "raw/flights/x"}]}}),
    ("IngestRole", "dynamodb", "put_item", put("MODEL#m")),
    ("IngestRole", "dynamodb", "put_item", put("LEDGER#model/m")),
    ("IngestRole", "s3", "put_object", objects("model/m/00000001.json", "{ledger}", Body=b"{}", IfNoneMatch="*")),
    ("IngestRole", "dynamodb", "delete_item", {"TableName": "{registry}", "Key": item("DATASET#flights")}),
    ("IngestRole", "states", "start_execution", {"stateMachineArn": "{rollout}"}),
    ("IngestRole", "glue", "delete_table", {"DatabaseName": "perennial_dev", "Name": "flights"}),
    # score answers files: neither runs nor other batches, no dataset's quarantine, and not its own inbox
    ("ScoreRole", "s3", "put_object", objects("staging/run/evaluation.json", Body=b"{}")),
    ("ScoreRole", "s3", "create_multipart_upload", objects("staging/run/model.onnx")),
    ("ScoreRole", "s3", "put_object", objects("staging/ingest/batch/rows.parquet", Body=b"")),
    ("ScoreRole", "s3", "delete_object", objects("staging/run/evaluation.json")),
    ("ScoreRole", "s3", "put_object", objects("quarantine/flights/batch/report.json", Body=b"{}")),
    ("ScoreRole", "s3", "put_object_tagging", objects("quarantine/flights/x", Tagging={"TagSet": []})),
    ("ScoreRole", "s3", "put_object", objects("score/flight-delays/in/x.csv", Body=b"")),
    ("ScoreRole", "s3", "delete_object", objects("score/flight-delays/in/x.csv")),
    # train writes its workspace, nothing that serves, and not the past
    ("TrainRole", "s3", "put_object", objects(LEDGER, "{ledger}", Body=b"{}")),
    ("TrainRole", "s3", "put_object", objects("dataset/flights/00000001.json", "{ledger}", Body=b"{}",
     IfNoneMatch="*")),
    ("TrainRole", "dynamodb", "put_item", put("LEDGER#dataset/flights")),
    ("TrainRole", "s3", "put_object", objects("staging/run/evaluation.json", Body=b"{}")),
    ("TrainRole", "s3", "create_multipart_upload", objects("staging/run/evaluation.json")),
    ("TrainRole", "s3", "delete_object", objects("staging/run/evaluation.json")),
    ("TrainRole", "s3", "put_object", objects("staging/ingest/batch/rows.parquet", Body=b"")),
    ("TrainRole", "s3", "put_object", objects("staging/score/batch/plan.json", Body=b"{}")),
    ("TrainRole", "s3", "put_object", objects("staging/code/m/00000001.zip", Body=b"")),
    ("TrainRole", "s3", "delete_object", objects(LEDGER, "{ledger}")),
    ("TrainRole", "s3", "delete_object", objects(LEDGER, "{ledger}", VersionId="1")),
    ("TrainRole", "s3", "put_object_retention", objects(LEDGER, "{ledger}", Retention={})),
    ("TrainRole", "s3", "put_bucket_policy", {"Bucket": "{ledger}", "Policy": "{}"}),
    ("TrainRole", "s3", "delete_bucket_policy", {"Bucket": "{ledger}"}),
    ("TrainRole", "s3", "create_multipart_upload", objects("models/m/1/model.onnx")),
    ("TrainRole", "s3", "copy_object", {**objects("models/m/1/x"), **COPY}),
    ("TrainRole", "dynamodb", "put_item", put("MODEL#flight-delays")),
    ("TrainRole", "dynamodb", "update_item", {"TableName": "{registry}", "Key": item("MODEL#flight-delays")}),
    ("TrainRole", "dynamodb", "transact_write_items", {"TransactItems": [{"Put": put("LEDGER#model/m")},
     {"Put": put("MODEL#flight-delays")}]}),
    ("TrainRole", "dynamodb", "batch_write_item", {"RequestItems": {"{registry}": [{"PutRequest": {
     "Item": item("MODEL#m")}}]}}),
    ("TrainRole", "dynamodb", "scan", {"TableName": "{registry}"}),
    ("TrainRole", "lambda", "update_alias", {"FunctionName": PREDICT, "Name": "live", "FunctionVersion": "1"}),
    # evaluate judges and register registers: neither does the other's part
    ("EvaluateRole", "s3", "put_object", objects("models/m/1/model.onnx", Body=b"")),
    ("EvaluateRole", "s3", "put_object", objects("staging/run/model.onnx", Body=b"")),
    ("EvaluateRole", "dynamodb", "put_item", put("MODEL#m")),
    ("RegisterRole", "s3", "put_object", objects("staging/r/evaluation.json", Body=b"")),
    ("RegisterRole", "s3", "delete_object", objects("staging/r/evaluation.json")),
    ("RegisterRole", "s3", "delete_object", objects("models/m/1/model.onnx")),
    ("RegisterRole", "lambda", "update_alias", {"FunctionName": PREDICT, "Name": "live", "FunctionVersion": "1"}),
    # deploy changes code and alias of predict functions, no configuration, no other function, no rights
    ("DeployRole", "lambda", "update_function_configuration", {"FunctionName": PREDICT, "Timeout": 9}),
    ("DeployRole", "lambda", "update_function_configuration", {"FunctionName": PREDICT, "Role": "{deployer}"}),
    ("DeployRole", "lambda", "update_function_code", {"FunctionName": "perennial-dev-ingest", "S3Bucket": "{data}",
     "S3Key": "staging/x"}),
    ("DeployRole", "lambda", "update_function_code", {"FunctionName": PREDICT, "S3Bucket": "{data}",
     "S3Key": "raw/flights/evil.zip"}),
    ("DeployRole", "lambda", "delete_function", {"FunctionName": PREDICT}),
    ("DeployRole", "lambda", "add_permission", {"FunctionName": PREDICT, "StatementId": "s", "Principal": "*",
     "Action": "lambda:InvokeFunction"}),
    ("DeployRole", "lambda", "invoke", {"FunctionName": PREDICT}),
    ("DeployRole", "lambda", "put_function_concurrency", {"FunctionName": PREDICT,
     "ReservedConcurrentExecutions": 0}),
    ("DeployRole", "lambda", "create_function", {"FunctionName": "perennial-dev-predict-mine", "Role": "{deployer}",
     "Code": {"ZipFile": b"x"}}),
    ("DeployRole", "s3", "put_object", objects("models/m/1/model.onnx", Body=b"")),
    ("DeployRole", "s3", "put_object", objects("staging/run/evaluation.json", Body=b"{}")),
    ("DeployRole", "s3", "delete_object", objects("staging/run/evaluation.json")),
    # nor may the judge make up what it is shown
    ("DeployRole", "s3", "put_object", objects("predictions/m/date=2026-03-01/a.jsonl.gz", Body=b"")),
    ("DeployRole", "cloudwatch", "put_metric_data", {"Namespace": "Perennial", "MetricData": []}),
    ("DeployRole", "iam", "put_role_policy", {"RoleName": "x", "PolicyName": "p", "PolicyDocument": "{}"}),
    ("DeployRole", "sts", "assume_role", {"RoleArn": "{deployer}", "RoleSessionName": "me"}),
    # the governor starts trainings only
    ("RetrainRole", "states", "start_execution", {"stateMachineArn": "{rollout}"}),
    ("RetrainRole", "dynamodb", "put_item", put("MODEL#flight-delays")),
    ("RetrainRole", "ecs", "run_task", {"taskDefinition": "perennial-dev-train", "cluster": "perennial-dev-train"}),
    ("RetrainRole", "s3", "put_object", objects("staging/run/evaluation.json", Body=b"{}")),
    ("RetrainRole", "s3", "delete_object", objects("staging/run/evaluation.json")),
    # feedback records outcomes: neither its own inbox nor predictions, no registry, nothing that serves
    ("FeedbackRole", "s3", "put_object", objects("feedback/flight-delays/x", Body=b"")),
    ("FeedbackRole", "s3", "put_object", objects("predictions/flight-delays/x", Body=b"")),
    ("FeedbackRole", "s3", "put_object", objects("quarantine/flights/x", Body=b"")),
    ("FeedbackRole", "s3", "get_object", objects("curated/flights/seed.parquet")),
    ("FeedbackRole", "s3", "delete_object", objects("outcomes/flight-delays/x")),
    ("FeedbackRole", "dynamodb", "put_item", put("MODEL#flight-delays")),
    ("FeedbackRole", "dynamodb", "put_item", put("LEDGER#model/m")),
    ("FeedbackRole", "s3", "put_object", objects("model/m/00000009.json", "{ledger}", Body=b"{}", IfNoneMatch="*")),
    ("FeedbackRole", "lambda", "invoke", {"FunctionName": PREDICT}),
    # models reads; what serves it asks by version only
    ("ModelsRole", "lambda", "invoke", {"FunctionName": PREDICT}),
    ("ModelsRole", "dynamodb", "put_item", put("MODEL#flight-delays")),
    ("ModelsRole", "s3", "get_object", objects("models/flight-delays/1/model.onnx")),
    # machines call their own stages
    ("IngestWorkflowRole", "lambda", "invoke", {"FunctionName": "perennial-dev-deploy"}),
    ("LifecycleWorkflowRole", "lambda", "invoke", {"FunctionName": "perennial-dev-deploy"}),
    ("LifecycleWorkflowRole", "ecs", "run_task", {"taskDefinition": "perennial-dev-train",
     "cluster": "perennial-dev-train", "overrides": {"taskRoleArn": "{deployer}"}}),
    ("LifecycleWorkflowRole", "ecs", "stop_task", {"cluster": "other", "task": "0" * 32}),
    ("LifecycleWorkflowRole", "ecs", "describe_tasks", {"cluster": "other", "tasks": ["0" * 32]}),
    ("RolloutWorkflowRole", "lambda", "update_alias", {"FunctionName": PREDICT, "Name": "live",
     "FunctionVersion": "1"}),
    ("IngestWorkflowStartRole", "states", "start_execution", {"stateMachineArn": "{rollout}"}),
    # the ways of records
    ("RecordsWriterRole", "s3", "get_object", objects("curated/x")),
    ("RecordsWriterRole", "s3", "delete_object", objects("predictions/x")),
    ("RecordsWriterRole", "s3", "put_object", objects("curated/x", Body=b"")),
    ("RecordsSenderRole", "firehose", "put_record", {"DeliveryStreamName": "other", "Record": {"Data": b"x"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "service", "operation", "arguments"),
    FORBIDDEN,
    ids=[f"{role}-{operation}-{number}" for number, (role, _, operation, _) in enumerate(FORBIDDEN)],
)
def test_a_forbidden_act_is_denied(
    deployed: Deployed, role: str, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = deployed.client(role, "stepfunctions" if service == "states" else service)
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**deployed.filled(arguments))
    error = refused.value.response["Error"]
    assert error["Code"] in {"AccessDenied", "AccessDeniedException"}, error
    session = deployed.roles[role].replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/session"
    assert error["Message"].startswith(f"User: {session} is not authorized to perform: "), error


ALLOWED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("PredictFlightDelaysRole", "logs", "create_log_stream", {"logGroupName": f"/aws/lambda/{PREDICT}",
     "logStreamName": "mine"}),
    ("PredictFlightDelaysRole", "sts", "get_caller_identity", {}),
    ("IngestRole", "s3", "put_object", objects("curated/flights/version=1/x", Body=b"")),
    ("IngestRole", "s3", "delete_object", objects("staging/ingest/x")),
    ("IngestRole", "dynamodb", "put_item", put("DATASET#other")),
    ("TrainRole", "s3", "put_object", objects("staging/run/model.onnx", Body=b"")),
    ("TrainRole", "s3", "put_object", objects("model/other/00000001.json", "{ledger}", Body=b"{}", IfNoneMatch="*")),
    ("TrainRole", "dynamodb", "transact_write_items", {"TransactItems": [{"Put": put("LEDGER#model/other")}]}),
    ("EvaluateRole", "s3", "put_object", objects("staging/run/evaluation.json", Body=b"{}")),
    ("RetrainRole", "s3", "put_object", objects("staging/run/request.json", Body=b"{}")),
    ("DeployRole", "s3", "put_object", objects("staging/code/m/00000001.zip", Body=b"")),
    ("ScoreRole", "s3", "put_object", objects("score/flight-delays/out/x.csv/batch/part.parquet", Body=b"")),
    ("ScoreRole", "s3", "put_object", objects("quarantine/_score/flight-delays/batch/x", Body=b"")),
    ("ScoreRole", "s3", "delete_object", objects("staging/score/x")),
    ("DeployRole", "lambda", "get_alias", {"FunctionName": PREDICT, "Name": "live"}),
    ("DeployRole", "lambda", "get_function_configuration", {"FunctionName": PREDICT, "Qualifier": "1"}),
]  # fmt: skip


@pytest.mark.parametrize(("role", "service", "operation", "arguments"), ALLOWED)
def test_what_is_granted_is_allowed(
    deployed: Deployed, role: str, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    """Else the denials above could be those of a cloud that denies everything."""
    getattr(deployed.client(role, service), operation)(**deployed.filled(arguments))


def test_the_ledgers_past_is_safe_from_administrators_too(deployed: Deployed) -> None:
    s3, where = deployed.cloud.client("s3"), {"Bucket": deployed.values["ledger"], "Key": LEDGER}
    version = s3.head_object(**where)["VersionId"]
    source = {"Bucket": where["Bucket"], "Key": LEDGER}
    acts: list[tuple[str, dict[str, Any]]] = [
        ("put_object", where | {"Body": b"forged"}),
        ("delete_object", where),
        ("delete_object", where | {"VersionId": version, "BypassGovernanceRetention": True}),
        ("delete_objects", {"Bucket": where["Bucket"], "Delete": {"Objects": [{"Key": LEDGER, "VersionId": version}]}}),
        ("copy_object", where | {"CopySource": source}),
    ]
    for operation, arguments in acts:
        with pytest.raises(ClientError, match=r"AccessDenied.*explicit deny in a resource-based policy"):
            getattr(s3, operation)(**arguments)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**where, Body=b"forged", IfNoneMatch="*")
    assert s3.get_object(**where)["Body"].read() == b"{}"


def list_models(deployed: Deployed) -> bool:
    """Whether the models function answers what serves."""
    event = (ROOT / "events" / "models-list.json").read_bytes()
    reply = deployed.cloud.client("lambda").invoke(FunctionName="perennial-dev-models", Payload=event)
    answer = json.loads(reply["Payload"].read())
    return "FunctionError" not in reply and answer["statusCode"] == 200


def ingest(deployed: Deployed) -> bool:
    """Whether a dropped file (here one that is refused) comes to the end of its workflow."""
    cloud, key = deployed.cloud, f"raw/flights/{made.name('drop')}.csv"
    cloud.client("s3").put_object(Bucket=deployed.values["data"], Key=key, Body=b"who,what\n1,2\n")
    states = cloud.client("stepfunctions")

    def ended() -> str | None:
        for one in states.list_executions(stateMachineArn=deployed.values["ingest"])["executions"]:
            described = states.describe_execution(executionArn=one["executionArn"])
            if key in described["input"] and described["status"] != "RUNNING":
                return str(described["status"])
        cloud.clock.advance(60)  # over the waits between retries
        return None

    return until(ended, 120) == "SUCCEEDED"


@pytest.mark.full
@pytest.mark.parametrize(
    ("role", "action", "act"),
    [
        ("ModelsRole", "dynamodb:GetItem", list_models),
        ("IngestRole", "s3:PutObject", ingest),
        ("IngestWorkflowRole", "lambda:InvokeFunction", ingest),
    ],
)
def test_without_its_grant_the_work_really_fails(
    deployed: Deployed, role: str, action: str, act: Callable[[Deployed], bool]
) -> None:
    iam, name = deployed.cloud.client("iam"), deployed.roles[role].rpartition("/")[2]
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    whole = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    fewer = [(one, [each for each in listed(one["Action"]) if each != action]) for one in listed(whole["Statement"])]
    rest = [{**statement, "Action": actions} for statement, actions in fewer if actions]
    assert act(deployed)
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=principals.document(*rest))
    try:
        with pytest.raises(AssertionError):
            assert act(deployed)
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(whole))
    assert act(deployed)
