"""`perennial tick`: drive the local cloud's clock."""

from __future__ import annotations

from typing import Annotated

import typer

from perennial.catalog.spec import parse_seconds
from scripts.cli import local
from scripts.cli.output import AsJson, Failure, console, print_json


def tick(
    time: Annotated[str, typer.Argument(help="How far: 90s, 10m, 6h, 30d.")] = "1h",
    as_json: AsJson = False,
) -> None:
    """Move the local clock forward: schedules fire, waits end, buffered logs are delivered."""
    try:
        seconds = parse_seconds(time)
    except ValueError as error:
        raise Failure(str(error)) from error
    state = local.running(local.WORKDIR)
    answer = local.control(f"http://127.0.0.1:{state['port']}", "tick", {"seconds": seconds})
    if as_json:
        print_json(answer)
    else:
        console.print(f"The local clock now reads {answer['time']}")
