"""The front of the local cloud: one WSGI app where every AWS API of the region answers.

Each own service gets a look at a request first; what none of them takes goes to moto.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from moto.core.config import default_user_config
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug import Request, Response

from infra.local.context import Service
from infra.local.iam.gate import Gate, signer

# moto evaluates a condition and then writes, without a lock in between: concurrent conditional writes would both
# succeed. On AWS they are atomic, and exactly-once rests on that, so the calls of these services go one by one.
ATOMIC = frozenset({"dynamodb", "s3", "ssm", "iam", "logs", "events", "scheduler", "ec2", "glue", "firehose", "lambda"})

Control = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]


def service_of(request: Request) -> str:
    """The service that a request is signed for (`s3`, `lambda`, …), from its credential scope; unsigned: `s3`."""
    return signer(request)[1]


def prepare_moto(port: int) -> None:
    """Point moto's own calls at this cloud and make its Step Functions really execute."""
    os.environ["MOTO_PORT"] = str(port)
    # S3 accepts a logging configuration and only then fails to deliver if the target's policy forbids it; the policy
    # is a resource of its own that CloudFormation makes later
    FakeBucket._log_permissions_enabled_policy = staticmethod(lambda target_bucket, target_prefix: True)
    # who may do what is decided before moto is asked (infra/local/iam)
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL
    default_user_config["stepfunctions"] = {"execute_state_machine": True}


def forget_moto() -> None:
    """Drop every resource of an earlier cloud in this process (moto keeps its state per process)."""
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()


class Front:
    """The WSGI app: control endpoints, then own services, then moto."""

    def __init__(self, services: Sequence[Service], control: Control) -> None:
        self.services = services
        self.gate: Gate | None = None
        self._control = control
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._locks = {name: threading.RLock() for name in ATOMIC}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = Request(environ)
        if request.path.startswith(("/_perennial/", "/moto-api")):
            return self._controlled(request)(environ, start_response)
        body = request.get_data()
        public = request.path.startswith("/_lambda/")  # code is downloaded by an address that nobody can guess
        if self.gate is not None and not public and (refused := self.gate.refused(request)):
            return refused(environ, start_response)
        for service in self.services:
            response = service.handle(request)
            if response is not None:
                return response(environ, start_response)
        environ["wsgi.input"] = io.BytesIO(body)
        return self._from_moto(request, environ, start_response)

    def _from_moto(self, request: Request, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started: list[Any] = []

        def begin(status: str, *rest: Any) -> Any:
            started[:] = [status, *rest]
            return None

        with self._alone(service_of(request)):
            content = b"".join(self._moto(environ, begin))
        other = self.gate.answered(request, int(started[0][:3])) if self.gate is not None else None
        if other is not None:
            return other(environ, start_response)
        start_response(*started)
        return [content]

    def _alone(self, service: str) -> AbstractContextManager[Any]:
        return self._locks.get(service, nullcontext())

    def _controlled(self, request: Request) -> Response:
        """A control call, refused to web pages: a browser may reach 127.0.0.1 on behalf of any site."""
        name = request.path.removeprefix("/_perennial/")
        local = request.host.partition(":")[0] in {"127.0.0.1", "localhost"}
        if request.headers.get("Origin") or not local or request.path.startswith("/moto-api"):
            return _json(403, {"error": "control endpoints answer programs of this machine only"})
        if request.method != ("GET" if name == "health" else "POST"):
            return _json(405, {"error": f"{request.method} is not understood here"})
        try:
            body = json.loads(request.get_data() or b"{}")
        except ValueError:
            return _json(400, {"error": "the body is not JSON"})
        if not isinstance(body, dict):
            return _json(400, {"error": "the body is not a JSON object"})
        return _json(*self._control(name, body))


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body) + "\n", status, mimetype="application/json")
