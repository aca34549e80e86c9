"""AWS::KinesisFirehose::DeliveryStream.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kinesisfirehose-deliverystream.html
"""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, changed, gone_is_fine


class DeliveryStream(Handler):
    """A direct-put stream to S3."""

    type = "AWS::KinesisFirehose::DeliveryStream"
    properties = frozenset(
        {
            "DeliveryStreamName",
            "DeliveryStreamType",
            "DeliveryStreamEncryptionConfigurationInput",
            "ExtendedS3DestinationConfiguration",
            "Tags",
        }
    )
    replaces = frozenset({"DeliveryStreamName", "DeliveryStreamType"})
    named_by = "DeliveryStreamName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the stream."""
        name = props.get("DeliveryStreamName") or place.name(64)
        made = place.call("firehose", "create_delivery_stream", **(props | {"DeliveryStreamName": name}))
        return Made(name, {"Arn": made["DeliveryStreamARN"]})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change the destination and tags."""
        if changed(props, old, "DeliveryStreamEncryptionConfigurationInput"):
            return super().update(place, made, props, old)
        if changed(props, old, "ExtendedS3DestinationConfiguration"):
            stream = place.call("firehose", "describe_delivery_stream", DeliveryStreamName=made.ref)
            description = stream["DeliveryStreamDescription"]
            place.call(
                "firehose",
                "update_destination",
                DeliveryStreamName=made.ref,
                CurrentDeliveryStreamVersionId=description["VersionId"],
                DestinationId=description["Destinations"][0]["DestinationId"],
                ExtendedS3DestinationUpdate=props["ExtendedS3DestinationConfiguration"],
            )
        place.retag("firehose", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "firehose", "delete_delivery_stream", DeliveryStreamName=made.ref)
