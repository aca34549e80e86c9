"""One picture on one axis of days: lines above, which version served, and marks in lanes below. Inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

WIDTH, LEFT, RIGHT = 1000, 130, 170
TOP, HEIGHT = 16, 230
LANE = 26
STROKES = {
    "accent": 'stroke="var(--accent)" stroke-width="3"',
    "quiet": 'stroke="var(--quiet)" stroke-width="2"',
    "dashed": 'stroke="var(--quiet)" stroke-width="2" stroke-dasharray="2 5"',
}
# Labels at the lines' ends keep this much between them.
APART = 17
# A span narrower than this has no room for its name.
LEAST_NAMED = 14.0


@dataclass(frozen=True)
class Line:
    """Values by day; None where there is none."""

    name: str
    style: str
    points: list[tuple[date, float | None]]


@dataclass(frozen=True)
class Mark:
    """Something that happened on a day, in a lane."""

    lane: str
    day: date
    text: str


@dataclass(frozen=True)
class Span:
    """What lasted from a day to another."""

    name: str
    first: date
    last: date


@dataclass(frozen=True)
class _Scale:
    first: date
    last: date
    low: float
    high: float

    def x(self, day: date) -> float:
        share = (day - self.first).days / max(1, (self.last - self.first).days)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * HEIGHT


def chart(title: str, lines: Sequence[Line], lanes: Sequence[str], marks: Sequence[Mark], spans: Sequence[Span]) -> str:
    """The picture as an `<svg>`; lanes without a mark are left out."""
    scale = _scale(lines, marks, spans)
    used = [lane for lane in lanes if any(mark.lane == lane for mark in marks)]
    bottom = TOP + HEIGHT + 34
    parts = [
        *_grid(scale, bottom + LANE * (len(used) + 1)),
        *(_line(line, scale) for line in lines),
        *_names(lines, scale),
        *_spans(spans, scale, bottom),
    ]
    for number, lane in enumerate(used, start=1):
        parts += _lane(lane, [mark for mark in marks if mark.lane == lane], scale, bottom + LANE * number)
    height = bottom + LANE * (len(used) + 1) + 4
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _scale(lines: Sequence[Line], marks: Sequence[Mark], spans: Sequence[Span]) -> _Scale:
    days = [day for line in lines for day, _ in line.points] + [mark.day for mark in marks]
    days += [day for span in spans for day in (span.first, span.last)]
    values = [value for line in lines for _, value in line.points if value is not None] or [0.0, 1.0]
    margin = (max(values) - min(values)) * 0.12 or 0.01
    return _Scale(min(days), max(days), min(values) - margin, max(values) + margin)


def _grid(scale: _Scale, bottom: float) -> Iterator[str]:
    for step in range(5):
        value = scale.low + (scale.high - scale.low) * step / 4
        y = scale.y(value)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
        yield _text(LEFT - 10, y + 4, f"{value:.3f}", anchor="end")
    day = scale.first.replace(day=1)
    while day <= scale.last:
        if day >= scale.first:
            x = scale.x(day)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom:.1f}" stroke="var(--line)"/>'
        middle = day + timedelta(days=14)
        if scale.first <= middle <= scale.last:
            yield _text(scale.x(middle), TOP + HEIGHT + 18, f"{day:%b}", anchor="middle")
        day = (day + timedelta(days=31)).replace(day=1)


def _line(line: Line, scale: _Scale) -> str:
    known = [(scale.x(day), scale.y(value)) for day, value in line.points if value is not None]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
    return f'<polyline points="{path}" fill="none" stroke-linejoin="round" {STROKES[line.style]}/>'


def _names(lines: Sequence[Line], scale: _Scale) -> Iterator[str]:
    """Names at the right ends, moved apart where lines end close together."""
    ends = [(scale.y(known[-1]), line) for line in lines if (known := [v for _, v in line.points if v is not None])]
    at = -1000.0
    for y, line in sorted(ends, key=lambda end: end[0]):
        at = max(y, at + APART)
        colour = "var(--accent)" if line.style == "accent" else "var(--quiet)"
        yield _text(WIDTH - RIGHT + 8, at + 4, line.name, colour=colour)


def _spans(spans: Sequence[Span], scale: _Scale, y: float) -> Iterator[str]:
    if spans:
        yield _text(LEFT - 10, y + 15, "serves", anchor="end")
    for number, span in enumerate(spans):
        x, width = scale.x(span.first), max(2.0, scale.x(span.last) - scale.x(span.first) - 2)
        shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="20" rx="4"'
        yield f"<g><title>{escape(f'{span.name}, from {span.first} to {span.last}')}</title>"
        yield f'<rect {shape} fill="var(--accent)" opacity="{0.85 if number % 2 else 0.6}"/>'
        if width > LEAST_NAMED:
            number_only = span.name.rpartition(" ")[2]
            yield _text(x + width / 2, y + 15, number_only, anchor="middle", colour="var(--ground)")
        yield "</g>"


def _lane(name: str, marks: Sequence[Mark], scale: _Scale, y: float) -> Iterator[str]:
    yield _text(LEFT - 10, y + 15, name, anchor="end")
    for mark in marks:
        yield (
            f"<g><title>{escape(f'{mark.day}: {mark.text}')}</title>"
            f'<circle cx="{scale.x(mark.day):.1f}" cy="{y + 10:.1f}" r="5" fill="var(--ink)"/></g>'
        )


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "var(--quiet)") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="13" fill="{colour}">{escape(text)}</text>'
