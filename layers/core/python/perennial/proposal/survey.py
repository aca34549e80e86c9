"""Every value of a file seen once, in bounded memory: a tally per column and a sample of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perennial.catalog.contract import Column, Contract
from perennial.datasets.convert import ARROW, convert
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import Limits, RawBatch, Source, open_source
from perennial.proposal.header import read_header, refused
from perennial.proposal.tally import Tally, readable

Progress = Callable[[str], None]

SAMPLE_ROWS = 50_000
SAMPLE_CELLS = 5_000_000
# Rows that have not the shape of the table: ingestion puts them into quarantine; more of them are another kind of file
MOST_STRAYS = 0.05


@dataclass(frozen=True)
class Survey:
    """A file as it is. `sample` holds typed rows in the file's order; `missing` are the texts that mean null."""

    path: Path
    kind: str
    rows: int
    strays: int
    tallies: dict[str, Tally]
    sample: pa.Table
    ignored: dict[str, str]
    missing: tuple[str, ...]


def survey(path: Path, progress: Progress, limits: Limits | None = None) -> Survey:
    """Read the file at `path`, whose name says what it is. Raises ProposalRefused naming file, column and rule."""
    limits = limits or Limits()
    header = read_header(path, limits)
    if not header.columns:
        raise refused(path, "columns", "no column has a name")
    if header.kind == ".parquet":
        _check_types(path, header.columns)
    names = header.columns
    contract = Contract("survey", "1", tuple(Column(name, "string") for name in names), ignore_extra=True)
    tallies = {name: Tally(name) for name in names}
    sampler = Sampler(max(1000, min(SAMPLE_ROWS, SAMPLE_CELLS // len(names))))
    rows = 0
    try:
        source = open_source(path, path.name, contract, limits)
        for batch in source.batches:
            for name, raw in zip(names, batch.columns, strict=True):
                tallies[name].add(raw)
            sampler.add(batch)
            rows += len(batch.numbers)
            progress(f"{rows:,} rows read")
    except Refusal as refusal:
        raise refused(path, refusal.rule, refusal.message) from refusal
    _check_strays(path, source, rows)
    # JSON has a null of its own: ingestion takes no text of it for one
    markers = dict.fromkeys(text for tally in tallies.values() for text in tally.markers)
    missing = () if header.kind.startswith(".jsonl") else ("", *markers)
    if not missing:
        for tally in tallies.values():
            tally.forget_markers()
    sample = _typed(tallies, sampler.columns(len(names)), missing)
    return Survey(path, header.kind, rows, len(source.strays), tallies, sample, header.ignored, missing)


def _check_types(path: Path, names: list[str]) -> None:
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    for name in names:
        kind = schema.field(name).type
        if pa.types.is_nested(kind):
            message = f"{kind} is nested; a contract's columns hold single values: flatten it first"
            raise refused(path, "type", message, name)
        if not readable(kind):
            raise refused(path, "type", f"a contract has no type for {kind}", name)


def _check_strays(path: Path, source: Source, rows: int) -> None:
    if not source.strays and not rows:
        raise refused(path, "empty", "the file has no rows")
    if len(source.strays) > MOST_STRAYS * (rows + len(source.strays)):
        first = source.strays[0]
        total = rows + len(source.strays)
        message = f"{len(source.strays):,} of {total:,} rows have not the shape of the table; row {first.row}: "
        raise refused(path, first.rule, message + repr(first.text[:200]))


class Sampler:
    """A uniform sample of at most `size` rows: those whose number has the smallest hash, so the same rows each time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._parts: list[list[pa.Array]] = []
        self._hashes: list[npt.NDArray[np.uint64]] = []

    def add(self, batch: RawBatch) -> None:
        """Consider the rows of a batch."""
        hashes = _mix(batch.numbers.astype(np.uint64))
        held = sum(map(len, self._hashes))
        if held >= self.size:
            chosen = np.flatnonzero(hashes <= max(int(part.max()) for part in self._hashes if len(part)))
        else:
            chosen = np.arange(len(hashes))
        self._hashes.append(hashes[chosen])
        self._parts.append([column.take(pa.array(chosen)) for column in batch.columns])
        if held + len(chosen) > 2 * self.size:
            self._shrink()

    def columns(self, width: int) -> list[pa.ChunkedArray]:
        """The sampled rows in the file's order, by column."""
        self._shrink()
        if not self._parts:
            return [pa.chunked_array([], pa.string()) for _ in range(width)]
        return [pa.chunked_array([part[place] for part in self._parts]) for place in range(width)]

    def _shrink(self) -> None:
        if not self._hashes or sum(map(len, self._hashes)) <= self.size:
            return
        limit = np.partition(np.concatenate(self._hashes), self.size - 1)[self.size - 1]
        for place, hashes in enumerate(self._hashes):
            chosen = np.flatnonzero(hashes <= limit)
            self._hashes[place] = hashes[chosen]
            self._parts[place] = [column.take(pa.array(chosen)) for column in self._parts[place]]


def _mix(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64 of each number. Source: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators (2014)."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _typed(tallies: dict[str, Tally], columns: list[Any], missing: tuple[str, ...]) -> pa.Table:
    arrays = {}
    for tally, raw in zip(tallies.values(), columns, strict=True):
        column = tally.chosen.column(tally.name)
        chunks = [convert(column, chunk, missing)[0] for chunk in raw.chunks]
        arrays[tally.name] = pa.chunked_array(chunks, ARROW[column.type])
    return pa.table(arrays)
