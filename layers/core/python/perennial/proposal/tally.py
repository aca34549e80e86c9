"""What is known of one column after every value was seen once: its type, its extremes, its most frequent values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from perennial.catalog.contract import Column, Type
from perennial.catalog.rules import date_format
from perennial.datasets.arrays import Mask, array_of, ordinals, to_text
from perennial.datasets.convert import convert, without

# Texts that people write for "no value"; they count so in a column that is numbers, dates or booleans but for them.
MARKERS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "-", "?")
# Written day first, month first, and as ISO with other signs; with and without a time of day.
_DATES = ("dd.MM.yyyy", "dd/MM/yyyy", "MM/dd/yyyy", "dd-MM-yyyy", "yyyy/MM/dd")
_TIMES = (" HH:mm", " HH:mm:ss")
MOST_VALUES = 2000
# Of the values of a batch: with fewer texts among them the rest are numbers that someone spoilt
MOST_SPOILT = 0.05
# Looked at one by one before whole batches are converted
_PEEKED = 64
_CODE = r"^\s*[+-]?0[0-9]"
_FRACTION = r"[.eE]"


@dataclass
class Candidate:
    """A type that the column may still have, with the extremes under it (on the scale of `ordinals`)."""

    type: Type
    format: str | None = None
    low: Any = None
    high: Any = None

    def column(self, name: str) -> Column:
        """As a contract would have it."""
        return Column(name, self.type, format=date_format(self.format) if self.format else None)


@dataclass
class Tally:
    """One column. `counts` has the texts of the values, until there are too many of them (`many`).

    `spoiler` is a text that alone keeps the column from being numbers; `wrong` counts values of a typed file that its
    own type allows and a contract does not (infinity, the year 12000).
    """

    name: str
    candidates: list[Candidate] | None = None
    rows: int = 0
    nulls: int = 0
    longest: int = 0
    many: bool = False
    fraction: bool = False
    native: bool = False
    wrong: int = 0
    spoiler: str | None = None
    marked: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, raw: pa.Array) -> None:
        """One batch of the column, as a source gives it."""
        if pa.types.is_dictionary(raw.type):
            raw = raw.dictionary_decode()
        if pa.types.is_large_string(raw.type) or pa.types.is_string_view(raw.type):
            raw = raw.cast(pa.string())
        if self.candidates is None:
            self.candidates = _first_candidates(raw.type)
            self.native = not (pa.types.is_string(raw.type) or pa.types.is_null(raw.type))
        self.rows += len(raw)
        self.nulls += raw.null_count
        if len(raw) == raw.null_count:
            return
        self._count(raw)
        if pa.types.is_string(raw.type):
            self._look_at_text(raw)
        else:
            self._look(raw, raw)

    @property
    def chosen(self) -> Candidate:
        """The narrowest type that holds every value; a string where none does."""
        found = list(self.candidates or [])
        days = [one for one in found if one.type in {"date", "timestamp"}]
        if len({one.format for one in days}) > 1 or not self.present:
            found = [one for one in found if one.type == "string"]
        if found and found[0].type == "number" and not self.fraction and not self.native:
            # whole numbers too long for 64 bits are names, not amounts
            found = found[1:]
        return found[0] if found else Candidate("string")

    @property
    def ambiguous(self) -> bool:
        """Dates that can be read with the day first as well as with the month first."""
        days = {one.format for one in self.candidates or [] if one.type in {"date", "timestamp"}}
        return len(days) > 1 and self.present > 0

    @property
    def markers(self) -> list[str]:
        """The marker texts that have to count as null for the chosen type to hold."""
        return [] if self.chosen.type == "string" else [text for text in MARKERS if text in self.marked]

    @property
    def _settled(self) -> bool:
        """Whether the file itself has a type for the column, and it is the last candidate: then values may be wrong."""
        return self.native and len(self.candidates or []) == 1

    @property
    def present(self) -> int:
        """How many values there are beside nulls and markers."""
        return self.rows - self.nulls - sum(self.marked.values())

    def forget_markers(self) -> None:
        """No text means null in this file: a column that needed one is text."""
        if self.markers:
            self.candidates = [Candidate("string")]
        self.marked.clear()

    def values(self, missing: tuple[str, ...]) -> Counter[str]:
        """How often each text occurs, when `missing` count as null; empty when there are too many."""
        return Counter({text: count for text, count in self.counts.items() if text not in missing})

    def _count(self, raw: pa.Array) -> None:
        if self.many:
            return
        for entry in pc.value_counts(to_text(raw)):
            text = entry["values"].as_py()
            if text is not None:
                self.counts[text] += entry["counts"].as_py()
        if len(self.counts) > MOST_VALUES:
            self.many = True
            self.counts.clear()

    def _look_at_text(self, raw: pa.Array) -> None:
        self.longest = max(self.longest, pc.max(pc.utf8_length(raw)).as_py() or 0)
        marks = raw.filter(pc.is_in(raw, value_set=array_of(MARKERS, pa.string())))
        self.marked.update(marks.to_pylist())
        plain = without(raw, MARKERS) if len(marks) else raw
        if plain.null_count == len(plain):
            return
        if self._has("integer", "number") and pc.any(pc.match_substring_regex(plain, _CODE)).as_py():
            # 01234 is a code: as a number it would lose its zero
            self._drop("integer", "number")
        if self._has("integer", "number") and pc.any(pc.match_substring_regex(plain, _FRACTION)).as_py():
            self.fraction = True
            self._drop("integer")
        self._look(raw, plain)

    def _look(self, raw: pa.Array, plain: pa.Array) -> None:
        """Keep the candidates that hold every value of a batch."""
        if pa.types.is_floating(raw.type):
            nan = pc.sum(pc.is_nan(raw)).as_py() or 0
            self.marked.update({"NaN": nan} if nan else {})
        kept = []
        for candidate in self.candidates or []:
            if candidate.type == "string" or self._holds(candidate, plain):
                kept.append(candidate)
        self.candidates = kept

    def _holds(self, candidate: Candidate, plain: pa.Array) -> bool:
        column = candidate.column(self.name)
        if pa.types.is_string(plain.type) and candidate.type != "number":
            first = plain.drop_null()[:_PEEKED]
            if any(convert(column, part)[1] is not None for part in (first[:2], first)):
                return False
        typed, wrong = convert(column, plain, ("NaN",))
        if wrong is not None and not self._settled:
            self._note_spoiler(candidate, plain, wrong)
            return False
        self.wrong += 0 if wrong is None else int(wrong.sum())
        if candidate.type != "boolean":
            found = pc.min_max(ordinals(typed)).as_py()
            if found["min"] is not None:
                candidate.low = found["min"] if candidate.low is None else min(candidate.low, found["min"])
                candidate.high = found["max"] if candidate.high is None else max(candidate.high, found["max"])
        return True

    def _note_spoiler(self, candidate: Candidate, plain: pa.Array, wrong: Mask) -> None:
        """Remember a text that alone keeps a column of numbers from being one."""
        if candidate.type == "number" and wrong.sum() <= MOST_SPOILT * (len(plain) - plain.null_count):
            self.spoiler = plain.filter(pa.array(wrong))[0].as_py()

    def _has(self, *types: str) -> bool:
        return any(one.type in types for one in self.candidates or [])

    def _drop(self, *types: str) -> None:
        self.candidates = [one for one in self.candidates or [] if one.type not in types]


def _first_candidates(kind: pa.DataType) -> list[Candidate] | None:
    """Every type that an array of Arrow's type may hold, the narrowest first. None while the type says nothing."""
    if pa.types.is_null(kind):
        return None
    if pa.types.is_integer(kind):
        return [Candidate("integer"), Candidate("number")]
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [Candidate("number")]
    if pa.types.is_boolean(kind):
        return [Candidate("boolean")]
    if pa.types.is_date(kind):
        return [Candidate("date")]
    if pa.types.is_timestamp(kind):
        return [Candidate("timestamp")]
    dates = [Candidate("date"), *(Candidate("date", written) for written in _DATES)]
    times = [Candidate("timestamp", written + time) for written in _DATES for time in _TIMES]
    numbers = [Candidate("integer"), Candidate("number"), Candidate("boolean")]
    return [*numbers, *dates, Candidate("timestamp"), *times, Candidate("string")]


def readable(kind: pa.DataType) -> bool:
    """Whether a contract has a type for values of this Arrow type."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    known = (
        pa.types.is_null, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean,
        pa.types.is_date, pa.types.is_timestamp, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
    )  # fmt: skip
    return any(is_type(kind) for is_type in known)
