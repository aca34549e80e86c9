"""Days, probabilities and slices as drawings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from perennial.monitoring.report import words
from perennial.monitoring.report.draw import Scale, dot, drawing, line, path, rect, shown, text, ticks

WIDTH, HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BASE = 60, WIDTH - 16, 14, HEIGHT - 58
_STRIP = _BASE + 26
_SQUARE = 320
_HUES = 6

Row = Mapping[str, Any]


def over_time(
    title: str,
    rows: Sequence[Row],
    read: Callable[[Row], Any],
    level: tuple[float, str] | None = None,
    bars: bool = False,
) -> str:
    """Values by day with their intervals, coloured by version, with a strip that says which version answered when.
    Bars of several versions of a day stand side by side.

    `read` takes the value of a row; `level` is a line across, and what it is.
    """
    known = [row for row in rows if read(row) is not None]
    days = sorted({date.fromisoformat(row["day"]) for row in rows})
    if not known:
        return ""
    ends = [end for row in known for end in (row.get("low"), row.get("high"), read(row)) if end is not None]
    ends += [level[0]] if level else []
    ends += [0.0] if bars else []
    pad = (max(ends) - min(ends)) * 0.06 or 0.5
    up = Scale(min(ends) - (0 if bars and min(ends) == 0 else pad), max(ends) + pad, _BASE, _TOP)
    across = Scale(days[0].toordinal() - 0.5, days[-1].toordinal() + 0.5, _LEFT, _RIGHT)
    hues = _hues(rows)
    body = [*_grid(up), *_dates(days, across)]
    if level:
        body.append(line(_LEFT, up(level[0]), _RIGHT, up(level[0]), "level"))
        body.append(text(_RIGHT, up(level[0]) - 5, level[1], "tick", "end"))
    wide = (_RIGHT - _LEFT) / max((days[-1] - days[0]).days + 1, 1)
    beside = _beside(known) if bars else {}
    for row in known:
        body += _mark(row, read(row), across, up, hues, wide, beside.get(row["day"]))
    body += _strip(rows, across, hues, wide)
    marked = any(row.get("version") is not None for row in rows)
    return drawing(WIDTH, HEIGHT if marked else HEIGHT - 34, title, body, _said(known, read))


def _beside(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The versions that have a value on each day, in order."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["day"], []).append(row.get("version"))
    return found


def _mark(
    row: Row, value: float, across: Scale, up: Scale, hues: Mapping[Any, int], wide: float, beside: list[Any] | None
) -> list[str]:
    """A dot, or the bar of one of the versions that stand `beside` each other on its day."""
    x = across(date.fromisoformat(row["day"]).toordinal())
    hue = f"hue{hues[row.get('version')]}"
    tip = f"{row['day']}: {words.interval({**row, 'value': value})}, {words.count(row.get('rows'))} rows"
    body = []
    if beside:
        zero = up(0.0)
        half = min(wide * 0.36, 16) / len(beside)
        x += half * (2 * beside.index(row.get("version")) + 1 - len(beside))
        body.append(rect(x - half, min(zero, up(value)), 2 * half, abs(zero - up(value)), f"bar {hue}", tip))
    if row.get("low") is not None and row.get("high") is not None:
        body.append(line(x, up(row["low"]), x, up(row["high"]), f"whisker {hue}"))
    return body if beside else [*body, dot(x, up(value), hue, tip)]


def _hues(rows: Sequence[Row]) -> dict[Any, int]:
    versions = sorted({row.get("version") for row in rows}, key=lambda one: (one is not None, one or 0))
    return {version: place % _HUES for place, version in enumerate(versions)}


def _grid(up: Scale) -> list[str]:
    found = []
    for tick in ticks(up.low, up.high, 5):
        found.append(line(_LEFT, up(tick), _RIGHT, up(tick), "grid"))
        found.append(text(_LEFT - 8, up(tick) + 4, shown(tick), "tick", "end"))
    return found


def _dates(days: Sequence[date], across: Scale) -> list[str]:
    """At most eight dates, and the axis."""
    every = max(len(days) // 8 + (len(days) % 8 > 0), 1)
    found = [line(_LEFT, _BASE, _RIGHT, _BASE, "axis")]
    for day in days[::every]:
        x = across(day.toordinal())
        found += [line(x, _BASE, x, _BASE + 4, "axis"), text(x, _BASE + 17, f"{day:%b} {day.day}", "tick", "middle")]
    return found


def _strip(rows: Sequence[Row], across: Scale, hues: Mapping[Any, int], wide: float) -> list[str]:
    """Which version answered on which days: one band each, where there are versions."""
    found = []
    place = 0
    for version in hues:
        days = sorted(date.fromisoformat(row["day"]) for row in rows if row.get("version") == version)
        if version is None or not days:
            continue
        y, x = _STRIP + 11 * place, across(days[0].toordinal())
        for start, end in _spans(days):
            left = across(start.toordinal()) - wide / 2
            width = across(end.toordinal()) + wide / 2 - left
            tip = f"version {version}: {start} to {end}"
            found.append(rect(left, y, width, 8, f"band hue{hues[version]}", tip))
        found.append(text(min(x - wide / 2, _RIGHT) - 6, y + 8, f"v{version}", "tick", "end"))
        place = min(place + 1, 2)
    return found


def _spans(days: Sequence[date]) -> list[tuple[date, date]]:
    spans: list[tuple[date, date]] = []
    for day in days:
        if spans and (day - spans[-1][1]).days <= 1:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def _said(rows: Sequence[Row], read: Callable[[Row], Any]) -> str:
    return "; ".join(f"{row['day']}: {words.interval({**row, 'value': read(row)})}" for row in rows)


def calibration(bins: Sequence[Row], shares: bool) -> str:
    """What was predicted beside what was observed; on the diagonal both are the same. `shares` lie in 0 … 1."""
    if not bins:
        return ""
    seen = [one[name] for one in bins for name in ("predicted", "observed", "low", "high") if one[name] is not None]
    low, high = (0.0, 1.0) if shares else (min(seen), max(seen))
    left, base, right, top = 48, _SQUARE - 36, _SQUARE - 10, 10
    across, up = Scale(low, high, left, right), Scale(low, high, base, top)
    body = []
    for tick in ticks(low, high, 4):
        body += [
            line(left, up(tick), right, up(tick), "grid"),
            text(left - 7, up(tick) + 4, shown(tick), "tick", "end"),
            text(across(tick), base + 16, shown(tick), "tick", "middle"),
        ]
    body.append(line(across(low), up(low), across(high), up(high), "level"))
    body.append(path([(across(one["predicted"]), up(one["observed"])) for one in bins], "trend"))
    for one in bins:
        x = across(one["predicted"])
        if one["low"] is not None and one["high"] is not None:
            body.append(line(x, up(one["low"]), x, up(one["high"]), "whisker hue0"))
        said = {"value": one["observed"], "low": one["low"], "high": one["high"]}
        seen_as = f"predicted {words.value(one['predicted'])}, observed {words.interval(said)}"
        body.append(dot(x, up(one["observed"]), "hue0", f"{seen_as}, {words.count(one['rows'])} rows"))
    body.append(text(right, base + 32, "predicted", "axis-name", "end"))
    body.append(text(left + 6, top + 10, "observed", "axis-name"))
    return drawing(_SQUARE, _SQUARE, "Calibration: predicted beside observed", body)


def forest(title: str, rows: Sequence[Row]) -> str:
    """Slices one below the other: value with interval, and what the rest of the column has."""
    ends = [
        end
        for row in rows
        for end in (row["metric"]["value"], row["metric"]["low"], row["metric"]["high"], row["rest"])
        if end is not None
    ]
    if not ends:
        return ""
    pad = (max(ends) - min(ends)) * 0.05 or 0.5
    across, names, height = Scale(min(ends) - pad, max(ends) + pad, 250, 690), 240, 30 + 26 * len(rows)
    body = [line(across(tick), 8, across(tick), height - 22, "grid") for tick in ticks(across.low, across.high, 5)]
    body += [
        text(across(tick), height - 8, shown(tick), "tick", "middle") for tick in ticks(across.low, across.high, 5)
    ]
    for place, row in enumerate(rows):
        y, found, kind = 18 + 26 * place, row["metric"], "worse" if row["worse"] else "hue0"
        label = f"{row['column']} = {row['value']}"
        body.append(text(names, y + 4, label if len(label) <= 34 else label[:33] + "…", "label", "end"))
        if found["low"] is not None and found["high"] is not None:
            body.append(line(across(found["low"]), y, across(found["high"]), y, f"whisker {kind}"))
        if row["rest"] is not None:
            body.append(line(across(row["rest"]), y - 7, across(row["rest"]), y + 7, "rest"))
        body.append(dot(across(found["value"]), y, kind, f"{label}: {words.interval(found)}", 4.5))
        body.append(text(704, y + 4, f"{words.interval(found)}, {words.count(row['rows'])} rows", "tick"))
    return drawing(WIDTH, height, title, body)
