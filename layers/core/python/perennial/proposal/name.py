"""A name of the catalog from a file's name."""

from __future__ import annotations

import re
import unicodedata

_SUFFIXES = re.compile(r"(\.(csv|jsonl|parquet|gz))+$", re.IGNORECASE)
# A month or day at the end names one file of many, not the dataset
_DATED = re.compile(r"(-(19|20)\d{2}(-?\d{2}){0,2})$")


def name_of(file: str) -> str:
    """`Trips (2024-03).csv.gz` → `trips`: small ASCII letters, digits, hyphens, at most 40; `data` if none is left."""
    text = unicodedata.normalize("NFKD", _SUFFIXES.sub("", file)).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    words = re.sub(r"^[^a-z]+", "", _DATED.sub("", words))
    return words[:40].strip("-") or "data"
