"""DynamoDB items under a string pk and sk, with every write conditional."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from perennial.errors import ConditionFailed
from perennial.storage.translate import client, translated

Item = dict[str, Any]
_serializer = TypeSerializer()
_deserializer = TypeDeserializer()

ABSENT = "attribute_not_exists(pk)"


@dataclass(frozen=True)
class Items:
    """The items of one table (pk S, sk S)."""

    table: str

    def get(self, pk: str, sk: str) -> Item | None:
        """The item, read consistently, or None."""
        with translated(f"get {self.table} {pk} {sk}"):
            reply = client("dynamodb").get_item(TableName=self.table, Key=_key(pk, sk), ConsistentRead=True)
        return decode(reply["Item"]) if "Item" in reply else None

    def create(self, item: Item) -> bool:
        """Write an item that does not exist yet; False when it does."""
        try:
            self.put(item, ABSENT)
        except ConditionFailed:
            return False
        return True

    def put(
        self,
        item: Item,
        condition: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Write an item under a condition expression. Raises ConditionFailed when it does not hold."""
        with translated(f"put {self.table} {item['pk']} {item['sk']}"):
            client("dynamodb").put_item(TableName=self.table, Item=encode(item), **_condition(condition, values, names))

    def update(
        self,
        pk: str,
        sk: str,
        changes: Mapping[str, Any],
        condition: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Set the attributes `changes` under a condition expression. Raises ConditionFailed."""
        with translated(f"update {self.table} {pk} {sk}"):
            client("dynamodb").update_item(TableName=self.table, **_update(pk, sk, changes, condition, values, names))

    def delete(
        self,
        pk: str,
        sk: str,
        condition: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Delete an item under a condition expression. Raises ConditionFailed."""
        with translated(f"delete {self.table} {pk} {sk}"):
            client("dynamodb").delete_item(
                TableName=self.table, Key=_key(pk, sk), **_condition(condition, values, names)
            )

    def query(
        self, pk: str, prefix: str = "", *, newest_first: bool = False, limit: int | None = None
    ) -> Iterator[Item]:
        """Items of `pk` whose sk begins with `prefix`, in sk order, read consistently."""
        expression, values = "pk = :pk", {":pk": pk}
        if prefix:
            expression, values = "pk = :pk AND begins_with(sk, :prefix)", {":pk": pk, ":prefix": prefix}
        pages = client("dynamodb").get_paginator("query")
        count = 0
        with translated(f"query {self.table} {pk} {prefix}"):
            for page in pages.paginate(
                TableName=self.table,
                KeyConditionExpression=expression,
                ExpressionAttributeValues=_values(values),
                ScanIndexForward=not newest_first,
                ConsistentRead=True,
            ):
                for item in page["Items"]:
                    yield decode(item)
                    count += 1
                    if limit is not None and count >= limit:
                        return

    def transact(self, *actions: Mapping[str, Any]) -> None:
        """Write all of `actions` (from put_action, update_action) or none. Raises ConditionFailed."""
        with translated(f"transact {self.table}"):
            client("dynamodb").transact_write_items(TransactItems=list(actions))

    def put_action(
        self,
        item: Item,
        condition: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """A put for `transact`."""
        return {"Put": {"TableName": self.table, "Item": encode(item), **_condition(condition, values, names)}}

    def update_action(
        self,
        pk: str,
        sk: str,
        changes: Mapping[str, Any],
        condition: str | None = None,
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """An update for `transact`."""
        return {"Update": {"TableName": self.table, **_update(pk, sk, changes, condition, values, names)}}


def encode(item: Mapping[str, Any]) -> dict[str, Any]:
    """Python values to DynamoDB's; floats travel as Decimal with their shortest exact text."""
    return {name: _serializer.serialize(_plain(value)) for name, value in item.items() if value is not None}


def decode(item: Mapping[str, Any]) -> Item:
    """DynamoDB's values to Python's: whole numbers as int, others as float."""
    return {name: _native(_deserializer.deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _native(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _native(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_native(inner) for inner in value]
    return value


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serializer.serialize(_plain(value)) for name, value in values.items()}


def _condition(
    condition: str | None, values: Mapping[str, Any] | None, names: Mapping[str, str] | None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if condition:
        arguments["ConditionExpression"] = condition
    if values:
        arguments["ExpressionAttributeValues"] = _values(values)
    if names:
        arguments["ExpressionAttributeNames"] = dict(names)
    return arguments


def _update(
    pk: str,
    sk: str,
    changes: Mapping[str, Any],
    condition: str | None,
    values: Mapping[str, Any] | None,
    names: Mapping[str, str] | None,
) -> dict[str, Any]:
    ordered = list(changes.items())
    all_names = {f"#set{i}": name for i, (name, _) in enumerate(ordered)} | dict(names or {})
    all_values = {f":set{i}": value for i, (_, value) in enumerate(ordered)} | dict(values or {})
    assignments = ", ".join(f"#set{i} = :set{i}" for i in range(len(ordered)))
    return {
        "Key": _key(pk, sk),
        "UpdateExpression": f"SET {assignments}",
        **_condition(condition, all_values, all_names),
    }
