"""Bench `ingest`: the year's flights beside bare pyarrow; the loop from drop to serving on the local cloud."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks.interleave import Effort, contenders, interleaved, own
from scripts.benchmarks.loop import drop_to_serving
from scripts.benchmarks.rows import Row, compare
from scripts.cli.local import ROOT, WORKDIR
from scripts.flights import months, source
from scripts.steps import Say

GOAL = 1.6
CONTRACT = ROOT / "infra" / "catalog" / "contracts" / "flights.yaml"


def run(say: Say) -> Iterator[Row]:
    """All rows. Raises Failure when a contender does not run or the loop does not end with a served model."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with zipfile.ZipFile(source()) as archive:
            year = Path(archive.extract(archive.namelist()[0], name))
        yield _year(year, Effort(rounds=9), say)
    yield from drop_to_serving(months(WORKDIR / "flights")[:3], say)


def _year(year: Path, effort: Effort, say: Say) -> Row:
    say("ingest of the year")
    python = Path(sys.executable)
    commands = {
        "perennial": own(python, "perennial_ingest", str(year), str(CONTRACT)),
        "pyarrow": own(python, "bare_pyarrow", str(year)),
    }
    with contenders(commands) as started:
        taken = interleaved(started, "year", effort)
        return compare(
            "ingest of the year: check, digest, write / pyarrow.csv stream + Parquet write",
            taken["perennial"], taken["pyarrow"], unit="CPU s", versions=started["pyarrow"].versions, goal=GOAL,
        )  # fmt: skip
