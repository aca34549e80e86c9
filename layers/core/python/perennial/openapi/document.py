"""The OpenAPI document of the HTTP API, and of the models that it serves.

Source: https://spec.openapis.org/oas/v3.1.0. How requests are signed has no word of its own there; AWS describes it as
an API key in `Authorization` with the extension `x-amazon-apigateway-authtype: awsSigv4`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import perennial
from perennial.catalog.model import NAME
from perennial.openapi.operations import OPERATIONS, Operation
from perennial.openapi.schemas import Schema, fixed, inference_request, inference_response, output, ref, tensor_name

_JSON = "application/json"
_BINARY = "application/octet-stream"
_ABOUT = """Predictions by the Open Inference Protocol v2, what became of them, and what people decide.

Every request is signed (AWS Signature Version 4, service `execute-api`). What a caller did wrong is a 4xx with
`{"error": "…"}`; 503 says to try again. `message` in place of `error` comes from API Gateway itself."""
_PARAMETERS: dict[str, Schema] = {
    "model": {"type": "string", "pattern": NAME},
    "version": {"type": "string", "pattern": "^[1-9][0-9]{0,7}$"},
}
_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": True,
    "description": "How many bytes of the body are JSON; the tensors' binary data stands behind them.",
    "schema": {"type": "integer", "minimum": 0},
}
_SIGNED = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "x-amazon-apigateway-authtype": "awsSigv4",
}


def document(server: str | None = None, models: Collection[str] = ()) -> dict[str, Any]:
    """The document of the API at `server` (a URL), with the names of `models` but nothing yet of what they take."""
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Perennial", "version": perennial.__version__, "description": _ABOUT},
        "security": [{"signature": []}],
        "paths": {},
        "components": {"schemas": fixed(), "securitySchemes": {"signature": _SIGNED}, "responses": _errors()},
    }
    if server is not None:
        made["servers"] = [{"url": server}]
    known = {"model": _PARAMETERS["model"] | ({"enum": sorted(models)} if models else {})}
    for operation in OPERATIONS:
        _add(made, operation.path, _described(operation, _PARAMETERS | known))
    return made


def describe(made: dict[str, Any], metadata: Mapping[str, Any]) -> None:
    """Add to a document what a model takes and answers, as its v2 metadata says."""
    model = metadata["name"]
    names: dict[str, list[str]] = {}
    for one in metadata["inputs"]:
        names.setdefault(one["datatype"], []).append(one["name"])
    tensors = [
        {"allOf": [ref(tensor_name(datatype)), {"properties": {"name": {"enum": found}}}]}
        for datatype, found in names.items()
    ]
    classes = next((one["parameters"]["classes"] for one in metadata["outputs"] if one["name"] == "probability"), None)
    outputs = [one["name"] for one in metadata["outputs"]]
    schemas = made["components"]["schemas"]
    request, response = f"{model}.InferenceRequest", f"{model}.InferenceResponse"
    schemas[request] = inference_request(tensors, outputs, len(metadata["inputs"]))
    schemas[response] = inference_response([output(one, classes) for one in metadata["outputs"]], model)
    general = next(one for one in OPERATIONS if one.id == "infer")
    operation = Operation(
        id=f"infer.{model}",
        method="POST",
        path=general.path.replace("{model}", model),
        tag=general.tag,
        summary=f"Predictions of model {model}",
        answers={200: response},
        takes=request,
    )
    _add(made, operation.path, _described(operation, _PARAMETERS, infers=True))


def _add(made: dict[str, Any], path: str, described: tuple[str, Schema]) -> None:
    made["paths"].setdefault(path, {})[described[0].lower()] = described[1]


def _described(operation: Operation, known: Mapping[str, Schema], *, infers: bool = False) -> tuple[str, Schema]:
    infers = infers or operation.infers
    answers: dict[str, Any] = {
        str(status): {"description": operation.summary, "content": _content(schema, infers)}
        for status, schema in operation.answers.items()
    }
    for status in ("400", "404", "405", "409", "413", "415", "4XX", "5XX"):
        answers.setdefault(status, {"$ref": f"#/components/responses/{status}"})
    made: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": answers,
    }
    variables = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": known[name]} for name in variables
    ]
    if operation.takes is not None:
        made["requestBody"] = {"required": True, "content": _content(operation.takes, infers)}
    if infers:
        parameters.append(_LENGTH | {"required": False})
    if parameters:
        made["parameters"] = parameters
    return operation.method, made


def _content(schema: str, infers: bool) -> Schema:
    content: Schema = {_JSON: {"schema": ref(schema)}}
    if infers:
        content[_BINARY] = {"schema": {"type": "string", "contentMediaType": _BINARY}}
    return content


def _errors() -> dict[str, Schema]:
    said = {
        "400": "The request is wrong; the error names input and row",
        "404": "There is no such path, model or version",
        "405": "The path takes another method",
        "409": "What was decided, serves or is under way forbids it",
        "413": "The request or its reply would be too large",
        "415": "A content encoding other than gzip and deflate",
        "4XX": "The request was refused",
        "5XX": "Nobody answered; 503 says to try again",
    }
    body = {_JSON: {"schema": {"anyOf": [ref("Error"), ref("GatewayError")]}}}
    allow = {"headers": {"Allow": {"schema": {"type": "string"}, "required": True}}}
    return {
        status: {"description": text, "content": body} | (allow if status == "405" else {})
        for status, text in said.items()
    }
