"""NannyML's univariate drift of two CSV files, each a chunk; its default methods, all columns but the time."""

from __future__ import annotations

import sys
import warnings

import nannyml as nml

from scripts.benchmarks.contenders.frames import read
from scripts.benchmarks.contenders.peak import run


def main(first: str, second: str, mode: str = "") -> None:
    """`first` is the reference."""
    warnings.simplefilter("ignore")
    nml.disable_usage_logging()

    def drift() -> object:
        before, now = read(first), read(second)
        columns = [name for name in before.columns if name != "time_hour"]
        calculator = nml.UnivariateDriftCalculator(
            column_names=columns, timestamp_column_name="time_hour", chunk_number=1
        )
        return calculator.fit(before).calculate(now).to_df()

    run(drift, ("nannyml", "pandas"), mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
