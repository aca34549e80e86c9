"""Partitions of the Glue tables by which Athena sees accepted versions."""

from __future__ import annotations

from dataclasses import dataclass

from perennial.errors import ConditionFailed
from perennial.storage.translate import client, translated


@dataclass(frozen=True)
class Partitions:
    """The partitions of one Glue database's tables."""

    database: str

    def add(self, table: str, values: list[str], location: str) -> bool:
        """Add a partition with the table's own format and columns; False when there was one already.

        Raises ObjectMissing when the table does not exist: the deployed template is older than the catalog.
        """
        with translated(f"get table {self.database}.{table}"):
            found = client("glue").get_table(DatabaseName=self.database, Name=table)["Table"]
        storage = {**found["StorageDescriptor"], "Location": location}
        try:
            with translated(f"add partition {values} to {self.database}.{table}"):
                client("glue").create_partition(
                    DatabaseName=self.database,
                    TableName=table,
                    PartitionInput={"Values": values, "StorageDescriptor": storage},
                )
        except ConditionFailed:
            return False
        return True
