"""A source's batches in the types of a contract, with the rows that break it put aside and told of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perennial.catalog.contract import Contract
from perennial.datasets.arrays import Mask
from perennial.datasets.checks import Violation, check, either
from perennial.datasets.convert import Converted, arrow_schema, convert
from perennial.datasets.refusal import Refusal
from perennial.datasets.rejects import Rejects
from perennial.datasets.report import Findings
from perennial.datasets.source import RawBatch, Source


@dataclass(frozen=True)
class Checked:
    """One batch. `converted` has an array per column of the contract, and which of its values are of the wrong type.

    Rows at which `bad` is true are among the rejects (None: none is bad); `numbers` are the rows' in the file, from 1.
    """

    converted: list[Converted]
    bad: Mask | None
    numbers: npt.NDArray[np.int64]

    def good(self, schema: pa.Schema) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
        """The other rows, and their numbers."""
        rows = pa.RecordBatch.from_arrays([typed for typed, _ in self.converted], schema=schema)
        return (rows, self.numbers) if self.bad is None else (rows.filter(pa.array(~self.bad)), self.numbers[~self.bad])


def checked(source: Source, contract: Contract, findings: Findings, rejects: Rejects) -> Iterator[Checked]:
    """All batches of `source`; what is wrong with them goes to `findings` and `rejects`.

    Raises Refusal for what the readers refuse, and at the end of a file that breaks off within its last row.
    """
    checker = _Checker(contract, findings, rejects)
    for batch in source.batches:
        if len(batch.numbers):
            yield checker.batch(batch, source.missing)
    checker.end(source)


class _Checker:
    def __init__(self, contract: Contract, findings: Findings, rejects: Rejects) -> None:
        self.contract = contract
        self.findings = findings
        self.rejects = rejects
        self.names = arrow_schema(contract.columns).names
        # columns whose last value so far has the wrong type, and its row
        self.last: set[str] = set()
        self.last_row = 0

    def batch(self, batch: RawBatch, missing: tuple[str, ...]) -> Checked:
        """Convert and check one batch that is not empty."""
        converted: list[Converted] = []
        violations: list[Violation] = []
        for column, raw in zip(self.contract.columns, batch.columns, strict=True):
            converted.append(convert(column, raw, missing))
            violations.extend(check(column, *converted[-1]))
        self.last = {entry.column for entry in violations if entry.rule == "type" and entry.mask[-1]}
        self.last_row = int(batch.numbers[-1])
        return Checked(converted, self._reject(batch, violations), batch.numbers)

    def end(self, source: Source) -> None:
        """What only the end of the file tells."""
        for stray in source.strays:
            self.findings.add(stray.row, None, stray.rule, stray.text)
            self.rejects.add_text(stray.row, stray.text, stray.rule)
        strays_last = max((stray.row for stray in source.strays), default=0)
        if source.unterminated_column in self.last and self.last_row > strays_last:
            raise Refusal(
                "truncated",
                f"the file ends within row {self.last_row}: its last value has the wrong type and no line end",
                (str(source.unterminated_column),),
            )

    def _reject(self, batch: RawBatch, violations: list[Violation]) -> Mask | None:
        bad: Mask | None = None
        for violation in violations:
            bad = either(bad, violation.mask)
        if bad is None:
            return None
        raw = dict(zip(self.names, batch.columns, strict=True))
        self.findings.add_batch(violations, raw, batch.numbers)
        places = np.flatnonzero(bad)
        taken = [column.take(pa.array(places)) for column in batch.columns]
        self.rejects.add(taken, batch.numbers[places], _reasons(violations, places))
        return bad


def _reasons(violations: list[Violation], places: Any) -> list[str]:
    reasons: list[list[str]] = [[] for _ in range(len(places))]
    for violation in violations:
        for position in np.flatnonzero(violation.mask[places]).tolist():
            reasons[position].append(f"{violation.column}: {violation.rule}")
    return ["; ".join(entry) for entry in reasons]
