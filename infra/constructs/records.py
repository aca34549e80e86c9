"""The way of prediction records: log line → subscription filter → Firehose → `predictions/<model>/` in S3."""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.acknowledge import acknowledge_wildcard
from infra.constructs.alerts import PERIOD, alarm
from infra.constructs.grants import allow, deliver_objects
from infra.environment import Environment

FILTER = '{ $.record = "prediction" }'
DELIVERED, UNDELIVERED = "predictions/", "predictions-failed/"

# Firehose writes an object when either is reached: few small objects, and records no later than five minutes.
_BUFFER_SECONDS = 300
_BUFFER_MIB = 64
# Later than any buffer of Firehose; it gives a record up after a day.
_LATE_SECONDS = 900
_DAY = "date=!{timestamp:yyyy-MM-dd}/"


class Records(Construct):
    """One Firehose stream per model (a prefix cannot name the log group), one pair of roles for all."""

    def __init__(self, scope: Construct, *, environment: Environment, bucket: s3.IBucket, alerts: sns.ITopic) -> None:
        super().__init__(scope, "Records")
        self._environment = environment
        self._bucket = bucket
        self._alerts = alerts
        self._writer = iam.Role(self, "WriterRole", assumed_by=iam.ServicePrincipal("firehose.amazonaws.com"))
        deliver_objects(self._writer, bucket, DELIVERED, UNDELIVERED)
        own = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        logger = iam.ServicePrincipal("logs.amazonaws.com", conditions=own)
        self._sender = iam.Role(self, "SenderRole", assumed_by=logger)
        streams = Stack.of(self).format_arn(
            service="firehose",
            resource="deliverystream",
            resource_name=f"{environment.predict_prefix}*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        allow(self._sender, ["firehose:PutRecord", "firehose:PutRecordBatch"], [streams])
        acknowledge_wildcard(self._sender, "One stream per model of the catalog.", streams)

    def collect(self, scope: Construct, log_group: logs.ILogGroup, *, model: str) -> None:
        """Send the prediction records among the lines of `log_group` to S3."""
        stream = self._stream(scope, model)
        subscription = logs.CfnSubscriptionFilter(
            scope,
            "Records",
            filter_name="predictions",
            log_group_name=log_group.log_group_name,
            filter_pattern=FILTER,
            destination_arn=stream.attr_arn,
            role_arn=self._sender.role_arn,
        )
        # CloudWatch Logs tries the stream as the filter is made: the role must already have its policy
        subscription.node.add_dependency(self._sender)
        self._watch(scope, stream, model)

    def _watch(self, scope: Construct, stream: firehose.CfnDeliveryStream, model: str) -> None:
        oldest = cloudwatch.Metric(
            namespace="AWS/Firehose",
            metric_name="DeliveryToS3.DataFreshness",
            dimensions_map={"DeliveryStreamName": stream.ref},
            statistic="Maximum",
            period=PERIOD,
        )
        alarm(
            scope,
            "UndeliveredAlarm",
            environment=self._environment,
            name="predictions-undelivered",
            of=model,
            says=f"Recorded predictions of {model} do not reach S3.",
            metric=oldest,
            over=_LATE_SECONDS,
            alerts=self._alerts,
        )

    def _stream(self, scope: Construct, model: str) -> firehose.CfnDeliveryStream:
        hints = firehose.CfnDeliveryStream.BufferingHintsProperty(
            interval_in_seconds=_BUFFER_SECONDS, size_in_m_bs=_BUFFER_MIB
        )
        destination = firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty(
            bucket_arn=self._bucket.bucket_arn,
            role_arn=self._writer.role_arn,
            prefix=f"{DELIVERED}{model}/{_DAY}",
            error_output_prefix=f"{UNDELIVERED}{model}/!{{firehose:error-output-type}}/{_DAY}",
            buffering_hints=hints,
            compression_format="GZIP",
            file_extension=".jsonl.gz",
            processing_configuration=_lines(),
        )
        own_key = firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
            key_type="AWS_OWNED_CMK"
        )
        stream = firehose.CfnDeliveryStream(
            scope,
            "Stream",
            delivery_stream_name=f"{self._environment.predict_prefix}{model}",
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=own_key,
            extended_s3_destination_configuration=destination,
        )
        stream.node.add_dependency(self._writer)
        return stream


def _lines() -> firehose.CfnDeliveryStream.ProcessingConfigurationProperty:
    """CloudWatch Logs sends gzipped batches of events: unpack them, keep the messages, one to a line."""
    return firehose.CfnDeliveryStream.ProcessingConfigurationProperty(
        enabled=True,
        processors=[
            _processor("Decompression", CompressionFormat="GZIP"),
            _processor("CloudWatchLogProcessing", DataMessageExtraction="true"),
            _processor("AppendDelimiterToRecord"),
        ],
    )


def _processor(kind: str, **parameters: str) -> firehose.CfnDeliveryStream.ProcessorProperty:
    listed = [
        firehose.CfnDeliveryStream.ProcessorParameterProperty(parameter_name=name, parameter_value=value)
        for name, value in parameters.items()
    ]
    return firehose.CfnDeliveryStream.ProcessorProperty(type=kind, parameters=listed or None)
