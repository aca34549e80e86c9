"""The local cloud's process: start it, find it, drive its clock, stop it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Any

import psutil

from scripts.cli.output import Failure

ROOT = Path(__file__).resolve().parents[2]
# Where a running cloud keeps its state; another directory is another cloud.
WORKDIR = Path(os.environ.get("PERENNIAL_WORKDIR", ROOT / ".perennial")).absolute()

# Seconds (real) without a step after which a starting cloud is given up; each stack is a step.
STUCK = 300.0


def free_port() -> int:
    """A port that is free together with the next one, where the HTTP API listens.

    Below those that the system gives to clients, of which one might take it before the cloud does.
    """
    while True:
        port = SystemRandom().randrange(12_000, 30_000, 2)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def read_state(workdir: Path) -> dict[str, Any] | None:
    """What the running cloud of `workdir` wrote about itself, or None when none runs."""
    path = workdir / "local.json"
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    try:
        process = psutil.Process(int(state["pid"]))
        # a process number is given out again: only a process of ours, begun before it wrote this, is the cloud
        ours = "infra.local.cloud" in process.cmdline() and process.create_time() <= path.stat().st_mtime
    except psutil.Error:
        return None
    return state if ours else None


def running(workdir: Path) -> dict[str, Any]:
    """As `read_state`. Raises Failure when none runs."""
    state = read_state(workdir)
    if state is None:
        raise Failure("no local cloud is running here; start one with `perennial up --detach`")
    return state


def start(
    assembly: Path,
    *,
    port: int,
    env: str,
    workdir: Path,
    say: Callable[[str], None],
    strict: bool = False,
    clock: datetime | None = None,
) -> dict[str, Any]:
    """Start the cloud as a process of its own and wait until the assembly is provisioned; its state.

    Its clock begins at `clock` (None: now). Raises Failure with the cloud's own words when it does not come up.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "cloud.log"
    command = [sys.executable, "-m", "infra.local.cloud", "--assembly", str(assembly), "--port", str(port)]
    command += ["--workdir", str(workdir), "--env", env, *(["--strict"] if strict else [])]
    command += [] if clock is None else ["--clock", clock.isoformat()]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
    try:
        return _await_ready(process, port, workdir, log, say)
    except BaseException:
        # interrupted or failed: nothing is left behind
        process.terminate()
        process.wait(timeout=30)
        raise


def _await_ready(
    process: subprocess.Popen[bytes], port: int, workdir: Path, log: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    said, moved = "", time.monotonic()
    while time.monotonic() - moved < STUCK:
        if process.poll() is not None:
            raise Failure(f"the local cloud did not start: {_last_words(log)}")
        health = _health(port)
        if health.get("state") == "failed":
            raise Failure(f"the local cloud did not start: {health.get('error', _last_words(log))}")
        state = read_state(workdir)
        if health.get("state") == "ready" and state is not None and state["pid"] == process.pid:
            return state
        if health and health["state"] != said:
            said, moved = str(health["state"]), time.monotonic()
            say(said)
        time.sleep(0.2)
    raise Failure(f"the local cloud made no step for {STUCK:.0f} s, at {said or 'its start'}: {_last_words(log)}")


def stop(workdir: Path, *, patience: float = 30.0) -> bool:
    """Stop the cloud of `workdir` and wait until it is gone; False when none ran. Raises Failure when it stays."""
    state = read_state(workdir)
    if state is None:
        return False
    process = psutil.Process(int(state["pid"]))
    family = [process, *process.children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=patience)
    for member in alive:
        member.kill()
    _, alive = psutil.wait_procs(alive, timeout=5)
    if alive:
        raise Failure(f"processes {[member.pid for member in alive]} of the local cloud did not end")
    (workdir / "local.json").unlink(missing_ok=True)
    return True


def control(endpoint: str, verb: str, body: dict[str, Any] | None = None, timeout: float = 300) -> dict[str, Any]:
    """Call a control path of the local cloud (`tick`, `provision`, `health`). Raises Failure on its error."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - the endpoint is this machine's
        f"{endpoint}/_perennial/{verb}", data=data, headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
            answer: dict[str, Any] = json.loads(reply.read())
            return answer
    except urllib.error.HTTPError as error:
        raise Failure(f"{verb}: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise Failure(f"no local cloud answers at {endpoint}: {error}") from error


def exports(state: dict[str, Any]) -> dict[str, str]:
    """The environment variables that point AWS clients at the local cloud."""
    return {
        "AWS_ACCESS_KEY_ID": state["access_key"],
        "AWS_SECRET_ACCESS_KEY": state["secret_key"],
        "AWS_DEFAULT_REGION": state["region"],
        "AWS_REGION": state["region"],
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{state['port']}",
        "PERENNIAL_ENV": state["env"],
        "PERENNIAL_API_URL": f"http://127.0.0.1:{state['api_port']}",
    }


def _health(port: int) -> dict[str, Any]:
    try:
        return control(f"http://127.0.0.1:{port}", "health", timeout=5)
    except Failure:
        return {}


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"it said nothing (see {log.name})"
