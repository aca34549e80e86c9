"""AWS::Glue::* (the data catalog).

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Glue.html
Texts are held against length and pattern in botocore's model of Glue, as Glue holds them and moto does not.
"""

from __future__ import annotations

import re
from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, ResourceError, gone_is_fine

# The characters beyond 16 bits, as Java's patterns write them and as Python's do.
_PAIRS = (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")


def write(place: Place, operation: str, /, **values: Any) -> None:
    """Call an operation of Glue with texts that Glue takes. Raises ResourceError naming the first that it does not."""
    client = place.cloud.client("glue")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    check_texts(values, model.input_shape)
    place.call("glue", operation, **values)


def check_texts(value: Any, shape: Any, path: str = "") -> None:
    """Raises ResourceError for the first text in `value` that the shape of botocore's model does not take."""
    if isinstance(value, dict) and shape.type_name == "structure":
        for name, member in value.items():
            if name in shape.members:
                check_texts(member, shape.members[name], f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and shape.type_name == "list":
        for number, member in enumerate(value, 1):
            check_texts(member, shape.member, f"{path}.{number}")
    elif isinstance(value, dict) and shape.type_name == "map":
        for name, member in value.items():
            check_texts(name, shape.key, f"{path}.{name}")
            check_texts(member, shape.value, f"{path}.{name}")
    elif isinstance(value, str) and shape.type_name == "string":
        _check_text(value, shape.metadata, path)


def _check_text(text: str, limits: dict[str, Any], path: str) -> None:
    if not limits.get("min", 0) <= len(text) <= limits.get("max", len(text)):
        raise ResourceError(f"{path}: {len(text)} characters; Glue takes {limits.get('min', 0)} to {limits['max']}")
    pattern = limits.get("pattern")
    if pattern is not None and not re.fullmatch(pattern.replace(*_PAIRS), text):
        raise ResourceError(f"Value {text!r} at {path!r} failed to satisfy regular expression pattern: {pattern}")


class Database(Handler):
    """A database of the data catalog."""

    type = "AWS::Glue::Database"
    properties = frozenset({"CatalogId", "DatabaseInput"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        name = props["DatabaseInput"].get("Name") or place.name(255, lower=True)
        write(place, "create_database", DatabaseInput=props["DatabaseInput"] | {"Name": name})
        return Made(name)

    def needs_replacement(self, props: Properties, old: Properties) -> bool:
        """A new name is a new database."""
        renamed = props["DatabaseInput"].get("Name") != old["DatabaseInput"].get("Name")
        return renamed or super().needs_replacement(props, old)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it."""
        wanted = props["DatabaseInput"] | {"Name": made.ref}
        write(place, "update_database", Name=made.ref, DatabaseInput=wanted)
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
        write(place, "create_table", DatabaseName=props["DatabaseName"], TableInput=wanted)
        return Made(name)

    def needs_replacement(self, props: Properties, old: Properties) -> bool:
        """A new name is a new table."""
        renamed = props["TableInput"].get("Name") != old["TableInput"].get("Name")
        return renamed or super().needs_replacement(props, old)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it; its partitions stay."""
        wanted = props["TableInput"] | {"Name": made.ref}
        write(place, "update_table", DatabaseName=props["DatabaseName"], TableInput=wanted)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "glue", "delete_table", DatabaseName=props["DatabaseName"], Name=made.ref)
