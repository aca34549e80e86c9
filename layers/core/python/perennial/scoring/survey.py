"""A file read and checked for a model: good rows in ranges, the others aside with their reasons; pure of AWS.

It is read by ingestion's readers and judged by the types of the model's inputs alone, as a request is: a contract's
rules say what may be learnt from, not what may be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perennial.catalog.column import Column, Type
from perennial.catalog.contract import Contract
from perennial.datasets.checked import checked
from perennial.datasets.convert import arrow_schema
from perennial.datasets.names import column_names
from perennial.datasets.refusal import Refusal
from perennial.datasets.rejects import Rejects
from perennial.datasets.report import Findings, add_lines
from perennial.datasets.source import Limits, check_columns, checked_kind, open_source
from perennial.scoring.answers import OWN
from perennial.scoring.ranges import MAX_RANGES, Range, Ranges
from perennial.serving.datatypes import MAX_TEXT
from perennial.serving.signature import Signature

_TYPES: dict[str, Type] = {"FP64": "number", "INT64": "integer", "BOOL": "boolean", "BYTES": "string"}
_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Survey:
    """What a file came to: `ranges` of good rows, in files `rows/<name>.parquet` of the directory given.

    `carried` are the columns that go along to the answers; `rejects` is a local file with the refused rows. With a
    `refusal` the file goes to quarantine whole.
    """

    ranges: list[Range]
    carried: list[str]
    rows: int
    quarantined: int
    refusal: Refusal | None
    findings: Findings
    rejects: Path | None


def survey(
    path: Path, name: str, signature: Signature, contract: Contract, directory: Path, size: int, limits: Limits
) -> Survey:
    """Read the file at `path`, dropped as `name`, for the model of `signature`; ranges have `size` rows.

    Everything that is wrong with the file ends in the result, never in an error.
    """
    findings, line_of_first = Findings(), None
    rejects, ranges = Rejects(directory / "rows.parquet", []), None
    carried: list[str] = []
    refusal: Refusal | None = None
    try:
        names = column_names(path, checked_kind(path, name, limits), limits)
        carried = carried_columns(contract, names)
        wanted = asked_for(signature, contract, carried)
        check_columns(names, wanted)
        schema = arrow_schema(wanted.columns)
        rejects = Rejects(directory / "rows.parquet", schema.names)
        ranges = Ranges(directory / "rows", schema, size)
        source = open_source(path, name, wanted, limits)
        for batch in checked(source, wanted, findings, rejects):
            ranges.add(*batch.good(schema))
            if len(ranges.found) > MAX_RANGES:
                raise Refusal("tooLarge", f"more than {MAX_RANGES:,} ranges of {size:,} rows; split the file")
        ranges.close()
        line_of_first = source.line_of_first
        if ranges.rows == 0:
            what = f"none of {rejects.rows:,} rows can be scored" if rejects.rows else "the file has no rows"
            raise Refusal("noGoodRows" if rejects.rows else "empty", what)
    except Refusal as refused:
        refusal = refused
        findings.add_refusal(refused)
    add_lines(findings.problems, line_of_first)
    good = ranges.rows if ranges else 0
    return Survey(
        ranges=[] if refusal or ranges is None else ranges.found,
        carried=carried,
        rows=good + rejects.rows,
        quarantined=good + rejects.rows if refusal else rejects.rows,
        refusal=refusal,
        findings=findings,
        rejects=rejects.close(),
    )


def carried_columns(contract: Contract, names: Collection[str]) -> list[str]:
    """Columns that tell which thing a row is about: the contract's keys and event time, those that the file has."""
    telling = [name for key in contract.keys for name in key] + ([contract.event_time] if contract.event_time else [])
    return [name for name in dict.fromkeys(telling) if name in names and name.lower() not in OWN]


def asked_for(signature: Signature, contract: Contract, carried: Iterable[str]) -> Contract:
    """What the file must hold: the inputs of the model, as a request gives them, and the columns that are carried."""
    declared = {column.name: column for column in contract.columns}
    columns = {name: _plain(declared[name]) for name in carried}
    columns |= {one["name"]: _input(one["name"], _TYPES[one["datatype"]]) for one in signature.inputs}
    return Contract(contract.name, contract.version, tuple(columns.values()), None, (), contract.missing, True)


def _plain(column: Column) -> Column:
    return Column(column.name, column.type, format=column.format, zoned=column.zoned)


def _input(name: str, kind: Type) -> Column:
    """The bounds of perennial.serving.inputs."""
    if kind == "number":
        return Column(name, kind, minimum=-_FLOAT32, maximum=_FLOAT32)
    return Column(name, kind, max_length=MAX_TEXT) if kind == "string" else Column(name, kind)
