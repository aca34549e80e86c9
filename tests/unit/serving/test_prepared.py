"""Requests that differ in their values only are read faster, and answered the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.serving.errors import RequestRefused
from perennial.serving.inputs import make_input
from perennial.serving.prepared import MAX_TEMPLATES, PreparedRequests
from perennial.serving.protocol import Reader
from tests.unit.serving.bundles import INPUTS
from tests.unit.serving.requests import RELAXED, ROW, Server, changed, outputs, request

MADE = [(one["name"], one["datatype"], one["kind"], one["tensor"]) for one in INPUTS]


def reader() -> Reader:
    return Reader([make_input(*one) for one in MADE], ["prediction"])


def read(one: Reader, text: str) -> Any:
    """What a reader makes of a request: its columns and feeds, or its refusal."""
    try:
        found = one.read(text)
    except RequestRefused as refused:
        return str(refused)
    feeds = {name: (array.tolist(), array.dtype) for name, array in found.feeds.items()}
    return found.id, found.rows, json.loads(found.columns.json(0, found.rows)), repr(feeds), found.outputs


def known(one: Reader) -> int:
    return len(one._prepared._templates)


tokens = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(['"]', "\\", "%s", "%", '"data": [1]', "a:b", "\ud800", "\u2028", "é"]),
).map(json.dumps) | st.sampled_from(
    ["1e400", "-", "01", "1.", "--1", "1 2", '"', "+1", "NaN", "nul", "[1]", "1,2", "", "{}", '"a"b', "-0", "1E5", ".5"]
)


@settings(RELAXED, max_examples=500)
@given(st.lists(st.lists(tokens, min_size=4, max_size=4), min_size=1, max_size=3))
def test_a_reader_that_knows_the_template_reads_as_one_that_does_not(sent: list[list[str]]) -> None:
    experienced = reader()
    experienced.read(json.dumps(request()))
    assert known(experienced) == 1
    parts = [json.dumps(tensor).split('"data": [')[0] for tensor in request()["inputs"]]
    for values in sent:
        inputs = ", ".join(f'{part}"data": [{value}]}}' for part, value in zip(parts, values, strict=True))
        text = f'{{"inputs": [{inputs}]}}'
        assert read(experienced, text) == read(reader(), text)


@pytest.mark.parametrize("member", [{}, {"parameters": {"a": 1}}, {"outputs": [{"name": "prediction"}]}])
def test_surroundings_of_any_kind_are_kept(member: dict[str, Any]) -> None:
    one = reader()
    for hour in (1, 2, 3):
        assert read(one, json.dumps(request({**ROW, "hour": hour}, **member))) == read(
            reader(), json.dumps(request({**ROW, "hour": hour}, **member))
        )
    assert known(one) == 1


@pytest.mark.parametrize(
    "body",
    [
        request(id="a"),  # another id each time, so never the same surroundings
        request(ROW, ROW),
        changed("hour", data=[[7]]),
        changed("carrier", data=["é"]),
    ],
)
def test_what_cannot_come_again_or_has_no_plain_values_is_not_kept(body: Any) -> None:
    one = reader()
    one.read(json.dumps(body))
    assert known(one) == 0


def test_no_more_templates_are_kept_than_there_is_room_for() -> None:
    one = reader()
    for extra in range(MAX_TEMPLATES + 5):
        one.read(json.dumps(request(parameters={f"p{extra}": 1})))
    assert known(one) == MAX_TEMPLATES


def test_a_place_that_only_looks_like_data_is_not_taken_for_it() -> None:
    """The key `x"data` ends as `"data"` does, and the real one is written with an escape."""
    one = reader()
    text = json.dumps(request()).replace('"data": [7]', r'"x\"data": [5], "\u0064ata": [7]')
    first = read(one, text)
    assert known(one) == 0
    assert read(one, text.replace("[5]", "[6]")) == first


def test_a_literal_equal_to_a_probe_does_not_pass_for_a_place() -> None:
    one = reader()
    for probe in (10**6 + 1, 2 * 10**6 + 1):
        text = json.dumps(request()).replace('"data": [7]', rf'"x\"data": [5], "\u0064ata": [{probe}]')
        one.read(text)
    assert known(one) == 0


def test_names_with_percent_signs_are_copied_as_they_are() -> None:
    made = {"100%s": make_input("100%s", "FP64", "number", "t")}
    prepared = PreparedRequests(made)
    text = '{"inputs":[{"name":"100%s","datatype":"FP64","shape":[1],"data":[1.5]}]}'
    prepared.learn(text, None)
    found = prepared.find(text.replace("1.5", "2.5"))
    assert found is not None
    assert json.loads(found.columns.json(0, 1)) == {"100%s": [2.5]}


@RELAXED
@given(st.lists(st.floats(-1e5, 1e5), min_size=2, max_size=4))
def test_one_row_after_another_gets_its_own_answer(server: Server, values: list[float]) -> None:
    alone = [outputs(server.infer(request({**ROW, "distance": value}))[1])["probability"] for value in values]
    together = outputs(server.infer(request(*[{**ROW, "distance": value} for value in values]))[1])["probability"]
    assert [value for row in alone for value in row] == pytest.approx(together, abs=1e-6)
