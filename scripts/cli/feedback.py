"""`perennial feedback MODEL FILE`: say what became of predictions. `perennial outcomes MODEL`: count what is known."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from perennial.datasets.batches import Drop, not_data
from perennial.outcomes import join_outcomes, read_outcomes
from perennial.outcomes.dropped import parse_feedback, record_key, subject_of
from perennial.outcomes.store import INBOX
from perennial.serving.log import read_records, rows_of
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json
from scripts.cli.upload import upload

Model = Annotated[str, typer.Argument(help="A model of the catalog.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


def feedback(
    model: Model,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, JSON lines or Parquet: prediction_id (or the entity's columns and event_time), outcome, and if "
            "known amount and at.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the outcomes are recorded or refused.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 300.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Upload FILE to the data bucket; its outcomes are recorded. With --wait, a refused file ends with status 1."""
    deployment = Deployment(env)
    deployment.catalog.model(model)
    key = f"{INBOX}{model}/{file.name}"
    if reason := not_data(key, INBOX):
        raise Failure(f"{key}: {reason}: it would be passed over; give the file another name")
    _, dropped = parse_feedback(key, upload(deployment, file, key))
    result: dict[str, Any] = {"key": key, "bucket": deployment.data.bucket, "model": model, "batch": dropped.batch}
    if wait:
        result |= _await(deployment, model, dropped, timeout)
    if as_json:
        print_json(result)
    else:
        _tell(result)
    if result.get("status") == "refused":
        raise typer.Exit(1)


def _await(deployment: Deployment, model: str, dropped: Drop, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    with errors.status("waiting for the outcomes to be recorded"):
        while time.monotonic() < deadline:
            for fact in ("accepted", "refused"):
                if record := deployment.ledger.find(subject_of(model), record_key(dropped, fact)):
                    return {"status": fact, **record.evidence}
            time.sleep(0.2)
    raise Failure(f"the outcomes of batch {dropped.batch} were neither recorded nor refused within {timeout:.0f} s")


def _tell(result: dict[str, Any]) -> None:
    where = f"s3://{result['bucket']}/{result['key']}"
    match result.get("status"):
        case None:
            console.print(f"Dropped {escape(where)} (batch {result['batch']})", soft_wrap=True)
        case "accepted":
            console.print(f"Recorded {result['outcomes']:,} outcomes, {result['quarantined']:,} rows in quarantine")
        case _:
            console.print(f"[bold red]Refused[/] {escape(where)}: {escape(result['reason'])}", soft_wrap=True)
    if result.get("report_key"):
        console.print(f"Report: s3://{result['bucket']}/{result['report_key']}", soft_wrap=True, markup=False)


def outcomes(
    model: Model,
    since: Day = None,
    until: Day = None,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Count predictions and outcomes that arrived on the days SINCE to UNTIL (UTC; the last 30 when left out)."""
    deployment = Deployment(env)
    spec = deployment.catalog.model(model)
    last = (until or datetime.now(UTC)).date()
    first = since.date() if since else last - timedelta(days=29)
    found = read_outcomes(deployment.data, model, first, last)
    records = read_records(deployment.data, model, first, last)
    pairs = join_outcomes((row for record in records for row in rows_of(record)), found, spec.entity)
    matched = [outcome for _, outcome in pairs]
    amounts = [one.amount for one in matched if one is not None and one.amount is not None]
    known = {
        "model": model,
        "since": str(first),
        "until": str(last),
        "outcomes": len(found),
        "repeats": found.repeats,
        "conflicts": found.conflicts,
        "predictions": len(matched),
        "with_outcome": sum(one is not None for one in matched),
        "amount": sum(amounts) if amounts else None,
        "amount_unit": spec.amount_unit,
    }
    if as_json:
        print_json(known)
        return
    console.print(f"{first} to {last}: {known['outcomes']:,} outcomes ({found.conflicts:,} contradicted or corrected)")
    console.print(f"{known['with_outcome']:,} of {known['predictions']:,} predictions have one")
    if amounts:
        console.print(f"Worth {sum(amounts):,.2f} {escape(spec.amount_unit or '')}")
