"""The schemas of bodies, as OpenAPI 3.1 has them (JSON Schema 2020-12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perennial.approval.requests import Decided, Promotion
from perennial.outcomes.limits import MAX_AMOUNT, MAX_ENTRIES, PREDICTION_ID
from perennial.retraining.events import Retrain
from perennial.rollout.requests import Rollback
from perennial.serving.datatypes import ACCEPTED, FLOATS, INTEGERS, MAX_ID, MAX_ROWS, MAX_TEXT, RANGES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 1}
INSTANT: Schema = {"type": "string", "format": "date-time"}
_CLOSED: Schema = {"additionalProperties": False}
_LOW, _HIGH = RANGES["FP64"]
# A value of each datatype that a signature knows; null is how a missing one is written.
_VALUES: dict[str, Schema] = {
    "FP64": {"type": ["number", "null"], "minimum": _LOW, "maximum": _HIGH},
    "INT64": {"type": ["integer", "null"], "minimum": _LOW, "maximum": _HIGH},
    "BOOL": {"type": ["boolean", "null"]},
    "BYTES": {"type": ["string", "null"], "maxLength": MAX_TEXT},
}


def ref(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these members."""
    return {"type": "object", "required": sorted(required), "properties": {**required, **(optional or {})}}


def listed(items: Schema, **limits: int) -> Schema:
    """An array."""
    return {"type": "array", "items": items, **limits}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema["type"]
    return schema | {"type": [*([kind] if isinstance(kind, str) else kind), "null"]}


def tensor_name(datatype: str) -> str:
    """Name of the schema of a tensor for inputs of that datatype."""
    return f"Tensor.{datatype}"


def fixed() -> dict[str, Schema]:
    """The schemas that are the same whatever is served."""
    return {
        "Any": {"type": "object"},
        "Error": record({"error": TEXT}),
        "GatewayError": record({"message": maybe(TEXT)}),
        "Server": record({"name": TEXT, "version": TEXT, "extensions": listed(TEXT)}),
        "Live": record({"live": {"const": True}}),
        "Ready": record({"ready": {"const": True}}),
        "NotReady": record({"ready": {"const": False}, "error": TEXT}),
        **_of_models(),
        **_of_feedback(),
        **_of_approval(),
        **_of_rollout(),
        **_of_training(),
        **{tensor_name(datatype): _tensor(datatype, value) for datatype, value in _VALUES.items()},
        "InferenceRequest": inference_request([ref(tensor_name(datatype)) for datatype in _VALUES], None),
        "InferenceResponse": inference_response([_output()]),
    }


def inference_request(tensors: Sequence[Schema], outputs: Sequence[str] | None, inputs: int | None = None) -> Schema:
    """A request whose tensors are of these kinds; `inputs` is how many the model takes, each once."""
    limits = {"minItems": 1} if inputs is None else {"minItems": inputs, "maxItems": inputs}
    name = TEXT if outputs is None else {"enum": list(outputs)}
    asked = record({"name": name}, {"parameters": maybe(record({}, {"binary_data": maybe(FLAG)}))})
    return record(
        {"inputs": listed({"anyOf": list(tensors)}, **limits)},
        {
            "id": maybe(TEXT) | {"maxLength": MAX_ID},
            "outputs": maybe(listed(asked)),
            "parameters": maybe(record({}, {"binary_data_output": maybe(FLAG)})),
        },
    )


def inference_response(outputs: Sequence[Schema], model: str | None = None) -> Schema:
    """A reply with outputs of these kinds."""
    name = TEXT if model is None else {"const": model}
    tensors = listed({"anyOf": list(outputs)}, minItems=1)
    return record({"model_name": name, "model_version": TEXT, "outputs": tensors}, {"id": TEXT})


def output(one: dict[str, Any], classes: list[Any] | None) -> Schema:
    """An output as model metadata describes it; the prediction of a classifier is one of its `classes`."""
    values: dict[str, Schema] = {
        "prediction_id": TEXT,
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "prediction": {"type": "number"} if classes is None else {"enum": classes},
    }
    return _output({"const": one["name"]}, {"const": one["datatype"]}, values[one["name"]])


def _output(name: Schema = TEXT, datatype: Schema = TEXT, value: Schema | None = None) -> Schema:
    shape = listed({"type": "integer", "minimum": 0})
    return record(
        {"name": name, "datatype": datatype, "shape": shape, "data": listed(value or {})},
        {"parameters": {"type": "object"}},
    )


