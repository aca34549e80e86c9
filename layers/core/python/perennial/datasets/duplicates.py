"""Taking out rows that repeat a key: a second pass, made only when there is a suspect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perennial.datasets.parts import Parts
from perennial.datasets.uniqueness import Confirmation, Keys

Positions = npt.NDArray[np.int64]
# Refused rows with their numbers in the file and the key that each repeats
Repeated = tuple[pa.RecordBatch, Positions, list[tuple[str, ...]]]


@dataclass
class RowNumbers:
    """The number in the file of each accepted row; runs without gaps cost nothing."""

    rows: int = 0
    _starts: list[int] = field(default_factory=list)
    _runs: list[Positions | int] = field(default_factory=list)

    def add(self, numbers: Positions) -> None:
        """The numbers of the next accepted rows, ascending."""
        if len(numbers):
            first, dense = int(numbers[0]), numbers[-1] - numbers[0] + 1 == len(numbers)
            self._starts.append(self.rows)
            self._runs.append(first if dense else numbers)
            self.rows += len(numbers)

    def of(self, positions: Positions) -> Positions:
        """The numbers of the accepted rows at `positions` (ascending)."""
        found = np.zeros(len(positions), dtype=np.int64)
        runs = np.searchsorted(np.array(self._starts, dtype=np.int64), positions, side="right") - 1
        for run in np.unique(runs).tolist():
            inside = runs == run
            places, entry = positions[inside] - self._starts[run], self._runs[run]
            found[inside] = places + entry if isinstance(entry, int) else entry[places]
        return found


def without_duplicates(
    written: Parts, keys: Keys, numbers: RowNumbers, directory: Path, reject: Callable[[Repeated], None]
) -> Parts:
    """`written` without rows whose key an earlier row has; `reject` takes those. Raises Refusal for too many.

    Without duplicates, `written` itself; else the rows are written again, into `directory`.
    """
    suspects = keys.suspects()
    if not len(suspects):
        return written
    doubled, found = _confirm(written, keys, suspects)
    if not len(doubled):
        return written
    kept, start = Parts(directory, written.schema), 0
    for batch in written.read():
        inside = doubled[(doubled >= start) & (doubled < start + batch.num_rows)]
        mask = np.ones(batch.num_rows, dtype=np.bool_)
        mask[inside - start] = False
        kept.write(batch.filter(pa.array(mask)))
        if len(inside):
            reject((batch.filter(pa.array(~mask)), numbers.of(inside), [found[row] for row in inside.tolist()]))
        start += batch.num_rows
    kept.close()
    return kept


def _confirm(written: Parts, keys: Keys, suspects: Positions) -> tuple[Positions, dict[int, tuple[str, ...]]]:
    names = sorted({name for key in keys.keys for name in key})
    confirmation = Confirmation(keys.keys)
    found: dict[int, tuple[str, ...]] = {}
    start = 0
    for batch in written.read(names):
        inside = suspects[(suspects >= start) & (suspects < start + batch.num_rows)]
        for row, key in confirmation.duplicates(batch.take(pa.array(inside - start))):
            found[int(inside[row])] = key
        start += batch.num_rows
    return np.array(sorted(found), dtype=np.int64), found
