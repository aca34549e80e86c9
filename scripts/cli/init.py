"""`perennial init`: a contract and a model spec from a data file, to be reviewed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from perennial.catalog.load import read_catalog
from perennial.catalog.model import NAME
from perennial.proposal.name import name_of
from scripts.cli.output import AsJson, Failure, console, errors, print_json, table

if TYPE_CHECKING:
    from perennial.proposal.propose import Proposal


def init(
    file: Annotated[
        Path, typer.Argument(help="CSV, JSON lines (both may be gzipped) or Parquet.", exists=True, dir_okay=False)
    ],
    label: Annotated[str, typer.Option(help="The column to predict.")],
    name: Annotated[str | None, typer.Option(help="Of dataset and model; else the file's name.")] = None,
    catalog: Annotated[Path, typer.Option(help="The folder to write to.", file_okay=False)] = Path("catalog"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a contract or model of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Propose a contract and a model spec from FILE, written for review and ready for `perennial up --catalog`."""
    chosen = _name(name, file)
    paths = [catalog / kind / f"{chosen}.yaml" for kind in ("contracts", "models")]
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise Failure(f"{' and '.join(there)}: there already; give another --name, or --force to overwrite")
    # scikit-learn takes seconds to load, which no other verb should wait for
    from perennial.proposal.propose import propose

    with errors.status(escape(f"reading {file.name}")) as shown:
        found = propose(file, label, chosen, shown.update)
    texts = {f"contracts/{chosen}.yaml": found.contract, f"models/{chosen}.yaml": found.model}
    read_catalog(catalog, texts)
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    steps = next_steps(file, chosen, catalog, found.survey.kind)
    if as_json:
        print_json(as_data(found) | {"files": [str(path) for path in paths], "next": steps})
    else:
        _tell(found, paths, steps)


def _name(name: str | None, file: Path) -> str:
    chosen = name or name_of(file.name)
    if not re.fullmatch(NAME, chosen):
        raise Failure(f"--name {chosen!r}: small letters, digits and hyphens, at most 40, a letter first")
    return chosen


def next_steps(file: Path, name: str, catalog: Path, kind: str) -> list[str]:
    """The commands that take the proposal to a served model."""
    steps = [
        f"perennial up --catalog {shlex.quote(str(catalog))} --detach",
        'eval "$(perennial env)"',
        f"perennial drop {shlex.quote(str(file))} --dataset {name} --wait",
        f"perennial versions {name}",
    ]
    if not kind.startswith(".jsonl"):
        steps.append(f"perennial predict {name} {shlex.quote(str(file))}")
    return steps


def as_data(found: Proposal) -> dict[str, Any]:
    """The proposal as JSON, the two texts left out."""
    trial = found.trial
    return {
        "name": found.name,
        "rows": found.survey.rows,
        "unreadable_rows": found.survey.strays,
        "missing_values": list(found.survey.missing),
        "ignored_columns": found.survey.ignored,
        "label": found.label.column,
        "task": found.label.task,
        "task_reason": found.label.reason,
        "columns": [
            {"name": plan.name, "type": plan.type, "role": plan.role, "reason": plan.reason, "known": plan.known}
            for plan in found.plans.values()
        ],
        "suspicious": [finding.__dict__ for finding in found.findings],
        "trial": {
            "algorithm": trial.algorithm,
            "metric": trial.metric,
            "held_out": trial.held,
            "simple": None if trial.simple is None else trial.simple.to_json(),
            "value": None if trial.value is None else trial.value.to_json(),
            "floor": trial.floor,
        },
    }


def _tell(found: Proposal, files: list[Path], steps: list[str]) -> None:
    rows = [[plan.name, plan.type, plan.role, plan.reason] for plan in found.plans.values()]
    rows += [[name, "–", "not in the contract", reason] for name, reason in found.survey.ignored.items()]
    title = f"{found.survey.path.name}: {found.survey.rows:,} rows, {found.label.task}"
    shown = [[escape(cell) for cell in row] for row in rows]
    console.print(table(escape(title), ("column", "type", "role", "reason"), shown))
    for finding in found.findings:
        said = "left out: it looks like a leak" if finding.leak else "kept: check that it is known when you predict"
        console.print(f"[bold red]{escape(finding.column)}[/]: {finding}; {said}", soft_wrap=True)
    if found.survey.strays:
        console.print(f"{found.survey.strays:,} rows have not the shape of the table: they will go to quarantine")
    if found.trial.floor is None:
        console.print("No gate is proposed: a simple model could not be told from guessing on the held-out rows")
    console.print("\nWritten for review: " + ", ".join(map(str, files)), soft_wrap=True, markup=False)
    console.print("Next:\n" + "\n".join(f"  {step}" for step in steps), soft_wrap=True, markup=False)
