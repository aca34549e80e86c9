"""Bench `monitoring`: what watches a model, beside its peers."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.benchmarks import harm, label_free
from scripts.benchmarks.interleave import Say
from scripts.benchmarks.rows import Row


def run(say: Say) -> Iterator[Row]:
    """All rows. Raises Failure when a contender does not run."""
    yield from label_free.rows(say)
    yield from harm.rows(say)
