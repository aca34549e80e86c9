"""Evaluation: metrics with intervals, gates, comparison with the champion."""
