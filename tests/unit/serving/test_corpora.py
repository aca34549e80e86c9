"""Public collections of bad input, sent as requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.bundles import expected_probability
from tests.unit.serving.requests import ROW, Server, changed, outputs, request

CORPORA = Path(__file__).resolve().parents[4] / "shared" / "corpora"
JSON_SUITE = CORPORA / "json-test-suite"
NAUGHTY = CORPORA / "naughty-strings" / "blns.json"

needs_suite = pytest.mark.skipif(not JSON_SUITE.is_dir(), reason="../shared/corpora/json-test-suite is not here")
needs_strings = pytest.mark.skipif(not NAUGHTY.is_file(), reason="../shared/corpora/naughty-strings is not here")


def suite(pattern: str) -> list[Path]:
    return sorted(JSON_SUITE.glob(pattern))


def naughty() -> list[str]:
    return list(json.loads(NAUGHTY.read_text("utf-8"))) if NAUGHTY.is_file() else []


@needs_suite
def test_what_is_not_json_is_400(server: Server) -> None:
    files = suite("test_parsing/n_*.json")
    assert len(files) > 100
    wrong = {}
    for path in files:
        status, reply = server.infer(path.read_bytes())
        if status != 400 or list(reply) != ["error"]:
            wrong[path.name] = (status, reply)
    assert not wrong


@needs_suite
def test_what_is_not_json_is_400_in_the_place_of_a_value_too(server: Server) -> None:
    """Within a request that is right otherwise, so that only the parser can refuse it."""
    whole = json.dumps(request(more="here")).encode()
    accepted = []
    for path in suite("test_parsing/n_*.json"):
        content = path.read_bytes()
        if server.infer(whole.replace(b'"here"', content))[0] != 400:
            accepted.append(path.name)
    assert not accepted


@needs_suite
def test_what_is_json_is_read_in_the_place_of_a_member(server: Server) -> None:
    whole = json.dumps(request(more="here")).encode()
    for path in suite("test_parsing/y_*.json"):
        status, reply = server.infer(whole.replace(b'"here"', path.read_bytes()))
        if "duplicated_key" in path.name:  # legal, but no two readers agree on what it means
            assert (status, "stands twice" in reply["error"]) == (400, True), path.name
        else:
            assert status == 200, (path.name, reply)


@needs_suite
def test_what_readers_disagree_on_is_never_a_5xx(server: Server) -> None:
    whole = json.dumps(request(more="here")).encode()
    for path in [*suite("test_parsing/i_*.json"), *suite("test_transform/*.json")]:
        content = path.read_bytes()
        assert server.infer(content)[0] == 400, path.name
        assert server.infer(whole.replace(b'"here"', content))[0] in (200, 400), path.name


@needs_suite
def test_bad_json_is_refused_as_text_too(server: Server) -> None:
    """API Gateway hands JSON over as text, what is not UTF-8 in it replaced."""
    for path in suite("test_parsing/n_*.json"):
        text = path.read_bytes().decode("utf-8", "replace")
        assert server.infer(text)[0] == 400, path.name


@needs_strings
@pytest.mark.parametrize("count", [1, 2])
def test_naughty_strings_are_categories_like_any(server: Server, count: int) -> None:
    assert len(naughty()) > 500
    for text in naughty():
        row = {**ROW, "carrier": text}
        status, reply = server.infer(request(*[row] * count))
        assert status == 200, text
        assert outputs(reply)["probability"][1] == pytest.approx(expected_probability(row), abs=1e-6)
        assert server.records[-1]["inputs"]["carrier"] == [text] * count


@needs_strings
def test_naughty_strings_are_no_numbers_names_or_datatypes(server: Server) -> None:
    for text in naughty():
        bodies: list[Any] = [
            changed("distance", data=[text]),
            changed("distance", name=text),
            changed("distance", datatype=text),
            request(outputs=[{"name": text}]),
            text,
        ]
        for body in bodies:
            status, reply = server.infer(body)
            assert status == 400, (text, body)
            assert list(reply) == ["error"]


@needs_strings
def test_naughty_strings_come_back_as_the_id_of_the_request(server: Server) -> None:
    for text in naughty():
        status, reply = server.infer(request(id=text))
        assert (status, reply.get("id")) == (200, text) if len(text) <= 256 else status == 400
