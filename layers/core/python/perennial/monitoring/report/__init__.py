"""The report of a window: one HTML file that needs nothing from outside, made of monitor.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from perennial.monitoring.report import outcomes, parts, words
from perennial.monitoring.report.style import CSS

PARTS = (
    parts.alarms, parts.tiles, outcomes.performance, outcomes.slices, outcomes.calibration, outcomes.value,
    outcomes.estimate, parts.quality, parts.drift, parts.traffic,
)  # fmt: skip


def render(told: Mapping[str, Any]) -> str:
    """The page. Texts are escaped; the same report gives the same page."""
    window = told["window"]
    title = f"{told['model']}, {window['from']} to {window['to']}"
    champion = f"version {told['champion']} serves" if told["champion"] is not None else "nothing serves"
    said = f"{words.count(window['days'])} days, as of {told['as_of']}; {champion}; {told['state']}"
    body = "".join(part(told) for part in PARTS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>"
        f'<body><main><h1>{escape(told["model"])}</h1><p class="soft">{escape(window["from"])} to '
        f"{escape(window['to'])}: {escape(said)}</p>{body}</main></body></html>"
    )
