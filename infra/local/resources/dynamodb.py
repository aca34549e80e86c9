"""AWS::DynamoDB::Table.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
"""

from __future__ import annotations

from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, changed, gone_is_fine, pick

AT_CREATION = (
    "KeySchema",
    "AttributeDefinitions",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "DeletionProtectionEnabled",
    "TableClass",
    "Tags",
)


class Table(Handler):
    """A table with its recovery, expiry and encryption settings."""

    type = "AWS::DynamoDB::Table"
    properties = frozenset(
        {
            "TableName",
            "SSESpecification",
            "StreamSpecification",
            "PointInTimeRecoverySpecification",
            "TimeToLiveSpecification",
            *AT_CREATION,
        }
    )
    replaces = frozenset({"TableName", "KeySchema"})
    named_by = "TableName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the table, then its point-in-time recovery and expiry."""
        name = props.get("TableName") or place.name(255)
        table = place.call(
            "dynamodb",
            "create_table",
            TableName=name,
            SSESpecification=_encryption(props.get("SSESpecification")),
            StreamSpecification=_stream(props.get("StreamSpecification")),
            **({"BillingMode": "PROVISIONED"} | pick(props, *AT_CREATION)),
        )["TableDescription"]
        attributes = {"Arn": table["TableArn"]}
        if "LatestStreamArn" in table:
            attributes["StreamArn"] = table["LatestStreamArn"]
        with self.finishing(place, Made(name, attributes), props) as made:
            _settings(place, name, props, {})
        return made

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change billing, protection, class and the settings; indexes and streams are not changed locally."""
        settings = {"PointInTimeRecoverySpecification", "TimeToLiveSpecification", "Tags"}
        plain = ("BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled", "TableClass", "SSESpecification")
        other = {name for name in props | old if changed(props, old, name)} - settings - set(plain)
        if other:
            return super().update(place, made, props, old)
        if changed(props, old, *plain):
            place.call(
                "dynamodb",
                "update_table",
                TableName=made.ref,
                SSESpecification=_encryption(props.get("SSESpecification")),
                **pick({"DeletionProtectionEnabled": False} | props, *plain[:-1]),
            )
        _settings(place, made.ref, props, old)
        place.retag("dynamodb", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the table, unless it is protected."""
        gone_is_fine(place, "dynamodb", "delete_table", TableName=made.ref)


def _settings(place: Place, name: str, props: Properties, old: Properties) -> None:
    if changed(props, old, "PointInTimeRecoverySpecification"):
        wanted = props.get("PointInTimeRecoverySpecification") or {"PointInTimeRecoveryEnabled": False}
        place.call("dynamodb", "update_continuous_backups", TableName=name, PointInTimeRecoverySpecification=wanted)
    if changed(props, old, "TimeToLiveSpecification"):
        expiry = props.get("TimeToLiveSpecification") or old["TimeToLiveSpecification"] | {"Enabled": False}
        place.call("dynamodb", "update_time_to_live", TableName=name, TimeToLiveSpecification=expiry)


def _encryption(value: Any) -> Any:
    if value is None:
        return None
    return {("Enabled" if name == "SSEEnabled" else name): item for name, item in value.items()}


def _stream(value: Any) -> Any:
    return None if value is None else {"StreamEnabled": True} | value
