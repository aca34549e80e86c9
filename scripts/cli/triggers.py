"""`perennial triggers`: who asked for trainings, and what the governor decided."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from perennial.retraining.triggers import Triggers
from perennial.storage.items import Items
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, console, print_json, table

Asked = dict[str, Any]


def triggers(
    model: Annotated[str | None, typer.Argument(help="The model; without it, all of them.")] = None,
    most: Annotated[int, typer.Option("--most", help="How many are shown, of the newest.", min=1)] = 50,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """List why trainings were asked for and what was decided, newest first."""
    deployment = Deployment(env)
    catalog = deployment.catalog
    names = [catalog.model(model).name] if model else sorted(catalog.models)
    known = Triggers(Items(deployment.parameters["triggers-table"]))
    found = sorted((one for name in names for one in listed(known, name)), key=_when, reverse=True)[:most]
    if as_json:
        print_json(found)
        return
    title = f"Triggers of {model}" if model else f"Triggers in {env}"
    columns = ("asked at", *(() if model else ("model",)), "reason", "decided", "why")
    console.print(table(title, columns, [_row(one, columns) for one in found]))


def listed(known: Triggers, model: str) -> list[Asked]:
    """What was asked for a model. An arrival that did not start a training names the `flight` that took it along."""
    taken = {(one.dataset, one.version): one.flight for one in known.arrivals(model) if not one.pending}
    return [_with_flight(record.shown(), taken) for record in known.records(model)]


def _with_flight(asked: Asked, taken: dict[tuple[str, int], str | None]) -> Asked:
    if asked["reason"] != "data" or asked["flight"]:
        return asked
    evidence = asked["evidence"]
    return asked | {"flight": taken.get((evidence["dataset"], evidence["version"]))}


def why(asked: Asked) -> str:
    """The decision in words: who asked for what, and what became of it."""
    known, flight = asked["evidence"], asked["flight"]
    if asked["decided"] == "started":
        return f"{asked['why']} → {flight}"
    match asked["reason"]:
        case "data":
            who = f"{known['dataset']} version {known['version']}, {known['rows']:,} rows: "
        case "drift" | "performance":
            who = f"{known['summary']}: "
        case "person":
            who = f"{known['by']}: {known['words']}: "
        case _:
            who = ""
    return f"{who}{asked['why']}" + (f" → went with {flight}" if flight else "")


def _row(asked: Asked, columns: tuple[str, ...]) -> list[Any]:
    cells = asked | {"asked at": datetime.fromisoformat(asked["at"]), "why": why(asked)}
    return [cells[column] for column in columns]


def _when(asked: Asked) -> tuple[datetime, str]:
    return datetime.fromisoformat(asked["at"]), asked["key"]
