"""A million rows: proposed from and ingested within bounded memory, by a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest

ROWS = 1_000_000
MIB = 1024 * 1024
# Beyond what Python and the imports below take; 237 MiB were measured. The file has 37.
ALLOWED = 400 * MIB

PROPOSE = """
import json, resource, sys, tempfile
from pathlib import Path
from perennial.catalog.contract import parse_contract
from perennial.datasets.sift import sift
from perennial.proposal.propose import propose

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

path, started = Path(sys.argv[1]), peak()
found = propose(path, "late", "made")
proposed = peak()
contract = parse_contract(found.contract, "contracts/made.yaml")
with tempfile.TemporaryDirectory(dir=path.parent) as folder:
    sifted = sift(path, path.name, contract, Path(folder))
print(json.dumps({
    "rows": found.survey.rows, "types": {name: plan.type for name, plan in found.plans.items()},
    "accepted": sifted.accepted, "quarantined": sifted.quarantined, "refusal": str(sifted.refusal),
    "propose": proposed - started, "both": peak() - started,
}))
"""


def made(path: Path) -> Path:
    """A million rows of six columns: an identifier, a day, a number with gaps, a whole number, a word, a label."""
    rng = np.random.default_rng(3)
    number = rng.normal(size=ROWS).round(3)
    table = {
        "id": np.arange(ROWS),
        "day": (np.datetime64("2024-01-01") + np.arange(ROWS) // 3000).astype("datetime64[D]"),
        "size": pa.array(number, mask=rng.random(ROWS) < 0.05),
        "count": rng.integers(0, 1000, ROWS),
        "city": rng.choice(["Basel", "Cork", "Ålesund"], ROWS),
        "late": (number + rng.normal(size=ROWS) > 0).astype(int),
    }
    pc.write_csv(pa.table(table), path)
    return path


@pytest.mark.full
def test_a_million_rows_are_proposed_from_and_ingested_within_bounded_memory(tmp_path: Path) -> None:
    path = made(tmp_path / "made.csv")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROPOSE, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert (told["rows"], told["accepted"], told["quarantined"]) == (ROWS, ROWS, 0), told
    assert told["types"] == {
        "id": "integer", "day": "date", "size": "number", "count": "integer", "city": "string", "late": "integer",
    }  # fmt: skip
    assert told["propose"] < ALLOWED, told
    assert told["both"] < ALLOWED, told
