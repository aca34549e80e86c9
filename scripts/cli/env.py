"""`perennial env`: point AWS clients at the local cloud."""

from __future__ import annotations

import shlex

from scripts.cli import local
from scripts.cli.output import AsJson, print_json


def env(as_json: AsJson = False) -> None:
    """Print `export AWS_…` lines for `eval "$(perennial env)"`."""
    variables = local.exports(local.running(local.WORKDIR))
    if as_json:
        print_json(variables)
        return
    # Left-over settings of another account would win over these.
    print("unset AWS_PROFILE AWS_SESSION_TOKEN")
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
