"""Texts for YAML: quoted so that any column name comes back as it was, and comments that end where their line ends."""

from __future__ import annotations

import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


def scalar(value: Any) -> str:
    """A string, number or boolean as one YAML scalar on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    return '"' + "".join(map(_escaped, value)) + '"'


def number(value: float) -> str:
    """A number as YAML 1.1 reads it: exponents need a point and a sign."""
    if isinstance(value, int):
        return str(value)
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def flow(values: list[str]) -> str:
    """A list of texts in brackets."""
    return "[" + ", ".join(map(scalar, values)) + "]"


def comment(text: str) -> str:
    """A comment of one line, at most 200 characters."""
    plain = "".join(character if character.isprintable() else "·" for character in text)
    return "# " + (plain if len(plain) <= 200 else plain[:199] + "…")


def _escaped(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    # what PyYAML takes as it is
    if 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code <= 0xFFFD or code >= 0x10000:
        return character if code not in {0x2028, 0x2029, 0xFEFF} else f"\\u{code:04x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
