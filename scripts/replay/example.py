"""The shipped examples as a year to replay: files by month, and what is asked of the model on each day."""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path

from scripts import flights, parcels
from scripts.cli.local import ROOT

Row = dict[str, str | None]


@dataclass(frozen=True)
class Example:
    """A catalog with one model, and its data. With `models`, those take the place of the catalog's own.

    `files` writes one CSV per month into a directory (`…-2013-12.csv`); the first `trained` of them are there before
    anything is asked.
    Rows of one hour by `time` (a column, ISO 8601 in UTC) and the same `asked_by` are asked about in one request.
    """

    name: str
    catalog: Path
    model: str
    dataset: str
    files: Callable[[Path], list[Path]]
    trained: int
    time: str
    asked_by: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset({""})
    models: Path | None = None

    def catalog_in(self, directory: Path) -> Path:
        """The catalog, as it is or put together in `directory`."""
        if self.models is None:
            return self.catalog
        shutil.copytree(self.catalog, directory, dirs_exist_ok=True)
        shutil.copytree(self.models, directory / "models", dirs_exist_ok=True)
        return directory

    def read(self, file: Path) -> list[Row]:
        """The rows of a month's file, what is missing as None."""
        with file.open(newline="", encoding="utf-8") as lines:
            return [
                {name: None if value in self.missing else value for name, value in row.items()}
                for row in csv.DictReader(lines)
            ]

    def at(self, row: Row) -> datetime:
        """When a row happens."""
        return datetime.fromisoformat(str(row[self.time]))

    def requests(self, rows: list[Row]) -> Iterator[list[Row]]:
        """The rows of a day, in the requests in which they are asked about."""

        def key(row: Row) -> tuple[int | str, ...]:
            return (self.at(row).hour, *(str(row[column]) for column in self.asked_by))

        for _, group in groupby(sorted(rows, key=key), key=key):
            yield list(group)


@dataclass(frozen=True)
class Year:
    """The rows of an example by the day (UTC) on which they happen."""

    example: Example
    files: list[Path]

    @cached_property
    def days(self) -> dict[date, list[Row]]:
        """What is asked on each day, in order: all but the months that the first model is trained on.

        A file holds a month by local time: its last hours, which are the next month's in UTC, are the next file's to
        ask about; after the last file, nobody asks.
        """
        found: dict[date, list[Row]] = defaultdict(list)
        for file in self.files[self.example.trained :]:
            for row in self.example.read(file):
                found[self.example.at(row).date()].append(row)
        last = self.files[-1].stem[-len("2013-12") :]
        return {day: rows for day, rows in sorted(found.items()) if f"{day:%Y-%m}" <= last}


FLIGHTS = Example(
    name="flights",
    catalog=ROOT / "infra" / "catalog",
    models=ROOT / "infra" / "examples" / "flights" / "models",
    model="flight-delays",
    dataset="flights",
    files=flights.months,
    trained=3,
    time="time_hour",
    asked_by=("origin",),
    missing=frozenset({"", "NA"}),
)
PARCELS = Example(
    name="parcels",
    catalog=ROOT / "infra" / "examples" / "parcels",
    model="parcels",
    dataset="parcels",
    files=lambda directory: parcels.months(directory, 12),
    trained=3,
    time="handed over at",
)
EXAMPLES = {example.name: example for example in (FLIGHTS, PARCELS)}
