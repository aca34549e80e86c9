"""What `scripts/bench` does: run the named benchmarks, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.table import Table

from infra.synth import SynthesisFailed
from perennial.errors import PerennialError
from scripts.benchmarks.rows import Row, times, wanted
from scripts.cli.output import Failure, cell, console, errors
from scripts.steps import Say

NAMES = ("serving", "ingest", "judge", "monitoring")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything ran, whether goals were met or not; 1 when something did not run."""
    options = _options(arguments)
    began = time.monotonic()

    def say(what: str) -> None:
        errors.print(f"[dim]{time.monotonic() - began:6.1f} s[/] {what}")

    rows: list[Row] = []
    failed = False
    for name in options.names or NAMES:
        say(f"[bold]{name}[/]")
        try:
            for row in _benchmark(name)(say):
                rows.append(row)  # one by one: what was measured before a failure is kept
        except (Failure, PerennialError, SynthesisFailed, OSError) as error:
            failed = True
            errors.print(f"[bold red]{name} did not run:[/] {error}", soft_wrap=True)
    console.print(shown(rows))
    if options.json:
        options.json.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    return 1 if failed else 0


def _benchmark(name: str) -> Callable[[Say], Iterable[Row]]:
    # loaded when it is named: one brings boto3, the other scikit-learn
    module: Any = import_module(f"scripts.benchmarks.{name}")
    found: Callable[[Say], Iterable[Row]] = module.run
    return found


def shown(rows: Sequence[Row]) -> Table:
    """The table for people. Ratios are ours ÷ peer, so less is better."""
    table = Table(title="Perennial beside its peers", title_justify="left", title_style="bold", header_style="dim")
    for column in ("what", "beside"):
        table.add_column(column, overflow="fold")
    for column in ("ours", "peer", "unit", "ratio", "goal", "met"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        what, _, beside = row.name.partition(" / ")
        met = {None: "–", True: "yes", False: "[bold]NO[/]"}[row.met]
        table.add_row(what, beside or "–", cell(row.ours), cell(row.peer), row.unit, times(row.ratio), wanted(row), met)
    versions = dict(sorted(pair for row in rows for pair in row.versions.items()))
    table.caption = ", ".join(f"{name} {version}" for name, version in versions.items())
    return table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Perennial beside its peers, on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (without: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
