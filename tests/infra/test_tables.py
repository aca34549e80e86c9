"""Glue's tables: texts as Glue takes them, and ids that are nobody else's."""

from __future__ import annotations

import boto3
import pytest
from aws_cdk import Stack
from constructs import Construct

from infra.constructs.ids import child_id
from infra.constructs.tables import one_line
from infra.local.resources.base import ResourceError
from infra.local.resources.data_catalog import check_texts
from tests.infra.conftest import App

GLUE = boto3.client("glue", region_name="eu-west-1").meta.service_model.shape_for("TableInput")


def test_glue_takes_the_texts_of_every_table(app: App) -> None:
    tables = {table.props["TableInput"]["Name"]: table.props["TableInput"] for table in app.of("AWS::Glue::Table")}
    for table in tables.values():
        check_texts(table | {"StorageDescriptor": table["StorageDescriptor"] | {"Location": "s3://bucket/"}}, GLUE)
    hours = tables["depot_hours"]
    assert hours["Description"] == "When people worked, by day and depot."
    assert hours["StorageDescriptor"]["Columns"][2]["Comment"] == "worked, not paid"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", None),
        (" \n\t", None),
        ("one\r\n\n two\x00\x85three\ud800\uffff", "one two three"),
        ("größe\U0001f600", "größe\U0001f600"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_description_is_one_line_that_glue_takes(text: str, made: str | None) -> None:
    assert one_line(text, 255) == made
    if made is not None:
        check_texts({"StorageDescriptor": {"Columns": [{"Name": "c", "Comment": made}]}}, GLUE)


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\uffff", "x" * 256])
def test_what_glue_refuses_is_refused_by_place(text: str) -> None:
    with pytest.raises(ResourceError, match=r"StorageDescriptor\.Columns\.1\.Comment"):
        check_texts({"StorageDescriptor": {"Columns": [{"Name": "c", "Comment": text}]}}, GLUE)


def test_a_dataset_may_be_called_as_a_construct_beside_its_table() -> None:
    stack = Stack()
    assert child_id(stack, "database") == "Database"
    Construct(stack, "Database")
    assert child_id(stack, "database") == "Database."
    assert child_id(stack, "schedule", "late-parcels") == "ScheduleLateParcels"
    Construct(stack, child_id(stack, "database"))
