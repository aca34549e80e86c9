"""Tables: DynamoDB's, keyed by pk and sk, and Glue's, one per contract."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aws_cdk import Aws
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.bucket import removal
from infra.constructs.ids import child_id
from infra.environment import Environment
from perennial.catalog.contract import Column, Contract

_PARQUET_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
_PARQUET_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
_PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"

# Glue's longest comment on a column, and description of a table.
_COMMENT = 255
_DESCRIPTION = 2048
# Line breaks, other control characters, and what is no character at all.
_BREAKS = re.compile(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff\s]+")

# Type of a contract's column → type in Athena.
_TYPES = {
    "string": "string",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}


class KeyedTable(dynamodb.Table):
    """A table of items under (pk, sk), billed by request, recoverable to any second of the last 35 days."""

    def __init__(self, scope: Construct, name: str, *, environment: Environment, thing: str) -> None:
        text = dynamodb.AttributeType.STRING
        super().__init__(
            scope,
            name,
            table_name=environment.resource(thing),
            partition_key=dynamodb.Attribute(name="pk", type=text),
            sort_key=dynamodb.Attribute(name="sk", type=text),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            # DynamoDB's own key: encrypted at rest, and free, where a key in the account costs per request
            encryption=dynamodb.TableEncryption.DEFAULT,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=environment.removal == "retain",
            removal_policy=removal(environment),
        )


class GlueTables(Construct):
    """The Glue database of an environment and a table per contract; ingest adds a partition per dataset version."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        environment: Environment,
        contracts: Iterable[Contract],
        bucket: s3.IBucket,
    ) -> None:
        super().__init__(scope, name)
        self.database_name = environment.glue_database
        self.database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description=f"Accepted dataset versions of perennial {environment.name}"
            ),
        )
        for contract in sorted(contracts, key=lambda contract: contract.name):
            self._table(contract, bucket).add_resource_dependency(self.database)

    def _table(self, contract: Contract, bucket: s3.IBucket) -> glue.CfnTable:
        storage = glue.CfnTable.StorageDescriptorProperty(
            columns=[_column(column) for column in contract.columns],
            location=f"s3://{bucket.bucket_name}/curated/{contract.name}/",
            input_format=_PARQUET_INPUT,
            output_format=_PARQUET_OUTPUT,
            serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=_PARQUET_SERDE),
        )
        return glue.CfnTable(
            self,
            child_id(self, contract.name),
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name=contract.name.replace("-", "_"),
                description=one_line(contract.description, _DESCRIPTION),
                table_type="EXTERNAL_TABLE",
                parameters={"classification": "parquet"},
                partition_keys=[glue.CfnTable.ColumnProperty(name="version", type="string")],
                storage_descriptor=storage,
            ),
        )


def _column(column: Column) -> glue.CfnTable.ColumnProperty:
    return glue.CfnTable.ColumnProperty(
        name=column.name, type=_TYPES[column.type], comment=one_line(column.description, _COMMENT)
    )


def one_line(text: str, longest: int) -> str | None:
    """A text as Glue takes it: on one line, cut at its limit."""
    return _BREAKS.sub(" ", text).strip()[:longest] or None
