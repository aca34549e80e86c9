"""Requests in JSON: what is answered, and what is refused with a message that names input and row."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.serving.datatypes import MAX_ROWS, MAX_TEXT
from perennial.serving.protocol import MAX_BODY_BYTES
from tests.unit.serving.bundles import NAMES, expected_probability
from tests.unit.serving.requests import RELAXED, ROW, Server, changed, infer_event, outputs, request

FLOAT32_MAX = float(np.finfo(np.float32).max)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
rows = st.fixed_dictionaries(
    {
        "distance": st.none() | st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6),
        "hour": st.none() | st.integers(-1000, 1000) | st.integers(-1000, 1000).map(float),
        "night": st.none() | st.booleans(),
        "carrier": st.none() | st.sampled_from(["AA", "UA", "é\x00"]) | texts,
    }
)


def refusal(server: Server, body: Any, **headers: str) -> str:
    status, reply = server.infer(body, **headers)
    assert status == 400
    assert list(reply) == ["error"]
    assert server.records[-1]["record"] == "refusal"
    return str(reply["error"])


def test_one_row_is_answered_with_label_probabilities_and_id(server: Server) -> None:
    status, reply = server.infer(request(id="mine"))
    assert status == 200
    assert (reply["model_name"], reply["model_version"], reply["id"]) == ("flight-delays", "3", "mine")
    prediction, probability, identity = reply["outputs"]
    assert prediction == {"name": "prediction", "datatype": "INT64", "shape": [1], "data": [1]}
    assert probability["shape"] == [1, 2]
    assert probability["parameters"] == {"classes": [0, 1]}
    assert probability["data"][1] == pytest.approx(expected_probability(ROW), abs=1e-6)
    assert identity["datatype"] == "BYTES"
    assert identity["data"] == ["2013-04-01-6f1b2c3d111142228333123456789abc-0"]


@settings(RELAXED, max_examples=200)
@given(st.lists(rows, min_size=1, max_size=5))
def test_every_row_gets_what_the_graph_says(server: Server, given_rows: list[dict[str, Any]]) -> None:
    status, reply = server.infer(request(*given_rows))
    assert status == 200
    found = outputs(reply)
    for row, (no, yes) in enumerate(zip(*[iter(found["probability"])] * 2, strict=True)):
        assert yes == pytest.approx(expected_probability(given_rows[row]), abs=1e-5)
        assert no + yes == pytest.approx(1, abs=1e-5)
        assert found["prediction"][row] == (1 if yes > no else 0)
        assert found["prediction_id"][row].endswith(f"-{row}")


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_both_shapes_mean_the_same(server: Server, shape: list[int]) -> None:
    body = request(ROW, {**ROW, "hour": 20})
    for tensor in body["inputs"]:
        tensor["shape"] = shape
    assert server.infer(body)[1]["outputs"][0]["shape"] == [2]


def test_data_may_be_nested_as_its_shape(server: Server) -> None:
    plain, nested = request(ROW, ROW), request(ROW, ROW)
    for tensor in nested["inputs"]:
        tensor["data"] = [[value] for value in tensor["data"]]
    assert server.infer(plain) == server.infer(nested)


def test_inputs_may_come_in_any_order_and_with_members_we_do_not_know(server: Server) -> None:
    body = request(more={"a": 1})
    body["inputs"].reverse()
    body["inputs"][0]["parameters"] = {"content_type": "np"}
    assert outputs(server.infer(body)[1]) == outputs(server.infer(request())[1])


@pytest.mark.parametrize(
    ("name", "datatype"),
    [("distance", "FP32"), ("distance", "INT8"), ("distance", "UINT64"), ("hour", "FP64"), ("hour", "INT8")],
)
def test_a_number_may_come_in_any_datatype_that_holds_it(server: Server, name: str, datatype: str) -> None:
    assert outputs(server.infer(changed(name, datatype=datatype, data=[7]))[1]) == outputs(
        server.infer(changed(name, data=[7]))[1]
    )


@pytest.mark.parametrize("name", NAMES)
def test_null_is_a_missing_value_of_any_input(server: Server, name: str) -> None:
    for body in (changed(name, data=[None]), request(ROW, {**ROW, name: None})):
        status, reply = server.infer(body)
        assert status == 200
        assert outputs(reply)["probability"][-1] == pytest.approx(expected_probability({**ROW, name: None}), abs=1e-6)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_literals_that_json_does_not_have_are_refused(server: Server, literal: str) -> None:
    body = json.dumps(request()).replace("733.5", literal)
    assert refusal(server, body) == (
        f"the body is not JSON: {literal} is not JSON; null is how a missing value is written"
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("distance", "733.5", "'733.5' is not a number"),
        ("distance", True, "True is not a number"),
        ("distance", {"a": 1}, "a dict is not a number"),
        ("distance", 1e39, "1e+39 is out of the range of FP64 as this model computes it (float32)"),
        ("distance", -(10**400), "a whole number of more than 30 digits is out of the range of FP64"),
        ("hour", 7.5, "7.5 is not a whole number"),
        ("hour", "7", "'7' is not a whole number"),
        ("hour", False, "False is not a whole number"),
        ("hour", 2**63, "9223372036854775808 is out of the range of INT64"),
        ("night", 1, "1 is not a boolean"),
        ("night", 0.0, "0.0 is not a boolean"),
        ("night", "true", "'true' is not a boolean"),
        ("carrier", 1, "1 is not text"),
        ("carrier", False, "False is not text"),
        ("carrier", ["UA", "AA"], "is not nested as its shape says"),
        ("carrier", "x" * (MAX_TEXT + 1), "is longer than 10000 characters"),
        ("carrier", "\ud800", "holds half of a surrogate pair"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_an_ill_typed_value_is_refused_by_input_and_row(
    server: Server, name: str, value: Any, reason: str, count: int
) -> None:
    sent = [ROW] * (count - 1) + [{**ROW, name: value}]
    message = refusal(server, request(*sent))
    if not (isinstance(value, list) and count > 1):  # the first element decides whether data counts as nested
        assert message.startswith(f"input '{name}', row {count - 1}: ")
        assert reason in message


def test_a_number_that_json_can_write_and_no_float_can_hold_is_refused(server: Server) -> None:
    for literal in ("1e400", "-1e400", "1" + "0" * 4000):
        assert "is out of the range" in refusal(server, json.dumps(request()).replace("733.5", literal))


def test_numbers_as_large_as_the_graph_can_hold_are_answered(server: Server) -> None:
    for value in (FLOAT32_MAX, -FLOAT32_MAX, 2**53 + 1, 5e-324, -0.0, 10**38):
        assert server.infer(changed("distance", data=[value]))[0] == 200
        assert server.infer(request(ROW, {**ROW, "distance": value}))[0] == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "the body is not a JSON object"),
        ("1", "the body is not a JSON object"),
        ({}, "inputs must be a list"),
        ({"inputs": {}}, "inputs must be a list"),
        ({"inputs": []}, "inputs must be a list"),
        ({"inputs": [1]}, "inputs must hold tensors, not 1"),
        ({"inputs": [{}]}, "an input has no name but None"),
        ({"inputs": [{"name": ["distance"]}]}, "an input has no name but a list"),
        (changed("distance", name="altitude"), "the model has no input 'altitude'; it takes 'distance', 'hour'"),
        (changed("hour", name="distance", datatype="FP64"), "input 'distance' is given twice"),
        (changed("hour", datatype="BYTES"), "input 'hour' is INT64; datatype 'BYTES' cannot stand for it"),
        (changed("hour", datatype=["INT64"]), "input 'hour' is INT64; datatype a list cannot stand for it"),
        (changed("hour", datatype=None), "input 'hour' is INT64; datatype None cannot stand for it"),
        (changed("carrier", datatype="INT64", data=[1]), "input 'carrier' is BYTES; datatype 'INT64' cannot"),
        (changed("hour", shape=[1, 2]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[1, 1, 1]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[True]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[1, True]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[0], data=[]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[-1]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[1.0]), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=None), "input 'hour': its shape must be [n] or [n, 1]"),
        (changed("hour", shape=[2], data=[1, 2]), "input 'hour' has 2 rows, the inputs before it have 1"),
        (changed("hour", data=[1, 2]), "input 'hour': data has 2 values, its shape says 1"),
        (changed("hour", data=None), "input 'hour': data must be a list"),
        (changed("hour", data=7), "input 'hour': data must be a list"),
        (changed("hour", parameters=[]), "input 'hour': parameters must be an object"),
        (
            changed("hour", parameters={"shared_memory_region": "r"}),
            "input 'hour': the shared memory extension is not supported",
        ),
        (changed("hour", parameters={"binary_data_size": 8}), "input 'hour' has both data and binary_data_size"),
        (
            changed("hour", data=None, parameters={"binary_data_size": 8}),
            "input 'hour' is binary, but there is no header Inference-Header-Content-Length",
        ),
        (request(id=7), "id must be a string"),
        (request(id="x" * 257), "id must be a string"),
        (request(id="\udfff"), "id must be a string"),
        (request(parameters=[]), "parameters: parameters must be an object"),
        (request(parameters={"binary_data_output": 1}), "parameters: binary_data_output must be true or false"),
        (request(outputs={}), "outputs must be a list"),
        (request(outputs=["prediction"]), "the model has no output None"),
        (request(outputs=[{"name": "late"}]), "the model has no output 'late'; it gives 'prediction', 'probability'"),
        (request(outputs=[{"name": "prediction"}] * 2), "output 'prediction' is asked for twice"),
        (
            request(outputs=[{"name": "prediction", "parameters": {"binary_data": "yes"}}]),
            "output 'prediction': binary_data must be true or false",
        ),
        (
            request(outputs=[{"name": "probability", "parameters": {"classification": 2}}]),
            "output 'probability': the classification extension is not supported",
        ),
    ],
)
def test_a_request_of_another_shape_is_refused(server: Server, body: Any, reason: str) -> None:
    assert reason in refusal(server, body)


def test_missing_inputs_are_named(server: Server) -> None:
    body = request()
    body["inputs"] = body["inputs"][:1]
    assert refusal(server, body) == "input 'hour' is missing, and so are 'night', 'carrier'"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (json.dumps(request())[:-1] + ',"inputs":[]}', "'inputs' stands twice in one object"),
        (json.dumps(request()).replace('"shape"', '"name":"x","shape"', 1), "'name' stands twice in one object"),
        (json.dumps(request(parameters={"a": 1})).replace('"a"', '"b":2,"b"'), "'b' stands twice in one object"),
    ],
)
def test_a_name_that_stands_twice_in_an_object_is_refused(server: Server, body: str, reason: str) -> None:
    assert reason in refusal(server, body)


def test_colons_in_values_are_no_names(server: Server) -> None:
    assert server.infer(changed("carrier", data=['a:b::"c":']))[0] == 200


@pytest.mark.parametrize("body", ["[" * 200_000, '{"inputs":' * 50_000, "1" * 5000, '{"a":' + "9" * 5000 + "}"])
def test_depth_and_length_do_no_harm(server: Server, body: str) -> None:
    assert refusal(server, body).startswith("the body is ")


def test_too_many_rows_are_413(server: Server) -> None:
    for rows in (MAX_ROWS + 1, 10**30):
        status, reply = server.infer(changed("distance", shape=[rows]))
        assert status == 413
        assert "send them in several requests" in reply["error"]


def test_a_body_may_be_text_or_bytes_but_not_absent(server: Server) -> None:
    assert server.infer(json.dumps(request()).encode()) == server.infer(request())
    assert refusal(server, "") == "the body is empty"
    assert refusal(server, b"\xff{}").startswith("the body is not UTF-8")
    assert refusal(server, b"\xef\xbb\xbf{}").startswith("the body is not JSON")


def test_a_body_that_is_not_base64_is_refused(server: Server) -> None:
    event = {**infer_event(b"x"), "body": "a"}
    assert server.send(event)["statusCode"] == 400


def test_a_compressed_body_is_read(server: Server) -> None:
    body = json.dumps(request()).encode()
    assert server.infer(gzip.compress(body), content_encoding="gzip") == server.infer(request())
    assert server.infer(zlib.compress(body), content_encoding="Deflate") == server.infer(request())
    assert server.infer(body, content_encoding="identity") == server.infer(request())


def test_a_body_that_only_says_it_is_compressed_is_refused(server: Server) -> None:
    whole = gzip.compress(json.dumps(request()).encode())
    assert refusal(server, b"{}", content_encoding="gzip").startswith("the body is not gzip")
    assert refusal(server, whole[:-9], content_encoding="gzip") == "the body is not gzip: it is cut short"
    assert server.infer(whole, content_encoding="br")[0] == 415
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    assert server.infer(bomb, content_encoding="gzip")[0] == 413


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
members = st.sampled_from(["name", "datatype", "shape", "data", "parameters"])


@settings(RELAXED, max_examples=300)
@given(
    st.sampled_from(["inputs", "outputs", "parameters", "id"]),
    st.dictionaries(st.integers(0, 3), st.dictionaries(members, json_values, max_size=3), max_size=2),
    json_values,
    st.booleans(),
)
def test_no_json_is_answered_with_a_5xx(
    server: Server, member: str, spoilt: dict[int, dict[str, Any]], value: Any, whole: bool
) -> None:
    body: Any = request()
    for index, changes in spoilt.items():
        body["inputs"][index].update(changes)
    if whole:
        body[member] = value
    status, reply = server.infer(body)
    assert status in (200, 400, 413)
    assert ("error" in reply) == (status != 200)


@RELAXED
@given(st.text() | st.binary())
def test_no_body_is_answered_with_a_5xx(server: Server, body: str | bytes) -> None:
    assert server.infer(body)[0] == 400


def test_probabilities_are_finite_json(server: Server) -> None:
    values = outputs(server.infer(request(*[{**ROW, "distance": float(d)} for d in range(50)]))[1])["probability"]
    assert all(math.isfinite(value) for value in values)
