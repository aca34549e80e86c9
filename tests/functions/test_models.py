"""The models function: what is served, and versions asked by number, on a real registry and real bundles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from functions.models.handler import lambda_handler
from perennial.registry import Carrier, Registry
from perennial.serving.bundle import manifest, zip_bundle
from tests.functions.conftest import World
from tests.lambda_api import FunctionState, LambdaApi
from tests.unit.serving.bundles import MODEL, shipped_files

EVENTS = Path(__file__).parents[2] / "events"
FUNCTION = f"perennial-dev-predict-{MODEL}"
AT = datetime(2013, 4, 1, tzinfo=UTC)


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


def ask(path: str, method: str = "GET", body: str | None = None) -> tuple[int, Any]:
    """Status and parsed body of a request; the path is all that the sample is changed in."""
    sent = event("models-infer") if method == "POST" else event("models-list")
    sent["rawPath"] = path
    sent["requestContext"]["http"] |= {"method": method, "path": path}
    reply = lambda_handler(sent if body is None else sent | {"body": body}, None)
    return reply["statusCode"], json.loads(reply["body"])


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[LambdaApi]:
    api = LambdaApi(tmp_path)
    with api.serving():
        yield api


@pytest.fixture
def function(api: LambdaApi) -> FunctionState:
    return api.create(FUNCTION)


@pytest.fixture
def deployed(world: World, function: FunctionState) -> FunctionState:
    """Versions 1, 2 and 3 of the model: 1 failed its gates, 2 and 3 were deployed, 3 serves."""
    registry, files = Registry(world.registry), shipped_files()
    for number in (1, 2, 3):
        claimed = registry.claim(MODEL, f"run-{number}", AT)
        state = "refused" if number == 1 else "registered"
        registry.complete(
            claimed.model_copy(update={"state": state, "sha256": f"{number}" * 64, "metrics": {"auc": 0.7}})
        )
        if number > 1:
            code = zip_bundle({**files, "manifest.json": manifest(MODEL, number, files)})
            function.versions[str(number + 5)] = code
            carrier = Carrier(lambda_version=str(number + 5), code_sha256="digest")
            registry.set_champion(MODEL, number, number - 1 if number > 2 else None, at=AT, why="test", carrier=carrier)
    function.alias = "8"
    return function


def test_the_server_says_what_it_is(world: World) -> None:
    status, found = ask("/v2")
    assert status == 200
    assert found["name"] == "perennial"
    assert found["extensions"] == ["binary_tensor_data"]
    assert ask("/v2/health/live") == (200, {"live": True})


def test_the_server_is_ready_when_every_model_serves(world: World) -> None:
    status, found = ask("/v2/health/ready")
    assert (status, found["ready"]) == (400, False)
    assert MODEL in found["error"]


def test_and_then_it_says_so(deployed: FunctionState) -> None:
    assert ask("/v2/health/ready") == (200, {"ready": True})


def test_a_declared_model_is_listed_before_it_serves(world: World) -> None:
    reply = lambda_handler(event("models-list"), None)
    assert json.loads(reply["body"])["models"] == [{"name": MODEL, "version": None, "ready": False}]


def test_a_model_that_serves_is_listed_with_its_version(deployed: FunctionState) -> None:
    assert ask("/v2/models")[1]["models"] == [{"name": MODEL, "version": "3", "ready": True}]


def test_metadata_is_the_champions_with_every_version_that_can_be_asked(deployed: FunctionState) -> None:
    reply = lambda_handler(event("models-metadata"), None)
    assert reply["statusCode"] == 200
    found = json.loads(reply["body"])
    assert found["name"] == MODEL
    assert found["versions"] == ["2", "3"]
    assert [one["name"] for one in found["inputs"]][:2] == ["hour", "minute"]
    assert [one["name"] for one in found["outputs"]] == ["prediction", "probability", "prediction_id"]


def test_a_model_without_a_version_has_no_metadata_yet(function: FunctionState) -> None:
    status, found = ask(f"/v2/models/{MODEL}")
    assert status == 503
    assert "no model yet" in found["error"]


def test_versions_are_told_with_what_became_of_them(deployed: FunctionState) -> None:
    status, found = ask(f"/v2/models/{MODEL}/versions")
    assert status == 200
    told = [(one["version"], one["state"], one["champion"], one["deployed"]) for one in found["versions"]]
    assert told == [
        ("1", "refused", False, False),
        ("2", "registered", False, True),
        ("3", "deployed", True, True),
    ]
    assert found["versions"][0]["metrics"] == {"auc": 0.7}


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_version_answers_for_itself(deployed: FunctionState, version: str) -> None:
    root = f"/v2/models/{MODEL}/versions/{version}"
    assert ask(root)[1]["parameters"]["task"] == "binary"
    assert ask(f"{root}/ready") == (200, {"name": MODEL, "version": version, "ready": True})
    status, found = ask(f"{root}/infer", "POST")
    assert status == 200
    assert found["model_version"] == version
    assert found["outputs"][2]["data"][0].startswith("2013-04-01-")


def test_a_request_in_binary_is_passed_on_as_it_is(deployed: FunctionState) -> None:
    sent = event("predict-binary") | {"rawPath": f"/v2/models/{MODEL}/versions/2/infer"}
    reply = lambda_handler(sent, None)
    assert (reply["statusCode"], reply["isBase64Encoded"]) == (200, True)
    assert "inference-header-content-length" in reply["headers"]


def test_what_a_version_refuses_is_refused_in_its_words(deployed: FunctionState) -> None:
    status, found = ask(f"/v2/models/{MODEL}/versions/2/infer", "POST", "{}")
    assert status == 400
    assert found["error"].startswith("inputs must be a list")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (
            f"/v2/models/{MODEL}/versions/1/infer",
            "version 1 of model 'flight-delays' is refused and was never deployed",
        ),
        (f"/v2/models/{MODEL}/versions/4/infer", "has no version '4'"),
        (f"/v2/models/{MODEL}/versions/0/infer", "has no version '0'"),
        (f"/v2/models/{MODEL}/versions/latest/infer", "has no version 'latest'"),
        (f"/v2/models/{MODEL}/versions/03/infer", "has no version '03'"),
        (f"/v2/models/{MODEL}/versions/{'9' * 50}/infer", "has no version '9999"),
        (f"/v2/models/{MODEL}/versions/٣/infer", "has no version '٣'"),
        (f"/v2/models/{MODEL}/versions/2/explain", "has nothing at 'versions/2/explain'"),
        ("/v2/models/nobody", "there is no model 'nobody'"),
        ("/v2/models/nobody/ready", "there is no model 'nobody'"),
        ("/v2/models/nobody/versions/1/infer", "there is no model 'nobody'"),
        ("/v2/models/../ledger", "there is no model '..'"),
        ("/v2/models/", "takes GET, not POST"),
        ("/v1/models/x:predict", "there is nothing at /v1/models/x:predict"),
        ("/v2/health/dead", "there is nothing at"),
        ("/", "there is nothing at /"),
        ("", "there is nothing at /"),
    ],
)
def test_what_there_is_not_is_404_in_the_protocols_form(deployed: FunctionState, path: str, reason: str) -> None:
    status, found = ask(path, "POST")
    assert status == (405 if "takes" in reason else 404)
    assert list(found) == ["error"]
    assert reason in found["error"]


def test_the_default_route_answers_for_models_that_there_are_not(world: World) -> None:
    reply = lambda_handler(event("models-unknown"), None)
    assert (reply["statusCode"], json.loads(reply["body"])) == (404, {"error": "there is no model 'nobody'"})


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v2", "POST", "GET"),
        ("/v2/models", "DELETE", "GET"),
        (f"/v2/models/{MODEL}", "PUT", "GET"),
        (f"/v2/models/{MODEL}/versions", "POST", "GET"),
        (f"/v2/models/{MODEL}/versions/2", "POST", "GET"),
        (f"/v2/models/{MODEL}/versions/2/ready", "POST", "GET"),
        (f"/v2/models/{MODEL}/versions/2/infer", "GET", "POST"),
    ],
)
def test_other_methods_are_405(deployed: FunctionState, path: str, method: str, allowed: str) -> None:
    status, found = ask(path, method)
    assert status == 405
    assert found["error"] == f"this takes {allowed}, not {method}"


def test_a_version_that_lambda_no_longer_keeps_is_404(world: World, deployed: FunctionState, api: LambdaApi) -> None:
    del api.functions[FUNCTION]
    status, found = ask(f"/v2/models/{MODEL}/versions/2/infer", "POST")
    assert status == 404
    assert "is no longer deployed" in found["error"]


def test_a_version_that_is_no_longer_kept_is_404_and_says_what_to_do(world: World, deployed: FunctionState) -> None:
    Registry(world.registry).retired(MODEL, 2, "7")
    for path, method in (("", "GET"), ("/ready", "GET"), ("/infer", "POST")):
        status, found = ask(f"/v2/models/{MODEL}/versions/2{path}", method)
        assert status == 404
        assert found["error"] == (
            f"version 2 of model {MODEL!r} is no longer kept warm: it has to be deployed again to be asked"
        )
    assert ask(f"/v2/models/{MODEL}")[1]["versions"] == ["3"]
    told = {one["version"]: one["deployed"] for one in ask(f"/v2/models/{MODEL}/versions")[1]["versions"]}
    assert told == {"1": False, "2": False, "3": True}


def test_a_version_that_breaks_is_502_and_says_how(deployed: FunctionState, api: LambdaApi) -> None:
    api.answers = lambda version, payload: {"errorMessage": "out of memory", "errorType": "Runtime.ExitError"}
    status, found = ask(f"/v2/models/{MODEL}/versions/2/infer", "POST")
    assert status == 502
    assert "failed to answer" in found["error"]


@pytest.mark.parametrize("state", ["a change is in progress", "Lambda wakes it"])
def test_a_function_that_is_not_ready_is_503_and_to_be_asked_again(
    deployed: FunctionState, api: LambdaApi, state: str
) -> None:
    api.refusing = ("ResourceConflictException" if "change" in state else "CodeArtifactUserPendingException", 409)
    sent = event("models-infer") | {"rawPath": f"/v2/models/{MODEL}/versions/2/infer"}
    reply = lambda_handler(sent, None)
    assert (reply["statusCode"], reply["headers"]["retry-after"]) == (503, "1")
    assert json.loads(reply["body"])["error"].startswith("try again: ")


def test_a_function_that_may_not_be_called_is_502_in_the_protocols_form(
    deployed: FunctionState, api: LambdaApi
) -> None:
    api.refusing = ("AccessDeniedException", 403)
    status, found = ask(f"/v2/models/{MODEL}/versions/2/infer", "POST")
    assert (status, list(found)) == (502, ["error"])
    assert found["error"].startswith("AccessRefused: ")


def test_an_event_that_escapes_make_too_large_is_413(deployed: FunctionState) -> None:
    status, found = ask(f"/v2/models/{MODEL}/versions/2/infer", "POST", "é" * 2_000_000)
    assert status == 413
    assert "larger than 6 MB" in found["error"]


def test_bodies_are_not_logged(deployed: FunctionState, capsys: pytest.CaptureFixture[str]) -> None:
    ask(f"/v2/models/{MODEL}/versions/2/infer", "POST", '{"secret": "value"}')
    assert "secret" not in capsys.readouterr().out
