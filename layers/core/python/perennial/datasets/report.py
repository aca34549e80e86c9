"""What was wrong with a batch: counted exactly, and shown by its first problems."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from perennial.datasets.arrays import to_text
from perennial.datasets.checks import Violation
from perennial.datasets.refusal import Refusal

MAX_PROBLEMS = 1000
MAX_VALUE = 100


@dataclass
class Findings:
    """Problems of one file. Rows are data rows from 1; `column` is None where the whole row or file is at fault."""

    problems: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[tuple[str | None, str]] = field(default_factory=Counter)

    def add(self, row: int | None, column: str | None, rule: str, value: str | None) -> None:
        """One problem."""
        self.counts[column, rule] += 1
        self._show(row, column, rule, value)

    def add_batch(self, violations: list[Violation], raw: dict[str, pa.Array], numbers: Any) -> None:
        """All violations in one batch of rows."""
        shown: list[tuple[int, str, str, str | None]] = []
        for violation in violations:
            self.counts[violation.column, violation.rule] += int(violation.mask.sum())
            places = np.flatnonzero(violation.mask)[: MAX_PROBLEMS - len(self.problems)]
            texts = to_text(raw[violation.column].take(pa.array(places))).to_pylist()
            rows = numbers[places].tolist()
            shown.extend((row, violation.column, violation.rule, text) for row, text in zip(rows, texts, strict=True))
        for row, column, rule, text in sorted(shown, key=lambda entry: entry[0]):
            self._show(row, column, rule, text)

    def add_refusal(self, refusal: Refusal) -> None:
        """What refuses the whole file: one problem per column at fault."""
        for column in refusal.columns or (None,):
            self.add(None, column, refusal.rule, None)

    def report(self, **about: Any) -> dict[str, Any]:
        """The report as JSON; `about` names file, dataset, batch, rows, quarantined, reason…"""
        counts = sorted(self.counts.items(), key=lambda entry: (entry[0][0] or "", entry[0][1]))
        problems = sorted(self.problems, key=lambda problem: problem["row"] or 0)
        return {
            **about,
            "counts": [{"column": column, "rule": rule, "count": count} for (column, rule), count in counts],
            "problems": problems,
            "truncated": sum(self.counts.values()) > len(problems),
        }

    def _show(self, row: int | None, column: str | None, rule: str, value: str | None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append({"row": row, "column": column, "rule": rule, "value": shortened(value)})


def shortened(value: str | None) -> str | None:
    """A value as it may be shown: at most `MAX_VALUE` characters."""
    return value if value is None or len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…"


def add_lines(problems: list[dict[str, Any]], line_of_first: int | None) -> None:
    """Give each problem the line it stands on, where rows are lines one to one (None where not known)."""
    for problem in problems:
        known = line_of_first is not None and problem["row"] is not None
        problem["line"] = problem["row"] - 1 + line_of_first if known else None
