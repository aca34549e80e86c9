"""Binary tensors, as the unmodified Triton client writes and reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from perennial.serving.datatypes import INTEGERS
from perennial.serving.errors import RequestRefused
from perennial.serving.tensors import DTYPES, decode_tensor, encode_tensor
from tests.unit.serving.bundles import expected_probability
from tests.unit.serving.requests import RELAXED, ROW, Server, infer_event, request

ROWS = [ROW, {**ROW, "carrier": "é\x00", "night": True}, {"distance": 1.5, "hour": -3, "night": True, "carrier": ""}]
NUMPY = {"distance": np.float64, "hour": np.int64, "night": np.bool_, "carrier": np.object_}
TRITON = {np.float64: "FP64", np.int64: "INT64", np.bool_: "BOOL", np.object_: "BYTES", np.float32: "FP32"}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


def triton_inputs(rows: list[dict[str, Any]], *, binary: bool = True, **types: Any) -> list[InferInput]:
    inputs = []
    for name, usual in NUMPY.items():
        kind = types.get(name, usual)
        array = np.array([row[name] for row in rows], kind).reshape(-1, 1)
        made = InferInput(name, list(array.shape), TRITON[kind])
        inputs.append(made.set_data_from_numpy(array, binary_data=binary))
    return inputs


def triton(server: Server, inputs: list[InferInput], outputs: list[InferRequestedOutput] | None = None) -> InferResult:
    """What the client makes of the reply to what it would have sent."""
    body, header_length = InferenceServerClient.generate_request_body(inputs, outputs=outputs)
    headers = {} if header_length is None else {"inference_header_content_length": str(header_length)}
    reply = server.send(infer_event(bytes(body), **headers))
    assert reply["statusCode"] == 200, reply
    content = base64.b64decode(reply["body"]) if reply["isBase64Encoded"] else reply["body"].encode()
    length = reply["headers"].get("inference-header-content-length")
    return InferenceServerClient.parse_response_body(content, header_length=length and int(length))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("binary_outputs", [None, True, False])
def test_the_triton_client_is_understood_and_understands(
    server: Server, binary: bool, binary_outputs: bool | None
) -> None:
    names = ("prediction", "probability", "prediction_id")
    asked = None
    if binary_outputs is not None:
        asked = [InferRequestedOutput(name, binary_data=binary_outputs) for name in names]
    result = triton(server, triton_inputs(ROWS, binary=binary), asked)
    probability = result.as_numpy("probability")
    assert probability.shape == (3, 2)
    assert probability.dtype == np.float64
    assert probability[:, 1] == pytest.approx([expected_probability(row) for row in ROWS], abs=1e-6)
    assert result.as_numpy("prediction").tolist() == probability.argmax(axis=1).tolist()
    assert len(result.as_numpy("prediction_id")) == 3
    assert result.get_response()["model_version"] == "3"


def test_outputs_in_both_forms_come_in_the_order_asked(server: Server) -> None:
    asked = [
        InferRequestedOutput("prediction_id", binary_data=True),
        InferRequestedOutput("probability", binary_data=False),
        InferRequestedOutput("prediction", binary_data=True),
    ]
    result = triton(server, triton_inputs(ROWS), asked)
    outputs = result.get_response()["outputs"]
    assert [output["name"] for output in outputs] == ["prediction_id", "probability", "prediction"]
    assert ["data" in output for output in outputs] == [False, True, False]
    assert result.as_numpy("probability").shape == (3, 2)
    assert result.as_numpy("prediction").shape == (3,)


def test_text_classes_and_regressions_travel_in_binary_too(multiclass: Server, regression: Server) -> None:
    labels = triton(multiclass, triton_inputs(ROWS)).as_numpy("prediction")
    assert {label.decode() for label in labels} <= {"early", "on time", 'la"te\u2028'}
    assert triton(regression, triton_inputs(ROWS)).as_numpy("prediction").dtype == np.float64


def test_nan_is_how_a_missing_float_is_written_in_binary(server: Server) -> None:
    rows = [{**ROW, "distance": np.nan, "hour": np.nan}, ROW]
    result = triton(server, triton_inputs(rows, hour=np.float64))
    missing = {**ROW, "distance": None, "hour": None}
    assert result.as_numpy("probability")[0, 1] == pytest.approx(expected_probability(missing), abs=1e-6)
    assert server.records[-1]["inputs"]["distance"] == [None, 733.5]


def test_an_infinite_float_is_refused(server: Server) -> None:
    body, length = InferenceServerClient.generate_request_body(triton_inputs([ROW, {**ROW, "distance": np.inf}]))
    reply = server.send(infer_event(bytes(body), inference_header_content_length=str(length)))
    assert reply["statusCode"] == 400
    assert "input 'distance', row 1: inf is out of the range" in reply["body"]


def binary_request(server: Server, tail: bytes, size: int, *, length: str | None = None) -> str:
    body = request()
    body["inputs"][3] = {
        "name": "carrier",
        "datatype": "BYTES",
        "shape": [1, 1],
        "parameters": {"binary_data_size": size},
    }
    head = json.dumps(body).encode()
    reply = server.send(infer_event(head + tail, inference_header_content_length=length or str(len(head))))
    assert reply["statusCode"] in (200, 400)
    return str(json.loads(reply["body"]).get("error", ""))


@pytest.mark.parametrize(
    ("tail", "size", "reason"),
    [
        (b"\x02\0\0\0UA", 6, ""),
        (b"\x02\0\0\0UA", 7, "the body ends before its binary data does"),
        (b"\x02\0\0\0UA!", 6, "the body has 7 bytes of binary data, its tensors take 6"),
        (b"\x03\0\0\0UA", 6, "input 'carrier', row 0: its binary data is cut short"),
        (b"\x02\0", 2, "input 'carrier', row 0: its binary data is cut short"),
        (b"\x02\0\0\0UA\x02\0\0\0UA", 12, "holds more than the 1 rows of its shape"),
        (b"", 0, "its binary data holds 0 rows, its shape says 1"),
        (b"\x01\0\0\0\xff", 5, "input 'carrier', row 0: its text is not UTF-8"),
        (b"", -1, "binary_data_size must be a whole number"),
    ],
)
def test_binary_data_of_another_length_is_refused(server: Server, tail: bytes, size: int, reason: str) -> None:
    found = binary_request(server, tail, size)
    assert reason in found
    assert bool(reason) == bool(found)


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 30, "١", "0x10"])
def test_a_header_length_that_is_none_is_refused(server: Server, length: str) -> None:
    event = infer_event(json.dumps(request()).encode(), inference_header_content_length=length)
    reply = server.send(event)
    assert reply["statusCode"] == 400
    assert "Inference-Header-Content-Length" in reply["body"]


def test_a_boolean_is_the_byte_0_or_1() -> None:
    assert decode_tensor("b", "BOOL", 3, memoryview(b"\x00\x01\x00")) == [False, True, False]
    with pytest.raises(RequestRefused, match="row 1: byte 2 is not a boolean"):
        decode_tensor("b", "BOOL", 2, memoryview(b"\x00\x02"))


@RELAXED
@given(st.lists(texts))
def test_text_is_written_and_read_as_triton_does(values: list[str]) -> None:
    array = np.array(values, np.object_)
    theirs = serialize_byte_tensor(array).item() if values else b""
    assert encode_tensor("BYTES", values) == theirs
    assert decode_tensor("t", "BYTES", len(values), memoryview(theirs)) == values
    assert [text.decode() for text in deserialize_bytes_tensor(encode_tensor("BYTES", values))] == values


@RELAXED
@given(st.sampled_from(sorted(INTEGERS)), st.data())
def test_integers_round_trip_at_every_size(datatype: str, data: st.DataObject) -> None:
    info = np.iinfo(DTYPES[datatype])
    values = data.draw(st.lists(st.integers(int(info.min), int(info.max))))
    encoded = encode_tensor(datatype, values)
    assert encoded == np.array(values, info.dtype).astype(DTYPES[datatype]).tobytes()
    assert decode_tensor("i", datatype, len(values), memoryview(encoded)) == values


@RELAXED
@given(st.sampled_from([("FP16", 16), ("FP32", 32), ("FP64", 64)]), st.data())
def test_floats_round_trip_with_nan_as_missing(kind: tuple[str, Any], data: st.DataObject) -> None:
    datatype, width = kind
    values = data.draw(st.lists(st.none() | st.floats(allow_nan=False, width=width)))
    encoded = encode_tensor(datatype, [np.nan if value is None else value for value in values])
    assert decode_tensor("f", datatype, len(values), memoryview(encoded)) == values


@settings(RELAXED, max_examples=200)
@given(st.integers(0, 400), st.binary(max_size=60), st.none() | st.binary(max_size=200))
def test_no_binary_body_is_answered_with_a_5xx(server: Server, cut: int, tail: bytes, whole: bytes | None) -> None:
    body, length = InferenceServerClient.generate_request_body(triton_inputs([ROW]))
    sent = whole if whole is not None else bytes(body)[: max(0, len(body) - cut)] + tail
    reply = server.send(infer_event(sent, inference_header_content_length=str(length)))
    assert reply["statusCode"] in (200, 400)