def _tensor(datatype: str, value: Schema) -> Schema:
    rows = {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}
    nested = listed(value, minItems=1, maxItems=1)
    shapes = [
        listed(rows, minItems=1, maxItems=1),
        {"type": "array", "prefixItems": [rows, {"const": 1}], "items": False, "minItems": 2},
    ]
    return record(
        {
            "name": TEXT,
            "datatype": {"enum": sorted(ACCEPTED[datatype])},
            "shape": {"anyOf": shapes},
            "data": {"anyOf": [listed(value, minItems=1), listed(nested, minItems=1)]},
        },
        {"parameters": maybe({"type": "object"})},
    )


def _of_models() -> dict[str, Schema]:
    datatypes = {"enum": sorted(FLOATS | INTEGERS | {"BOOL", "BYTES"})}
    shape = listed({"type": "integer", "minimum": -1})
    described = record({"name": TEXT, "datatype": datatypes, "shape": shape}, {"parameters": {"type": "object"}})
    version = record(
        {
            "version": TEXT,
            "state": TEXT,
            "champion": FLAG,
            "deployed": FLAG,
            "metrics": {"type": "object", "additionalProperties": {"type": "number"}},
            "sha256": TEXT,
            "run": TEXT,
            "at": INSTANT,
        }
    )
    return {
        "Models": record({"models": listed(record({"name": TEXT, "version": maybe(TEXT), "ready": FLAG}))}),
        "ModelReady": record({"name": TEXT, "version": TEXT, "ready": {"const": True}}),
        "Metadata": record(
            {
                "name": TEXT,
                "versions": listed(TEXT),
                "platform": TEXT,
                "inputs": listed(described),
                "outputs": listed(described),
            },
            {"parameters": {"type": "object"}},
        ),
        "Versions": record({"name": TEXT, "versions": listed(version)}),
    }


def _of_approval() -> dict[str, Schema]:
    waiting = {"model": TEXT, "version": COUNT, "run": TEXT, "execution": TEXT, "asked_at": INSTANT}
    waiting |= {"expires_at": INSTANT, "authors": listed(TEXT)}
    decided = {"model": TEXT, "version": COUNT, "state": {"enum": ["approved", "rejected"]}, "reason": TEXT}
    decided |= {"at": INSTANT, "by": TEXT, "resumed": FLAG}
    return {
        "Approvals": record({"approvals": listed(record(waiting))}),
        "Decision": Decided.model_json_schema(),
        "Decided": record(decided),
        "Promotion": Promotion.model_json_schema(),
        "Promoted": record({"execution": TEXT, "author": TEXT}),
    }


def _of_feedback() -> dict[str, Schema]:
    """Which values an outcome and an entity have is the model's to say; a text that spells one is taken too."""
    value: Schema = {"type": ["string", "number", "boolean"]}
    moment = TEXT | {"description": "ISO 8601; UTC where it names no zone"}
    amount: Schema = {"type": ["number", "string", "null"], "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT}
    optional = {"amount": amount, "at": maybe(moment)}
    about = {"prediction_id": TEXT | {"pattern": PREDICTION_ID}}
    entity = {"type": "object", "minProperties": 1, "additionalProperties": value}
    kinds = (about, {"entity": entity, "event_time": moment})
    outcome = {"anyOf": [record(kind | {"outcome": value}, optional) | _CLOSED for kind in kinds]}
    number: Schema = {"type": "integer", "minimum": 0}
    return {
        "Feedback": record({"outcomes": listed(outcome, minItems=1, maxItems=MAX_ENTRIES)}) | _CLOSED,
        "Recorded": record({"accepted": number, "duplicates": number}),
    }


def _of_rollout() -> dict[str, Schema]:
    done = {"model": TEXT, "serving": maybe(COUNT), "taken_back": COUNT, "stopped": maybe(TEXT), "by": TEXT}
    done["already"] = FLAG
    return {"Rollback": Rollback.model_json_schema(), "RolledBack": record(done)}


def _of_training() -> dict[str, Schema]:
    decided: Schema = {"enum": ["started", "declined"]}
    told = {"model": TEXT, "decided": decided, "why": TEXT, "at": INSTANT, "by": TEXT}
    told |= {"flight": maybe(TEXT), "not_before": maybe(INSTANT)}
    return {"Retrain": Retrain.model_json_schema(), "Retrained": record(told)}
