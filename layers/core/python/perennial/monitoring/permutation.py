"""What chance does: whole days exchanged between two sides, since rows of one day clump.

If reference and window are days of the same kind, which side a day fell on says nothing, so the observed difference is
one draw of all that exchanging days gives: the test is exact for any sizes and any dependence within a day.
- A day that both sides have is compared with itself: its two parts change places, nothing else (days differ; the two
  halves of a day do not). All other days are exchanged freely.
- The side with more rows a day is thinned to the other's number first: days of 20 rows scatter more than days of 700.
- Rows without a day are dealt at random into as many blocks as the other side has days (`BLOCKS` when neither has
  any), each the counterpart of one.
Source: exchangeable units, Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses (2005), ch. 3; what unequal
spreads do to them, Romano, On the Behavior of Randomization Tests without a Group Invariance Assumption (1990).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, NamedTuple

import numpy as np

from perennial.monitoring.multiplicity import rejected

Array = np.ndarray[Any, Any]

SEED = 20130101
BLOCKS = 32
# A p value from so many exceedances is good to a third of itself: no more draws are spent on it.
# Source: Besag and Clifford, Sequential Monte Carlo p-values (1991).
ENOUGH = 10
# Most columns are quiet and have them at once; the spread, which only weighs coordinates, needs no more either.
FIRST_DRAWS = 200
GROWTH = 6
_BATCH = 1024
# Differences of shares are measured in their own spread under exchange, but no finer than this: a label of three rows
# has next to no spread, and its quantum is no evidence.
FLOOR = 0.004


@dataclass(frozen=True)
class Exchange:
    """Which units may change sides. Units are the reference's days, then the window's: `reference` + `window` of them.

    Unit `pairs[i, 0]` changes places with unit `pairs[i, 1]` only; units of `free` go anywhere.
    """

    reference: int
    window: int
    pairs: Array
    free: Array

    @property
    def sizes(self) -> tuple[int, int]:
        """Units of the reference and of the window."""
        return self.reference, self.window

    @property
    def least_p(self) -> float:
        """The p of the greatest difference there can be; where all units may change sides, its mirror is as great."""
        taken = int((self.free >= self.reference).sum())
        mirrored = 2 * taken == len(self.free)
        assignments = 2 ** len(self.pairs) * comb(len(self.free), taken)
        return float((2 if mirrored else 1) / assignments)

    @property
    def key(self) -> bytes:
        """Equal for equal exchanges, whose draws are the same."""
        return np.concatenate([[self.reference, self.window], self.pairs.ravel()]).astype(np.int64).tobytes()

    def draws(self, count: int, seed: int) -> Iterator[Array]:
        """Assignments [batch, units]: 1.0 where a unit is on the window's side; `count` in all, in batches."""
        rng = np.random.default_rng(seed)
        taken = int((self.free >= self.reference).sum())
        for start in range(0, count, _BATCH):
            size = min(_BATCH, count - start)
            sides = np.zeros((size, self.reference + self.window))
            if 0 < taken < len(self.free):
                order = np.argpartition(rng.random((size, len(self.free)), dtype=np.float32), taken, axis=1)
                np.put_along_axis(sides, self.free[order[:, :taken]], 1.0, axis=1)
            else:
                sides[:, self.free[self.free >= self.reference]] = 1.0
            if len(self.pairs):
                swapped = rng.random((size, len(self.pairs))) < 0.5
                sides[:, self.pairs[:, 0]] = swapped
                sides[:, self.pairs[:, 1]] = ~swapped
            yield sides

    def observed(self) -> Array:
        """The assignment as it is [1, units]."""
        return np.concatenate([np.zeros(self.reference), np.ones(self.window)])[None, :]


def exchange(reference: Array, window: Array) -> Exchange:
    """How days [r] and [w] (each distinct) are exchanged: those on both sides in pairs, the others freely."""
    shared, left, right = np.intersect1d(reference, window, return_indices=True)
    pairs = np.stack([left, right + len(reference)], axis=1) if len(shared) else np.zeros((0, 2), dtype=np.int64)
    free = np.setdiff1d(np.arange(len(reference) + len(window)), pairs)
    return Exchange(len(reference), len(window), pairs, free)


