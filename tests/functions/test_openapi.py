"""The HTTP API fuzzed by its own OpenAPI document: all functions that answer it, behind the gateway's rules.

Requests that the document forbids are refused, whatever is asked gets an answer of the documented status, type and
schema, and nothing is ever a 5xx. `--full` tries thousands.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from functions.approve.handler import lambda_handler as approve
from functions.deploy.handler import lambda_handler as deploy
from functions.feedback.handler import lambda_handler as feedback
from functions.models.handler import lambda_handler as models
from functions.retrain.handler import lambda_handler as retrain
from infra.local import http_payload
from infra.local.context import Principal
from infra.local.http_routes import select
from infra.local.sigv4 import HttpRequest
from infra.routes import DECISIONS, FEEDBACK, MODELS, RETRAINS, ROLLBACKS
from perennial.openapi import document
from perennial.openapi.operations import OPERATIONS
from perennial.registry import Carrier
from perennial.serving.bundle import manifest, zip_bundle
from perennial.serving.service import open_service
from perennial.storage.functions import Function
from tests.aws import fresh_account
from tests.functions.conftest import world_in
from tests.functions.test_approve import ASKED, BOB, Office
from tests.lambda_api import LambdaApi
from tests.routes import greedy
from tests.unit.serving.bundles import MODEL, shipped_files
from tests.unit.serving.requests import RELAXED

pytestmark = pytest.mark.timeout(1200)

FUNCTION = f"perennial-dev-predict-{MODEL}"
KEYS = {
    **{f"{method} {path}": models for method, path in MODELS},
    **{f"{method} {path}": feedback for method, path in FEEDBACK},
    **{f"{method} {path}": approve for method, path in DECISIONS},
    **{f"{method} {path}": deploy for method, path in ROLLBACKS},
    **{f"{method} {path}": retrain for method, path in RETRAINS},
    "$default": models,
}
GREEDY = greedy(MODEL)
DEPLOYED = datetime(2013, 4, 1, tzinfo=UTC)
# As the contract allows them
MINUTES = st.lists(st.integers(-180, 2880), min_size=1, max_size=5)
# What is wrong is answered with one of these; what is too much of it, with 413, which schemathesis does not expect.
REJECTED = [400, 403, 404, 405, 409, 413, 415]
Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]


class Loaded(LambdaApi):
    """Functions whose versions load their bundle once."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.services: dict[bytes, Any] = {}

    def _run(self, code: bytes, version: str, event: dict[str, Any]) -> Any:
        if code not in self.services:
            super()._run(code, version, event)  # which unpacks it
            folder = next(path for path in self.directory.iterdir() if path.is_dir())
            self.services[code] = open_service(str(folder), version, lambda _: None)
        return self.services[code].handle(event, "6f1b2c3d-1111-4222-8333-123456789abc")


