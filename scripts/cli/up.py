"""`perennial up`: the deployed template on this machine."""

from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.status import Status

from infra.environment import FOLDER, Environment
from infra.layers import LayerNotBuilt
from infra.local.lambdas import wheels
from infra.synth import synthesize
from perennial.catalog.load import read_catalog
from scripts.cli import local
from scripts.cli.deployment import EnvironmentName
from scripts.cli.output import AsJson, Failure, console, errors, print_json

CATALOG = local.ROOT / "infra" / "catalog"


def up(
    port: Annotated[
        int, typer.Option(help="AWS APIs answer here, the HTTP API on the next port.", min=1, max=65_534)
    ] = 4566,
    env: EnvironmentName = "dev",
    catalog: Annotated[
        Path, typer.Option(help="Your contracts and models.", exists=True, file_okay=False, resolve_path=True)
    ] = CATALOG,
    strict: Annotated[
        bool, typer.Option("--strict", help="Functions run on the wheels of their layers alone.")
    ] = False,
    clock: Annotated[
        str | None, typer.Option(help="Where its clock begins, in UTC: 2013-04-01, 2013-04-01T06:00. Now, if not said.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready.")] = False,
    as_json: AsJson = False,
) -> None:
    """Synthesize the template and run it on the local cloud; once it runs, bring it up to the changed template."""
    started = time.monotonic()
    _check(env, catalog)
    begins = None if clock is None else moment(clock)
    with errors.status("synthesizing the template") as shown:
        assembly = synthesize(env=env, catalog=catalog)
        if strict:
            shown.update("unpacking the layers")
            unpack_layers(env)
        state = _start_or_update(assembly, port, env, strict, begins, shown)
    seconds = round(time.monotonic() - started, 1)
    endpoint, api = f"http://127.0.0.1:{state['port']}", f"http://127.0.0.1:{state['api_port']}"
    if as_json:
        print_json({"endpoint": endpoint, "api_url": api, "env": env, "pid": state["pid"], "seconds": seconds})
    else:
        console.print(f"Perennial [bold]{env}[/] is up in {seconds} s: AWS at {endpoint}, the HTTP API at {api}")
        console.print('Next: [bold]eval "$(perennial env)"[/], then [bold]perennial drop FILE --dataset NAME --wait[/]')
    if not detach:
        _until_interrupted()


def _check(env: str, catalog: Path) -> None:
    """Say at once what is wrong with what the user named, instead of after a synthesis."""
    environments = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if env not in environments:
        raise Failure(f"no environment {env!r}; infra/environments has {', '.join(environments)}")
    read_catalog(catalog)


def unpack_layers(env: str) -> None:
    """Unpack what functions of `env` run on under --strict, before the cloud asks for it. Raises Failure."""
    runtime = f"python{Environment.load(env).python}"
    try:
        chosen = wheels.prepare(runtime)
    except LayerNotBuilt as error:
        raise Failure(f"--strict needs the layers of the functions, unpacked for this machine: {error}") from error
    if runtime != f"python{chosen.python}":
        errors.print(f"{runtime} is not on this machine: functions run on python{chosen.python}")


def moment(text: str) -> datetime:
    """The time in `text`, UTC unless it says otherwise. Raises Failure."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"--clock {text!r} is no time; write 2013-04-01 or 2013-04-01T06:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _start_or_update(
    assembly: Path, port: int, env: str, strict: bool, clock: datetime | None, shown: Status
) -> dict[str, object]:
    state = local.read_state(local.WORKDIR)
    if state is None:
        where = local.WORKDIR
        return local.start(assembly, port=port, env=env, workdir=where, say=shown.update, strict=strict, clock=clock)
    if clock is not None:
        raise Failure("a local cloud runs here already, and its clock goes on; `perennial tick` drives it forward")
    if (state["port"], state["env"], state.get("strict", False)) != (port, env, strict):
        how = ", strict" if state.get("strict") else ""
        raise Failure(
            f"a local cloud runs here already: {state['env']} on port {state['port']}{how}. "
            "Give it the same --port, --env and --strict to update it, or stop it with `perennial down`"
        )
    shown.update(f"updating the local cloud on port {state['port']}")
    local.control(f"http://127.0.0.1:{state['port']}", "provision", {"assembly": str(assembly)})
    return state


def _until_interrupted() -> None:
    console.print("Press Ctrl-C to stop it.")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(1.0):
        if local.read_state(local.WORKDIR) is None:
            return
    local.stop(local.WORKDIR)
