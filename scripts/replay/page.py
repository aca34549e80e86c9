"""The timeline of a year as one self-contained page."""

from __future__ import annotations

from scripts.replay.timeline import Timeline


def page(year: Timeline) -> str:
    """HTML."""
    return year.model
