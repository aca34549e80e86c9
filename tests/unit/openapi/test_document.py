"""The OpenAPI document is valid, is the one in docs/, and names what the API's routes answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from infra.local.http_routes import select
from infra.routes import DECISIONS, MODELS
from perennial.openapi import allowed, describe, document
from perennial.openapi.operations import OPERATIONS
from perennial.serving.signature import parse_signature
from scripts.openapi import PATH, text
from tests.unit.serving.bundles import MODEL, bundle_files, signature
from tests.unit.serving.requests import Server, request

ROUTES = [f"{method} {path}" for method, path in (*MODELS, *DECISIONS)]
GREEDY = f"ANY /v2/models/{MODEL}/{{proxy+}}"


def served(**changes: Any) -> dict[str, Any]:
    """The document once a model serves."""
    found = parse_signature(json.dumps(signature() | changes).encode())
    made = document("https://api.example", [MODEL])
    described = {"name": MODEL, "inputs": found.metadata_inputs(), "outputs": found.metadata_outputs()}
    describe(made, described)
    return made


def validator(made: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    """Checks a body against a schema of the document."""
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **made})


@pytest.mark.parametrize("made", [document(), served(), served(task="regression", classes=None)])
def test_it_is_valid_openapi(made: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(made).validate()
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_the_published_document_is_the_one_of_this_version() -> None:
    assert PATH.read_text("utf-8") == text(), "python -m scripts.openapi writes it anew"


def test_every_operation_has_a_route_and_every_route_an_operation() -> None:
    chosen = {}
    for operation in OPERATIONS:
        path = operation.path.replace("{model}", MODEL).replace("{version}", "3")
        match = select([*ROUTES, GREEDY, "$default"], operation.method, path)
        assert match is not None
        chosen[operation.id] = match.key
    assert "$default" not in chosen.values()
    assert {chosen["infer"], chosen["modelReady"]} == {GREEDY}
    assert set(chosen.values()) == {*ROUTES, GREEDY}


def test_what_a_path_takes() -> None:
    assert allowed("/approvals") == ["GET"]
    assert allowed("/approvals/x/1") == ["POST"]
    assert allowed("/approvals//1") == allowed("/v2/nothing") == []


def test_a_models_request_names_its_inputs_and_their_datatypes(tmp_path: Path) -> None:
    """What the schema takes, the model answers, and what it does not, the model refuses."""
    check, server = validator(served(), f"{MODEL}.InferenceRequest"), Server(tmp_path)
    for changes in (
        {},
        {"id": None},
        {"parameters": {"binary_data_output": None}},
        {"outputs": [{"name": "prediction"}]},
    ):
        check.validate(request(**changes))
        assert server.infer(request(**changes))[0] == 200
    wrong: list[dict[str, Any]] = [
        {"inputs": request()["inputs"][1:]},
        request(outputs=[{"name": "other"}]),
        request(id=7),
    ]
    for place, change in enumerate(({"name": "height"}, {"data": ["x"]}, {"datatype": "BYTES"}, {"shape": [1, 2]})):
        wrong.append(request())
        wrong[-1]["inputs"][place % 3] |= change
    for body in wrong:
        assert list(check.iter_errors(body)), body
        assert server.infer(body)[0] == 400, body


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_models_reply_is_of_its_schema(tmp_path: Path, task: str) -> None:
    classes = None if task == "regression" else (0, 1)
    server = Server(tmp_path, bundle_files(task, classes))
    check = validator(served(task=task, classes=classes and list(classes)), f"{MODEL}.InferenceResponse")
    status, reply = server.infer(request())
    assert status == 200
    check.validate(reply)
    reply["outputs"][0]["data"] = ["neither"]
    assert list(check.iter_errors(reply))
