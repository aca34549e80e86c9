"""Stage predict: one function per model of the catalog, its alias `live`, and the way of its records to S3."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import assets
from infra.constructs.acknowledge import acknowledge
from infra.constructs.grants import write_objects
from infra.constructs.layer_set import architecture, runtime
from infra.constructs.log_group import StageLogGroup
from infra.constructs.shared import Shared
from infra.constructs.stage_function import function_role
from infra.declared import Model
from infra.layers import ROOT

ALIAS = "live"
RECORDS = '{ $.record = "prediction" }'

# Firehose writes an object when either is reached: few small objects, and records no later than five minutes.
_BUFFER_SECONDS = 300
_BUFFER_MIB = 64


class Predict(Construct):
    """Function `perennial-<env>-predict-<model>`.

    The template gives it layers and configuration, and code that holds no model; a rollout gives it the model. Version
    and alias are made once, with properties that never change, so that no deployment of the template moves the alias.
    """

    def __init__(self, scope: Construct, shared: Shared, *, model: Model) -> None:
        words = "".join(word.title() for word in model.name.split("-"))
        super().__init__(scope, f"Predict{words}")
        self.model = model
        self.role = function_role(self)
        name = f"{shared.environment.predict_prefix}{model.name}"
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
        self._record(shared, name)

    def _function(self, shared: Shared, name: str) -> lambda_.CfnFunction:
        environment = shared.environment
        function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"Perennial {environment.name}: predictions of model {self.model.name}",
            runtime=runtime(environment),
            architecture=architecture(environment),
            handler="predict.handler.lambda_handler",
            code=lambda_.Code.from_asset(str(ROOT / "functions" / "predict" / "bootstrap"), exclude=assets.EXCLUDED),
            layers=shared.layers.get(["core", "serving", "predict"]),
            memory_size=environment.predict.memory_mib,
            timeout=Duration.seconds(environment.predict.timeout_seconds),
            role=self.role,
            log_group=self.log_group,
        )
        newer = "The runtime is a setting of the environment: the newest that its layers have wheels for."
        acknowledge(function, newer, "AwsSolutions-L1", "Serverless-LambdaLatestVersion")
        acknowledge(function, "Only ever called synchronously: the caller gets the error.", "Serverless-LambdaDLQ")
        acknowledge(function, "A trace would cost more than the prediction it times.", "Serverless-LambdaTracing")
        resource: lambda_.CfnFunction = function.node.default_child
        return resource

    def _record(self, shared: Shared, name: str) -> None:
        """Log lines that are prediction records go through Firehose to `predictions/<model>/`, as they were printed."""
        stream = self._stream(shared, name)
        sender = iam.Role(
            self,
            "RecordsRole",
            assumed_by=iam.ServicePrincipal(
                "logs.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": shared.stack.account}}
            ),
        )
        policy = iam.Policy(self, "RecordsPolicy", roles=[sender])
        policy.add_statements(
            iam.PolicyStatement(actions=["firehose:PutRecord", "firehose:PutRecordBatch"], resources=[stream.attr_arn])
        )
        subscription = logs.CfnSubscriptionFilter(
            self,
            "Records",
            filter_name="predictions",
            log_group_name=self.log_group.log_group_name,
            filter_pattern=RECORDS,
            destination_arn=stream.attr_arn,
            role_arn=sender.role_arn,
        )
        subscription.node.add_dependency(policy)

    def _stream(self, shared: Shared, name: str) -> firehose.CfnDeliveryStream:
        writer = iam.Role(self, "StreamRole", assumed_by=iam.ServicePrincipal("firehose.amazonaws.com"))
        prefix = f"predictions/{self.model.name}/"
        errors = f"predictions-failed/{self.model.name}/"
        write_objects(writer, shared.memory.data, prefix, errors)
        day = "date=!{timestamp:yyyy-MM-dd}/"
        destination = firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty(
            bucket_arn=shared.memory.data.bucket_arn,
            role_arn=writer.role_arn,
            prefix=f"{prefix}{day}",
            error_output_prefix=f"{errors}!{{firehose:error-output-type}}/{day}",
            buffering_hints=firehose.CfnDeliveryStream.BufferingHintsProperty(
                interval_in_seconds=_BUFFER_SECONDS, size_in_m_bs=_BUFFER_MIB
            ),
            compression_format="GZIP",
            file_extension=".jsonl.gz",
            processing_configuration=_lines(),
        )
        stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_name=name,
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=(
                firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(key_type="AWS_OWNED_CMK")
            ),
            extended_s3_destination_configuration=destination,
        )
        stream.node.add_dependency(writer)
        return stream


def _lines() -> firehose.CfnDeliveryStream.ProcessingConfigurationProperty:
    """CloudWatch Logs sends gzipped batches of events: unpack them, keep the messages, one to a line."""
    stream = firehose.CfnDeliveryStream

    def processor(kind: str, **parameters: str) -> firehose.CfnDeliveryStream.ProcessorProperty:
        listed = [
            stream.ProcessorParameterProperty(parameter_name=name, parameter_value=value)
            for name, value in parameters.items()
        ]
        return stream.ProcessorProperty(type=kind, parameters=listed or None)

    return stream.ProcessingConfigurationProperty(
        enabled=True,
        processors=[
            processor("Decompression", CompressionFormat="GZIP"),
            processor("CloudWatchLogProcessing", DataMessageExtraction="true"),
            processor("AppendDelimiterToRecord"),
        ],
    )