def gateway(environ: Environ, start: Start) -> Iterable[bytes]:
    """The HTTP API as a WSGI application: routes, events and replies as the local cloud makes them, signed by Bob."""
    request = HttpRequest(
        environ["REQUEST_METHOD"],
        environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"],
        [(name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name.startswith("HTTP_")]
        + ([("content-type", environ["CONTENT_TYPE"])] if environ.get("CONTENT_TYPE") else []),
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
    )
    path = http_payload.decoded_path(request.target)
    match = select([*KEYS, GREEDY], request.method, path)
    assert match is not None
    routed = http_payload.Routed(
        account="123456789012",
        api="a1b2c3d4e5",
        stage="$default",
        domain="api.example",
        route=match.key,
        path=path,
        variables=match.variables,
        stage_variables={},
        request_id="JKJaXmPLvHcESHA=",
        time=ASKED + timedelta(hours=1),
        caller=Principal("AKIAIOSFODNN7EXAMPLE", "secret", BOB[0]),
        caller_id=BOB[1],
    )
    event = json.loads(json.dumps(http_payload.event(request, routed)))
    answer = Function(FUNCTION).invoke("live", event).payload if match.key == GREEDY else KEYS[match.key](event, None)
    reply = http_payload.reply(json.dumps(answer).encode())
    start(f"{reply.status} -", [(name, value) for name, value in reply.headers])
    return [reply.body]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Version 1 waits for a person; version 2 served before version 3, which is the same and serves."""
    files = shipped_files()
    code = zip_bundle({**files, "manifest.json": manifest(MODEL, 2, files)})
    with (
        fresh_account() as account,
        world_in(account) as world,
        Loaded(tmp_path_factory.mktemp("code")).serving() as api,
    ):
        world.setenv(APPROVAL_REQUIRED="true")
        office = Office(world)
        with office.listening():
            office.register()
            office.ask()
            function = api.create(FUNCTION)
            for version in (2, 3):
                claimed = office.registry.claim(MODEL, f"run-{version}", DEPLOYED)
                office.registry.complete(
                    claimed.model_copy(update={"state": "registered", "sha256": f"{version}" * 64})
                )
                function.versions[f"{version}"] = code
                promote(office, version)
            yield office


def promote(office: Office, version: int) -> None:
    """Let a version serve, carried by the Lambda version of the same number."""
    function = Function(FUNCTION)
    function.move_alias("live", f"{version}", function.alias("live").revision)
    found = function.configuration(f"{version}")
    carrier = Carrier(lambda_version=found.version, code_sha256=found.code_sha256)
    former = office.registry.champion(MODEL)
    before = None if former is None else former.version
    office.registry.set_champion(MODEL, version, before, at=DEPLOYED, why="test", carrier=carrier)


@pytest.fixture(scope="module")
def api(office: Office) -> Any:
    """The document as it is served, but for the versions, of which there are three, and for who signs: everybody does.

    What the gateway makes of unsigned requests is tried by the local cloud's own tests.
    """
    raw: dict[str, Any] = json.loads(ask("GET", "/v2/openapi.json")[1])
    del raw["security"], raw["paths"]["/v2/openapi.json"]
    for operation in (one for item in raw["paths"].values() for one in item.values()):
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "version":
                parameter["schema"] = {"enum": ["1", "2", "3", "4"]}
    raw["components"]["schemas"]["Rollback"]["properties"]["version"]["maximum"] = 4
    rejected = {"checks": {"negative_data_rejection": {"expected-statuses": REJECTED}}}
    schema = schemathesis.openapi.from_dict(raw, config=SchemathesisConfig.from_dict(rejected))
    schema.app = gateway
    return schema


def ask(method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of a request without a body."""
    told: list[Any] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "api.example", "wsgi.input": io.BytesIO()}
    [body] = gateway(environ, lambda status, headers: told.extend((status, headers)))
    return int(told[0].split()[0]), body, {name.lower(): value for name, value in told[1]}


PATHS = sorted({(one.method, one.path) for one in OPERATIONS if one.id != "openapi"})
INFER = ("POST", f"/v2/models/{MODEL}/infer")


