"""Evidently's preset on two CSV files."""

from __future__ import annotations

import sys
import warnings

from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from scripts.benchmarks.contenders.frames import read
from scripts.benchmarks.contenders.peak import run


def verdict(before: object, now: object) -> object:
    """What the preset says of two frames, each column's test chosen by Evidently."""
    reference, current = (Dataset.from_pandas(side, data_definition=DataDefinition()) for side in (before, now))
    return Report([DataDriftPreset()]).run(current, reference).dict()


def main(first: str, second: str, mode: str = "") -> None:
    """`first` is the reference."""
    warnings.simplefilter("ignore")
    run(lambda: verdict(read(first), read(second)), ("evidently", "pandas"), mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