def dealt(counts: Array, blocks: int, name: str) -> Array:
    """Bin counts [bins] of rows without a day, dealt at random into blocks [blocks, bins]; seeded by `name`."""
    even = np.full(blocks, 1 / blocks)
    return np.random.default_rng([SEED, zlib.crc32(name.encode()), 1]).multinomial(counts, even).T


def thinned(reference: Array, window: Array, name: str) -> tuple[Array, Array]:
    """Bin counts [days, bins] of both sides with about as many rows a day; seeded by `name`."""
    volumes = [side.sum() / len(side) for side in (reference, window)]
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), 2])
    kept = [min(1.0, min(volumes) / volume) if volume else 1.0 for volume in volumes]
    left, right = (rng.binomial(side, k) if k < 1 else side for side, k in zip((reference, window), kept, strict=True))
    return left, right


class Sample(NamedTuple):
    """A column's units [units, coordinates + 1]: rows at or below an edge, of a label, …, all rows last."""

    units: Array
    how: Exchange


@dataclass
class _Tested:
    """One column, and what chance has shown so far."""

    units: Array
    how: Exchange
    total: Array
    spread: Array
    observed: float = 0.0
    beyond: int = 0
    drawn: int = 0

    def differences(self, sides: Array) -> Array:
        """Share of the window minus share of the reference by coordinate [batch, coordinates]."""
        window = sides @ self.units
        rest = self.total - window
        shares = [part[:, :-1] / np.maximum(part[:, -1:], 1.0) for part in (window, rest)]
        difference: Array = shares[0] - shares[1]
        return difference

    def count(self, sides: Array) -> None:
        """Take in a batch of assignments."""
        found = (np.abs(self.differences(sides)) / self.spread).max(axis=1)
        self.beyond += int((found >= self.observed * (1 - 1e-12)).sum())
        self.drawn += len(sides)

    @property
    def p(self) -> float:
        """The share of assignments, the observed one among them, that differ as much."""
        return min(1.0, (self.beyond + 1) / (self.drawn + 1))


def p_values(columns: Sequence[Sample], alpha: float) -> Array:
    """p [m] of each column's greatest difference of a share, in its own spread under exchange.

    Draws grow until each column has ENOUGH exceedances, or is rejected by the Benjamini-Hochberg procedure at a quarter
    of `alpha` already, or as many were drawn as the procedure's first step asks for, times four.
    """
    most = max(FIRST_DRAWS, int(np.ceil(4 * len(columns) / alpha)))
    tested = _prepared(columns)
    drawn, stage, open_ones = 0, FIRST_DRAWS, list(tested)
    while open_ones and drawn < most:
        size = min(stage, most) - drawn
        for alike in _by_exchange(open_ones):
            for sides in alike[0].how.draws(size, SEED + 1 + drawn):
                for one in alike:
                    one.count(sides)
        drawn += size
        stage *= GROWTH
        certain = rejected(np.array([one.p for one in tested]), alpha / 4)
        open_ones = [one for one, done in zip(tested, certain, strict=True) if one.beyond < ENOUGH and not done]
    return np.array([one.p for one in tested])


def _by_exchange(columns: list[_Tested]) -> list[list[_Tested]]:
    """Columns with the same days share their draws."""
    groups: dict[bytes, list[_Tested]] = {}
    for one in columns:
        groups.setdefault(one.how.key, []).append(one)
    return list(groups.values())


def _prepared(columns: Sequence[Sample]) -> list[_Tested]:
    """The columns with their spreads under exchange, and what was observed in terms of these."""
    tested = [
        _Tested(units, how, units.sum(axis=0), np.ones(units.shape[1] - 1))
        for units, how in ((column.units.astype(np.float64), column.how) for column in columns)
    ]
    for alike in _by_exchange(tested):
        sides = np.concatenate(list(alike[0].how.draws(FIRST_DRAWS, SEED)))
        for one in alike:
            one.spread = np.maximum(np.sqrt((one.differences(sides) ** 2).mean(axis=0)), FLOOR)
            one.observed = float((np.abs(one.differences(one.how.observed())) / one.spread).max())
    return tested
