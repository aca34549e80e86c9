"""The OpenAPI document is valid, is the one in docs/, and names what the API's routes answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import ValidationError

from infra.routes import DECISIONS, FEEDBACK, MODELS, RETRAINS, ROLLBACKS
from perennial.openapi import allowed, describe, document
from perennial.rollout.requests import Rollback
from perennial.serving.errors import RequestRefused
from perennial.serving.signature import parse_signature
from scripts.openapi import PATH, text
from tests.routes import answering, greedy
from tests.unit.outcomes import test_entries as feedback
from tests.unit.serving.bundles import MODEL, bundle_files, signature
from tests.unit.serving.requests import Server, request

ROUTES = [f"{method} {path}" for method, path in (*MODELS, *FEEDBACK, *DECISIONS, *ROLLBACKS, *RETRAINS)]


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
    chosen = answering([*ROUTES, greedy(MODEL)], MODEL)
    assert set(chosen.values()) == {*ROUTES, greedy(MODEL)}
    assert {one for one, key in chosen.items() if key == greedy(MODEL)} == {"infer", "modelReady"}


def test_what_a_path_takes() -> None:
    assert allowed("/approvals") == ["GET"]
    for path in ("/approvals/x/1", "/rollbacks/x", "/retrains/x", "/v2/models/x/feedback"):
        assert allowed(path) == ["POST"]
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


SAID = validator(document(), "Feedback")
ROLLBACK = validator(document(), "Rollback")


@pytest.mark.parametrize(
    "outcomes",
    [
        [feedback.by_id(0, 3.5), feedback.by_id(1, "3.5", amount="-7", at=None)],
        [feedback.by_id(0, 3, amount=None, at="2013-04-01 10:00")],
        [feedback.by_entity(), feedback.by_id(0), feedback.by_entity(3, "7", at="2013-04-01T10:00:00+02:00")],
    ],
)
def test_outcomes_that_are_read_are_of_the_schema(outcomes: list[Any]) -> None:
    assert len(feedback.read({"outcomes": outcomes})) == len(outcomes)
    SAID.validate({"outcomes": outcomes})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcomes": []},
        {"outcomes": [feedback.by_id()], "model": "days"},
        *(
            {"outcomes": [feedback.by_id(), wrong]}
            for wrong in (
                3,
                {"outcome": 3.5},
                feedback.by_id(0, None),
                feedback.by_id(0, [3]),
                feedback.by_id(amount=True),
                feedback.by_id(at=3),
                feedback.by_id(event_time="2013-03-31T10:00:00Z"),
                feedback.by_id() | feedback.by_entity(),
                feedback.by_id() | {"prediction_id": "7"},
                feedback.by_entity("Ada", None),
                feedback.by_entity(customer={"name": "Ada"}),
                feedback.by_entity() | {"entity": {}},
                feedback.by_entity() | {"event_time": None},
                feedback.by_entity() | {"customer": "Ada"},
            )
        ),
    ],
)
def test_outcomes_that_are_not_of_the_schema_are_refused(body: Any) -> None:
    assert list(SAID.iter_errors(body))
    assert feedback.refusal(body).status == 400


@given(feedback.bodies)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_outcomes_are_read_are_of_the_schema(body: dict[str, Any]) -> None:
    try:
        feedback.read(body)
    except RequestRefused:
        return
    SAID.validate(body)


def test_a_rollback_names_a_version_and_says_why() -> None:
    said: dict[str, Any] = {"version": 3, "change": 7, "reason": "late"}
    ROLLBACK.validate(said)
    ROLLBACK.validate({"version": 3, "rollout": "arn:aws:states:…", "reason": "late"})
    for wrong in (
        *({name: value for name, value in said.items() if name != left_out} for left_out in said),
        *(said | other for other in ({"version": 0}, {"reason": ""}, {"change": 0}, {"rollout": "both"})),
    ):
        assert list(ROLLBACK.iter_errors(wrong)), wrong
        with pytest.raises(ValidationError):
            Rollback.model_validate(wrong)
