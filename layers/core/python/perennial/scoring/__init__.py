"""Batch scoring: the rows of a file, scored by the version that served when the file came, each exactly once."""

from perennial.scoring.table import score_table

__all__ = ["score_table"]
