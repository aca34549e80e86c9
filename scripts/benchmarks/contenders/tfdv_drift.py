"""TensorFlow Data Validation's statistics of two CSV files and its drift comparator on every column."""

from __future__ import annotations

import sys
import warnings

import tensorflow_data_validation as tfdv

from scripts.benchmarks.contenders.frames import read
from scripts.benchmarks.contenders.peak import run


def main(first: str, second: str, mode: str = "") -> None:
    """`first` is the reference."""
    warnings.simplefilter("ignore")

    def drift() -> object:
        before, now = (tfdv.generate_statistics_from_dataframe(read(path), n_jobs=1) for path in (first, second))
        schema = tfdv.infer_schema(before)
        for feature in schema.feature:
            comparator = tfdv.get_feature(schema, feature.name).drift_comparator
            if tfdv.get_feature(schema, feature.name).type == 1:
                comparator.infinity_norm.threshold = 0.1
            else:
                comparator.jensen_shannon_divergence.threshold = 0.1
        return tfdv.validate_statistics(now, schema, previous_statistics=before)

    run(drift, ("tensorflow-data-validation", "pandas"), mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
