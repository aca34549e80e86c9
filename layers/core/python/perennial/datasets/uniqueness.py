"""Keys that no two rows may share, in 8 bytes a row.

Each row's key is hashed to 64 bits. Equal keys have equal hashes, so a file in which no hash repeats is proved to have
unique keys. Where one repeats, the rows in question, and only they, are compared exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from perennial.datasets.arrays import mask_of, ordinals, text_buffers, values_of
from perennial.datasets.refusal import Refusal

Hashes = npt.NDArray[np.uint64]

# What exact comparison keeps costs about 100 bytes a key
MAX_SUSPECTS = 2_000_000
# What the hashes of all rows may cost
MAX_BYTES = 768 * 1024 * 1024

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BASE = 0x9E3779B97F4A7C55


@dataclass
class Keys:
    """The hashes of all keys of the rows accepted so far, in row order."""

    keys: tuple[tuple[str, ...], ...]
    _hashes: list[list[Hashes]] = field(default_factory=list)
    _nulls: list[list[npt.NDArray[np.bool_] | None]] = field(default_factory=list)

    rows: int = 0

    def __post_init__(self) -> None:
        self._hashes = [[] for _ in self.keys]
        self._nulls = [[] for _ in self.keys]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the accepted rows of one batch. Raises Refusal when there are too many to remember."""
        self.rows += batch.num_rows
        # a hash and a null flag for each key, and the hashes of one key twice more while they are sorted
        most = MAX_BYTES // (9 * len(self.keys) + 16)
        if self.keys and self.rows > most:
            what = "; ".join(", ".join(key) for key in self.keys)
            raise Refusal("tooLarge", f"more than {most:,} rows are too many to tell whether unique: {what}")
        for position, key in enumerate(self.keys):
            columns = [batch.column(name) for name in key]
            self._hashes[position].append(hash_rows(columns))
            self._nulls[position].append(_with_null(columns))

    def suspects(self) -> npt.NDArray[np.int64]:
        """Positions of the rows whose key may have occurred before or may occur again, ascending.

        Raises Refusal when they are too many to compare. Forgets the hashes: it can be asked once.
        """
        found = []
        while self._hashes:
            found.append(_repeated(self._hashes.pop(), self._nulls.pop()))
        every = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
        _check_count(len(every))
        return every.astype(np.int64)


@dataclass
class Confirmation:
    """Compares suspects exactly, in row order: the first row of a key stays, later ones are duplicates."""

    keys: tuple[tuple[str, ...], ...]
    _seen: list[set[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seen = [set() for _ in self.keys]

    def duplicates(self, suspects: pa.RecordBatch) -> list[tuple[int, tuple[str, ...]]]:
        """Positions within `suspects` that duplicate an earlier row, each with the key that it repeats."""
        per_key = [list(_digests(suspects, key)) for key in self.keys]
        found: list[tuple[int, tuple[str, ...]]] = []
        for row in range(suspects.num_rows):
            digests = [entries[row] for entries in per_key]
            repeated = [
                key
                for key, digest, seen in zip(self.keys, digests, self._seen, strict=True)
                if digest is not None and digest in seen
            ]
            if repeated:
                found.append((row, repeated[0]))
                continue
            for digest, seen in zip(digests, self._seen, strict=True):
                if digest is not None:
                    seen.add(digest)
        return found


def hash_rows(columns: list[pa.Array]) -> Hashes:
    """A 64-bit hash of each row over `columns`; equal rows have equal hashes. Null slots hash to anything."""
    total = np.full(len(columns[0]), _SEED, dtype=np.uint64)
    for column in columns:
        total ^= _hash(column)
        total *= _MIX[0]
        total ^= total >> np.uint64(29)
    total *= _MIX[1]
    total ^= total >> np.uint64(32)
    return total


def _hash(column: pa.Array) -> Hashes:
    if pa.types.is_string(column.type):
        return _hash_texts(column)
    if pa.types.is_boolean(column.type):
        return values_of(column.cast(pa.uint8())).astype(np.uint64)
    values = values_of(column)
    if values.dtype == np.float64:
        return (values + 0.0).view(np.uint64)  # -0.0 and 0.0 are equal, so must be their hashes
    return values.astype(np.int64).view(np.uint64)


def _hash_texts(column: pa.StringArray) -> Hashes:
    """A polynomial in each text's bytes, modulo 2**64: weak, but a collision only costs a comparison."""
    ends, body = text_buffers(column)
    starts, lengths = ends[:-1], np.diff(ends)
    total = lengths.astype(np.uint64) << np.uint64(48)
    if len(body):
        places = np.arange(len(body), dtype=np.int64) - np.repeat(starts.astype(np.int64), lengths)
        sums = np.zeros(len(body) + 1, dtype=np.uint64)
        np.cumsum((body.astype(np.uint64) + np.uint64(1)) * _powers(int(lengths.max()))[places], out=sums[1:])
        total ^= sums[ends[1:]] - sums[starts]
    return total


def _powers(count: int) -> Hashes:
    powers = np.full(count, _BASE, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


def _with_null(columns: list[pa.Array]) -> npt.NDArray[np.bool_] | None:
    """Rows with a null in the key: as in SQL, they equal no other row."""
    found: npt.NDArray[np.bool_] | None = None
    for column in columns:
        if column.null_count:
            mask = mask_of(pc.is_null(column))
            found = mask if found is None else found | mask
    return found


def _repeated(parts: list[Hashes], nulls: list[npt.NDArray[np.bool_] | None]) -> npt.NDArray[np.int64]:
    if not parts:
        return np.zeros(0, dtype=np.int64)
    present = [part if null is None else part[~null] for part, null in zip(parts, nulls, strict=True)]
    ordered = np.concatenate(present)
    ordered.sort()
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    twice = np.unique(again)
    _check_count(len(again) + len(twice))
    del ordered, present
    found: list[npt.NDArray[np.int64]] = []
    start = 0
    for part, null in zip(parts, nulls, strict=True):
        inside = _among(part, twice)
        if null is not None:
            inside &= ~null
        found.append(np.flatnonzero(inside) + start)
        start += len(part)
    return np.concatenate(found)


def _among(hashes: Hashes, twice: Hashes) -> npt.NDArray[np.bool_]:
    """Which hashes are among `twice` (ascending)."""
    if not len(twice):
        return np.zeros(len(hashes), dtype=np.bool_)
    places = np.searchsorted(twice, hashes)
    inside: npt.NDArray[np.bool_] = twice[np.minimum(places, len(twice) - 1)] == hashes
    return inside


def _check_count(suspects: int) -> None:
    if suspects > MAX_SUSPECTS:
        raise Refusal("duplicateValues", f"more than {MAX_SUSPECTS:,} rows share a key with another")


def _digests(batch: pa.RecordBatch, key: tuple[str, ...]) -> Iterable[bytes | None]:
    columns = [ordinals(batch.column(name)).to_pylist() for name in key]
    for row in zip(*columns, strict=True):
        yield None if any(value is None for value in row) else _digest(row)


def _digest(row: tuple[Any, ...]) -> bytes:
    # -0.0 and 0.0 are one key
    plain = tuple(value + 0.0 if isinstance(value, float) else value for value in row)
    return hashlib.blake2b(repr(plain).encode("utf-8", "surrogatepass"), digest_size=16).digest()
