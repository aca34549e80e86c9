"""The functions and the task: what they run, what they are told, and that a deployment never moves what serves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.lock import ROOT
from perennial import settings
from tests.infra.conftest import MODELS, App, Resource, listed, text
from tests.routes import answering, greedy

SETTINGS: dict[str, type[settings.Settings]] = {
    "ingest": settings.IngestSettings,
    "retrain": settings.RetrainSettings,
    "evaluate": settings.EvaluateSettings,
    "register": settings.RegisterSettings,
    "deploy": settings.DeploySettings,
    "approve": settings.ApproveSettings,
    "feedback": settings.FeedbackSettings,
    "models": settings.ModelsSettings,
    "score": settings.ScoreSettings,
    "monitor": settings.MonitorSettings,
}
LAYERS = {
    "ingest": {"core", "base", "data"},
    "retrain": {"core", "base"},
    "register": {"core", "base"},
    "deploy": {"core", "base"},
    "approve": {"core", "base"},
    "feedback": {"core", "base", "data"},
    "models": {"core", "base"},
    "predict-hours": {"core", "serving", "predict"},
    "predict-late-parcels": {"core", "serving", "predict"},
}


def function(app: App, name: str) -> Resource:
    return app.one("AWS::Lambda::Function", FunctionName=f"perennial-dev-{name}")


def test_there_is_a_function_per_stage_and_model_and_none_besides(app: App) -> None:
    names = {
        resource.props["FunctionName"].removeprefix("perennial-dev-") for resource in app.of("AWS::Lambda::Function")
    }
    assert names == SETTINGS.keys() | {f"predict-{model}" for model in MODELS}


@pytest.mark.parametrize("stage", SETTINGS)
def test_a_function_gets_exactly_the_variables_its_settings_read(app: App, stage: str) -> None:
    variables = function(app, stage).props["Environment"]["Variables"]
    assert set(variables) == {name.upper() for name in SETTINGS[stage].model_fields}
    assert all(variables.values())


def test_the_training_task_gets_the_variables_that_its_request_does_not_bring(app: App) -> None:
    container = app.one("AWS::ECS::TaskDefinition").props["ContainerDefinitions"][0]
    given = {variable["Name"] for variable in container["Environment"]} | {"RUN_REQUEST", "TUNE_CHUNK"}
    assert given == {name.upper() for name in settings.TrainSettings.model_fields}


@pytest.mark.parametrize("model", MODELS)
def test_predict_is_told_nothing_but_to_keep_to_itself(app: App, model: str) -> None:
    variables = function(app, f"predict-{model}").props["Environment"]["Variables"]
    assert variables == {"ORT_DISABLE_TELEMETRY": "1"}


def test_the_image_keeps_to_itself_too() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in (ROOT / "functions" / "train" / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LAYERS)
def test_a_function_has_the_layers_it_imports_from(app: App, name: str) -> None:
    resource = function(app, name)
    layers = app.templates[resource.stack]["Resources"]
    names = {layers[layer["Ref"]]["Properties"]["LayerName"] for layer in resource.props["Layers"]}
    assert names == {f"perennial-dev-{layer}" for layer in LAYERS[name]}


@pytest.mark.parametrize("stage", ["ingest", "retrain", "register", "deploy", "approve", "feedback", "models"])
def test_a_light_stage_ships_its_own_folder_and_nothing_else(app: App, stage: str) -> None:
    props = function(app, stage).props
    assert props["Handler"] == "handler.lambda_handler"
    folder = app.folder / f"asset.{props['Code']['S3Key'].removesuffix('.zip')}"
    assert (folder / "handler.py").is_file()
    assert not list(folder.rglob("__pycache__"))


def test_the_core_layer_is_the_library_and_the_predict_layer_its_handler(app: App) -> None:
    def folder(layer: str) -> Any:
        props = app.one("AWS::Lambda::LayerVersion", LayerName=f"perennial-dev-{layer}").props
        return app.folder / f"asset.{props['Content']['S3Key'].removesuffix('.zip')}"

    cores = {
        resource.props["Content"]["S3Key"]
        for resource in app.of("AWS::Lambda::LayerVersion")
        if resource.props["LayerName"] == "perennial-dev-core"
    }
    assert len(cores) == 1  # both stacks carry the same one
    assert (app.folder / f"asset.{cores.pop().removesuffix('.zip')}" / "python" / "perennial" / "stage.py").is_file()
    predict = folder("predict") / "python" / "predict"
    assert (predict / "handler.py").is_file()
    assert not (predict / "bootstrap").exists()


@pytest.mark.parametrize("stage", ["evaluate", "score", "monitor"])
def test_heavy_stages_run_the_image_of_the_training_with_other_commands(app: App, stage: str) -> None:
    container = app.one("AWS::ECS::TaskDefinition").props["ContainerDefinitions"][0]
    props = function(app, stage).props
    assert container["Image"] == props["Code"]["ImageUri"]
    assert container["Command"] == ["python", "-m", "functions.train.handler"]
    assert props["ImageConfig"] == {
        "EntryPoint": ["python", "-m", "awslambdaric"],
        "Command": [f"functions.{stage}.handler.lambda_handler"],
    }


def test_the_image_context_holds_what_the_dockerfile_copies(app: App) -> None:
    assets = json.loads((app.folder / "perennial-dev-loop.assets.json").read_text(encoding="utf-8"))
    (image,) = assets["dockerImages"].values()
    context = app.folder / image["source"]["directory"]
    names = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    assert {"Dockerfile", "requirements.txt", "functions/__init__.py"} <= names
    assert any(name.startswith("layers/core/python/perennial/") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"Dockerfile", "requirements.txt", "functions", "layers"}


@pytest.mark.parametrize("model", MODELS)
def test_version_and_alias_have_properties_that_no_deployment_changes(app: App, model: str) -> None:
    """CloudFormation touches only what changed in the template, so it must have nothing to change here."""
    words = "".join(word.title() for word in model.split("-"))
    resources = app.templates["serving"]["Resources"]
    name = {"Ref": function(app, f"predict-{model}").id}
    assert resources[f"Predict{words}Bootstrap"]["Properties"] == {"FunctionName": name}
    assert resources[f"Predict{words}Live"]["Properties"] == {
        "FunctionName": name,
        "FunctionVersion": {"Fn::GetAtt": [f"Predict{words}Bootstrap", "Version"]},
        "Name": "live",
    }


def test_all_predict_functions_start_with_the_same_constant_code(app: App) -> None:
    keys = {function(app, f"predict-{model}").props["Code"]["S3Key"] for model in MODELS}
    assert len(keys) == 1
    folder = app.folder / f"asset.{keys.pop().removesuffix('.zip')}"
    assert [path.name for path in folder.rglob("*")] == ["README.md"]


@pytest.mark.parametrize("model", MODELS)
def test_the_api_may_call_the_alias_and_only_the_alias(app: App, model: str) -> None:
    words = "".join(word.title() for word in model.split("-"))
    live, own = {"Ref": f"Predict{words}Live"}, function(app, f"predict-{model}").id
    permissions = [permission.props for permission in app.of("AWS::Lambda::Permission")]
    (granted,) = [permission for permission in permissions if permission["FunctionName"] == live]
    assert text(granted["SourceArn"]).endswith(f"/*/*/v2/models/{model}/{{proxy+}}")
    assert not [p for p in permissions if own in text(p["FunctionName"])]


@pytest.mark.parametrize("model", MODELS)
def test_prediction_records_reach_the_models_own_prefix(app: App, model: str) -> None:
    name = f"perennial-dev-predict-{model}"
    stream = app.one("AWS::KinesisFirehose::DeliveryStream", DeliveryStreamName=name)
    destination = stream.props["ExtendedS3DestinationConfiguration"]
    assert destination["Prefix"] == f"predictions/{model}/date=!{{timestamp:yyyy-MM-dd}}/"
    steps = [step["Type"] for step in destination["ProcessingConfiguration"]["Processors"]]
    assert steps == ["Decompression", "CloudWatchLogProcessing", "AppendDelimiterToRecord"]
    log = app.one("AWS::Logs::LogGroup", LogGroupName=f"/aws/lambda/{name}")
    (records,) = [r for r in app.of("AWS::Logs::SubscriptionFilter") if r.props["LogGroupName"] == {"Ref": log.id}]
    assert records.props["DestinationArn"] == {"Fn::GetAtt": [stream.id, "Arn"]}
    assert records.props["FilterPattern"] == '{ $.record = "prediction" }'


@pytest.mark.parametrize("model", MODELS)
def test_records_that_wait_too_long_ring(app: App, model: str) -> None:
    alarm = app.one("AWS::CloudWatch::Alarm", AlarmName=f"perennial-dev-predictions-undelivered-{model}").props
    stream = app.one("AWS::KinesisFirehose::DeliveryStream", DeliveryStreamName=f"perennial-dev-predict-{model}")
    buffered = stream.props["ExtendedS3DestinationConfiguration"]["BufferingHints"]["IntervalInSeconds"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Firehose", "DeliveryToS3.DataFreshness")
    assert alarm["Dimensions"] == [{"Name": "DeliveryStreamName", "Value": {"Ref": stream.id}}]
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Maximum", "GreaterThanThreshold")
    assert buffered < alarm["Threshold"] < 24 * 3600


def test_the_api_has_the_routes_of_the_protocol_and_signs_every_one(app: App) -> None:
    routes = app.of("AWS::ApiGatewayV2::Route")
    assert {route.props["RouteKey"] for route in routes} == {
        "GET /v2",
        "GET /v2/health/{probe}",
        "GET /v2/openapi.json",
        "GET /v2/models",
        "ANY /v2/models/{model}",
        "ANY /v2/models/{model}/versions",
        "ANY /v2/models/{model}/versions/{version}",
        "ANY /v2/models/{model}/versions/{version}/{action}",
        "GET /approvals",
        "POST /approvals/{model}/{version}",
        "POST /promotions",
        "POST /rollbacks/{model}",
        "POST /retrains/{model}",
        "ANY /v2/models/{model}/feedback",
        "$default",
        *map(greedy, MODELS),
    }
    assert {route.props["AuthorizationType"] for route in routes} == {"AWS_IAM"}


def test_every_route_of_the_api_is_in_its_document_and_back(app: App) -> None:
    keys = {route.props["RouteKey"] for route in app.of("AWS::ApiGatewayV2::Route")} - {"$default"}
    chosen = {model: answering(keys, model) for model in MODELS}
    assert {key for found in chosen.values() for key in found.values()} == keys
    for model, found in chosen.items():
        assert {one for one, key in found.items() if key == greedy(model)} == {"infer", "modelReady"}


def test_a_schedule_asks_the_governor_with_the_time_it_was_due(app: App) -> None:
    target = app.one("AWS::Scheduler::Schedule", Name="perennial-dev-retrain-late-parcels").props["Target"]
    asked = json.loads(target["Input"])
    assert asked == {"action": "schedule", "model": "late-parcels", "as_of": "<aws.scheduler.scheduled-time>"}


def test_alarms_of_the_monitor_reach_the_governor_with_retries_and_a_queue(app: App) -> None:
    rule = app.one("AWS::Events::Rule", Name="perennial-dev-retrain-alarms")
    assert rule.props["EventPattern"] == {
        "source": ["perennial"], "detail-type": ["Drift Detected", "Performance Degraded"],
    }  # fmt: skip
    [target] = rule.props["Targets"]
    assert app.templates["loop"]["Resources"][target["Arn"]["Fn::GetAtt"][0]]["Type"] == "AWS::Lambda::Function"
    told = target["InputTransformer"]
    assert told["InputTemplate"] == '{"action":"ask","alarm":<detail>,"as_of":<time>}'
    assert told["InputPathsMap"] == {"detail": "$.detail", "time": "$.time"}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 7200, "MaximumRetryAttempts": 20}
    [arrivals] = app.one("AWS::Events::Rule", Name="perennial-dev-retrain").props["Targets"]
    assert target["DeadLetterConfig"] == arrivals["DeadLetterConfig"]
    assert target["Arn"] == arrivals["Arn"]


@pytest.mark.parametrize("model", MODELS)
def test_a_schedule_has_each_model_looked_at_with_the_time_it_was_due(app: App, model: str) -> None:
    schedule = app.one("AWS::Scheduler::Schedule", Name=f"perennial-dev-monitor-{model}").props
    assert schedule["ScheduleExpression"] == "rate(1 day)"
    asked = json.loads(schedule["Target"]["Input"])
    assert asked == {"model": model, "as_of": "<aws.scheduler.scheduled-time>"}
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert "DeadLetters" in text(schedule["Target"]["DeadLetterConfig"]["Arn"])


def test_monitor_writes_its_own_prefixes_and_nothing_else(app: App) -> None:
    role = function(app, "monitor").props["Role"]["Fn::GetAtt"][0]
    statements = [
        statement
        for policy in app.of("AWS::IAM::Policy")
        if {"Ref": role} in policy.props["Roles"]
        for statement in policy.props["PolicyDocument"]["Statement"]
    ]
    written = {
        text(resource).rpartition("}/")[2]
        for statement in statements
        if "s3:PutObject" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    assert written == {"monitoring/*", "reports/*", "model/*"}
    assert not [one for one in statements if any("Delete" in action for action in listed(one["Action"]))]


def test_the_dashboard_draws_every_model_by_version_and_the_age_of_its_log(app: App) -> None:
    props = app.one("AWS::CloudWatch::Dashboard").props
    assert props["DashboardName"] == "perennial-dev-health"
    body = text(props["DashboardBody"])
    for model in MODELS:
        name = f"perennial-dev-predict-{model}"
        assert f'"FunctionName","{name}","Resource","{name}:live"' in body
        assert "ExecutedVersion" in body
        assert f'"DeliveryToS3.DataFreshness","DeliveryStreamName","{name}"' in body
    for metric in ("Invocations", "Errors", "Throttles", '"p50"', '"p99"'):
        assert metric in body


def test_clients_find_everything_in_parameters(app: App) -> None:
    names = {parameter.props["Name"].removeprefix("/perennial/dev/") for parameter in app.of("AWS::SSM::Parameter")}
    assert names == {
        *("data-bucket", "ledger-bucket", "registry-table", "triggers-table", "bus", "alerts-topic", "catalog"),
        "api-url",
        *("ingest-workflow", "lifecycle-workflow", "rollout-workflow", "promotion-workflow"),
        "score-workflow",
        "monitor-function",
    }
