"""Check, type, deduplicate, digest and write one file under its contract: stage ingest without S3."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from perennial.catalog.contract import read_contract
from perennial.datasets.sift import sift
from scripts.benchmarks.contenders.loop import serve


def main(data: str, contract_file: str) -> None:
    """`data` is the CSV file."""
    contract = read_contract(Path(contract_file))

    def ingest() -> None:
        with tempfile.TemporaryDirectory() as folder:
            sifted = sift(Path(data), Path(data).name, contract, Path(folder))
            if sifted.refusal is not None:
                raise RuntimeError(f"refused: {sifted.refusal}")

    serve(lambda: {"year": ingest}, ("pyarrow",))


if __name__ == "__main__":
    main(*sys.argv[1:])
