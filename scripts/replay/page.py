"""The timeline of a year as one self-contained page: no scripts, nothing from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape

from scripts.replay.chart import Line, Mark, Span, chart
from scripts.replay.timeline import Event, Timeline

NAMES = {"served": "the loop", "frozen": "never retrained", "always": "retrained every month"}
# One lane of marks each, from what the monitor said down to what came of it.
LANES = {
    "alarmed": "alarms",
    "requested": "trainings",
    "declined": "declined",
    "refused": "refused by a gate",
    "rolled back": "rolled back",
    "deployed": "deployed",
}

STYLE = """
:root {
  --ink: #1a1c20; --quiet: #63686f; --ground: #ffffff; --line: #dfe2e6; --accent: #0b6bcb; --bad: #b3261e;
  --good: #1d7a4c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaed; --quiet: #9aa0a6; --ground: #16181c; --line: #33373d; --accent: #6cb2ff; --bad: #ff8a80;
    --good: #6fd39b;
  }
}
body {
  background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 64rem; padding: 0 1rem;
}
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
p, figcaption { color: var(--quiet); margin: .3rem 0 1rem; }
figure { margin: 1rem 0; overflow-x: auto; }
svg { display: block; min-width: 52rem; width: 100%; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top; }
th { color: var(--quiet); font-weight: 500; }
td:first-child { white-space: nowrap; }
.number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 2.5rem; margin: 1.5rem 0 .5rem; }
.figures div { color: var(--quiet); }
.figures b { color: var(--ink); display: block; font-size: 1.7rem; font-weight: 600; }
.bad { color: var(--bad); }
.good { color: var(--good); }
"""


def page(year: Timeline) -> str:
    """The page's HTML."""
    title = f"A year of {year.model}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_opening(year)}</p>",
        _figures(year),
        _picture(year),
        "<h2>By month</h2>",
        _months(year),
        "<h2>Challengers that were made bad on purpose</h2>",
        _injected(year),
        "<h2>Every decision, from the ledger</h2>",
        _decisions(year.events),
    ]
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def _opening(year: Timeline) -> str:
    months = len(year.months)
    rows = sum(month.rows for month in year.months)
    return escape(
        f"{months} months of the example {year.example} on the local cloud: {rows:,} predictions whose outcome came, "
        f"in {year.requests:,} requests of which {year.faults:,} failed. {year.metric}: "
        f"{'larger' if year.greater_is_better else 'smaller'} is better."
    )


def _figures(year: Timeline) -> str:
    shown = [(NAMES[name], _number(year.mean(name))) for name in ("served", "frozen", "always")]
    shown.append(("versions it deployed", str(year.deployed)))
    shown.append(("with one every month", str(year.months_after_the_first)))
    cells = "".join(f"<div><b>{value}</b>{escape(name)}</div>" for name, value in shown)
    return f'<div class="figures">{cells}</div>'


def _picture(year: Timeline) -> str:
    if not year.months:
        return ""
    middles = [date.fromisoformat(f"{month.month}-15") for month in year.months]
    lines = [
        Line(NAMES[name], style, [(day, getattr(month, name)) for day, month in zip(middles, year.months, strict=True)])
        for name, style in (("frozen", "quiet"), ("always", "dashed"), ("served", "accent"))
    ]
    marks = [Mark(LANES[lane], _day(event), event.text) for event in year.events if (lane := _lane(event)) in LANES]
    end = date.fromisoformat(f"{year.months[-1].month}-28")
    deployed = [event for event in year.events if event.kind == "deployed"]
    spans = [
        Span(f"version {event.version}", _day(event), _day(after) if after else end)
        for event, after in zip(deployed, [*deployed[1:], None], strict=True)
    ]
    drawn = chart(f"{year.metric} by month, and what was decided", lines, list(LANES.values()), marks, spans)
    caption = "The metric by month; which version served; what was decided. A mark says why when pointed at."
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _lane(event: Event) -> str:
    return "refused" if event.kind == "gated" and event.text.startswith("refused") else event.kind


def _day(event: Event) -> date:
    return date.fromisoformat(event.at[:10])


def _months(year: Timeline) -> str:
    columns = ("served", "frozen", "always")
    rows = [
        [month.month, f"{month.rows:,}", ", ".join(sorted(month.versions, key=int))]
        + [_number(getattr(month, name)) for name in columns]
        for month in year.months
    ]
    heads = ["month", "outcomes", "versions", *(NAMES[name] for name in columns)]
    return _table(heads, rows, numbers={1, 3, 4, 5})


def _injected(year: Timeline) -> str:
    rows = [
        [
            one["kind"],
            '<span class="bad">passed</span>' if one["passed"] else '<span class="good">refused</span>',
            escape("; ".join(one["reasons"])),
        ]
        for one in year.refused
    ]
    return _table(["what was wrong", "verdict", "why"], rows) if rows else "<p>None.</p>"


def _decisions(events: Sequence[Event]) -> str:
    rows = [
        [event.at[:10], escape(event.kind), "" if event.version is None else str(event.version), escape(event.text)]
        for event in events
    ]
    return _table(["when", "what", "version", "why"], rows) if rows else "<p>None.</p>"


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[int] | set[int] = frozenset()
) -> str:
    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if index in numbers else ''}>{value}</{tag}>" for index, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<table><thead><tr>{cells('th', [escape(head) for head in heads])}</tr></thead><tbody>{body}</tbody></table>"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
