"""A dataset's contract: what its rows must look like (ODCS v3 YAML in the catalog, reviewed in git).

Perennial's custom properties. On a column: `availableAtPrediction` (bool, default true: may a model use it as feature?)
and `eventTime` (true on the one date or timestamp column that says when the row happened). On the schema or the
contract: `missingValues` (the texts that mean null in a CSV, default only the empty text) and `extraColumns`
(`refuse`, the default, or `ignore`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perennial.catalog.column import Column, Type, build_column, column_properties, metric_of, own_properties
from perennial.catalog.document import parse_document
from perennial.catalog.model import NAME
from perennial.catalog.odcs import ONE_LINE, Document, Property, SchemaObject
from perennial.catalog.rules import Condition, Threshold, condition
from perennial.errors import CatalogInvalid

__all__ = ["Column", "Condition", "Contract", "Threshold", "Type", "parse_contract", "read_contract"]


@dataclass(frozen=True)
class Contract:
    """What one dataset must look like. `keys` are the column sets that no two rows may share."""

    name: str
    version: str
    columns: tuple[Column, ...]
    event_time: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    missing: tuple[str, ...] = ("",)
    ignore_extra: bool = False
    row_counts: tuple[Condition, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    description: str = ""
    sha256: str = ""

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def read_contract(path: Path) -> Contract:
    """The contract in a YAML file. Raises CatalogInvalid."""
    return parse_contract(path.read_text(encoding="utf-8"), str(path))


def parse_contract(text: str, source: str) -> Contract:
    """The contract in a YAML text; `source` names the file in errors. Raises CatalogInvalid naming file and field."""
    try:
        document = Document.model_validate(parse_document(text, source))
    except ValidationError as error:
        raise CatalogInvalid(f"{source}: {_readable(error)}") from error
    schema = document.schema_[0]
    try:
        return _build(document, schema, hashlib.sha256(text.encode()).hexdigest())
    except ValueError as error:
        raise CatalogInvalid(f"{source}: {error}") from error


def _readable(error: ValidationError) -> str:
    found = []
    for problem in error.errors():
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
        message = "is unknown or not enforced" if problem["type"] == "extra_forbidden" else problem["msg"]
        found.append(f"{where}: {message}")
    return "; ".join(dict.fromkeys(found))


def _build(document: Document, schema: SchemaObject, sha256: str) -> Contract:
    if not re.fullmatch(NAME, schema.name):
        raise ValueError(f"schema[0].name: {schema.name!r} does not match {NAME}")
    own = own_properties([*document.custom, *schema.custom], {"missingValues", "extraColumns"}, "customProperties")
    names = [column.name for column in schema.properties]
    _check_names(names)
    columns: list[Column] = []
    thresholds: list[Threshold] = []
    keys: list[tuple[str, ...]] = []
    for part in schema.properties:
        column, more = build_column(part)
        columns.append(column)
        thresholds.extend(more)
        if column.unique:
            keys.append((column.name,))
    keys.extend(_keys(schema, names))
    return Contract(
        name=schema.name,
        version=document.version,
        columns=tuple(columns),
        event_time=_event_time(schema.properties),
        keys=tuple(dict.fromkeys(keys)),
        missing=_missing(own.get("missingValues", [""])),
        ignore_extra=_extra(own.get("extraColumns", "refuse")),
        row_counts=_row_counts(schema),
        thresholds=tuple(thresholds),
        description=str(schema.description or ""),
        sha256=sha256,
    )


def _check_names(names: list[str]) -> None:
    """Athena folds case and adds the partition's column; names with two underscores in front are Perennial's own."""
    if unfit := [name for name in names if not ONE_LINE.fullmatch(name)]:
        raise ValueError(f"schema[0].properties: names with control characters: {', '.join(map(repr, unfit))}")
    folded = [name.lower() for name in names]
    if twice := sorted({name for name in names if folded.count(name.lower()) > 1}):
        raise ValueError(f"schema[0].properties: written twice (but for case): {', '.join(twice)}")
    if reserved := sorted(name for name in names if name.lower() == "version" or name.startswith("__")):
        raise ValueError(f"schema[0].properties: reserved names: {', '.join(reserved)}")


def _missing(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and len(text) <= 100 for text in value):
        raise ValueError("customProperties.missingValues: a list of texts is expected (quote NO, 99 and the like)")
    return tuple(dict.fromkeys(value))


def _extra(value: Any) -> bool:
    if value not in {"refuse", "ignore"}:
        raise ValueError("customProperties.extraColumns: refuse or ignore is expected")
    return bool(value == "ignore")


def _event_time(properties: list[Property]) -> str | None:
    named = [part for part in properties if column_properties(part).get("eventTime")]
    if len(named) > 1:
        raise ValueError(f"eventTime is marked on several columns: {', '.join(part.name for part in named)}")
    for part in named:
        if part.logical_type not in {"date", "timestamp"} or not part.required:
            raise ValueError(f"column {part.name}: eventTime needs a required column of type date or timestamp")
    return named[0].name if named else None


def _keys(schema: SchemaObject, names: list[str]) -> list[tuple[str, ...]]:
    primary = [(part.primary_key_position, part.name) for part in schema.properties if part.primary_key]
    keys = [tuple(name for _, name in sorted(primary, key=lambda entry: entry[0]))] if primary else []
    for quality in schema.quality:
        if metric_of(quality) != "duplicateValues":
            continue
        columns = quality.arguments.properties
        if not columns or not condition(quality).tolerates_none:
            raise ValueError("quality duplicateValues: arguments.properties and mustBe: 0 are expected")
        if unknown := sorted(set(columns) - set(names)):
            raise ValueError(f"quality duplicateValues: no column {', '.join(unknown)}")
        keys.append(tuple(dict.fromkeys(columns)))
    return keys


def _row_counts(schema: SchemaObject) -> tuple[Condition, ...]:
    metrics = [(metric_of(quality), quality) for quality in schema.quality]
    for metric, quality in metrics:
        if metric not in {None, "rowCount", "duplicateValues"}:
            raise ValueError(f"quality {metric}: belongs to a column, not to the schema")
        if metric == "rowCount" and quality.unit != "rows":
            raise ValueError("quality rowCount: counts rows, not percent")
    return tuple(condition(quality) for metric, quality in metrics if metric == "rowCount")
