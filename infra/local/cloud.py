"""The local cloud as a whole: starts its services, provisions the cloud assembly, serves until told to stop.

`python -m infra.local.cloud --assembly cdk.out --port 4566 --workdir .perennial --env dev`
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.local import process
from infra.local.context import Cloud, Service
from infra.local.front import Front, forget_moto, prepare_moto
from infra.local.identity import IdentityService
from infra.local.server import PortTaken, Server

log = logging.getLogger(__name__)

# in the order in which they see a request, and the reverse of the order in which they stop
SERVICES = (
    ("infra.local.lambdas", "LambdaService"),
    ("infra.local.fargate", "FargateService"),
    ("infra.local.events", "EventsService"),
    ("infra.local.schedules", "SchedulerService"),
    ("infra.local.delivery", "DeliveryService"),
    ("infra.local.gateway", "Gateway"),
)


class LocalCloud:
    """One local cloud in this process (moto's state is per process: one at a time).

    Port 0 means any free port. Use as a context manager, or `start` and `stop`.
    """

    def __init__(self, workdir: Path, port: int = 0, api_port: int | None = None, env: str = "dev") -> None:
        self.workdir = workdir.absolute()
        self.env = env
        self.state = "starting"
        self.error: str | None = None
        self.finished = threading.Event()
        self.services: list[Service] = []
        self._provisioning = threading.Lock()
        self._wanted = (port, (port + 1 if port else 0) if api_port is None else api_port)

    def start(self) -> Self:
        """Listen and start every service; raises PortTaken. Nothing is provisioned yet."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        front = Front(self.services, self.control)
        self._server = Server(self._wanted[0], front)
        try:
            self.cloud = Cloud(self._server.port, free_port(self._wanted[1], "the HTTP API"), self.workdir)
            prepare_moto(self._server.port)
            forget_moto()
            self._server.start()
            self._compose()
        except BaseException:
            self.stop()
            raise
        return self

    def _compose(self) -> None:
        for module, name in SERVICES:
            try:
                service = getattr(importlib.import_module(module), name)
            except (ModuleNotFoundError, AttributeError):
                continue
            self.services.append(service(self.cloud))
        try:
            self.services.append(importlib.import_module("infra.local.workflows").patch(self.cloud))
        except (ModuleNotFoundError, AttributeError):
            pass
        self.services.append(IdentityService(self.cloud))

    def stop(self) -> None:
        """Stop every service and every process that this cloud has started."""
        for service in reversed(self.services):
            try:
                service.stop()
            except Exception:  # noqa: BLE001 - the others must be stopped too
                log.exception("%s did not stop", type(service).__name__)
        self._server.stop()
        process.close()
        self.state = "stopped"
        self.finished.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def control(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer the control endpoint `name`: HTTP status and JSON body."""
        if name == "health":
            return 200, {"state": self.state, "error": self.error, "time": self.cloud.clock.now().isoformat()}
        if name == "tick":
            return self._tick(body.get("seconds"))
        if name == "provision":
            return self._provision(body.get("assembly"))
        if name == "shutdown":
            self.finished.set()
            return 200, {"state": "stopping"}
        return 404, {"error": f"no control endpoint {name!r}; there are health, tick, provision and shutdown"}

    def _tick(self, seconds: Any) -> tuple[int, dict[str, Any]]:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e10:
            return 400, {"error": 'tick wants {"seconds": a number from 0}'}
        self.cloud.clock.advance(seconds)
        return 200, {"time": self.cloud.clock.now().isoformat()}

    def _provision(self, assembly: Any) -> tuple[int, dict[str, Any]]:
        if not isinstance(assembly, str):
            return 400, {"error": 'provision wants {"assembly": the directory of a cloud assembly}'}
        return 501, {"error": "provision.py is not there yet"}


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
