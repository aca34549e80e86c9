"""AWS::Glue::* (the data catalog).

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Glue.html
"""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, gone_is_fine


class Database(Handler):
    """A database of the data catalog."""

    type = "AWS::Glue::Database"
    properties = frozenset({"CatalogId", "DatabaseInput"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        name = props["DatabaseInput"].get("Name") or place.name(255, lower=True)
        place.call("glue", "create_database", DatabaseInput=props["DatabaseInput"] | {"Name": name})
        return Made(name)

    def needs_replacement(self, props: Properties, old: Properties) -> bool:
        """A new name is a new database."""
        renamed = props["DatabaseInput"].get("Name") != old["DatabaseInput"].get("Name")
        return renamed or super().needs_replacement(props, old)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it."""
        wanted = props["DatabaseInput"] | {"Name": made.ref}
        place.call("glue", "update_database", Name=made.ref, DatabaseInput=wanted)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it with its tables."""
        gone_is_fine(place, "glue", "delete_database", Name=made.ref)


class Table(Handler):
    """A table of the data catalog."""

    type = "AWS::Glue::Table"
    properties = frozenset({"CatalogId", "DatabaseName", "TableInput"})
    replaces = frozenset({"CatalogId", "DatabaseName"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        name = props["TableInput"].get("Name") or place.name(255, lower=True)
        wanted = props["TableInput"] | {"Name": name}
        place.call("glue", "create_table", DatabaseName=props["DatabaseName"], TableInput=wanted)
        return Made(name)

    def needs_replacement(self, props: Properties, old: Properties) -> bool:
        """A new name is a new table."""
        renamed = props["TableInput"].get("Name") != old["TableInput"].get("Name")
        return renamed or super().needs_replacement(props, old)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it; its partitions stay."""
        wanted = props["TableInput"] | {"Name": made.ref}
        place.call("glue", "update_table", DatabaseName=props["DatabaseName"], TableInput=wanted)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "glue", "delete_table", DatabaseName=props["DatabaseName"], Name=made.ref)
