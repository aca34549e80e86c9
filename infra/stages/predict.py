"""Stage predict: one function per model of the catalog, and its alias `live`."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import assets
from infra.constructs.acknowledge import acknowledge
from infra.constructs.alerts import PERIOD, alarm
from infra.constructs.layer_set import architecture, runtime
from infra.constructs.log_group import StageLogGroup
from infra.constructs.records import Records
from infra.constructs.shared import Shared
from infra.constructs.stage_function import function_role
from infra.lock import ROOT

ALIAS = "live"
# onnxruntime's official builds report to Microsoft unless told otherwise before they are imported (its Privacy.md);
# predictions make no network call.
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
# Lambda's limit on the name of a function.
_LONGEST = 64


class Predict(Construct):
    """Function `perennial-<env>-predict-<model>`.

    The template gives it layers and configuration, and code that holds no model; a rollout gives it the model. Version
    and alias are made once, with properties that never change, so that no deployment of the template moves the alias.
    """

    def __init__(self, scope: Construct, shared: Shared, *, model: str, records: Records) -> None:
        words = "".join(word.title() for word in model.split("-"))
        super().__init__(scope, f"Predict{words}")
        self.model = model
        self.role = function_role(self)
        name = _function_name(shared, model)
        self.log_group = StageLogGroup(
            self, "Log", environment=shared.environment, log_group_name=f"/aws/lambda/{name}"
        )
        self.log_group.written_by(self.role)
        self.function = self._function(shared, name)
        bootstrap = lambda_.CfnVersion(self, "Bootstrap", function_name=self.function.ref)
        bootstrap.override_logical_id(f"Predict{words}Bootstrap")
        self.live = lambda_.CfnAlias(
            self, "Live", name=ALIAS, function_name=self.function.ref, function_version=bootstrap.attr_version
        )
        self.live.override_logical_id(f"Predict{words}Live")
        records.collect(self, self.log_group, model=model)
        self._guard(shared)

    def _guard(self, shared: Shared) -> None:
        """Besides the judge, who only looks at rollouts: whatever serves, requests to which it has no answer ring."""
        faults = cloudwatch.Metric(
            namespace="Perennial",
            metric_name="PredictFault",
            dimensions_map={"model": self.model},
            statistic="Sum",
            period=PERIOD,
        )
        alarm(
            self,
            "FaultsAlarm",
            environment=shared.environment,
            name="predict-faults",
            of=self.model,
            says=f"Model {self.model} had no usable answer to a request.",
            metric=faults,
            alerts=shared.memory.alerts,
        )

    def _function(self, shared: Shared, name: str) -> lambda_.CfnFunction:
        environment = shared.environment
        function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"Perennial {environment.name}: predictions of model {self.model}",
            runtime=runtime(environment),
            architecture=architecture(environment),
            handler="predict.handler.lambda_handler",
            code=lambda_.Code.from_asset(str(ROOT / "functions" / "predict" / "bootstrap"), exclude=assets.EXCLUDED),
            layers=shared.layers.get(["core", "serving", "predict"]),
            environment=QUIET,
            memory_size=environment.predict.memory_mib,
            timeout=Duration.seconds(environment.predict.timeout_seconds),
            role=self.role,
            log_group=self.log_group,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if environment.predict.snap_start else None,
        )
        newer = "The runtime is a setting of the environment: the newest that its layers have wheels for."
        acknowledge(function, newer, "AwsSolutions-L1", "Serverless-LambdaLatestVersion")
        acknowledge(function, "Only ever called synchronously: the caller gets the error.", "Serverless-LambdaDLQ")
        acknowledge(function, "A trace would cost more than the prediction it times.", "Serverless-LambdaTracing")
        resource: lambda_.CfnFunction = function.node.default_child
        return resource


def _function_name(shared: Shared, model: str) -> str:
    name = f"{shared.environment.predict_prefix}{model}"
    if len(name) > _LONGEST:
        raise ValueError(f"model {model!r}: the name of its function, {name}, is longer than {_LONGEST} characters")
    return name
