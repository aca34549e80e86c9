"""`perennial down`: stop the local cloud."""

from __future__ import annotations

from scripts.cli import local
from scripts.cli.output import AsJson, console, print_json


def down(as_json: AsJson = False) -> None:
    """Stop the local cloud and every process it started; what it held is gone with it."""
    stopped = local.stop(local.WORKDIR)
    if as_json:
        print_json({"stopped": stopped})
    else:
        console.print("The local cloud is down." if stopped else "No local cloud was running here.")
