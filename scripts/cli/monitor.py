"""`perennial monitor MODEL`: look at what a model predicted and at what became of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.config import Config
from rich.console import Group
from rich.markup import escape

from perennial.monitoring.report import words
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json, table

First = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First day (UTC).")
]
Last = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last day (UTC).")]
# Longer than a look may take (infra/stages/monitor.py).
_PATIENCE_S = 910
_SHOWN = 12


def monitor(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    first: First = None,
    last: Last = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Save the report here (one HTML file).", dir_okay=False)
    ] = None,
    open_report: Annotated[bool, typer.Option("--open-report", help="Open the report in a browser.")] = False,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Look at MODEL now: what moved, by how much, since when; how good it is where outcomes are due; what happens next.

    Without --from and --to that is the window of its spec, as its schedule looks at it, and alarms are raised; days
    that you choose are told to you alone.
    """
    deployment = Deployment(env)
    name = deployment.catalog.model(model).name
    asked = _asked(name, deployment.now(), first, last)
    with errors.status(f"looking at {escape(name)}"):
        seen = _look(deployment, asked)
        told = deployment.data.get_json(seen["report_key"])
        saved = _save(deployment, seen["html_key"], told, report) if report or open_report else None
    if as_json:
        print_json(told)
    else:
        console.print(_shown(told, f"s3://{deployment.data.bucket}/{seen['html_key']}", seen["raised"]))
    if saved is not None:
        errors.print(f"Report saved: {escape(str(saved))}", soft_wrap=True)
    if saved is not None and open_report:
        typer.launch(saved.resolve().as_uri())


def _save(deployment: Deployment, key: str, told: dict[str, Any], path: Path | None) -> Path:
    path = path or Path(f"{told['model']}-{told['window']['from']}-{told['window']['to']}.html")
    path.write_bytes(deployment.data.get(key))
    return path


def _asked(model: str, now: datetime, first: datetime | None, last: datetime | None) -> dict[str, str]:
    """The message to the stage. Raises Failure for days that cannot be a window, before anybody is asked."""
    today = now.date()
    for day in (first, last):
        if day is not None and day.date() > today:
            raise Failure(f"{day:%Y-%m-%d} has not been yet; today is {today}")
    until = last.date() if last else today - timedelta(days=1)
    if first is not None and first.date() > until:
        raise Failure(f"a window cannot begin on {first:%Y-%m-%d} and end on {until}")
    days = {name: day.date().isoformat() for name, day in (("from", first), ("to", last)) if day is not None}
    return {"model": model, "as_of": now.isoformat(), **days}


def _look(deployment: Deployment, asked: dict[str, str]) -> dict[str, Any]:
    """What the stage answers. Raises Failure with its own words."""
    patient = Config(read_timeout=_PATIENCE_S, retries={"total_max_attempts": 1})
    reply = deployment.client("lambda", patient).invoke(
        FunctionName=deployment.parameters["monitor-function"], Payload=json.dumps(asked).encode()
    )
    answer: dict[str, Any] = json.loads(reply["Payload"].read())
    if reply.get("FunctionError"):
        raise Failure(f"{answer.get('errorType', 'failed')}: {answer.get('errorMessage', answer)}")
    return answer


def _shown(told: dict[str, Any], where: str, raised: bool) -> Group:
    window = told["window"]
    serves = f"version {told['champion']} serves" if told["champion"] else "nothing serves"
    head = f"[bold]{escape(told['model'])}[/], {window['from']} to {window['to']}: {told['state']}; {serves}"
    parts: list[Any] = [head, "", *_alarms(told, raised), *_traffic(told), *_outcomes(told), *_moved(told)]
    return Group(*parts, f"Report: {escape(where)}")


def _alarms(told: dict[str, Any], raised: bool) -> list[str]:
    if not told["alarms"]:
        return ["No alarm.", ""]
    lines = []
    for one in told["alarms"]:
        lines.append(f"[bold red]{one['reason'].title()}[/]: {_said(one)}")
        if one["slice"]:
            worst = one["slice"]
            lines.append(f"  worst where {escape(worst['column'])} is {escape(str(worst['value']))}")
        nobody = "" if raised else "nobody was told, since these days were chosen; otherwise "
        lines += [f"  next: {nobody}{escape(one['next'])}", ""]
    return lines


def _said(one: dict[str, Any]) -> str:
    since = f" since {one['since']}" if one["since"] else ""
    return escape(f"{one['what']}{since}: {one['how_much']} ({one['predictions']:,} predictions)")


def _traffic(told: dict[str, Any]) -> list[Any]:
    rows = [(one["version"], one["rows"], one["first"], one["last"]) for one in told["versions"]]
    shown = table("Predictions", ("version", "rows", "first day", "last day"), rows, empty="none in this window")
    findings = [
        (one["column"], one["rule"], words.share(one["before"]), words.share(one["now"]))
        for one in told["quality"]["findings"]
    ]
    parts: list[Any] = [shown, ""]
    if findings:
        parts += [table("Data quality", ("column", "what", "in training", "now"), findings), ""]
    return parts


def _outcomes(told: dict[str, Any]) -> list[Any]:
    found, harm = told["performance"], told["harm"]
    harmed = [f"Harm: {escape(harm['words'] if harm else told['why'].get('harm', 'nothing is known'))}", ""]
    if not found:
        return [f"Performance: {escape(told['why'].get('performance', 'nothing is known'))}", "", *harmed]
    trained, cohort = found["trained"] or {}, told["cohort"]
    rows = [
        (words.metric(name), words.interval(value), words.value(trained.get(name)))
        for name, value in found["metrics"].items()
    ]
    title = f"Performance, {cohort['from']} to {cohort['to']}, {words.share(cohort['coverage'])} of outcomes known"
    parts: list[Any] = [table(title, ("", f"version {found['version']} now", "when trained"), rows), ""]
    parts += harmed
    worse = [
        (one["column"], one["value"], words.interval(one["metric"]), one["rows"])
        for one in found["slices"]
        if one["worse"]
    ]
    if worse:
        parts += [table("Worse than elsewhere", ("column", "value", found["sliced"]["metric"], "rows"), worse), ""]
    for one in (told["value"] or {}).get("versions", []):
        total = {"value": one["total"], "low": one["total_low"], "high": one["total_high"]}
        parts.append(
            f"Value of version {one['version']}: {words.interval(total)} {escape(told['unit'] or '')}".rstrip()
        )
    return parts


def _moved(told: dict[str, Any]) -> list[Any]:
    found = told["drift"]
    if not found:
        return [f"Drift: {escape(told['why'].get('drift', 'nothing is known'))}", ""]
    rows = [
        (words.column(one["name"]), words.share(one["effect"]), words.chance(one["p"]), one["since"], one["words"])
        for one in found["columns"]
        if one["role"] == "plain"
    ][:_SHOWN]
    state = "" if found["state"] == "compared" else f" ({found['state']})"
    title = f"Inputs and scores beside those of training{state}"
    return ["", table(title, ("column", "effect", "p", "moved since", "change"), rows), ""]
