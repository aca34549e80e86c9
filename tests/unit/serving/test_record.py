"""Every answered row is in the log, on lines that a log event can hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perennial.serving import record
from perennial.serving.datatypes import MAX_TEXT
from perennial.serving.predictor import Scores
from perennial.serving.record import MAX_LINE_BYTES, Moment, Row, Values, lines
from perennial.serving.reply import Answers
from perennial.serving.signature import Signature
from tests.unit.serving.bundles import MODEL, VERSION
from tests.unit.serving.requests import NOON, RELAXED, REQUEST_ID, ROW, Server, infer_event, outputs, request


def test_a_request_is_one_line_of_columns(server: Server) -> None:
    reply = outputs(server.infer(request(ROW, {**ROW, "hour": None}))[1])
    (found,) = server.records
    assert found["record"] == "prediction"
    assert (found["model"], found["version"], found["lambda_version"]) == ("flight-delays", 3, "7")
    assert found["id"] == REQUEST_ID
    assert found["at"] == "2013-04-01T12:00:00.000Z"
    assert (found["first"], found["rows"]) == (0, 2)
    assert found["inputs"] == {"distance": [733.5] * 2, "hour": [7, None], "night": [False] * 2, "carrier": ["UA"] * 2}
    assert found["outputs"]["prediction"] == reply["prediction"]
    assert [value for row in found["outputs"]["probability"] for value in row] == reply["probability"]
    assert isinstance(found["score_us"], int)


def test_ids_lead_from_the_reply_to_the_row_of_the_record(server: Server) -> None:
    reply = outputs(server.infer(request(ROW, ROW, ROW))[1])
    (found,) = server.records
    assert reply["prediction_id"] == [f"{found['ids']}-{found['first'] + row}" for row in range(3)]
    assert all(identity.startswith("2013-04-01-") for identity in reply["prediction_id"])


def test_single_rows_have_the_same_record_however_they_were_read(server: Server) -> None:
    for _ in range(2):
        server.infer(request())
        server.infer(request(id="x"))
    kept = [{name: value for name, value in one.items() if name not in ("score_us", "cold")} for one in server.records]
    assert kept[0] == kept[1] == kept[2] == kept[3]
    assert kept[0]["outputs"]["probability"] == [pytest.approx([0.3697, 0.6303], abs=1e-3)]


def test_a_regression_has_no_probability(regression: Server) -> None:
    regression.records.clear()
    regression.infer(request())
    regression.infer(request(ROW, ROW))
    assert [list(found["outputs"]) for found in regression.records] == [["prediction"], ["prediction"]]
    assert len(regression.records[1]["outputs"]["prediction"]) == 2


def test_a_record_says_when_the_version_was_asked_for_by_its_number(server: Server) -> None:
    for path in (f"/v2/models/{MODEL}/infer", f"/v2/models/{MODEL}/versions/{VERSION}/infer"):
        server.send(infer_event(request(), path))
    assert [found.get("by_number", False) for found in server.records[-2:]] == [False, True]


def test_only_the_first_request_of_a_process_is_cold(multiclass: Server) -> None:
    multiclass.infer(request())
    multiclass.infer(request())
    assert [found["cold"] for found in multiclass.records[-2:]] == [True, False]
    assert [found["environment"] for found in multiclass.records[-2:]] == [multiclass.records[-2]["id"]] * 2


def test_golden_rows_of_a_rollout_are_no_predictions(server: Server) -> None:
    server.send({**infer_event(request()), "smoke": True})
    assert [found["record"] for found in server.records] == ["smoke"]


def test_a_refusal_is_noted_without_a_prediction(server: Server) -> None:
    server.infer({})
    (found,) = server.records
    assert found["record"] == "refusal"
    assert found["status"] == 400
    assert "inputs must be a list" in found["error"]


def test_a_line_is_ascii_without_line_breaks_inside(server: Server) -> None:
    server.infer(request({**ROW, "carrier": "a\nb\r\u2028\x85é\x00"}))
    (line,) = server.lines
    assert line.isascii()
    assert line.index("\n") == len(line) - 1
    assert server.records[0]["inputs"]["carrier"] == ["a\nb\r\u2028\x85é\x00"]


def test_a_large_request_becomes_several_lines_that_hold_every_row_once(server: Server) -> None:
    sent = [{**ROW, "distance": float(row), "carrier": "x" * (row % 500)} for row in range(3000)]
    status, reply = server.infer(request(*sent))
    assert status == 200
    assert len(server.lines) > 2
    assert all(len(line) <= MAX_LINE_BYTES for line in server.lines)
    recorded: dict[str, Any] = {}
    for found in server.records:
        for row in range(found["rows"]):
            identity = f"{found['ids']}-{found['first'] + row}"
            assert identity not in recorded
            recorded[identity] = (found["inputs"]["distance"][row], found["outputs"]["prediction"][row])
    data = outputs(reply)
    expected = zip(data["prediction_id"], [row["distance"] for row in sent], data["prediction"], strict=True)
    assert recorded == {identity: (distance, prediction) for identity, distance, prediction in expected}


def test_a_row_too_large_for_a_line_is_recorded_without_its_inputs() -> None:
    inputs = Values({f"c{index}": ["\u0001" * MAX_TEXT] for index in range(10)})
    (line,) = lines('{"record":"prediction",', '"cold":false', 1, inputs, Row('{"prediction":[1]}'))
    found = json.loads(line)
    assert found["inputs"] is None
    assert found["shortened"] is True
    assert found["outputs"] == {"prediction": [1]}


@RELAXED
@given(
    st.lists(st.tuples(st.text(max_size=40), st.floats(allow_nan=False, allow_infinity=False)), min_size=1),
    st.integers(0, 5),
)
def test_cutting_loses_no_row_and_keeps_their_order(rows: list[tuple[str, float]], small: int) -> None:
    inputs = Values({"t": [text for text, _ in rows]})
    outputs = Values({"p": [value for _, value in rows]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "MAX_LINE_BYTES", 60 + 60 * small)
        found = [json.loads(line) for line in lines("{", '"z":0', len(rows), inputs, outputs)]
    assert [one["first"] for one in found] == [sum(before["rows"] for before in found[:i]) for i in range(len(found))]
    assert [value for one in found for value in one["outputs"]["p"]] == [value for _, value in rows]
    kept = [one["inputs"]["t"] if one["inputs"] else [None] for one in found]
    flat = [text for part in kept for text in part]
    assert all(text in (None, sent) for text, (sent, _) in zip(flat, rows, strict=True))


@RELAXED
@given(st.datetimes(min_value=datetime(1970, 1, 2)))
def test_times_are_utc(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    epoch_ms = round(aware.timestamp() * 1000)
    texts = Moment()
    instant = aware.strftime("%Y-%m-%dT%H:%M:%S.") + f"{aware.microsecond // 1000:03}Z"
    assert texts.texts(epoch_ms) == (aware.strftime("%Y-%m-%d"), instant)
    assert texts.texts(NOON)[0] == "2013-04-01"


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2))
def test_the_digits_of_a_probability_name_its_float32(values: list[float]) -> None:
    signature = Signature("m", "binary", (), (0, 1))
    written = json.loads(Answers("m", 1, signature).answer(Scores([values], [0])).json(0, 1))
    assert [np.float32(value) for value in written["probability"][0]] == [np.float32(value) for value in values]
    assert all(type(value) is float for value in written["probability"][0])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(999_999_968.0)
@example(-123_456_784.0)
def test_the_digits_of_a_predicted_number_are_json_and_name_its_float32(value: float) -> None:
    answers = Answers("m", 1, Signature("m", "regression", (), None))
    reply, row = answers.one(Scores([[value]], None), "ids")
    written = [
        outputs(json.loads(reply["body"]))["prediction"][0],
        json.loads(row.json(0, 1))["prediction"][0],
        json.loads(answers.answer(Scores([[value]] * 2, None)).json(1, 2))["prediction"][0],
    ]
    assert [np.float32(one) for one in written] == [np.float32(value)] * 3
