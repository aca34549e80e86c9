"""`perennial experiment MODEL`: two versions on live traffic, side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group

from perennial.experiments.analysis import Estimate
from perennial.experiments.observed import observe
from perennial.experiments.report import Report, coverage, report
from perennial.experiments.window import between, read_known, read_window
from perennial.registry import Champion, Experiment
from scripts.cli.challenge import Timeout, Wait, roll_out, signature_of
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, Failure, cell, console, errors, print_json, table

First = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First date (UTC); else its start."),
]
Last = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last date (UTC); else its end."),
]


def experiment(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    first: First = None,
    last: Last = None,
    winner: Annotated[
        int | None, typer.Option(metavar="VERSION", help="End it instead: this version serves alone.", min=1)
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 900.0,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Show the latest experiment of MODEL: the split, quality and value of both versions, a verdict.

    You may look as often as you like: the intervals hold at all looks together.
    """
    deployment = Deployment(env)
    if winner is not None:
        execution = roll_out(deployment, model, _arm(deployment, model, winner), timeout if wait else None)
        if as_json:
            print_json({"model": model, "version": winner, "execution": execution, "serves": wait})
        else:
            told = "serves alone" if wait else f"is to serve alone: execution {execution}"
            console.print(f"{model} version {winner} {told}", soft_wrap=True)
        return
    spec = deployment.catalog.model(model)
    began, ended, running = _latest(deployment, spec.name)
    begin = (first or began.at).date()
    end = last.date() if last else ended.at.date() if ended else None
    with errors.status("reading the prediction log and its outcomes"):
        # of two experiments on one day each has its own rows, whatever their salts are
        since, until = None if first else began.at, None if last or ended is None else ended.at
        records = between(read_window(deployment.data, model, begin, end), since, until)
        outcomes = read_known(deployment.data, model, begin)
        classes = signature_of(deployment, running.champion, model).classes
        found = report(running, spec, observe(records, outcomes, running, spec, classes))
    if as_json:
        times = {"began": began.at, "ended": ended.at if ended else None}
        print_json({"model": model, **times, **found.to_json()})
    else:
        console.print(_shown(model, spec.amount_unit, began.at, ended.at if ended else None, found))


def _arm(deployment: Deployment, model: str, winner: int) -> int:
    champion = deployment.registry.champion(deployment.catalog.model(model).name)
    running = champion.experiment if champion else None
    if running is None:
        raise Failure(f"no experiment of {model} is running")
    if winner not in (running.champion, running.challenger):
        raise Failure(f"version {winner} is no arm of it: they are {running.champion} and {running.challenger}")
    return winner


def _latest(deployment: Deployment, model: str) -> tuple[Champion, Champion | None, Experiment]:
    """The change that began the latest experiment, the one that ended it, and what it is. Raises Failure."""
    began: Champion | None = None
    ended: Champion | None = None
    for entry in deployment.registry.champion_history(model):
        if entry.experiment is None:
            ended = ended or (entry if began else None)
        elif began is None or ended is not None or entry.experiment != began.experiment:
            began, ended = entry, None
    if began is None or began.experiment is None:
        raise Failure(f"there was no experiment of {model} yet; `perennial challenge {model} VERSION` starts one")
    return began, ended, began.experiment


def _shown(model: str, unit: str | None, began: datetime, ended: datetime | None, found: Report) -> Group:
    one = found.experiment
    span = f"since {cell(began)}" if ended is None else f"{cell(began)} to {cell(ended)}"
    head = f"[bold]{model}[/]: version {one.challenger} against version {one.champion}, {span}"
    split = f"{one.share:.2%} of the entities ({', '.join(one.entity)}) meet version {one.challenger}"
    arms = [
        (name, getattr(one, name), arm.entities, arm.rows, len(arm.label), _percent(coverage(arm)))
        for name, arm in found.arms.items()
    ]
    columns = ("arm", "version", "entities", "predictions", "outcomes", "coverage")
    return Group(head, split, "", table("Arms", columns, arms), "", *_measures(unit, found), *_remarks(found))


def _measures(unit: str | None, found: Report) -> list[Any]:
    one = found.experiment
    named = {"amount": f"amount{f', {unit}' if unit else ''}"}
    values = [(named.get(m.measure, m.measure), _interval(m.champion), _interval(m.challenger)) for m in found.measures]
    apart = [(named.get(m.measure, m.measure), _interval(m.difference), m.verdict) for m in found.measures]
    title = f"Quality and value, intervals at {1 - one.alpha:.0%}"
    return [
        table(title, ("", f"version {one.champion}", f"version {one.challenger}"), values, empty="no outcomes yet"),
        "",
        *([table(f"Version {one.challenger} is better by", ("", "", "verdict"), apart), ""] if apart else []),
    ]


def _remarks(found: Report) -> list[str]:
    split = found.balance
    held = f"Split: {_percent(split.share)} of the entities met the challenger, {split.asked:.2%} were to"
    told = [f"{held}; {'nothing speaks against it' if split.held else 'that is no chance'}."]
    if found.withheld is not None:
        told.append(f"[bold]No verdict[/]: {found.withheld}.")
    if found.excluded:
        reasons = ", ".join(f"{why} ({rows:,})" for why, rows in sorted(found.excluded.items()))
        told.append(f"Left out: {reasons}.")
    return told


def _interval(found: Estimate) -> str:
    if found.value is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{found.value:.4g}"
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
