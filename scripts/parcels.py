"""The second example's data: parcels made up with a fixed seed (CC0); one CSV per month, the same bytes always.

`python -m scripts.parcels DIRECTORY` writes them.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

HEADER = (
    "parcel id", "handed over at", "weight (kg)", "carrier", "from zone", "to zone", "declared value €", "express",
    "items", "currency", "note", "last scan", "outcome",
)  # fmt: skip
ROWS = 2500
MONTHS = 3
CARRIERS = {"Brieftaube": 0.9, "Eilbote": -0.4, "Kurier Süd": 0.1, "Nordpost": 0.3, "Radlogistik": -0.1}
ZONES = ("010", "020", "035", "041", "077", "090")
# What the last scan says is known only after the fact: a leak, on purpose
SCANS = {"on time": "D10", "late": "D20", "returned": "R01"}


def months(directory: Path, count: int = MONTHS) -> list[Path]:
    """The first `count` files `parcels-2025-<MM>.csv` in `directory`, in order; those that exist stay as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"parcels-2025-{month:02d}.csv" for month in range(1, count + 1)]
    for month, path in enumerate(paths, start=1):
        if not path.exists():
            fresh = directory / f".{path.name}.part"
            fresh.write_text(_text(month), encoding="utf-8", newline="")
            fresh.replace(path)
    return paths


def _text(month: int) -> str:
    # Python's own generator: its sequence for a seed is promised, numpy's is not
    random = Random(f"parcels {month}")  # noqa: S311 - example data
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    start = datetime(2025, month, 1, 6, tzinfo=UTC)
    for row in range(ROWS):
        writer.writerow(_parcel(random, month, row, start + timedelta(minutes=28 * 24 * 60 * row // ROWS)))
    return buffer.getvalue()


def _parcel(random: Random, month: int, row: int, at: datetime) -> list[Any]:
    weight, value = round(math.exp(random.gauss(0.7, 0.8)), 2), round(math.exp(random.gauss(3.6, 0.9)), 2)
    carrier, express = random.choice(list(CARRIERS)), random.random() < 0.25
    sender, receiver = random.choice(ZONES), random.choice(ZONES)
    items = 1 + int(random.expovariate(0.9))
    slow = CARRIERS[carrier] + 0.15 * weight + 0.8 * (sender[0] != receiver[0]) - 1.2 * express
    slow += 0.7 * (at.weekday() >= 5) + 0.25 * month + random.gauss(0, 1)
    back = 0.012 * value + 0.25 * items + random.gauss(0, 1)
    outcome = "returned" if back > 3 else "late" if slow > 1.6 else "on time"
    return [
        f"P{month:02d}-{row:05d}", at.strftime("%Y-%m-%dT%H:%M:%SZ"), "" if random.random() < 0.03 else weight, carrier,
        sender, receiver, value, str(express).lower(), items, "EUR", "fragile" if random.random() < 0.02 else "",
        SCANS[outcome], outcome,
    ]  # fmt: skip


if __name__ == "__main__":
    for written in months(Path(sys.argv[1])):
        print(written)
