"""The fixed edges and labels by which values are counted: made once, so that all later counts can be added up."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np

from perennial.monitoring.texts import Texts, Whole, digest_of
from perennial.storage.objects import canonical_json

Array = np.ndarray[Any, Any]
Column = Array | Texts | Whole
Kind = Literal["number", "category", "boolean"]

BINS = 24
LABELS = 50
# Texts with more distinct values than this name single things; nothing of them is written down but how many there are.
KNOWN = 1000
# A text that fewer rows share is written down nowhere by itself.
SHARED_ROWS = 5
# What float32 cannot hold counts as missing: the graph takes it so.
GREATEST = float(np.finfo(np.float32).max)
# Moments are sums of whole steps: so many between the least and the greatest value that the grid was made of.
STEPS = 2**18


@dataclass(frozen=True)
class GridColumn:
    """How one column is counted.

    A number lies in a bin between two of `edges` (ascending, bin k from edge k on), below the first (bin 0) or from the
    last on: the two outer bins are out of the range that the grid was made of. Its moments count steps of `unit` from
    `origin`. A text is one of `labels`, another known one (`rest`: digests of 32 bits), or unseen. The last bin is
    missing. `identifier`: the values name single rows; `temporal`: dates or instants, of which only the missing
    are counted.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    rest: tuple[int, ...] = ()
    origin: float = 0.0
    unit: float = 1.0
    identifier: bool = False
    temporal: bool = False

    @property
    def bins(self) -> int:
        """How many bins there are, missing included."""
        extra = {"number": 2, "category": 3, "boolean": 1}[self.kind]
        return len(self.edges if self.kind == "number" else self.labels) + extra

    @property
    def has_moments(self) -> bool:
        """Whether sums of its values are kept."""
        return self.kind == "number" and not self.temporal

    @property
    def unseen(self) -> int | None:
        """The bin of texts that the grid's rows did not have; None where there is none or every value is a new one."""
        return len(self.labels) + 1 if self.kind == "category" and not self.identifier else None

    def names(self) -> list[str]:
        """The bins as people read them."""
        if self.kind != "number":
            return [*self.labels, *(("other", "unseen") if self.kind == "category" else ()), "missing"]
        if not self.edges:
            return ["any", "missing"]
        shown = [f"{edge:.6g}" for edge in self.edges]
        inner = [f"{low} – {high}" for low, high in pairwise(shown)]
        return [f"below {shown[0]}", *inner, f"from {shown[-1]}", "missing"]

    @cached_property
    def places(self) -> dict[str, int]:
        """The bin of each label."""
        return {label: place for place, label in enumerate(self.labels)}

    @cached_property
    def known(self) -> frozenset[int]:
        """`rest`, to look up."""
        return frozenset(self.rest)

    def to_json(self) -> dict[str, Any]:
        """For grid.json: what differs from the defaults."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = GridColumn(self.name, self.kind)
        kept = {k: v for k, v in fields.items() if k in {"name", "kind"} or v != getattr(plain, k)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        fields: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in value.items()}
        return cls(**fields)


@dataclass(frozen=True)
class Grid:
    """The columns of a profile. Profiles of equal grids can be merged and compared, others cannot."""

    columns: tuple[GridColumn, ...]

    @cached_property
    def by_name(self) -> dict[str, GridColumn]:
        """The columns, by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def sha256(self) -> str:
        """Digest of what it says."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For grid.json."""
        return {"columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(tuple(GridColumn.from_json(column) for column in value["columns"]))


def make_grid(
    columns: Mapping[str, Column], kinds: Mapping[str, Kind] | None = None, temporal: frozenset[str] = frozenset()
) -> Grid:
    """The grid of some rows: columns by name, numbers [n] with NaN for missing, or texts [n] with "" for missing.

    `kinds` overrides what the dtype says (a boolean kept as float32 0, 1, NaN); `temporal` are dates and instants.
    """
    given = kinds or {}
    made: list[GridColumn] = []
    for name, values in columns.items():
        kind = given.get(name) or kind_of(values)
        if kind == "number":
            made.append(_numbers(name, values) if name not in temporal else GridColumn(name, kind, temporal=True))
        elif kind == "boolean":
            made.append(GridColumn(name, "boolean", labels=("false", "true")))
        else:
            made.append(_category(name, Texts.of(values)))
    return Grid(tuple(made))


def kind_of(values: Column) -> Kind:
    """What the dtype says."""
    if isinstance(values, Whole):
        return "number"
    if isinstance(values, Texts) or values.dtype.kind in "OUS":
        return "category"
    return "boolean" if values.dtype.kind == "b" else "number"


def floats(values: Column) -> Array:
    """Numbers as float64 [n], NaN for missing. Raises TypeError for texts."""
    if isinstance(values, Texts):
        raise TypeError("texts in a column of numbers")
    return values.floats() if isinstance(values, Whole) else np.asarray(values, dtype=np.float64)


def _numbers(name: str, column: Column) -> GridColumn:
    distinct, counts = _distinct(column)
    rows = int(counts.sum())
    if not rows:
        return GridColumn(name, "number")
    low, high = float(distinct[0]), float(distinct[-1])
    whole = bool((distinct == np.floor(distinct)).all())
    unique = whole and len(distinct) == rows and rows >= 100
    return GridColumn(
        name,
        "number",
        edges=_edges(distinct, counts),
        origin=low,
        unit=1.0 if whole and high - low <= STEPS else _unit(high - low or max(abs(low), 1.0)),
        identifier=unique,
    )


def _distinct(column: Column) -> tuple[Array, Array]:
    """The distinct present values, ascending float64, with their rows."""
    if isinstance(column, Whole):
        whole = column.values if column.valid is None else column.values[column.valid]
        if len(whole) and (span := int(whole.max()) - (low := int(whole.min()))) < 4 * len(whole):
            rows = np.bincount(whole - low, minlength=span + 1)
            met = np.flatnonzero(rows)
            return (met + low).astype(np.float64), rows[met]
    values = floats(column)
    return np.unique(values[np.abs(values) <= GREATEST], return_counts=True)


def _unit(extent: float) -> float:
    """The least power of two of which STEPS span the extent."""
    return 2.0 ** math.ceil(math.log2(extent / STEPS))


def _edges(distinct: Array, counts: Array) -> tuple[float, ...]:
    """From below the least value to above the greatest, with at most BINS bins of about equal counts between.

    No edge is a value itself: the same number read as float32 and as float64 falls on the same side.
    """
    if len(distinct) > BINS:
        total = np.cumsum(counts)
        wanted = np.arange(1, BINS) * total[-1] / BINS
        first = np.unique(np.searchsorted(total, wanted, side="right"))
        first = first[(first > 0) & (first < len(distinct))]
    else:
        first = np.arange(1, len(distinct))
    between = distinct[first - 1] / 2 + distinct[first] / 2
    low, high = (float(v) for v in distinct[[0, -1]])
    outer = _margin(low), _margin(high)
    edges = np.unique([low - outer[0], *between.tolist(), high + outer[1]])
    return tuple(edges.tolist())


def _margin(value: float) -> float:
    """More than float32 can be off."""
    return max(abs(value) * 2e-7, 1e-30)


def _category(name: str, texts: Texts) -> GridColumn:
    counts = Counter(dict(zip(texts.words, texts.counts().tolist(), strict=True)))
    counts = +counts
    rows = sum(counts.values())
    if len(counts) > KNOWN or (len(counts) > LABELS and len(counts) > rows / SHARED_ROWS):
        return GridColumn(name, "category", identifier=True)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    labels = [word for word in ordered[:LABELS] if counts[word] >= SHARED_ROWS or len(counts) <= 2]
    rest = sorted({digest_of(word) for word in ordered if word not in set(labels)})
    return GridColumn(name, "category", labels=tuple(labels), rest=tuple(rest))
