"""What was trained on and what was asked, laid over each other, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from perennial.monitoring.report import words
from perennial.monitoring.report.draw import Scale, drawing, line, rect, shown, steps, text, ticks

WIDTH, HEIGHT = 340, 150
_LEFT, _RIGHT, _TOP, _BASE = 8, WIDTH - 8, 8, HEIGHT - 22
# Labels of a category that are drawn; the rest is put together.
_DRAWN = 7
_ROW = 18
_NAMES = 112
# How far beyond the inner edges a number's axis goes, as a share of what lies between them.
_MARGIN = 0.15

Column = Mapping[str, Any]


def distribution(column: Column) -> str:
    """The drawing of one column: its shares in training and in the window."""
    if column["kind"] == "number" and len(column["bins"].get("edges") or ()) > 2:
        return _numbers(column)
    return _labels(column)


def _title(column: Column) -> str:
    return f"{words.column(column['name'])}: {column['words']}"


def _numbers(column: Column) -> str:
    """Densities over the values, as two outlines."""
    edges = list(column["bins"]["edges"])
    inner = edges[-2] - edges[1]
    low = max(edges[0], edges[1] - _MARGIN * inner) if inner > 0 else edges[0]
    high = min(edges[-1], edges[-2] + _MARGIN * inner) if inner > 0 else edges[-1]
    sides = {name: _densities(edges, column["bins"][name]) for name in ("reference", "window")}
    # a bin that is hardly wider than a line says nothing by its height
    wide = [place for place, (a, b) in enumerate(pairwise(edges)) if b - a > (high - low) / 150]
    top = max((side[place] for side in sides.values() for place in wide), default=1.0) or 1.0
    across, up = Scale(low, high, _LEFT, _RIGHT), Scale(0, top * 1.05, _BASE, _TOP)
    places = [across(edge) for edge in edges]
    body = [line(_LEFT, _BASE, _RIGHT, _BASE, "axis")]
    for name, found in sides.items():
        body.append(steps(places, [up(height) for height in found], _BASE, name, filled=True))
    for tick in ticks(low, high, 4):
        body.append(line(across(tick), _BASE, across(tick), _BASE + 3, "axis"))
        body.append(text(across(tick), _BASE + 15, shown(tick), "tick", _anchor(across(tick))))
    return drawing(WIDTH, HEIGHT, _title(column), body, _table(column))


def _anchor(place: float) -> str:
    return "start" if place < _LEFT + 12 else "end" if place > _RIGHT - 12 else "middle"


def _densities(edges: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Share by width; the bins below, above and missing are told beside the drawing."""
    inner = shares[1 : len(edges)]
    return [one / (b - a) if b > a else 0.0 for a, b, one in zip(edges, edges[1:], inner, strict=False)]


def _labels(column: Column) -> str:
    """Two bars for each label, the larger labels first."""
    bins = column["bins"]
    rows = sorted(
        zip(bins["labels"], bins["reference"], bins["window"], strict=True), key=lambda one: -max(one[1], one[2])
    )
    rows = [one for one in rows if max(one[1], one[2]) > 0]
    drawn, rest = rows[:_DRAWN], rows[_DRAWN:]
    if rest:
        drawn.append((f"{len(rest)} others", sum(one[1] for one in rest), sum(one[2] for one in rest)))
    most = max((max(one[1], one[2]) for one in drawn), default=1.0) or 1.0
    across = Scale(0, most, _NAMES, WIDTH - 44)
    body = []
    for place, (label, before, now) in enumerate(drawn):
        top = _TOP + place * _ROW
        tip = f"{label}: {words.share(before)} in training, {words.share(now)} in the window"
        body.append(text(_NAMES - 6, top + 10, _short(str(label)), "label", "end"))
        body.append(rect(_NAMES, top, across(before) - _NAMES, 12, "reference", tip))
        body.append(rect(_NAMES, top + 3, across(now) - _NAMES, 6, "window", tip))
        body.append(text(max(across(before), across(now)) + 5, top + 10, words.share(now), "tick"))
    height = _TOP + max(len(drawn), 1) * _ROW + 4
    return drawing(WIDTH, height, _title(column), body, _table(column))


def _short(label: str) -> str:
    return label if len(label) <= 15 else label[:14] + "…"


def _table(column: Column) -> str:
    """The numbers, for those who do not see the drawing."""
    bins = column["bins"]
    found = zip(bins["labels"], bins["reference"], bins["window"], strict=True)
    return "; ".join(f"{label}: {words.share(before)} then, {words.share(now)} now" for label, before, now in found)
