"""The local cloud as a whole: starts its services, provisions the cloud assembly, serves until told to stop.

`python -m infra.local.cloud --assembly cdk.out --port 4566 --workdir .perennial --env dev`
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from infra.local import process, workflows
from infra.local.assembly import AssemblyError, read
from infra.local.clock import Clock
from infra.local.context import Cloud, Service
from infra.local.delivery import DeliveryService
from infra.local.events import EventsService
from infra.local.fargate import FargateService
from infra.local.front import Front, forget_moto, prepare_moto
from infra.local.gateway import Gateway
from infra.local.iam.gate import Gate
from infra.local.identity import IdentityService
from infra.local.lambdas.service import LambdaService
from infra.local.provision import Provisioner, ProvisionError
from infra.local.schedules import SchedulerService
from infra.local.server import PortTaken, Server

log = logging.getLogger(__name__)

# In the order in which they see a request, and the reverse of the order in which they stop. A service that watches
# another's records (schedules of rules, deliveries of logs) comes after it.
SERVICES: tuple[Callable[[Cloud], Service], ...] = (
    LambdaService,
    FargateService,
    EventsService,
    SchedulerService,
    DeliveryService,
    Gateway,
    workflows.patch,
    IdentityService,
)
# seconds that a cloud which could not be provisioned stays to say why to whoever asks
LAST_WORDS = 5.0


class LocalCloud:
    """One local cloud in this process (moto's state is per process: one at a time).

    Port 0 means any free port; the clock begins at `clock` (None: now). A context manager; or `start` and `stop`.
    """

    def __init__(
        self,
        workdir: Path,
        port: int = 0,
        api_port: int | None = None,
        *,
        strict: bool = False,
        clock: datetime | None = None,
    ) -> None:
        self.workdir = workdir.absolute()
        self.strict = strict
        self._clock = Clock(clock)
        self.state = "starting"
        self.error: str | None = None
        self.finished = threading.Event()
        self.services: list[Service] = []
        self._provisioning = threading.Lock()
        self._wanted = (port, (port + 1 if port else 0) if api_port is None else api_port)
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen and start every service; raises PortTaken. Nothing is provisioned yet."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        try:
            front = Front(self.services, self.control)
            self._server = Server(self._wanted[0], front)
            api_port = free_port(self._wanted[1], "the HTTP API")
            self.cloud = Cloud(self._server.port, api_port, self.workdir, strict=self.strict, clock=self._clock)
            front.gate = Gate(self.cloud)
            self.provisioner = Provisioner(self.cloud, self._progress)
            prepare_moto(self._server.port)
            forget_moto()
            self._server.start()
            for service in SERVICES:
                self.services.append(service(self.cloud))
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop every service and every process that this cloud has started."""
        self.state = "stopping"
        for service in reversed(self.services):
            try:
                service.stop()
            except Exception:
                log.exception("%s did not stop", type(service).__name__)
        if self._server is not None:
            self._server.stop()
        if (cloud := getattr(self, "cloud", None)) is not None:
            cloud.authority.stop()
        process.close()
        self.finished.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def provision(self, assembly: Path) -> dict[str, dict[str, str]]:
        """Bring the cloud to a cloud assembly; what was done, by stack and logical id.

        Raises AssemblyError or ProvisionError; what the cloud had before stays.
        """
        with self._provisioning:
            try:
                self._progress("assembly")
                done = self.provisioner.provision(read(assembly))
            except BaseException as error:
                self.state, self.error = "failed", str(error)
                raise
            self.state, self.error = "ready", None
            return done

    def _progress(self, where: str) -> None:
        self.state = f"provisioning {where}"

    def control(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer the control endpoint `name`: HTTP status and JSON body."""
        if name == "health":
            return 200, {"state": self.state, "error": self.error, "time": self.cloud.clock.now().isoformat()}
        if name == "tick":
            return self._tick(body.get("seconds"))
        if name == "provision":
            return self._update(body.get("assembly"))
        if name == "shutdown":
            self.finished.set()
            return 200, {"state": "stopping"}
        return 404, {"error": f"no control endpoint {name!r}; there are health, tick, provision and shutdown"}

    def _tick(self, seconds: Any) -> tuple[int, dict[str, Any]]:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e10:
            return 400, {"error": 'tick wants {"seconds": a number from 0}'}
        self.cloud.clock.advance(seconds)
        return 200, {"time": self.cloud.clock.now().isoformat()}

    def _update(self, assembly: Any) -> tuple[int, dict[str, Any]]:
        if not isinstance(assembly, str):
            return 400, {"error": 'provision wants {"assembly": the directory of a cloud assembly}'}
        if self._provisioning.locked():
            return 409, {"error": "another update is in progress"}
        before = self.state
        try:
            return 200, {"stacks": self.provision(Path(assembly))}
        except (AssemblyError, ProvisionError) as error:
            return 422, {"error": str(error)}
        finally:
            if before == "ready":  # it still is: what failed was rolled back
                self.state = before


def free_port(port: int, what: str) -> int:
    """`port` itself, or any free one for 0; raises PortTaken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(port, what) from error
        found: int = probe.getsockname()[1]
    return found


def write_state(running: LocalCloud, env: str) -> Path:
    """Write `local.json`: where the cloud answers and the developer's keys; readable by its owner only."""
    cloud = running.cloud
    developer = cloud.credentials.issue(f"arn:aws:iam::{cloud.account}:user/developer", administrator=True)
    state = {
        "pid": os.getpid(),
        "port": cloud.port,
        "api_port": cloud.api_port,
        "region": cloud.region,
        "account": cloud.account,
        "access_key": developer.access_key,
        "secret_key": developer.secret_key,
        "env": env,
        "strict": running.strict,
    }
    path = running.workdir / "local.json"
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(state, file, indent=2)
    fresh.replace(path)
    return path


def serve(
    assembly: Path, port: int, workdir: Path, env: str, *, strict: bool = False, clock: datetime | None = None
) -> int:
    """Start, provision, serve until SIGTERM, SIGINT or a shutdown call; the exit status."""
    _exit_on_signals()
    running = LocalCloud(workdir, port, strict=strict, clock=clock)
    state: Path | None = None
    try:
        with running:
            _provision(running, assembly)
            state = write_state(running, env)
            running.finished.wait()
    except PortTaken as error:
        return _failed(str(error.strerror))
    except (AssemblyError, ProvisionError) as error:
        return _failed(str(error))
    finally:
        if state is not None:
            state.unlink(missing_ok=True)
    return 0


def _provision(running: LocalCloud, assembly: Path) -> None:
    """As `LocalCloud.provision`; after a failure the cloud stays a moment for whoever asks for its health."""
    try:
        running.provision(assembly)
    except (AssemblyError, ProvisionError):
        running.finished.wait(LAST_WORDS)
        raise


def _exit_on_signals() -> None:
    def leave(number: int, frame: FrameType | None) -> None:
        # a second signal must not break the clean-up that the first one began
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)


def _failed(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.cloud", description=__doc__)
    parser.add_argument("--assembly", type=Path, required=True, help="the synthesized cloud assembly (cdk.out)")
    parser.add_argument("--port", type=int, default=4566, help="the AWS APIs; the HTTP API takes the next port")
    parser.add_argument("--workdir", type=Path, default=Path(".perennial"), help="state, code and logs of this run")
    parser.add_argument("--env", default="dev", help="the environment of the assembly, for those who read local.json")
    parser.add_argument("--strict", action="store_true", help="functions run on the wheels of their layers alone")
    parser.add_argument("--clock", type=datetime.fromisoformat, help="where the clock begins, with its zone; else now")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    return serve(asked.assembly, asked.port, asked.workdir, asked.env, strict=asked.strict, clock=asked.clock)


if __name__ == "__main__":
    sys.exit(main())
