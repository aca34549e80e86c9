"""`scripts/demo --year`: replay the year of a shipped example on the local cloud, and say whether the loop has paid."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from datetime import time as clock_time
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

from infra.synth import SynthesisFailed, synthesize
from perennial.errors import PerennialError
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure, console, errors
from scripts.replay.example import EXAMPLES, Example, Year
from scripts.replay.loop import Replay
from scripts.replay.page import page
from scripts.replay.screen import show
from scripts.replay.verdict import shortcomings
from scripts.steps import Steps

# Real seconds that a replay may take.
LONGEST = 600.0
MORNING = clock_time(6, tzinfo=UTC)


def main() -> int:
    """Replay; 0 when the year has shown all that it must."""
    options = _options()
    example, started = EXAMPLES[options.example], time.monotonic()
    workdir = local.WORKDIR / "year" / example.name
    local.stop(workdir)
    shutil.rmtree(workdir, ignore_errors=True)
    replay: Replay | None = None
    wrong: list[str] = []
    try:
        replay = _run(example, workdir, options.port)
        wrong = shortcomings(replay.timeline)
        if (took := time.monotonic() - started) > LONGEST:
            wrong.append(f"it took {took:.0f} s, more than {LONGEST:.0f}")
    except (Failure, SynthesisFailed, PerennialError, ClientError, BotoCoreError, Boto3Error) as error:
        wrong = [str(error)]
    finally:
        if not options.keep:
            local.stop(workdir)
    _tell(replay, wrong, options, workdir, time.monotonic() - started)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo --year", description="A year, month by month, on the local cloud."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the timeline as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page there, not beside the logs")
    parser.add_argument("--port", type=int, default=4580, help="AWS APIs here, the HTTP API on the next port")
    parser.add_argument("--keep", action="store_true", help="leave the local cloud running to look around")
    parser.add_argument("--example", choices=sorted(EXAMPLES), default="flights", help="which shipped example")
    return parser.parse_args()


def _run(example: Example, workdir: Path, port: int) -> Replay:
    step = Steps()
    with step("split the data by month"):
        year = Year(example, example.files(local.WORKDIR / example.name))
        begins = datetime.combine(min(year.days), MORNING)
    with step("synthesize the CDK app"):
        assembly = synthesize(env="dev", catalog=example.catalog_in(workdir / "catalog"))
    with step(f"start the local cloud, its clock at {begins:%d %B %Y}") as say:
        state = local.start(assembly, port=port, env="dev", workdir=workdir, say=say, clock=begins)
        os.environ |= local.exports(state)
        os.environ.pop("AWS_PROFILE", None)
    replay = Replay(Deployment("dev"), example, year, workdir)
    with step("train and deploy the first model") as say:
        replay.first_model(say)
    with step("replay the year") as say:
        replay.months(say)
    with step("inject bad challengers") as say:
        replay.inject(say)
    with step("compare with never and with always retraining") as say:
        replay.compare(say)
    return replay


def _tell(replay: Replay | None, wrong: list[str], options: argparse.Namespace, workdir: Path, seconds: float) -> None:
    if replay is not None:
        timeline = replay.timeline
        told = timeline.to_json() | {"ok": not wrong, "wrong": wrong, "seconds": round(seconds, 1)}
        if options.json:
            options.json.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
        target = options.html or workdir / "year.html"
        target.write_text(page(timeline), encoding="utf-8")
        show(timeline, console)
        console.print(f"The same as a page: {target}", soft_wrap=True, markup=False)
    for reason in wrong:
        errors.print(f"[bold red]not shown:[/] {escape(reason)}", soft_wrap=True)
    console.print(f"{'NOT all' if wrong else 'All'} of it shown, in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
