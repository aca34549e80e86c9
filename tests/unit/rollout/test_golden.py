from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import SmokeFailed
from perennial.rollout.golden import Golden, check_answer, request_event
from perennial.serving.signature import parse_signature

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
INPUTS = [
    {"name": "distance", "datatype": "FP64", "kind": "number", "tensor": "distance", "element": "float"},
    {"name": "carrier", "datatype": "BYTES", "kind": "category", "tensor": "feature_1", "element": "string"},
]
SIGNATURE = parse_signature(
    json.dumps({"model": "late", "task": "binary", "inputs": INPUTS, "classes": [0, 1]}).encode()
)
GOLDEN = Golden([{"distance": 1.5, "carrier": None}, {"distance": None, "carrier": "é"}], [[0.25, 0.75], [1, 0]], 1e-6)


def answer(data: Any, **changes: Any) -> dict[str, Any]:
    outputs = [{"name": "probability", "data": data}]
    body = {"model_name": "late", "model_version": "3", "outputs": outputs} | changes
    return {"statusCode": 200, "body": json.dumps(body)}


def test_golden_rows_are_asked_as_an_http_request_would() -> None:
    event = request_event(SIGNATURE, GOLDEN, AT)
    body = json.loads(event["body"])
    assert event["rawPath"] == "/v2/models/late/infer"
    assert body["inputs"] == [
        {"name": "distance", "datatype": "FP64", "shape": [2], "data": [1.5, None]},
        {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": [None, "é"]},
    ]
    assert event["requestContext"]["timeEpoch"] == 1772366400000
    # API Gateway never sends it: the request is recorded as no prediction
    assert event["smoke"] is True


def test_what_training_saw_is_right() -> None:
    check_answer(answer([0.25, 0.75, 1.0, 0.0000009]), SIGNATURE, GOLDEN, 3)


@given(st.integers(0, 3), st.floats(1e-5, 1) | st.floats(-1, -1e-5))
def test_any_value_that_is_off_is_found(index: int, error: float) -> None:
    data = [0.25, 0.75, 1.0, 0.0]
    data[index] += error
    with pytest.raises(SmokeFailed, match=f"golden row {index // 2}"):
        check_answer(answer(data), SIGNATURE, GOLDEN, 3)


anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["statusCode", "body", "outputs", "name"]), inner),
)


@given(anything)
def test_whatever_comes_back_the_reason_is_named(payload: Any) -> None:
    with pytest.raises(SmokeFailed):
        check_answer(payload, SIGNATURE, GOLDEN, 3)


@given(anything)
def test_whatever_the_body_holds_the_reason_is_named(body: Any) -> None:
    with pytest.raises(SmokeFailed):
        check_answer({"statusCode": 200, "body": json.dumps(body)}, SIGNATURE, GOLDEN, 3)


@given(anything)
def test_whatever_the_outputs_are_the_reason_is_named(outputs: Any) -> None:
    with pytest.raises(SmokeFailed):
        check_answer(answer([], outputs=outputs), SIGNATURE, GOLDEN, 3)


@pytest.mark.parametrize("data", [[True, 0.75, 1, 0], ["0.25", 0.75, 1, 0], [0.25, 0.75, 1], None, {}])
def test_what_is_no_list_of_numbers_is_wrong(data: Any) -> None:
    with pytest.raises(SmokeFailed):
        check_answer(answer(data), SIGNATURE, GOLDEN, 3)
