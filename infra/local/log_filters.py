"""CloudWatch Logs filter patterns: which log events a subscription filter passes on.

Imitated: JSON patterns (`{ $.record = "prediction" && $.rows > 0 }`) and plain terms; anything else is refused.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Matcher = Callable[[str], bool]
_Test = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<selector>\$(?:\.[A-Za-z0-9_\-]+|\[\d+\])+)"""
    r"""|(?P<sign>&&|\|\||!=|<=|>=|=|<|>|\(|\))|(?P<word>[A-Za-z0-9_.*\-:/+@#]+))"""
)
_STEP = re.compile(r"\.([A-Za-z0-9_\-]+)|\[(\d+)\]")
_TERM = re.compile(r'\s*(-?)(?:"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_]+))(?=\s|$)')
_NOTHING = object()


class InvalidFilter(ValueError):
    """A pattern that CloudWatch Logs does not take, or that is not imitated."""


def parse(pattern: str) -> Matcher:
    """The test on a log event's message that `pattern` stands for; raises InvalidFilter."""
    text = pattern.strip()
    if text.startswith("{") and text.endswith("}"):
        test = _Parser(text[1:-1]).whole()
        return lambda message: _json_matches(test, message)
    return _terms(text)


def _json_matches(test: _Test, message: str) -> bool:
    try:
        event = json.loads(message)
    except ValueError:
        return False
    return isinstance(event, dict | list) and test(event)


def _terms(text: str) -> Matcher:
    wanted: list[tuple[bool, str]] = []
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            raise InvalidFilter(f"{text!r}: only words and quoted phrases are imitated besides JSON patterns")
        phrase = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        wanted.append((found[1] == "-", phrase))
        position = found.end()
    return lambda message: all((phrase in message) is not excluded for excluded, phrase in wanted)


@dataclass
class _Token:
    kind: str
    text: str


class _Parser:
    """A recursive descent over `||`, `&&`, parentheses and comparisons."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        self._text = text
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                raise InvalidFilter(f"{text!r} is not understood from {text[position:]!r} on")
            self._tokens.append(_Token(found.lastgroup, found[found.lastgroup]))
            position = found.end()

    def whole(self) -> _Test:
        """The test that the whole text stands for."""
        test = self._either()
        if self._tokens:
            raise self._wrong()
        return test

    def _wrong(self) -> InvalidFilter:
        rest = " ".join(token.text for token in self._tokens) or "its end"
        return InvalidFilter(f"{{{self._text}}} is not understood at {rest}")

    def _sign(self, *texts: str) -> str | None:
        if self._tokens and self._tokens[0].kind == "sign" and self._tokens[0].text in texts:
            return self._tokens.pop(0).text
        return None

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._sign("||"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda event: any(test(event) for test in tests)

    def _both(self) -> _Test:
        tests = [self._one()]
        while self._sign("&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda event: all(test(event) for test in tests)

    def _one(self) -> _Test:
        if self._sign("("):
            inner = self._either()
            if not self._sign(")"):
                raise self._wrong()
            return inner
        if not self._tokens or self._tokens[0].kind != "selector":
            raise self._wrong()
        selector = self._tokens.pop(0).text
        sign = self._sign("=", "!=", "<", "<=", ">", ">=")
        if sign is None or not self._tokens or self._tokens[0].kind not in ("string", "word"):
            raise self._wrong()
        return _comparison(selector, sign, self._tokens.pop(0))


def _comparison(selector: str, sign: str, token: _Token) -> _Test:
    number = None if token.kind == "string" else _number(token.text)
    text = re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "string" else token.text
    if number is None and sign not in ("=", "!="):
        raise InvalidFilter(f"{selector} {sign} {token.text}: only numbers have an order")

    def test(event: Any) -> bool:
        value = _select(selector, event)
        if value is _NOTHING:
            return False  # also for !=: a field must be there to differ
        if number is None:
            return (isinstance(value, str) and fnmatchcase(value, _literal(text))) is (sign == "=")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return sign == "!="
        return {
            "=": value == number,
            "!=": value != number,
            "<": value < number,
            "<=": value <= number,
            ">": value > number,
            ">=": value >= number,
        }[sign]

    return test


def _literal(text: str) -> str:
    """The text as a pattern in which only * means anything."""
    return re.sub(r"[\[?]", lambda found: f"[{found[0]}]", text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _select(selector: str, event: Any) -> Any:
    for name, index in _STEP.findall(selector):
        if name and isinstance(event, dict) and name in event:
            event = event[name]
        elif index and isinstance(event, list) and int(index) < len(event):
            event = event[int(index)]
        else:
            return _NOTHING
    return event
