"""`perennial ledger`: read and verify the record of decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, print_json, table

ledger = typer.Typer(help="Read and verify the append-only record of every decision.", no_args_is_help=True)

Subject = Annotated[str | None, typer.Argument(help="For example model/flights; all subjects when left out.")]


@ledger.command()
def show(subject: Subject = None, env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """List the recorded facts, oldest first."""
    records = list(Deployment(env).ledger.read(subject))
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    rows = [(r.subject, r.seq, r.fact, r.actor, r.at, r.key) for r in records]
    console.print(table("Ledger", ("subject", "seq", "fact", "by", "at", "key"), rows))


@ledger.command()
def verify(subject: Subject = None, env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """Check every hash chain; a broken one ends with status 1."""
    report = Deployment(env).ledger.verify(subject)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        rows = [(c.subject, c.records, "intact" if not c.problems else "\n".join(c.problems)) for c in report.chains]
        console.print(table("Ledger chains", ("subject", "records", "chain"), rows))
    if not report.ok:
        raise typer.Exit(1)
