"""EventBridge event patterns: which events a rule wants.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_ABSENT = object()


class InvalidPattern(ValueError):
    """The pattern is not one that EventBridge takes (or that is imitated here)."""


def parse(text: str) -> dict[str, Any]:
    """The pattern as an object, checked; raises InvalidPattern."""
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise InvalidPattern(f"not JSON: {error}") from None
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern("a pattern is an object with at least one field")
    _check(pattern)
    return pattern


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether the event (parsed JSON) has what the pattern asks for; the fields of a pattern are joined by AND."""
    return all(
        any(matches(alternative, event) for alternative in wanted) if name == "$or" else _field(name, wanted, event)
        for name, wanted in pattern.items()
    )


def _field(name: str, wanted: Any, event: Any) -> bool:
    if isinstance(wanted, Mapping):
        inner = event.get(name, _ABSENT) if isinstance(event, Mapping) else _ABSENT
        # EventBridge looks into arrays: one element that matches is enough
        return any(matches(wanted, each) for each in (inner if isinstance(inner, list) else [inner]))
    value = event.get(name, _ABSENT) if isinstance(event, Mapping) else _ABSENT
    return any(_test(test, value) for test in wanted)


def _leaves(value: Any) -> Iterator[Any]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, list):
            yield from _leaves(each)
        elif not isinstance(each, Mapping):
            yield each


def _test(test: Any, value: Any) -> bool:
    if isinstance(test, Mapping):
        ((operator, operand),) = test.items()
        if operator == "exists":
            # a field that is an object is no leaf: {"exists": true} does not see it
            there = value is not _ABSENT and (isinstance(value, list) or not isinstance(value, Mapping))
            return there is operand
        if value is _ABSENT:
            return False
        return any(_OPERATORS[operator](leaf, operand) for leaf in _leaves(value))
    return value is not _ABSENT and any(_same(leaf, test) for leaf in _leaves(value))


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _each(operand: Any) -> list[Any]:
    return operand if isinstance(operand, list) else [operand]


def _text(check: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    """A test on texts whose operand may be folded to any case by {"equals-ignore-case": …}."""

    def test(value: Any, operand: Any) -> bool:
        if not isinstance(value, str):
            return False
        if isinstance(operand, Mapping):
            return check(value.lower(), str(operand["equals-ignore-case"]).lower())
        return any(check(value, each) for each in _each(operand))

    return test


def _wildcard(value: str, pattern: str) -> bool:
    pieces = re.findall(r"\\[*\\]|\*+|[^*\\]+|\\", pattern)
    expression = "".join(".*" if piece[0] == "*" else re.escape(re.sub(r"\\([*\\])", r"\1", piece)) for piece in pieces)
    return re.fullmatch(expression, value, re.DOTALL) is not None


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _numeric(value: Any, operand: list[Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(_COMPARE[sign](value, bound) for sign, bound in zip(operand[::2], operand[1::2], strict=True))


def _anything_but(value: Any, operand: Any) -> bool:
    if isinstance(operand, Mapping):
        ((operator, inner),) = operand.items()
        return not _OPERATORS[operator](value, inner)
    return not any(_same(value, each) for each in _each(operand))


def _cidr(value: Any, operand: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "prefix": _text(str.startswith),
    "suffix": _text(str.endswith),
    "equals-ignore-case": _text(lambda value, wanted: value.lower() == wanted.lower()),
    "wildcard": _text(_wildcard),
    "numeric": _numeric,
    "anything-but": _anything_but,
    "cidr": _cidr,
}


def _check(pattern: Mapping[str, Any]) -> None:
    for name, wanted in pattern.items():
        if name == "$or":
            if not isinstance(wanted, list) or len(wanted) < 2 or not all(isinstance(each, dict) for each in wanted):
                raise InvalidPattern("$or wants a list of at least two objects")
            for alternative in wanted:
                _check(alternative)
        elif isinstance(wanted, dict):
            if not wanted:
                raise InvalidPattern(f"empty objects are not allowed: {name}")
            _check(wanted)
        elif isinstance(wanted, list):
            if not wanted:
                raise InvalidPattern(f"empty arrays are not allowed: {name}")
            for test in wanted:
                _check_test(name, test)
        else:
            raise InvalidPattern(f"{name!r} must be an object or an array")


def _check_test(name: str, test: Any) -> None:
    if isinstance(test, list):
        raise InvalidPattern(f"an array within the array of {name!r}")
    if not isinstance(test, dict):
        return
    if len(test) != 1:
        raise InvalidPattern(f"a test of {name!r} names exactly one operator")
    ((operator, operand),) = test.items()
    if operator == "exists":
        good = isinstance(operand, bool)
    elif operator == "numeric":
        good = _good_bounds(operand)
    elif operator == "cidr":
        good = isinstance(operand, str) and _good_network(operand)
    elif operator == "anything-but" and isinstance(operand, dict):
        good = len(operand) == 1 and set(operand) <= {"prefix", "suffix", "equals-ignore-case", "wildcard"}
        good = good and all(_good_text(next(iter(operand)), inner) for inner in operand.values())
    elif operator == "anything-but":
        good = bool(_each(operand)) and all(isinstance(each, str | int | float) for each in _each(operand))
    elif operator in _OPERATORS:
        good = _good_text(operator, operand)
    else:
        raise InvalidPattern(f"unrecognized match type {operator}")
    if not good:
        raise InvalidPattern(f"the operand of {operator!r} in {name!r} is not valid")


def _good_bounds(operand: Any) -> bool:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        return False
    numbers = all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in operand[1::2])
    return numbers and all(sign in _COMPARE for sign in operand[::2])


def _good_network(operand: str) -> bool:
    try:
        ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False
    return "/" in operand


def _good_text(operator: str, operand: Any) -> bool:
    if isinstance(operand, dict):
        inner = operand.get("equals-ignore-case")
        return operator in ("prefix", "suffix") and len(operand) == 1 and isinstance(inner, str)
    if isinstance(operand, list):
        return bool(operand) and all(isinstance(each, str) for each in operand)
    return isinstance(operand, str)
