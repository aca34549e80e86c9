"""Stage predict: one model version behind its routes.

    POST /v2/models/<model>[/versions/<version>]/infer      GET …/ready      GET … (metadata)

`Service.handle` takes API Gateway's payload format 2.0 and returns a reply of the same. It is the hot path: an event
in, a reply and a record line out, and nothing on the way that one row does not need. A rollout that tries golden rows
adds `"smoke": true` to its event, which API Gateway never does.
"""

from __future__ import annotations

import binascii
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from perennial.errors import BundleInvalid
from perennial.serving.bundle import DESIGN, MANIFEST, Bundle, verify
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import ModelFault, RequestRefused
from perennial.serving.predictor import Predictor
from perennial.serving.protocol import Reader
from perennial.serving.record import Columns, Moment, dumps, lines
from perennial.serving.reply import Answers
from perennial.serving.request import Request

Event = Mapping[str, Any]
_NOWHERE: Event = {}


class Service:
    """Answers for one bundle. `write` takes the record lines; they end up in the log."""

    def __init__(self, bundle: Bundle, lambda_version: str, write: Callable[[str], Any]) -> None:
        """Load a verified bundle. Raises BundleInvalid."""
        self.predictor = Predictor(bundle)
        signature = self.predictor.signature
        self._bundle = bundle
        self._write = write
        self._answers = Answers(bundle.model, bundle.version, signature)
        self._reader = Reader(self.predictor.inputs, [one["name"] for one in signature.metadata_outputs()])
        self._moment = Moment()
        self._warm = ""
        self._identity = {"model": bundle.model, "version": bundle.version, "lambda_version": lambda_version}
        # golden rows of a rollout are no predictions: their record has another name, which no filter asks for
        self.heads = {
            smoke: f'{{"record":"{record}",{dumps(self._identity)[1:-1]},'
            for smoke, record in ((False, "prediction"), (True, "smoke"))
        }
        self._routes = self._make_routes(f"/v2/models/{bundle.model}", str(bundle.version))

    def _make_routes(self, model: str, version: str) -> dict[str, tuple[str, Callable[[Event, str, int], Reply]]]:
        routes: dict[str, tuple[str, Callable[[Event, str, int], Reply]]] = {}
        for root in (model, f"{model}/versions/{version}"):
            routes[root] = ("GET", self._metadata)
            routes[f"{root}/ready"] = ("GET", self._ready)
            routes[f"{root}/infer"] = ("POST", self._infer)
        return routes

    def handle(self, event: Event, request_id: str) -> Reply:
        """The reply to one request; `request_id` is Lambda's. What the caller did wrong is a 4xx, never raised."""
        context: Event = event.get("requestContext") or _NOWHERE
        now: int = context.get("timeEpoch") or int(time.time() * 1000)
        path = event.get("rawPath", "")
        route = self._routes.get(path)
        try:
            if route is None:
                raise self._no_route(path)
            method = context["http"]["method"] if "http" in context else None
            if method != route[0]:
                return error_reply(405, f"{path} takes {route[0]}, not {method}", {"allow": route[0]})
            return route[1](event, request_id, now)
        except RequestRefused as refused:
            self._note("refusal", request_id, now, refused.status, str(refused))
            return error_reply(refused.status, str(refused))
        except ModelFault as fault:
            return self.failed(fault, request_id, now, by_number="/versions/" in path)

    def failed(self, fault: ModelFault, request_id: str, now: int, *, by_number: bool = False) -> Reply:
        """The reply to a request that this version's graph did not answer; whether it was asked by its number."""
        self._note("fault", request_id, now, 500, str(fault), by_number=by_number)
        return error_reply(500, f"model {self._bundle.model!r}, version {self._bundle.version}: {fault}")

    def _infer(self, event: Event, request_id: str, now: int) -> Reply:
        request = self._read(event)
        began = time.perf_counter_ns()
        scores = self.predictor.score(request.feeds, request.rows)
        score_us = (time.perf_counter_ns() - began) // 1000
        date, at = self._moment.texts(now)
        ids = f"{date}-{request_id.replace('-', '')}"
        outputs: Columns
        if request.rows == 1 and request.outputs is None and request.id is None:
            reply, outputs = self._answers.one(scores, ids)
        else:
            outputs = answer = self._answers.answer(scores)
            reply = self._answers.reply(request, answer, ids)
        head = f'{self.heads["smoke" in event]}"id":"{request_id}","ids":"{ids}","at":"{at}",'
        tail = f'"score_us":{score_us},{self._whereabouts(event, request_id)}'
        for line in lines(head, tail, request.rows, request.columns, outputs):
            self._write(line)
        return reply

    def _whereabouts(self, event: Event, request_id: str) -> str:
        """Members of a record that tell how the request came here: to which execution environment, which is named by
        the first request that it answers (one restored from a snapshot knows nothing else that others do not know
        too); and whether the version was asked for by its number.
        """
        told = self._warm
        if not told:
            environment = f'"environment":"{request_id}","cold":'
            told, self._warm = f"{environment}true", f"{environment}false"
        return f'{told},"by_number":true' if "/versions/" in event["rawPath"] else told

    def _read(self, event: Event) -> Request:
        body: Any = event.get("body")
        if not body:
            raise RequestRefused("the body is empty")
        if event.get("isBase64Encoded"):
            body = _unbase64(body)
        headers = event.get("headers") or _NOWHERE
        return self._reader.read(body, headers.get("inference-header-content-length"), headers.get("content-encoding"))

    def _ready(self, event: Event, request_id: str, now: int) -> Reply:
        return json_reply(200, {"name": self._bundle.model, "version": str(self._bundle.version), "ready": True})

    def _metadata(self, event: Event, request_id: str, now: int) -> Reply:
        signature = self.predictor.signature
        return json_reply(
            200,
            {
                "name": self._bundle.model,
                "versions": [str(self._bundle.version)],
                "platform": "onnx_onnxv1",
                "inputs": signature.metadata_inputs(),
                "outputs": signature.metadata_outputs(),
                "parameters": {"task": signature.task, "sha256": self._bundle.sha256},
            },
        )

    def _no_route(self, path: str) -> RequestRefused:
        model, version = self._bundle.model, self._bundle.version
        parts = path.split("/")
        if parts[:4] != ["", "v2", "models", model]:
            return RequestRefused(f"this is model {model!r}; it has no path {path[:200]!r}", 404)
        if len(parts) > 5 and parts[4] == "versions" and parts[5] != str(version):
            return RequestRefused(f"model {model!r} has no version {parts[5][:40]!r} here; this is {version}", 404)
        return RequestRefused(f"model {model!r} has no path {path[:200]!r}", 404)

    def _note(
        self, kind: str, request_id: str, now: int, status: int, message: str, *, by_number: bool = False
    ) -> None:
        """One line on what got no answer; a fault is also a metric (CloudWatch's embedded metric format).

        By Lambda version it counts callers of the model only: that is what a rollout's judge holds against its share.
        """
        note = {"record": kind, **self._identity, "id": request_id, "at": self._moment.texts(now)[1]}
        note |= {"status": status, "error": message}
        if kind == "fault":
            metric = {
                "Namespace": "Perennial",
                "Dimensions": [["model"], *([] if by_number else [["model", "lambda_version"]])],
                "Metrics": [{"Name": "PredictFault", "Unit": "Count"}],
            }
            note |= {"PredictFault": 1, "_aws": {"Timestamp": now, "CloudWatchMetrics": [metric]}}
        self._write(dumps(note) + "\n")


