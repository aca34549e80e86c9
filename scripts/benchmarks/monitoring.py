"""Bench `monitoring`: what drift detection costs beside its peers, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.benchmarks import drift_alarms, drift_cost
from scripts.benchmarks.interleave import Say
from scripts.benchmarks.rows import Row


def run(say: Say) -> Iterator[Row]:
    """All rows. Raises Failure when a contender that could be installed does not run."""
    yield from drift_cost.run(say)
    yield from drift_alarms.run(say)