def tried(request: pytest.FixtureRequest, examples: int) -> Callable[[Any], Any]:
    """The settings of a property."""
    many = examples * (20 if request.config.getoption("--full") else 1)
    return settings(RELAXED, max_examples=many, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(("method", "path"), [*PATHS, INFER])
def test_the_api_keeps_to_its_document(
    api: Any, request: pytest.FixtureRequest, method: str, path: str, mode: GenerationMode
) -> None:
    operation = api[path][method]
    if mode == GenerationMode.NEGATIVE and not (operation.path_parameters or operation.body):
        pytest.skip("there is nothing in it that could be wrong")

    @tried(request, 25 if operation.body else 5)
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps(case: Any) -> None:
        # a request of the right form may still be wrong: tensors of different lengths, a version that is not there
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    keeps()


def test_tensors_of_one_length_that_the_document_allows_are_answered(api: Any, request: pytest.FixtureRequest) -> None:
    operation, inputs = api[INFER[1]]["POST"], json.loads(shipped_files()["signature.json"])["inputs"]
    answered = Counter[int]()

    @tried(request, 60)
    @given(case=operation.as_strategy())
    def answers(case: Any) -> None:
        if not isinstance(case.body, dict):
            return
        case.headers.pop("Inference-Header-Content-Length", None)
        case.body = mended(case.body, inputs)
        reply = case.call_and_validate()
        answered[reply.status_code] += 1

    answers()
    assert set(answered) == {200}
    assert answered[200] >= 20


def test_outcomes_that_the_document_allows_are_recorded(api: Any, request: pytest.FixtureRequest) -> None:
    answered = Counter[tuple[int, bool]]()

    @tried(request, 60)
    @given(case=api["/v2/models/{model}/feedback"]["POST"].as_strategy(), minutes=MINUTES)
    def answers(case: Any, minutes: list[int]) -> None:
        # the shipped model knows minutes of a flight, neither entities nor amounts
        said = [one["prediction_id"] for one in case.body["outcomes"] if "prediction_id" in one][: len(minutes)]
        if not said:
            return
        outcomes = [{"prediction_id": one, "outcome": outcome} for one, outcome in zip(said, minutes, strict=False)]
        case.body = {"outcomes": outcomes}
        reply = case.call_and_validate()
        told = reply.json()
        assert told["accepted"] + told["duplicates"] == len(outcomes)
        answered[reply.status_code, told["accepted"] > 0] += 1

    answers()
    assert {status for status, _ in answered} == {200}
    assert answered[200, True] >= 20


def test_a_version_that_serves_is_taken_back_for_whatever_reason(
    api: Any, request: pytest.FixtureRequest, office: Office
) -> None:
    answered = Counter[int]()

    @tried(request, 8)
    @given(case=api["/rollbacks/{model}"]["POST"].as_strategy())
    def answers(case: Any) -> None:
        if not case.body["reason"].strip():
            return
        promote(office, 3)
        case.body.pop("rollout", None)
        changes = office.registry.champion_history(MODEL)
        case.body |= {"version": 3, "change": len(changes)}
        reply = case.call_and_validate()
        assert (reply.json()["serving"], reply.json()["taken_back"]) == (2, 3)
        answered[reply.status_code] += 1

    answers()
    assert set(answered) == {200}


def mended(body: dict[str, Any], inputs: list[dict[str, str]]) -> dict[str, Any]:
    """The request with one tensor per input, of one length, in the widest datatype, and each output asked for once."""
    drawn = {tensor["name"]: list(map(flat, tensor["data"])) for tensor in body["inputs"]}
    rows = min(map(len, drawn.values()))
    tensors = [
        {
            "name": one["name"],
            "datatype": "FP64" if one["kind"] == "number" else one["datatype"],
            "shape": [rows],
            "data": drawn.get(one["name"], [None] * rows)[:rows],
        }
        for one in inputs
    ]
    wanted = {output["name"]: {"name": output["name"]} for output in body.get("outputs") or []}
    return body | {"inputs": tensors, "outputs": list(wanted.values())}


def flat(value: Any) -> Any:
    found = value[0] if isinstance(value, list) else value
    # the largest float32 has more digits as a whole number than the document's limit
    return None if isinstance(found, int) and abs(found) > 10**38 else found


@pytest.mark.parametrize("path", sorted({one.path for one in OPERATIONS}))
def test_other_methods_are_405_and_say_which_to_use(office: Office, path: str) -> None:
    there = path.replace("{model}", MODEL).replace("{version}", "2")
    methods = {one.method for one in OPERATIONS if one.path == path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"} - methods:
        status, body, headers = ask(method, there)
        assert (status, headers["allow"]) == (405, ", ".join(sorted(methods))), (method, body)


def test_the_served_document_is_the_published_one_and_the_models_that_serve(office: Office) -> None:
    status, body, headers = ask("GET", "/v2/openapi.json")
    found, published = json.loads(body), document("http://api.example", [MODEL])
    assert (status, headers["content-type"]) == (200, "application/json")
    OpenAPIV31SpecValidator(found).validate()
    assert {path: found["paths"][path] for path in published["paths"]} == published["paths"]
    assert set(found["paths"]) - set(published["paths"]) == {INFER[1]}
    tensors = found["components"]["schemas"][f"{MODEL}.InferenceRequest"]["properties"]["inputs"]
    assert tensors["maxItems"] == 8
    names = {name for each in tensors["items"]["anyOf"] for name in each["allOf"][1]["properties"]["name"]["enum"]}
    assert names == {one["name"] for one in json.loads(shipped_files()["signature.json"])["inputs"]}


def test_a_model_that_does_not_answer_is_left_out(office: Office) -> None:
    office.world.setenv(PREDICT_PREFIX="perennial-dev-nothing-")
    try:
        found = json.loads(ask("GET", "/v2/openapi.json")[1])
    finally:
        office.world.setenv(PREDICT_PREFIX="perennial-dev-predict-")
    assert found["paths"].keys() == document()["paths"].keys()
