"""One file into good rows and refused rows: pure of AWS, bounded in memory.

open → for each batch: convert, check, part → duplicates → rules on the whole file → profile, digest, report
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from perennial.catalog.contract import Contract
from perennial.datasets.arrays import Mask
from perennial.datasets.checks import Violation, check, either, offending
from perennial.datasets.convert import arrow_schema, convert
from perennial.datasets.duplicates import Repeated, RowNumbers, without_duplicates
from perennial.datasets.parts import Part, Parts
from perennial.datasets.profile import count_days, profile
from perennial.datasets.refusal import Refusal
from perennial.datasets.rejects import Rejects
from perennial.datasets.report import Findings, add_lines
from perennial.datasets.source import Limits, RawBatch, Source, open_source
from perennial.datasets.uniqueness import Keys


@dataclass(frozen=True)
class Sifted:
    """What a file came to. `refusal` is None when `parts` may become a version; paths are local files."""

    rows: int
    accepted: int
    quarantined: int
    refusal: Refusal | None
    findings: Findings
    parts: list[Part]
    rejects: Path | None
    content_sha256: str
    profile: dict[str, Any]


def sift(path: Path, name: str, contract: Contract, directory: Path, limits: Limits | None = None) -> Sifted:
    """Read the file at `path`, dropped as `name`, under `contract`; write parts and rejects into `directory`.

    Everything that is wrong with the file ends in the result, never in an error. Raises CatalogInvalid for a contract
    whose pattern RE2 does not take.
    """
    sifter = _Sifter(contract, directory)
    try:
        source = open_source(path, name, contract, limits or Limits())
        sifter.read(source)
        sifter.judge()
    except Refusal as refusal:
        sifter.findings.add_refusal(refusal)
        return sifter.result(refusal)
    return sifter.result(None)


def refused(refusal: Refusal) -> Sifted:
    """The result for a file that need not be read."""
    findings = Findings()
    findings.add_refusal(refusal)
    return Sifted(0, 0, 0, refusal, findings, [], None, "", {})


class _Sifter:
    def __init__(self, contract: Contract, directory: Path) -> None:
        self.contract = contract
        self.directory = directory
        self.schema = arrow_schema(contract.columns)
        self.findings = Findings()
        self.parts = Parts(directory / "parts", self.schema)
        self.rejects = Rejects(directory / "rows.parquet", self.schema.names)
        self.keys = Keys(contract.keys)
        self.numbers = RowNumbers()
        self.days: Counter[int] = Counter()
        self.offending = [0] * len(contract.thresholds)
        self.last: set[str] = set()
        self.line_of_first: int | None = None
        self.refused = False

    def read(self, source: Source) -> None:
        """All batches, then what only the end of the file tells."""
        last_row = 0
        for batch in source.batches:
            if len(batch.numbers):
                last_row = int(batch.numbers[-1])
                self.batch(batch, source.missing)
        self.line_of_first = source.line_of_first
        for stray in source.strays:
            self.findings.add(stray.row, None, stray.rule, stray.text)
            self.rejects.add_text(stray.row, stray.text, stray.rule)
        strays_last = max((stray.row for stray in source.strays), default=0)
        if source.unterminated_column in self.last and last_row > strays_last:
            raise Refusal(
                "truncated",
                f"the file ends within row {last_row}: its last value has the wrong type and no line end",
                (str(source.unterminated_column),),
            )

    def batch(self, batch: RawBatch, missing: tuple[str, ...]) -> None:
        """Convert and check one batch; write its good and its bad rows."""
        typed: list[pa.Array] = []
        violations: list[Violation] = []
        for column, raw in zip(self.contract.columns, batch.columns, strict=True):
            array, mistyped = convert(column, raw, missing)
            typed.append(array)
            violations.extend(check(column, array, mistyped))
            for position, threshold in enumerate(self.contract.thresholds):
                if threshold.column == column.name:
                    self.offending[position] += offending(threshold, column, array, mistyped)
        self.last = {entry.column for entry in violations if entry.rule == "type" and entry.mask[-1]}
        self._accept(typed, batch.numbers, self._reject(batch, violations))

    def _accept(self, typed: list[pa.Array], numbers: Any, bad: Mask | None) -> None:
        rows = pa.RecordBatch.from_arrays(typed, schema=self.schema)
        if bad is not None:
            rows, numbers = rows.filter(pa.array(~bad)), numbers[~bad]
        self.numbers.add(numbers)
        self.keys.add(rows)
        self.parts.write(rows)
        if self.contract.event_time:
            count_days(self.days, rows.column(self.contract.event_time))

    def _reject(self, batch: RawBatch, violations: list[Violation]) -> Mask | None:
        bad: Mask | None = None
        for violation in violations:
            bad = either(bad, violation.mask)
        if bad is None:
            return None
        raw = dict(zip(self.schema.names, batch.columns, strict=True))
        self.findings.add_batch(violations, raw, batch.numbers)
        places = np.flatnonzero(bad)
        reasons = _reasons(violations, places)
        taken = [column.take(pa.array(places)) for column in batch.columns]
        self.rejects.add(taken, batch.numbers[places], reasons)
        return bad

    def _reject_repeated(self, repeated: Repeated) -> None:
        batch, numbers, keys = repeated
        for number, key in zip(numbers.tolist(), keys, strict=True):
            self.findings.add(number, ", ".join(key), "duplicateValues", None)
        self.rejects.add(batch.columns, numbers, [f"{', '.join(key)}: duplicateValues" for key in keys])
        if self.contract.event_time:
            gone: Counter[int] = Counter()
            count_days(gone, batch.column(self.contract.event_time))
            self.days.subtract(gone)

    def judge(self) -> None:
        """Rules on all rows together. Raises Refusal."""
        self.parts.close()
        folder = self.directory / "unique"
        self.parts = without_duplicates(self.parts, self.keys, self.numbers, folder, self._reject_repeated)
        rows = self.parts.rows + self.rejects.rows
        if rows == 0:
            raise Refusal("empty", "the file has no rows")
        for threshold, count in zip(self.contract.thresholds, self.offending, strict=True):
            if not threshold.accept.holds(count, rows):
                message = f"column {threshold.column}: {threshold.metric} is {count:,} of {rows:,}, {threshold.accept}"
                raise Refusal(threshold.metric, message, (threshold.column,))
        if self.parts.rows == 0:
            raise Refusal("noGoodRows", f"none of {rows:,} rows keeps the contract")
        for accept in self.contract.row_counts:
            if not accept.holds(self.parts.rows, rows):
                raise Refusal("rowCount", f"{self.parts.rows:,} rows keep the contract, {accept}")

    def result(self, refusal: Refusal | None) -> Sifted:
        """Close all files and sum up."""
        parts = self.parts.close()
        rejects = self.rejects.close()
        add_lines(self.findings.problems, self.line_of_first)
        summary = profile(self.contract, self.parts.paths, +self.days) if refusal is None else {}
        rows = self.parts.rows + self.rejects.rows
        return Sifted(
            rows=rows,
            accepted=0 if refusal else self.parts.rows,
            quarantined=rows if refusal else self.rejects.rows,
            refusal=refusal,
            findings=self.findings,
            parts=parts,
            rejects=rejects,
            content_sha256=self.parts.digest.hexdigest(),
            profile=summary,
        )


def _reasons(violations: list[Violation], places: Any) -> list[str]:
    reasons: list[list[str]] = [[] for _ in range(len(places))]
    for violation in violations:
        for position in np.flatnonzero(violation.mask[places]).tolist():
            reasons[position].append(f"{violation.column}: {violation.rule}")
    return ["; ".join(entry) for entry in reasons]
