"""Perennial's domain library: the lifecycle of a model, from dropped files to served predictions."""

__version__ = "0.1.0"
