"""Lambda's API for the functions that serve models, in this process.

moto's Lambda has no revisions and no Pending state, and runs code in Docker only: a rollout turns on all three. Here
they are, with knobs for what AWS does now and then; an invocation runs the code that was put there, with the real
serving library. The local cloud's own Lambda runs the same rollout end to end, in processes, with layers and limits.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from perennial.serving.service import open_service
from perennial.storage.translate import client
from tests.crash.calls import unheard

PATH = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)(?:/(?P<rest>.+))?")
CONFIGURATION: dict[str, Any] = {
    "Runtime": "python3.13",
    "MemorySize": 1024,
    "Layers": [{"Arn": "arn:aws:lambda:eu-west-1:123456789012:layer:perennial-dev-predict:1", "CodeSize": 900}],
}


class Refusal(Exception):
    """An error answer of the API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def digest(code: bytes) -> str:
    return base64.b64encode(hashlib.sha256(code).digest()).decode()


def bootstrap() -> bytes:
    """The template's constant code: it holds no model."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("README"), "no model yet")
    return buffer.getvalue()


@dataclass
class FunctionState:
    """A function: `pending` counts the answers for which its last version is still Pending and updates are refused.

    `configurations` are those of published versions, where they are not what `$LATEST` has at first; `held` are the
    versions that aliases of somebody else name, `served` those that the alias was pointed at.
    """

    code: bytes = field(default_factory=bootstrap)
    revision: str = field(default_factory=lambda: str(uuid4()))
    versions: dict[str, bytes] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=lambda: dict(CONFIGURATION))
    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: int = 1
    alias: str = "1"
    alias_revision: str = str(UUID(int=1))
    weights: dict[str, float] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    pending: int = 0
    broken: str | None = None
    served: list[str] = field(default_factory=list)

    def point(self, version: str) -> None:
        """Somebody points the alias at a version."""
        self.alias, self.alias_revision = version, str(UUID(int=UUID(self.alias_revision).int + 1))
        self.served.append(version)


class LambdaApi:
    """Functions by name. `published_pending` is how many answers a new version stays Pending for.

    `refusing` is the code and status with which Lambda refuses every invocation. `answers` may replace the payload of
    an invocation of a version; `lagging` answers of the alias come from `lag`. `asleep` are Inactive versions.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.functions: dict[str, FunctionState] = {}
        self.published_pending = 0
        self.answers: Callable[[str, Any], Any] = lambda version, payload: payload
        self.lag: list[str] = []
        self.refusing: tuple[str, int] | None = None
        self.asleep: set[str] = set()
        self.calls: list[str] = []

    def create(self, name: str) -> FunctionState:
        """A function as the template leaves it: version 1 is the bootstrap, alias live points at it."""
        state = FunctionState()
        state.versions["1"] = state.code
        self.functions[name] = state
        return state

    @contextmanager
    def serving(self) -> Iterator[LambdaApi]:
        """Answer the library's Lambda client."""
        events = client("lambda").meta.events
        events.register_first("before-send.lambda", self._answer)
        try:
            yield self
        finally:
            events.unregister("before-send.lambda", self._answer)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url = urlsplit(str(request.url))
        match = PATH.fullmatch(url.path)
        assert match is not None, url.path
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        content: Any = request.body
        body = json.loads(content or b"{}")
        headers = HTTPHeaders()
        try:
            if match["name"] not in self.functions:
                raise Refusal(404, "ResourceNotFoundException", f"Function not found: {match['name']}")
            what = f"{request.method} {match['rest'] or 'function'}"
            status, value = self._route(what, match["name"], query, body, headers)
        except Refusal as refusal:
            headers["x-amzn-errortype"] = refusal.code
            status, value = refusal.status, {"Type": "User", "Message": str(refusal)}
        return AWSResponse(str(request.url), status, headers, _Raw(json.dumps(value).encode()))

    def _route(
        self, what: str, name: str, query: dict[str, str], body: dict[str, Any], headers: HTTPHeaders
    ) -> tuple[int, Any]:
        state = self.functions[name]
        self.calls.append(what)
        if what == "GET configuration":
            return 200, self._configuration(state, query.get("Qualifier", "$LATEST"))
        if what == "PUT code":
            return 200, self._update(state, body)
        if what == "POST versions":
            return 201, self._publish(state, body)
        if what == "GET versions":
            return 200, self._list(state, query.get("Marker"))
        if what == "DELETE function":
            return 204, self._delete(state, query["Qualifier"])
        if what == "GET aliases/live":
            return 200, self._alias(state)
        if what == "PUT aliases/live":
            return 200, self._move(state, body)
        assert what == "POST invocations", what
        return 200, self._invoke(name, query["Qualifier"], body, headers)

    def _configuration(self, state: FunctionState, version: str) -> dict[str, Any]:
        latest = version == "$LATEST"
        if not latest and version not in state.versions:
            raise Refusal(404, "ResourceNotFoundException", f"no version {version}")
        newest = latest or version == max(state.versions, key=int)
        waiting = newest and state.pending > 0
        state.pending -= 1 if waiting else 0
        found = {
            "Version": version,
            "CodeSha256": digest(state.code if latest else state.versions[version]),
            "RevisionId": state.revision,
            "State": "Pending" if waiting and not latest else "Active",
            "LastUpdateStatus": "InProgress" if waiting and latest else "Successful",
            **(state.configuration if latest else state.configurations.get(version, CONFIGURATION)),
        }
        if version in self.asleep:
            found["State"] = "Inactive"
        if state.broken and newest and not latest:
            found |= {"State": "Failed", "StateReason": state.broken}
        return found

    def _busy(self, state: FunctionState) -> None:
        if state.pending > 0:
            state.pending -= 1
            raise Refusal(409, "ResourceConflictException", "An update is in progress for resource")

    def _update(self, state: FunctionState, body: dict[str, Any]) -> dict[str, Any]:
        self._busy(state)
        if body["RevisionId"] != state.revision:
            raise Refusal(412, "PreconditionFailedException", "The RevisionId does not match")
        with unheard():
            state.code = client("s3").get_object(Bucket=body["S3Bucket"], Key=body["S3Key"])["Body"].read()
        state.revision = str(uuid4())
        assert body["Publish"] is True
        return self._add_version(state)

    def _publish(self, state: FunctionState, body: dict[str, Any]) -> dict[str, Any]:
        self._busy(state)
        if body.get("CodeSha256") not in (None, digest(state.code)):
            raise Refusal(400, "InvalidParameterValueException", "CodeSHA256 does not match")
        newest = max(state.versions, key=int)
        configuration = state.configurations.get(newest, CONFIGURATION)
        if (state.versions[newest], configuration) == (state.code, state.configuration):
            return self._configuration(state, newest)
        return self._add_version(state)

    def _list(self, state: FunctionState, marker: str | None) -> dict[str, Any]:
        """Two to a page, `$LATEST` first."""
        start, known = int(marker or 0), ["$LATEST", *sorted(state.versions, key=int)]
        page = {"Versions": [{"Version": version} for version in known[start : start + 2]]}
        return page | ({"NextMarker": str(start + 2)} if start + 2 < len(known) else {})

    def _delete(self, state: FunctionState, version: str) -> dict[str, Any]:
        if version not in state.versions:
            raise Refusal(404, "ResourceNotFoundException", f"Function not found: {version}")
        if version in (state.alias, *state.weights, *state.held):
            raise Refusal(409, "ResourceConflictException", "Unable to delete version because aliases reference it")
        del state.versions[version]
        return {}

    def _add_version(self, state: FunctionState) -> dict[str, Any]:
        state.published = 1 + max(state.published, *map(int, state.versions))
        version = str(state.published)
        state.versions[version], state.configurations[version] = state.code, dict(state.configuration)
        state.pending = self.published_pending
        return self._configuration(state, version)

    def _alias(self, state: FunctionState) -> dict[str, Any]:
        found: dict[str, Any] = {"Name": "live", "FunctionVersion": state.alias, "RevisionId": state.alias_revision}
        return found | ({"RoutingConfig": {"AdditionalVersionWeights": state.weights}} if state.weights else {})

    def _move(self, state: FunctionState, body: dict[str, Any]) -> dict[str, Any]:
        if body["RevisionId"] != state.alias_revision:
            raise Refusal(412, "PreconditionFailedException", "The RevisionId does not match")
        state.weights = body["RoutingConfig"]["AdditionalVersionWeights"]
        state.point(body["FunctionVersion"])
        return self._alias(state)

    def _invoke(self, name: str, qualifier: str, event: dict[str, Any], headers: HTTPHeaders) -> Any:
        state = self.functions[name]
        if self.refusing:
            code, status = self.refusing
            raise Refusal(status, code, "not now")
        if qualifier in self.asleep:
            self.asleep.remove(qualifier)
            state.pending = 2
            raise Refusal(409, "CodeArtifactUserPendingException", "Lambda is initializing your function.")
        # what an alias with weights draws, is drawn nowhere here: nobody calls through one but for golden rows
        version = state.alias if qualifier == "live" else qualifier
        if qualifier == "live" and self.lag:
            version = self.lag.pop(0)
        headers["X-Amz-Executed-Version"] = version
        payload = self.answers(version, self._run(state.versions[version], version, event))
        if isinstance(payload, dict) and "errorMessage" in payload:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return payload

    def _run(self, code: bytes, version: str, event: dict[str, Any]) -> Any:
        folder = self.directory / hashlib.sha256(code).hexdigest()
        if not folder.exists():
            zipfile.ZipFile(io.BytesIO(code)).extractall(folder)
        return open_service(str(folder), version, lambda _: None).handle(event, str(uuid4()))


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()
