"""The command `perennial`: its verbs, and how their failures are told."""

from __future__ import annotations

import os
import sys

import typer
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

from infra.synth import SynthesisFailed
from perennial.errors import PerennialError
from scripts.cli.approvals import approvals, approve, reject
from scripts.cli.challenge import challenge
from scripts.cli.datasets import datasets
from scripts.cli.down import down
from scripts.cli.drop import drop
from scripts.cli.env import env
from scripts.cli.experiment import experiment
from scripts.cli.export import export
from scripts.cli.feedback import feedback, outcomes
from scripts.cli.init import init
from scripts.cli.ledger import ledger
from scripts.cli.models import models
from scripts.cli.monitor import monitor
from scripts.cli.output import Failure, errors
from scripts.cli.predict import predict
from scripts.cli.promote import promote
from scripts.cli.proxy import proxy
from scripts.cli.quarantine import quarantine
from scripts.cli.retrain import retrain
from scripts.cli.rollback import rollback
from scripts.cli.score import score
from scripts.cli.shadow import shadow
from scripts.cli.status import status
from scripts.cli.sweep import sweep
from scripts.cli.tick import tick
from scripts.cli.triggers import triggers
from scripts.cli.up import up
from scripts.cli.versions import versions

app = typer.Typer(
    name="perennial",
    help="Drop data files, get models that are validated, trained, registered, served and retrained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for verb in (
    init,
    up,
    down,
    env,
    status,
    drop,
    datasets,
    quarantine,
    models,
    versions,
    predict,
    feedback,
    outcomes,
    score,
    proxy,
    tick,
    sweep,
    promote,
    export,
    monitor,
    shadow,
    challenge,
    experiment,
    approvals,
    approve,
    reject,
    rollback,
    retrain,
    triggers,
):
    app.command()(verb)
app.add_typer(ledger, name="ledger")


def main() -> None:
    """Run a verb; a failure is told in a line and ends with status 1, a defect keeps its traceback."""
    try:
        app(prog_name="perennial")
    except (Failure, SynthesisFailed, PerennialError, ClientError, BotoCoreError, Boto3Error) as error:
        errors.print(f"[bold red]perennial:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        errors.print(f"[bold red]perennial:[/] {escape(told)}", soft_wrap=True)
        sys.exit(1)
