"""A column of texts as codes into its distinct words."""

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
        places: dict[str, int] = {}
        plain = np.asarray(values).tolist()
        codes = np.fromiter((places.setdefault(text, len(places)) for text in plain), np.int64, len(plain))
        words = ["" if word is None else str(word) for word in places]
        return cls(codes, words)._without_empty()

    def _without_empty(self) -> Self:
        missing = np.array([word == "" for word in self.words], dtype=bool)
        if not missing.any():
            return self
        return type(self)(np.where(missing[self.codes], -1, self.codes), self.words)

    def __len__(self) -> int:
        return len(self.codes)

    def counts(self) -> Array:
        """Rows by word [words]."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))


def digest_of(word: str) -> int:
    """32 bits of a text."""
    return zlib.crc32(word.encode())
