"""The model's inputs: values of a request checked one by one, then laid out as the graph takes them.

Numbers and booleans go to the graph as float32 with NaN for a missing value, categories as text with "" for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from typing import Any

import numpy as np

from perennial.serving.datatypes import ACCEPTED, INTEGERS, MAX_TEXT, RANGES
from perennial.serving.errors import RequestRefused

Array = np.ndarray[Any, Any]
Filler = Callable[[Any], None]

_NUMERIC = frozenset({int, float})
_SHOWN = 40


class Input:
    """One input of the model. `datatype` is its v2 datatype, `accepted` those it may arrive in.

    `cell` is the array [1, 1] of a one-row request, kept between requests: a fresh one costs as much as its checks.
    """

    __slots__ = ("_fillers", "accepted", "cell", "datatype", "name", "tensor")

    def __init__(self, name: str, datatype: str, tensor: str, cell: Array) -> None:
        self.name = name
        self.datatype = datatype
        self.tensor = tensor
        self.accepted = ACCEPTED[datatype]
        self.cell = cell
        self._fillers: dict[str, Filler] = {}

    def filler(self, datatype: str) -> Filler:
        """The function that puts one value, declared as `datatype`, into `cell`; it raises RequestRefused."""
        found = self._fillers.get(datatype)
        if found is None:
            found = self._fillers[datatype] = self._filler(datatype)
        return found

    def many(self, values: Sequence[Any], datatype: str) -> Array:
        """The array [n, 1] of a column. Raises RequestRefused, naming the first row that is wrong."""
        raise NotImplementedError

    def _filler(self, datatype: str) -> Filler:
        raise NotImplementedError

    def refused(self, row: int, value: Any, reason: str) -> RequestRefused:
        """The error for one value; rows are counted from 0, as tensors are."""
        return RequestRefused(f"input {self.name!r}, row {row}: {shown(value)} {reason}")


class Number(Input):
    """FP64 or INT64 in the signature; float32 in the graph."""

    __slots__ = ()

    def __init__(self, name: str, datatype: str, tensor: str) -> None:
        super().__init__(name, datatype, tensor, np.zeros((1, 1), np.float32))

    def _filler(self, datatype: str) -> Filler:
        cell = _slot(self.cell)
        low, high = RANGES[datatype]
        whole = self._whole(datatype)

        def fill(value: Any) -> None:
            kind = type(value)
            if kind is int or kind is float:
                if low <= value <= high and (kind is int or not whole or value.is_integer()):
                    cell[0] = value
                    return
            elif value is None:
                cell[0] = nan
                return
            raise self._wrong(0, value, datatype)

        return fill

    def many(self, values: Sequence[Any], datatype: str) -> Array:
        """See Input."""
        kinds = set(map(type, values))
        present = [value for value in values if value is not None] if type(None) in kinds else values
        kinds.discard(type(None))
        low, high = RANGES[datatype]
        # compared in Python, where an integer of any size is exact
        right = kinds <= _NUMERIC and (not present or (low <= min(present) and max(present) <= high))
        if right and float in kinds and self._whole(datatype):
            right = all(type(value) is int or value.is_integer() for value in present)
        if not right:
            raise self._first_wrong(values, datatype)
        return np.array(values, np.float64).astype(np.float32).reshape(-1, 1)

    def _whole(self, datatype: str) -> bool:
        return self.datatype == "INT64" or datatype in INTEGERS

    def _first_wrong(self, values: Sequence[Any], datatype: str) -> RequestRefused:
        fill = self.filler(datatype)
        for row, value in enumerate(values):
            try:
                fill(value)
            except RequestRefused:
                return self._wrong(row, value, datatype)
        raise AssertionError("no value of a refused column is wrong")

    def _wrong(self, row: int, value: Any, datatype: str) -> RequestRefused:
        expected = "a whole number" if self._whole(datatype) else "a number"
        if type(value) not in _NUMERIC:
            return self.refused(row, value, f"is not {expected} (null is how a missing value is written)")
        low, high = RANGES[datatype]
        if low <= value <= high:
            return self.refused(row, value, f"is not {expected}")
        limit = f"{datatype} as this model computes it (float32)" if datatype == "FP64" else datatype
        return self.refused(row, value, f"is out of the range of {limit}")


class Boolean(Input):
    """BOOL in the signature; 0, 1 or NaN as float32 in the graph."""

    __slots__ = ()

    def __init__(self, name: str, tensor: str) -> None:
        super().__init__(name, "BOOL", tensor, np.zeros((1, 1), np.float32))

    def _filler(self, datatype: str) -> Filler:
        cell = _slot(self.cell)

        def fill(value: Any) -> None:
            if value is not True and value is not False and value is not None:
                raise self.refused(0, value, "is not a boolean")
            cell[0] = nan if value is None else value

        return fill

    def many(self, values: Sequence[Any], datatype: str) -> Array:
        """See Input."""
        if not set(map(type, values)) <= {bool, type(None)}:
            row = next(row for row, value in enumerate(values) if type(value) not in {bool, type(None)})
            raise self.refused(row, values[row], "is not a boolean")
        return np.array(values, np.float32).reshape(-1, 1)


class Category(Input):
    """BYTES in the signature; text in the graph."""

    __slots__ = ()

    def __init__(self, name: str, tensor: str) -> None:
        super().__init__(name, "BYTES", tensor, np.full((1, 1), "", object))

    def _filler(self, datatype: str) -> Filler:
        cell, checked = self.cell.reshape(1), self._checked

        def fill(value: Any) -> None:
            # the plain case first: most categories are short words
            plain = type(value) is str and len(value) <= MAX_TEXT and value.isascii()
            cell[0] = value if plain else checked(0, value)

        return fill

    def many(self, values: Sequence[Any], datatype: str) -> Array:
        """See Input."""
        array = np.empty((len(values), 1), object)
        plain = set(map(type, values)) == {str} and max(map(len, values)) <= MAX_TEXT and all(map(str.isascii, values))
        array[:, 0] = values if plain else [self._checked(row, value) for row, value in enumerate(values)]
        return array

    def _checked(self, row: int, value: Any) -> str:
        if value is None:
            return ""
        if type(value) is not str:
            raise self.refused(row, value, "is not text")
        if len(value) > MAX_TEXT:
            raise self.refused(row, value, f"is longer than {MAX_TEXT} characters")
        if not value.isascii() and _has_surrogate(value):
            raise self.refused(row, value, "holds half of a surrogate pair")
        return value


def make_input(name: str, datatype: str, kind: str, tensor: str) -> Input:
    """The input of a signature entry. Raises ValueError for a kind or datatype that there is not."""
    if kind == "number" and datatype in {"FP64", "INT64"}:
        return Number(name, datatype, tensor)
    if kind == "boolean" and datatype == "BOOL":
        return Boolean(name, tensor)
    if kind == "category" and datatype == "BYTES":
        return Category(name, tensor)
    raise ValueError(f"input {name!r} is a {kind} of {datatype}, which is none of number, boolean, category")


def _slot(cell: Any) -> Any:
    """The one number of a cell, written to without numpy at half the cost."""
    return memoryview(cell.reshape(1))


def shown(value: Any) -> str:
    """A value as an error message quotes it: short, on one line, printable, numbers of any length."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 100:
        return "a whole number of more than 30 digits"
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
