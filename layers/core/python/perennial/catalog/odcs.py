"""The Open Data Contract Standard v3, as far as Perennial enforces it.

Source: https://bitol-io.github.io/open-data-contract-standard/v3.1.0/ and its JSON schema. Words that only describe
(owners, prices, tags) are accepted and carried no further; a word that would constrain the data and is not enforced
here is refused, because a rule that silently does nothing is worse than none.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

# Read by people and by other tools
Described = Any

Number = int | float

# A text of one line as Glue takes it in the name or comment of a column, but for tabs.
# https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html
ONE_LINE = re.compile(r"[\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def _written(value: Any) -> Any:
    """YAML reads an unquoted 2013-01-01 as a date; the standard wants its text."""
    return value.isoformat() if isinstance(value, dt.date) else value


Bound = Annotated[int | float | str, BeforeValidator(_written)]


class Part(BaseModel):
    """Base of the standard's elements: an unknown word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class CustomProperty(Part):
    """An extension; Perennial's own are listed in contract.py, those of others carry a dot in their name."""

    property: str
    value: Any
    description: Described = None
    id: Described = None


class Options(Part):
    """logicalTypeOptions of all types; which fit which type is judged in contract.py."""

    minimum: Bound | None = None
    maximum: Bound | None = None
    exclusive_minimum: Bound | None = Field(default=None, alias="exclusiveMinimum")
    exclusive_maximum: Bound | None = Field(default=None, alias="exclusiveMaximum")
    multiple_of: int | None = Field(default=None, alias="multipleOf", gt=0)
    min_length: int | None = Field(default=None, alias="minLength", ge=0)
    max_length: int | None = Field(default=None, alias="maxLength", ge=0)
    pattern: str | None = None
    format: str | None = None
    timezone: bool | None = None
    default_timezone: Literal["Etc/UTC", "UTC"] | None = Field(default=None, alias="defaultTimezone")


class Arguments(Part):
    """Arguments of the library metrics."""

    valid_values: list[Any] | None = Field(default=None, alias="validValues", min_length=1)
    missing_values: list[Any] | None = Field(default=None, alias="missingValues", min_length=1)
    pattern: str | None = None
    properties: list[str] | None = Field(default=None, min_length=1)


class Quality(Part):
    """One quality rule; `sql` and `custom` have no engine here, `text` is for people."""

    type: Literal["library", "text"] = "library"
    metric: Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"] | None = None
    rule: Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"] | None = None
    arguments: Arguments = Arguments()
    unit: Literal["rows", "percent"] = "rows"
    # every rule is enforced: one that only warns would be refused data in disguise, or no rule
    severity: Literal["error"] = "error"
    must_be: Number | None = Field(default=None, alias="mustBe")
    must_not_be: Number | None = Field(default=None, alias="mustNotBe")
    must_be_greater_than: Number | None = Field(default=None, alias="mustBeGreaterThan")
    must_be_greater_or_equal_to: Number | None = Field(default=None, alias="mustBeGreaterOrEqualTo")
    must_be_less_than: Number | None = Field(default=None, alias="mustBeLessThan")
    must_be_less_or_equal_to: Number | None = Field(default=None, alias="mustBeLessOrEqualTo")
    must_be_between: tuple[Number, Number] | None = Field(default=None, alias="mustBeBetween", strict=False)
    must_not_be_between: tuple[Number, Number] | None = Field(default=None, alias="mustNotBeBetween", strict=False)
    id: Described = None
    name: Described = None
    description: Described = None
    dimension: Described = None
    business_impact: Described = Field(default=None, alias="businessImpact")
    tags: Described = None
    authoritative_definitions: Described = Field(default=None, alias="authoritativeDefinitions")


class Property(Part):
    """A column."""

    name: str = Field(min_length=1, max_length=128)
    logical_type: Literal["string", "integer", "number", "boolean", "date", "timestamp"] = Field(alias="logicalType")
    options: Options = Field(default=Options(), alias="logicalTypeOptions")
    required: StrictBool = False
    unique: StrictBool = False
    primary_key: StrictBool = Field(default=False, alias="primaryKey")
    primary_key_position: int = Field(default=-1, alias="primaryKeyPosition")
    quality: list[Quality] = []
    custom: list[CustomProperty] = Field(default=[], alias="customProperties")
    id: Described = None
    business_name: Described = Field(default=None, alias="businessName")
    description: Described = None
    physical_type: Described = Field(default=None, alias="physicalType")
    classification: Described = None
    critical_data_element: Described = Field(default=None, alias="criticalDataElement")
    examples: Described = None
    tags: Described = None
    authoritative_definitions: Described = Field(default=None, alias="authoritativeDefinitions")
    transform_logic: Described = Field(default=None, alias="transformLogic")
    transform_description: Described = Field(default=None, alias="transformDescription")
    transform_source_objects: Described = Field(default=None, alias="transformSourceObjects")


class SchemaObject(Part):
    """The dataset: its name is the dataset's name."""

    name: str
    properties: list[Property] = Field(min_length=1, max_length=2000)
    quality: list[Quality] = []
    custom: list[CustomProperty] = Field(default=[], alias="customProperties")
    logical_type: Literal["object"] = Field(default="object", alias="logicalType")
    id: Described = None
    physical_name: Described = Field(default=None, alias="physicalName")
    physical_type: Described = Field(default=None, alias="physicalType")
    business_name: Described = Field(default=None, alias="businessName")
    description: Described = None
    data_granularity: Described = Field(default=None, alias="dataGranularityDescription")
    tags: Described = None
    authoritative_definitions: Described = Field(default=None, alias="authoritativeDefinitions")


class Document(Part):
    """A data contract of one dataset."""

    api_version: Literal["v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0"] = Field(alias="apiVersion")
    kind: Literal["DataContract"]
    id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    status: str
    schema_: list[SchemaObject] = Field(alias="schema", min_length=1, max_length=1)
    custom: list[CustomProperty] = Field(default=[], alias="customProperties")
    name: Described = None
    description: Described = None
    domain: Described = None
    tenant: Described = None
    data_product: Described = Field(default=None, alias="dataProduct")
    tags: Described = None
    team: Described = None
    roles: Described = None
    support: Described = None
    servers: Described = None
    price: Described = None
    sla_properties: Described = Field(default=None, alias="slaProperties")
    authoritative_definitions: Described = Field(default=None, alias="authoritativeDefinitions")
    created: Described = Field(default=None, alias="contractCreatedTs")
