"""`perennial ledger`: read and verify the record of decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from perennial.governance.records import checked_subject
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, print_json, table

ledger = typer.Typer(help="Read and verify the append-only record of every decision.", no_args_is_help=True)


def _checked(subject: str | None) -> str | None:
    """`subject` itself. Raises Failure when no subject can be called so."""
    try:
        return checked_subject(subject) if subject else None
    except ValueError as error:
        kinds = "dataset/<name>, feedback/<model> and model/<name>"
        raise Failure(f"no subject of the ledger can be called {subject!r}; subjects are {kinds}") from error


Subject = Annotated[
    str | None,
    typer.Argument(help="For example model/flights; all subjects when left out.", callback=_checked),
]


@ledger.command()
def show(subject: Subject = None, env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """List the recorded facts, oldest first."""
    records = list(Deployment(env).ledger.read(subject))
    if subject and not records:
        raise Failure(_absent(subject))
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    rows = [(r.subject, r.seq, r.fact, r.actor, r.at, r.key) for r in records]
    console.print(table("Ledger", ("subject", "seq", "fact", "by", "at", "key"), rows))


@ledger.command()
def verify(subject: Subject = None, env: EnvironmentName = "dev", as_json: AsJson = False) -> None:
    """Check every hash chain; a broken one ends with status 1."""
    report = Deployment(env).ledger.verify(subject)
    # a chain that is gone altogether is none of these: the index knows of it
    if subject and report.ok and not any(chain.records for chain in report.chains):
        raise Failure(_absent(subject))
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        rows = [(c.subject, c.records, "intact" if not c.problems else "\n".join(c.problems)) for c in report.chains]
        console.print(table("Ledger chains", ("subject", "records", "chain"), rows))
    if not report.ok:
        raise typer.Exit(1)


def _absent(subject: str) -> str:
    return f"the ledger has no subject {subject!r}; `perennial ledger verify` lists those that it has"
