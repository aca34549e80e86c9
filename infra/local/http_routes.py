"""Which route of an HTTP API answers a request.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html: a full match beats a
greedy one, that beats $default; among equals a fixed segment beats a variable and a method beats ANY.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    """The winning route's key and the (decoded) values of its path variables."""

    key: str
    variables: dict[str, str]


def select(keys: Iterable[str], method: str, path: str) -> Match | None:
    """The best of the route keys for a request whose path is decoded already; None when none matches."""
    found = [(rank, match) for key in keys if (ranked := _match(key, method, path)) for rank, match in [ranked]]
    return min(found, key=lambda each: each[0])[1] if found else None


# lower wins: kind of match (full, greedy, $default), then segment by segment, then the method
_Rank = tuple[int, tuple[int, ...], int]


def _match(key: str, method: str, path: str) -> tuple[_Rank, Match] | None:
    if key == "$default":
        return (2, (), 1), Match(key, {})
    wanted, _, template = key.partition(" ")
    if wanted not in (method, "ANY"):
        return None
    parts, given = template.split("/")[1:], path.split("/")[1:]
    variables: dict[str, str] = {}
    rank: list[int] = []
    for position, part in enumerate(parts):
        if part.startswith("{") and part.endswith("+}"):
            rest = "/".join(given[position:])
            if not rest:
                return None
            return (1, (*rank, 2), int(wanted == "ANY")), Match(key, variables | {part[1:-2]: rest})
        if position >= len(given):
            return None
        if part.startswith("{") and part.endswith("}"):
            if not given[position]:
                return None
            variables[part[1:-1]] = given[position]
            rank.append(1)
        elif part == given[position]:
            rank.append(0)
        else:
            return None
    if len(parts) != len(given):
        return None
    return (0, tuple(rank), int(wanted == "ANY")), Match(key, variables)
