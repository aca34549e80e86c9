"""Columns that are no arrays of floats: texts as codes into their distinct words, whole numbers with some missing."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Texts:
    """`codes` [n] are places in `words`, −1 where the text is missing (null or empty)."""

    codes: Array
    words: list[str]

    @classmethod
    def of(cls, values: Any) -> Texts:
        """From texts [n] (dtype object or str), None or "" for missing; Texts stay what they are."""
        if isinstance(values, Texts):
            return values
        places = _Places()
        plain = np.asarray(values).tolist()
        codes = np.fromiter(map(places.__getitem__, plain), np.int64, len(plain))
        return cls.coded(codes, ["" if word is None else str(word) for word in places])

    @classmethod
    def coded(cls, codes: Array, words: list[str]) -> Self:
        """From codes int64 [n], −1 for missing, into words, of which the empty one means missing too."""
        table = np.array([*(-1 if word == "" else place for place, word in enumerate(words)), -1], dtype=np.int64)
        return cls(table[codes], words)

    def __len__(self) -> int:
        return len(self.codes)

    def counts(self) -> Array:
        """Rows by word [words]."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))


class _Places(dict[Any, int]):
    """Numbers what it is asked for by the first time it is asked."""

    def __missing__(self, key: Any) -> int:
        self[key] = found = len(self)
        return found


@dataclass(frozen=True)
class Whole:
    """Whole numbers int64 [n]; those at which `valid` (mask [n]; None: everywhere) is false are missing."""

    values: Array
    valid: Array | None = None

    def __len__(self) -> int:
        return len(self.values)

    def floats(self) -> Array:
        """As float64 [n], NaN for missing."""
        numbers = self.values.astype(np.float64)
        if self.valid is not None:
            numbers[~self.valid] = np.nan
        return numbers


def digest_of(word: str) -> int:
    """32 bits of a text."""
    return zlib.crc32(word.encode())
