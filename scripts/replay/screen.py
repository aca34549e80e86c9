"""The timeline of a year in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from scripts.cli.output import table
from scripts.replay.timeline import Timeline

# Eight heights of a bar, for values at a glance.
BARS = "▁▂▃▄▅▆▇█"
MARKS = {
    "alarmed": "alarm",
    "requested": "training",
    "declined": "declined",
    "gated": "gates",
    "deployed": "deployed",
    "rolled back": "rolled back",
    "inconclusive": "inconclusive",
    "failed": "failed",
}


def show(year: Timeline, console: Console) -> None:
    """Months with all three figures, then what was decided, then the bad challengers."""
    names = ("frozen", "served", "always")
    values = [value for month in year.months for name in names if (value := getattr(month, name)) is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)

    def figure(value: float | None) -> str:
        if value is None:
            return "–"
        height = round((value - low) / ((high - low) or 1) * (len(BARS) - 1))
        return f"{BARS[height]} {value:.3f}"

    rows: list[tuple[object, ...]] = [
        (
            month.month,
            month.rows,
            " → ".join(sorted(month.versions, key=int)),
            *(figure(getattr(month, name)) for name in names),
        )
        for month in year.months
    ]
    rows.append(("mean", None, f"{year.deployed} deployed", *(figure(year.mean(name)) for name in names)))
    columns = ("month", "labelled", "versions", "never retrained", "the loop", "every month")
    console.print(table(f"{year.model}: {year.metric} by month", columns, rows))
    console.print()
    decided = [(event.at[:10], MARKS.get(event.kind, event.kind), event.version, event.text) for event in year.events]
    console.print(table("What was decided", ("when", "what", "version", "why"), decided))
    console.print()
    for one in year.refused:
        verdict = "[bold red]passed[/]" if one["passed"] else "refused"
        console.print(f"Injected, {one['kind']}: {verdict}. {escape('; '.join(one['reasons']))}", soft_wrap=True)
