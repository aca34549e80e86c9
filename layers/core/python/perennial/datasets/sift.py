"""One file into good rows and refused rows: pure of AWS, bounded in memory.

open → for each batch: checked, part → duplicates → rules on the whole file → profile, digest, report
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from perennial.catalog.contract import Contract
from perennial.datasets.checked import Checked, checked
from perennial.datasets.checks import offending
from perennial.datasets.convert import arrow_schema
from perennial.datasets.duplicates import Repeated, RowNumbers, without_duplicates
from perennial.datasets.grids import MIN_ROWS
from perennial.datasets.histograms import Histograms, counted
from perennial.datasets.parts import Part, Parts, read_part
from perennial.datasets.profile import profile
from perennial.datasets.refusal import Refusal
from perennial.datasets.rejects import Rejects
from perennial.datasets.report import Findings, add_lines
from perennial.datasets.source import Limits, Source, open_source
from perennial.datasets.uniqueness import Keys
from perennial.monitoring.grid import Grid


@dataclass(frozen=True)
class Sifted:
    """What a file came to. `refusal` is None when `parts` may become a version; paths are local files.

    `grid` is what the profile's histograms were counted on: the one that was given, else one made of the first rows;
    None, and there are no histograms, when those are too few for one.
    """

    rows: int
    accepted: int
    quarantined: int
    refusal: Refusal | None
    findings: Findings
    parts: list[Part]
    rejects: Path | None
    content_sha256: str
    profile: dict[str, Any]
    grid: Grid | None = None

    def recounted(self, contract: Contract, grid: Grid) -> Sifted:
        """The same rows, their histograms counted on another grid: the rows are read again."""
        batches = (batch for part in self.parts for batch in read_part(part.path))
        histograms = counted(contract, batches, grid).profile().to_json()
        return replace(self, profile=self.profile | {"histograms": histograms}, grid=grid)


def sift(
    path: Path,
    name: str,
    contract: Contract,
    directory: Path,
    limits: Limits | None = None,
    grid: Grid | None = None,
) -> Sifted:
    """Read the file at `path`, dropped as `name`, under `contract`; write parts and rejects into `directory`.

    Everything that is wrong with the file ends in the result, never in an error. Raises CatalogInvalid for a contract
    whose pattern RE2 does not take.
    """
    sifter = _Sifter(contract, directory, grid)
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
    def __init__(self, contract: Contract, directory: Path, grid: Grid | None) -> None:
        self.contract = contract
        self.grid = grid
        self.histograms = Histograms(contract, grid)
        self.directory = directory
        self.schema = arrow_schema(contract.columns)
        self.findings = Findings()
        self.parts = Parts(directory / "parts", self.schema)
        self.rejects = Rejects(directory / "rows.parquet", self.schema.names)
        self.keys = Keys(contract.keys)
        self.numbers = RowNumbers()
        self.offending = [0] * len(contract.thresholds)
        self.line_of_first: int | None = None

    def read(self, source: Source) -> None:
        """All batches: their good rows become parts."""
        try:
            for batch in checked(source, self.contract, self.findings, self.rejects):
                self._count(batch)
                self._accept(*batch.good(self.schema))
        finally:
            self.line_of_first = source.line_of_first

    def _count(self, batch: Checked) -> None:
        """What counts against the contract's thresholds."""
        types = {column.name: column for column in self.contract.columns}
        by_name = dict(zip(self.schema.names, batch.converted, strict=True))
        for position, threshold in enumerate(self.contract.thresholds):
            self.offending[position] += offending(threshold, types[threshold.column], *by_name[threshold.column])

    def _accept(self, rows: pa.RecordBatch, numbers: Any) -> None:
        self.numbers.add(numbers)
        self.keys.add(rows)
        self.parts.write(rows)
        self.histograms.add(rows)

    def _reject_repeated(self, repeated: Repeated) -> None:
        batch, numbers, keys = repeated
        for number, key in zip(numbers.tolist(), keys, strict=True):
            self.findings.add(number, ", ".join(key), "duplicateValues", None)
        self.rejects.add(batch.columns, numbers, [f"{', '.join(key)}: duplicateValues" for key in keys])

    def judge(self) -> None:
        """Rules on all rows together. Raises Refusal."""
        self.parts.close()
        written, folder = self.parts, self.directory / "unique"
        self.parts = without_duplicates(written, self.keys, self.numbers, folder, self._reject_repeated)
        if self.parts is not written:
            self.histograms = counted(self.contract, self.parts.read(), self.grid)
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
        summary: dict[str, Any] = {}
        if refusal is None:
            counts, self.grid = self.histograms.profile(), self.grid or self._made()
            summary = profile(self.contract, self.parts.paths, counts, shared=self.grid is not None)
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
            grid=self.grid,
        )

    def _made(self) -> Grid | None:
        return self.histograms.grid if self.parts.rows >= MIN_ROWS else None
