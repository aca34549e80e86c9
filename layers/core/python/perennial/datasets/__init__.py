"""Datasets: reading dropped files, checking their rows, committing versions."""