class Unavailable:
    """Stands where no model can: every request gets the same readable error."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message

    def handle(self, event: Event, request_id: str) -> Reply:
        """The error, whatever was asked."""
        return error_reply(self.status, self.message)


def open_service(
    directory: str, lambda_version: str = "$LATEST", write: Callable[[str], Any] | None = None
) -> Service | Unavailable:
    """The service of the bundle in `directory`, or of the two of an experiment; Unavailable (503) when there is none
    or it may not be served.
    """
    write = write or _stdout
    try:
        if os.path.lexists(os.path.join(directory, MANIFEST)):  # noqa: PTH118 (no Path for one question)
            return Service(verify(directory), lambda_version, write)
        if os.path.lexists(os.path.join(directory, DESIGN)):  # noqa: PTH118
            from perennial.serving.split import open_split

            return open_split(directory, lambda_version, write)
        return Unavailable(503, "no model yet: this function waits for its first rollout")
    except BundleInvalid as error:
        write(dumps({"record": "unavailable", "lambda_version": lambda_version, "error": str(error)}) + "\n")
        return Unavailable(503, f"the model bundle is invalid and is not served: {error}")


def request_id_of(context: Any) -> str:
    """Lambda's request id, unique to an invocation; a fresh one where there is no context."""
    found: str | None = getattr(context, "aws_request_id", None)
    if found is None:
        from uuid import uuid4

        found = str(uuid4())
    return found


def _stdout(line: str) -> None:
    # looked up each time: the runtime and tests put their own in its place
    sys.stdout.write(line)


def _unbase64(body: str) -> bytes:
    try:
        return binascii.a2b_base64(body)
    except (binascii.Error, ValueError) as error:
        raise RequestRefused(f"the body is not base64: {error}") from error
