"""Bench `monitoring`: what watches a model, beside its peers; what it costs, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.benchmarks import drift_alarms, drift_cost, harm, label_free
from scripts.benchmarks.rows import Row
from scripts.steps import Say


def run(say: Say) -> Iterator[Row]:
    """All rows. Raises Failure when a contender that could be installed does not run."""
    yield from drift_cost.run(say)
    yield from drift_alarms.run(say)
    yield from label_free.rows(say)
    yield from harm.rows(say)
