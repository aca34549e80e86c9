"""Evaluation: metrics with intervals, absolute bounds, comparison with the champion on the same rows.

Imports no scikit-learn: a graph, its held-out rows and numpy are all that a verdict needs.
"""
