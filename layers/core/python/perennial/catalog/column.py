"""One column of a contract: its type, its bounds, and the rules on its values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from perennial.catalog.odcs import CustomProperty, Options, Property, Quality
from perennial.catalog.rules import Condition, Threshold, check_pattern, condition, date_format

Type = Literal["string", "integer", "number", "boolean", "date", "timestamp"]

_RANGE = ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum")
_FITTING: dict[str, set[str]] = {
    "string": {"min_length", "max_length", "pattern", "format"},
    "integer": {*_RANGE, "multiple_of", "format"},
    "number": {*_RANGE, "format"},
    "boolean": set(),
    "date": {*_RANGE, "format"},
    "timestamp": {*_RANGE, "format", "timezone", "default_timezone"},
}
_STRING_FORMATS = {"uuid": r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"}
_INTEGER_FORMATS = {
    **{f"i{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": (0, 2**bits - 1) for bits in (8, 16, 32)},
}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "date": (str, dt.date),
    "timestamp": (str, dt.date),
}


@dataclass(frozen=True)
class Column:
    """One column. Bounds and allowed values have the column's own type (date, aware UTC datetime, int, float, str).

    `format` is a strptime pattern for dates and timestamps that are not ISO 8601; `zoned` says whether a timestamp must
    carry its zone (True), must not (False) or may (None); without one it is UTC.
    """

    name: str
    type: Type
    required: bool = False
    unique: bool = False
    available_at_prediction: bool = True
    minimum: Any = None
    maximum: Any = None
    exclusive_minimum: Any = None
    exclusive_maximum: Any = None
    multiple_of: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    allowed: tuple[Any, ...] | None = None
    forbidden: tuple[Any, ...] = ()
    format: str | None = None
    zoned: bool | None = None
    description: str = ""


def build_column(part: Property) -> tuple[Column, list[Threshold]]:
    """The column, and the rules on it that hold for the whole file. Raises ValueError naming column and field."""
    try:
        fields = _options(part.logical_type, part.options)
        rules = _ColumnRules(part)
        for quality in part.quality:
            rules.add(quality)
    except ValueError as error:
        raise ValueError(f"column {part.name}: {error}") from error
    return Column(
        name=part.name,
        type=part.logical_type,
        required=part.required or part.primary_key or rules.required,
        unique=part.unique or rules.unique,
        available_at_prediction=column_properties(part).get("availableAtPrediction", True),
        **fields | {"patterns": (*fields["patterns"], *rules.patterns)},
        allowed=rules.allowed,
        forbidden=tuple(rules.forbidden),
        description=str(part.description or ""),
    ), rules.thresholds


def _options(kind: Type, options: Options) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in options.model_fields_set}
    if wrong := sorted(set(given) - _FITTING[kind]):
        aliases = [Options.model_fields[name].alias or name for name in wrong]
        raise ValueError(f"logicalTypeOptions.{aliases[0]} does not fit type {kind}")
    fields: dict[str, Any] = {name: typed(kind, given[name], name) for name in _RANGE if name in given}
    fields |= {name: given[name] for name in ("min_length", "max_length", "multiple_of") if name in given}
    fields["patterns"] = (check_pattern(given["pattern"]),) if "pattern" in given else ()
    written = given.get("format")
    if kind in {"date", "timestamp"}:
        fields["zoned"] = given.get("timezone")
        fields["format"] = date_format(written) if written else None
    elif kind == "string" and written:
        fields["patterns"] += (_known(_STRING_FORMATS, written),)
    elif kind == "integer" and written:
        low, high = _known(_INTEGER_FORMATS, written)
        fields["minimum"] = max(low, fields.get("minimum", low))
        fields["maximum"] = min(high, fields.get("maximum", high))
    elif kind == "number" and written:
        _known({"f64": None}, written)
    return fields


def _known(formats: dict[str, Any], written: str) -> Any:
    if written not in formats:
        raise ValueError(f"logicalTypeOptions.format: {written!r} is not enforced; there is {', '.join(formats)}")
    return formats[written]


def typed(kind: Type, value: Any, what: str) -> Any:
    """A contract's literal as the column's own type. Raises ValueError naming `what`."""
    fits = isinstance(value, _PYTHON[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        raise ValueError(f"{what}: {value!r} is no {kind} (quote a text that YAML reads as something else)")
    if kind == "integer" and not -(2**63) <= value < 2**63:
        raise ValueError(f"{what}: {value!r} does not fit 64 bits")
    if kind == "number":
        return float(value)
    if kind in {"date", "timestamp"}:
        text = value.isoformat() if isinstance(value, dt.date) else value
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{what}: {text!r} is no ISO 8601 {kind}") from error
        if kind == "date":
            return moment.date()
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return value


class _ColumnRules:
    """Collects a column's quality rules: those that tolerate no row become checks of rows, others thresholds."""

    def __init__(self, part: Property) -> None:
        self.part = part
        self.required = self.unique = False
        self.allowed: tuple[Any, ...] | None = None
        self.forbidden: list[Any] = []
        self.patterns: list[str] = []
        self.thresholds: list[Threshold] = []

    def add(self, quality: Quality) -> None:
        metric = metric_of(quality)
        if metric is None:
            return
        accept = condition(quality)
        kind, arguments = self.part.logical_type, quality.arguments
        if metric == "rowCount" or arguments.properties:
            raise ValueError(f"quality {metric}: belongs to the schema, not to a column")
        valid = tuple(typed(kind, value, "validValues") for value in arguments.valid_values or [])
        missing = tuple(typed(kind, v, "missingValues") for v in arguments.missing_values or [] if v is not None)
        pattern = check_pattern(arguments.pattern) if arguments.pattern else None
        self._check(metric, valid, arguments.missing_values, pattern)
        if not accept.tolerates_none:
            self._threshold(metric, accept, valid or missing, pattern, None in (arguments.missing_values or []))
        elif metric == "nullValues":
            self.required = True
        elif metric == "duplicateValues":
            self.unique = True
        elif metric == "missingValues":
            self.required = self.required or None in (arguments.missing_values or [])
            self.forbidden.extend(missing)
        else:
            if valid:
                self.allowed = valid if self.allowed is None else tuple(v for v in self.allowed if v in valid)
            if pattern:
                self.patterns.append(pattern)

    def _check(self, metric: str, valid: Any, missing: Any, pattern: str | None) -> None:
        if (metric == "invalidValues") != bool(valid or pattern):
            raise ValueError(f"quality {metric}: validValues or pattern belong to invalidValues, which needs one")
        if (metric == "missingValues") != bool(missing):
            raise ValueError(f"quality {metric}: arguments.missingValues belongs to missingValues, which needs it")
        if pattern and self.part.logical_type != "string":
            raise ValueError(f"quality {metric}: a pattern fits type string only")

    def _threshold(
        self, metric: Any, accept: Condition, values: tuple[Any, ...], pattern: str | None, null: bool
    ) -> None:
        if metric == "duplicateValues":
            raise ValueError("quality duplicateValues: only mustBe: 0 is enforced")
        self.thresholds.append(Threshold(metric, self.part.name, accept, (*values, None) if null else values, pattern))


