"""JSON as RFC 8259 has it: no NaN, no Infinity, no name twice in an object."""

from __future__ import annotations

import json
from typing import Any

from perennial.serving.errors import RequestRefused


def _no_constant(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON; null is how a missing value is written")


def _no_duplicate(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:100]!r} stands twice in one object")
    return found


_QUICK = json.JSONDecoder(parse_constant=_no_constant)
_CAREFUL = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_duplicate)


def parse(text: str) -> dict[str, Any]:
    """The JSON object in `text`. Raises RequestRefused for anything else, saying where it stops being JSON.

    Every name of an object has its colon: as many colons as names in the objects of a plain request means that none
    was given twice. Only when there are more is the text read again by the decoder that sees every pair, three times
    as slow.
    """
    try:
        value = _QUICK.decode(text)
        if type(value) is not dict:
            raise RequestRefused("the body is not a JSON object")
        if text.count(":") != _names(value):
            _CAREFUL.decode(text)
    except RecursionError as error:
        raise RequestRefused("the body is nested too deeply") from error
    except ValueError as error:
        raise RequestRefused(f"the body is not JSON: {error}") from error
    return value


def load(content: bytes) -> Any:
    """The JSON value in these bytes of UTF-8. Raises ValueError, saying where it stops being that."""
    try:
        return _CAREFUL.decode(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _names(request: dict[str, Any]) -> int:
    """Names of the request object and of the objects in its `inputs`."""
    inputs = request.get("inputs")
    if type(inputs) is not list:
        return len(request)
    return len(request) + sum([len(tensor) for tensor in inputs if type(tensor) is dict])
