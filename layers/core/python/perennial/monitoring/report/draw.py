"""Marks of a drawing as text: small pure functions that give SVG. Whatever comes from outside is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to places between `start` and `end`; what lies beyond is put at the end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        if self.high <= self.low:
            return (self.start + self.end) / 2
        share = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round values between two others, at most `most` + 1."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def shown(value: float) -> str:
    """A value as an axis has it."""
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def number(place: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{place:.1f}".removesuffix(".0")


def drawing(width: int, height: int, title: str, body: Iterable[str], about: str = "") -> str:
    """An SVG image that says what it shows to those who do not see it."""
    described = f"<desc>{escape(about)}</desc>" if about else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" class="drawing">'
        f"<title>{escape(title)}</title>{described}{''.join(body)}</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    ends = zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True)
    return f'<line class="{kind}" {" ".join(f"{name}={chr(34)}{number(place)}{chr(34)}" for name, place in ends)}/>'


def rect(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    """A rectangle; `tip` shows when it is pointed at."""
    size = f'width="{number(max(width, 0))}" height="{number(max(height, 0))}"'
    return f'<rect class="{kind}" x="{number(x)}" y="{number(y)}" {size}>{_tip(tip)}</rect>'


def dot(x: float, y: float, kind: str, tip: str = "", radius: float = 3.5) -> str:
    """A filled circle."""
    return f'<circle class="{kind}" cx="{number(x)}" cy="{number(y)}" r="{number(radius)}">{_tip(tip)}</circle>'


def text(x: float, y: float, words: str, kind: str = "tick", anchor: str = "start") -> str:
    """Words at a place."""
    return f'<text class="{kind}" x="{number(x)}" y="{number(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def path(points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> str:
    """A line through points."""
    if not points:
        return ""
    steps = " ".join(f"{'M' if first == 0 else 'L'}{number(x)} {number(y)}" for first, (x, y) in zip(count(), points))
    return f'<path class="{kind}" d="{steps}{" Z" if closed else ""}"/>'


def steps(edges: Sequence[float], heights: Sequence[float], base: float, kind: str, *, filled: bool) -> str:
    """A histogram's outline: `heights` are places over the spans between `edges`, from `base` and back to it."""
    points = [(edges[0], base)]
    for left, right, height in zip(edges, edges[1:], heights, strict=False):
        points += [(left, height), (right, height)]
    return path([*points, (edges[-1], base)], kind, closed=filled)


def _tip(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""
