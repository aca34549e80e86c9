"""Two CSV files read in a stream, counted into profiles by day, and compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from perennial.catalog.contract import Contract, read_contract
from perennial.datasets.convert import arrow_schema
from perennial.datasets.histograms import counted
from perennial.monitoring.drift import detect
from scripts.benchmarks.contenders.peak import run


def batches(path: str, contract: Contract) -> Iterator[pa.RecordBatch]:
    """The rows of a file in the contract's types, on one thread as a function of one core would read them."""
    schema = arrow_schema(contract.columns)
    options = pc.ConvertOptions(
        column_types={field.name: field.type for field in schema}, null_values=["", "NA"], strings_can_be_null=True
    )
    with pc.open_csv(path, read_options=pc.ReadOptions(use_threads=False), convert_options=options) as reader:
        yield from reader


def main(first: str, second: str, contract_file: str, mode: str = "") -> None:
    """`first` is the reference."""
    contract = read_contract(Path(contract_file))

    def drift() -> dict[str, Any]:
        before = counted(contract, batches(first, contract), None)
        reference = before.profile()
        window = counted(contract, batches(second, contract), before.grid).profile()
        return detect(reference, window, alpha=0.05).to_json()

    run(drift, ("pyarrow", "numpy"), mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
