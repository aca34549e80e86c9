"""Stage models: what is served, in which versions, and the way to a version that is not the champion.

    GET /v2[/openapi.json]    GET /v2/health/{live,ready}    GET /v2/models[/<m>[/versions[/<v>[/ready]]]]
    POST /v2/models/<m>/versions/<v>/infer

A model is known when the catalog declares it, a version when the registry has it; what a version takes and answers,
only its predict function knows, so such questions are passed on to it as they came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import perennial
from perennial.errors import ModelUnknown, PerennialError, Retriable
from perennial.openapi import allowed, describe, document
from perennial.registry import ModelVersion, Registry
from perennial.serving.envelope import Reply, error_reply, json_reply
from perennial.serving.errors import RequestRefused
from perennial.storage.functions import Function

ALIAS = "live"
EXTENSIONS = ["binary_tensor_data"]
MAX_EVENT_BYTES = 6 * 1024 * 1024
# How many models are asked at once for what they take; a cold one takes a second.
CALLS = 16
_VERSION = re.compile(r"[1-9][0-9]{0,7}")

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Directory:
    """Answers API Gateway's events. `models` are the declared ones; `function` gives the predict function of one."""

    models: Collection[str]
    registry: Registry
    function: Callable[[str], Function]

    def handle(self, event: Event) -> Reply:
        """The reply to one request, whatever happens: what the caller did wrong is a 4xx, a passing fault 503, any
        other named reason 502.
        """
        http = event.get("requestContext", {}).get("http", {})
        path = str(event.get("rawPath", ""))
        try:
            return self._answer(str(http.get("method", "")), path.rstrip("/").split("/")[1:], event)
        except RequestRefused as refused:
            return error_reply(refused.status, str(refused))
        except Retriable as error:
            return error_reply(503, f"try again: {error}", {"retry-after": "1"})
        except PerennialError as error:  # not the caller's: a person has to put it right
            return error_reply(502, f"{type(error).__name__}: {error}")

    def _answer(self, method: str, parts: list[str], event: Event) -> Reply:
        match parts:
            case ["v2"]:
                return _get(method) or json_reply(
                    200, {"name": "perennial", "version": perennial.__version__, "extensions": EXTENSIONS}
                )
            case ["v2", "openapi.json"]:
                return _get(method) or json_reply(200, self._document(event))
            case ["v2", "health", "live"]:
                return _get(method) or json_reply(200, {"live": True})
            case ["v2", "health", "ready"]:
                return _get(method) or self._ready()
            case ["v2", "models"]:
                return _get(method) or json_reply(200, {"models": [self._entry(name) for name in sorted(self.models)]})
            case ["v2", "models", model, *rest]:
                if model not in self.models:
                    raise RequestRefused(f"there is no model {model[:100]!r}", 404)
                return self._of_model(method, model, rest, event)
        path = f"/{'/'.join(parts)}"
        return _only(method, *allowed(path)) or error_reply(404, f"there is nothing at {path[:200]}")

    def _document(self, event: Event) -> dict[str, Any]:
        """The OpenAPI document, with the tensors of each model that answers now."""
        headers = event.get("headers") or {}
        host, scheme = headers.get("host"), headers.get("x-forwarded-proto", "https")
        made = document(f"{scheme}://{host}" if host else None, self.models)
        with ThreadPoolExecutor(CALLS) as calls:
            for metadata in calls.map(lambda model: self._tensors(model, event), sorted(self.models)):
                if metadata is not None:
                    describe(made, metadata)
        return made

    def _tensors(self, model: str, event: Event) -> dict[str, Any] | None:
        path = f"/v2/models/{model}"
        http = {**event["requestContext"]["http"], "method": "GET", "path": path}
        asked = {**event, "rawPath": path, "requestContext": {**event["requestContext"], "http": http}}
        try:
            reply = self._forward(model, ALIAS, asked)
        except (RequestRefused, PerennialError):
            return None
        return json.loads(reply["body"]) if reply["statusCode"] == 200 else None

    def _ready(self) -> Reply:
        """Whether every model of the catalog has a version that serves; the protocol says no with a 4xx."""
        missing = [name for name in sorted(self.models) if not self._entry(name)["ready"]]
        if missing:
            return json_reply(400, {"ready": False, "error": f"no version serves yet of {', '.join(missing)}"})
        return json_reply(200, {"ready": True})

    def _of_model(self, method: str, model: str, rest: list[str], event: Event) -> Reply:
        match rest:
            case []:
                return _get(method) or self._metadata(model, ALIAS, event)
            case ["ready" | "infer"]:  # which the API sends to the alias itself
                return self._forward(model, ALIAS, event)
            case ["versions"]:
                return _get(method) or self._versions(model)
            case ["versions", version]:
                return _get(method) or self._metadata(model, self._published(model, version), event)
            case ["versions", version, "ready"]:
                return _get(method) or self._forward(model, self._published(model, version), event)
            case ["versions", version, "infer"]:
                return _only(method, "POST") or self._forward(model, self._published(model, version), event)
        raise RequestRefused(f"model {model!r} has nothing at {'/'.join(rest)[:200]!r}", 404)

    def _entry(self, model: str) -> dict[str, Any]:
        champion = self.registry.champion_entry(model)
        version = None if champion is None or champion.version is None else str(champion.version)
        return {"name": model, "version": version, "ready": version is not None}

    def _versions(self, model: str) -> Reply:
        champion = self.registry.champion_entry(model)
        serving = champion.version if champion else None
        versions = [_described(version, serving) for version in self.registry.list_versions(model)]
        return json_reply(200, {"name": model, "versions": versions})

    def _published(self, model: str, text: str) -> str:
        """The Lambda version that carries a version. Raises RequestRefused (404)."""
        version = self.registry.find(model, int(text)) if _VERSION.fullmatch(text) else None
        if version is None or version.state == "registering":
            raise RequestRefused(f"model {model!r} has no version {text[:40]!r}", 404)
        if version.lambda_version is None and version.code_sha256 is not None:
            kept = f"version {text} of model {model!r} is no longer kept warm: it has to be deployed again to be asked"
            raise RequestRefused(kept, 404)
        if version.lambda_version is None:
            raise RequestRefused(f"version {text} of model {model!r} is {version.state} and was never deployed", 404)
        return version.lambda_version

    def _metadata(self, model: str, qualifier: str, event: Event) -> Reply:
        """The metadata that the version itself gives, with all versions that can be asked."""
        reply = self._forward(model, qualifier, event)
        if reply["statusCode"] != 200:
            return reply
        published = [str(one.version) for one in self.registry.list_versions(model) if one.lambda_version is not None]
        return json_reply(200, {**json.loads(reply["body"]), "versions": published})

    def _forward(self, model: str, qualifier: str, event: Event) -> Reply:
        # escapes can make an event larger than the one that came in; the body is most of it
        if len(event.get("body") or "") > MAX_EVENT_BYTES // 8 and len(json.dumps(event)) > MAX_EVENT_BYTES:
            raise RequestRefused("the request is larger than 6 MB; send fewer rows", 413)
        try:
            answer = self.function(model).invoke(qualifier, event)
        except ModelUnknown as error:
            raise RequestRefused(f"what model {model!r} was asked for is no longer deployed", 404) from error
        if answer.error is not None or not isinstance(answer.payload, dict) or "statusCode" not in answer.payload:
            return error_reply(502, f"model {model!r} failed to answer ({answer.error or 'malformed answer'})")
        return answer.payload


def _described(version: ModelVersion, champion: int | None) -> dict[str, Any]:
    return {
        "version": str(version.version),
        "state": version.state,
        "champion": version.version == champion,
        "deployed": version.lambda_version is not None,
        "metrics": version.metrics,
        "sha256": version.sha256,
        "run": version.run,
        "at": version.at.isoformat(),
    }


def _get(method: str) -> Reply | None:
    return _only(method, "GET")


def _only(method: str, *methods: str) -> Reply | None:
    """The refusal of any other method; None when there is none to refuse."""
    if not methods or method in methods:
        return None
    return error_reply(405, f"this takes {' or '.join(methods)}, not {method[:20]}", {"allow": ", ".join(methods)})
