"""`perennial shadow MODEL VERSION`: what another version would have answered."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Group

from perennial.experiments.difference import Differences, differences
from perennial.experiments.replay import Replay
from perennial.experiments.window import read_window
from perennial.registry.fetch import fetch
from perennial.serving.predictor import Predictor
from scripts.cli.challenge import signature_of
from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.experiment import First, Last
from scripts.cli.output import AsJson, Failure, console, errors, print_json, table

_BAR = 20


def shadow(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    version: Annotated[int, typer.Argument(help="The registered version to ask.", min=1)],
    first: First = None,
    last: Last = None,
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="An input: differences for each value.")] = None,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Replay the recorded predictions of MODEL through VERSION, here, and say how it differs from what was served."""
    deployment = Deployment(env)
    found = deployment.registry.get(deployment.catalog.model(model).name, version)
    with TemporaryDirectory() as folder, errors.status("fetching and verifying the version") as told:
        predictor = Predictor(fetch(found, deployment.data, Path(folder)))
        if by is not None and by not in {one.name for one in predictor.inputs}:
            raise Failure(f"version {version} of {model} has no input {by!r}")
        replay = Replay(predictor, cache(partial(signature_of, deployment, model=model)), by)
        begin, end = (moment.date() if moment else None for moment in (first, last))
        for record in read_window(deployment.data, model, begin, end):
            replay.add(record)
            told.update(f"replayed {sum(replay.served_by.values()):,} rows")
    report = differences(replay.pairs(), predictor.signature)
    if as_json:
        print_json(
            {
                "model": model,
                "version": version,
                "served_by": dict(replay.served_by),
                "skipped": dict(replay.skipped),
                "differences": report.to_json() if report else None,
            }
        )
        return
    console.print(_shown(model, version, replay, report))


def _shown(model: str, version: int, replay: Replay, report: Differences | None) -> Group:
    rows = sum(replay.served_by.values())
    by = ", ".join(f"version {number} {count:,}" for number, count in sorted(replay.served_by.items()))
    parts: list[Any] = [
        f"[bold]{model} version {version}[/] beside what was served: "
        f"{report.rows if report else 0:,} of {rows:,} recorded rows ({by or 'none'})",
        "",
    ]
    if report is not None:
        parts += [_numbers(version, report), "", *_decisions(report), _histogram(version, report), ""]
        parts += [_slices(version, report), ""] if report.slices else []
        worst = [(one.prediction_id, one.served, one.replayed, one.difference) for one in report.worst]
        columns = ("prediction id", "served", f"v{version}", "apart")
        parts += [table("Furthest apart", columns, worst), ""]
    if replay.skipped:
        parts.append(table("Not replayed", ("why", "rows"), replay.skipped.most_common()))
    return Group(*parts)


def _numbers(version: int, report: Differences) -> Any:
    level = {f"{level} apart at most": value for level, value in _levels(report)}
    unit = "" if report.unit == 1 else f" × {report.unit:.4g} (one standard deviation)"
    rows: list[tuple[str, Any]] = [
        ("mean score, served", report.served),
        (f"mean score, version {version}", report.replayed),
        ("mean difference", report.mean),
        *level.items(),
        *((f"more than {threshold}{unit} apart", f"{share:.2%}") for threshold, share in report.beyond.items()),
    ]
    return table("Differences", ("", ""), rows)


def _levels(report: Differences) -> list[tuple[str, float]]:
    names = {"0.5": "half the rows", "0.95": "95 of 100", "0.99": "99 of 100", "1": "all"}
    return [(names[level], value) for level, value in report.quantiles.items()]


def _decisions(report: Differences) -> list[Any]:
    if report.flips is None:
        return []
    share = report.flips / report.rows
    told = f"Another class for {report.flips:,} rows ({share:.2%})"
    if not report.changes:
        return [told, ""]
    return [
        table(told, ("from", "to", "rows"), [(str(old), str(new), count) for old, new, count in report.changes]),
        "",
    ]


def _histogram(version: int, report: Differences) -> Any:
    served, ours = report.histogram["served"], report.histogram["replayed"]
    most = max(*served, *ours, 1)
    rows = [
        (f"{low:.4g} – {high:.4g}", _bar(a, most), a, _bar(b, most), b)
        for low, high, a, b in zip(report.edges[:-1], report.edges[1:], served, ours, strict=True)
    ]
    return table("Scores", ("", "served", "", f"version {version}", ""), rows)


def _bar(count: int, most: int) -> str:
    eighths = round(count / most * _BAR * 8)
    rest = " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    return "█" * (eighths // 8) + rest or ("▏" if count else "")


def _slices(version: int, report: Differences) -> Any:
    rows = [
        ("others" if one.rest else one.value, one.rows, one.served, one.replayed, one.mean_difference, one.flips)
        for one in report.slices
    ]
    return table("By value", ("", "rows", "served", f"v{version}", "mean apart", "flips"), rows)