def metric_of(quality: Quality) -> str | None:
    """The metric of a library rule (older spelling: rule); None for a rule that is text for people."""
    if quality.type == "text" and not (quality.metric or quality.rule):
        return None
    metric = quality.metric or quality.rule
    if metric is None or (quality.metric and quality.rule) or quality.type == "text":
        raise ValueError("quality: a library rule names one metric")
    return metric


def own_properties(custom: list[CustomProperty], known: set[str], where: str) -> dict[str, Any]:
    """Custom properties by name. Raises ValueError for one neither known nor dotted: it is probably misspelt."""
    found: dict[str, Any] = {}
    for entry in custom:
        if entry.property in found:
            raise ValueError(f"{where}: {entry.property!r} is written twice")
        if entry.property not in known and "." not in entry.property:
            raise ValueError(f"{where}: {entry.property!r} is unknown; properties of other tools carry a dot")
        found[entry.property] = entry.value
    return found


def column_properties(part: Property) -> dict[str, Any]:
    """Perennial's own properties of a column. Raises ValueError."""
    own = own_properties(part.custom, {"availableAtPrediction", "eventTime"}, f"column {part.name}: customProperties")
    for name in ("availableAtPrediction", "eventTime"):
        if own.get(name, True) is not True and own[name] is not False:
            raise ValueError(f"column {part.name}: {name}: true or false is expected")
    return own
