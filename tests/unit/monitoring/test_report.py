"""The report of a window: one page that needs nothing, says what monitor.json says, and can be looked at."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from perennial.monitoring.report import render, words
from perennial.monitoring.report.charts import over_time
from perennial.monitoring.report.draw import Scale, shown, steps, ticks
from tests.unit.monitoring.reports import EVIL, bare, column, full

STATES = ("no traffic", "no reference", "nothing serves")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?")


class Page(HTMLParser):
    """Texts of a page by kind, its tags, and what is wrong with their nesting."""

    void = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.axes: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.wrong += [f"{tag} stays open" for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            self.wrong.append(f"{tag} ends where {self._open[-1:]} is open")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "style":
            return
        axis = tag == "text" and attributes.get("class") == "tick"
        (self.axes if axis else self.texts).append(data)


def told_numbers(value: Any) -> Iterator[str]:
    """Every number of monitor.json, in every form in which the page may have it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _NUMBER.findall(str(name))
            yield from told_numbers(inner)
        if "bins" in value:
            yield from _together(value["bins"])
    elif isinstance(value, list):
        for inner in value:
            yield from told_numbers(inner)
    elif isinstance(value, str):
        yield from _NUMBER.findall(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _NUMBER.findall(
            f"{words.value(value)} {words.share(value)} {words.chance(value)} {value} "
            + (words.count(value) if isinstance(value, int) else "")
        )


def _together(bins: dict[str, list[Any]]) -> Iterator[str]:
    """The labels that are drawn as one."""
    rows = sorted(zip(bins["reference"], bins["window"], strict=True), key=lambda one: -max(one))
    rest = [one for one in rows if max(one) > 0][7:]
    yield from (str(len(rest)), *(_NUMBER.findall(words.share(sum(one[side] for one in rest)))[0] for side in (0, 1)))


@pytest.fixture(scope="module")
def page() -> str:
    return render(full())


def test_the_page_needs_nothing_from_outside_and_is_small(page: str) -> None:
    assert len(page.encode()) < 500_000
    found = Page(page)
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "object"}
    linked = [value for _, attributes in found.tags for name, value in attributes.items() if name in {"src", "href"}]
    assert not linked
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_stays_small_whatever_the_model_has() -> None:
    told = full()
    columns = [column(f"feature {number} {'x' * 30}", moved=0.1, seed=3) for number in range(2000)]
    slices = [told["performance"]["slices"][1] | {"value": f"place {number}"} for number in range(800)]
    by_day = told["performance"]["by_day"]
    told |= {"drift": told["drift"] | {"columns": columns}, "by_day": told["by_day"] * 3}
    told["performance"] |= {"slices": slices, "by_day": by_day * 3}
    assert len(render(told).encode()) < 500_000


def test_the_page_is_well_formed_and_every_drawing_has_its_title(page: str) -> None:
    found = Page(page)
    assert not found.wrong
    drawings = [attributes for tag, attributes in found.tags if tag == "svg"]
    assert len(drawings) >= 8
    assert all(one["role"] == "img" and one["aria-label"] for one in drawings)
    headers = [attributes for tag, attributes in found.tags if tag == "th"]
    assert headers
    assert all(one.get("scope") == "col" for one in headers)


@pytest.mark.parametrize("told", [full(), *map(bare, STATES)], ids=["everything", *STATES])
def test_every_number_on_the_page_is_one_of_the_report(told: dict[str, Any]) -> None:
    known = set(told_numbers(told))
    # how many columns moved, and how many slices are worse: counted from their lists
    known |= {str(number) for number in (0, 1, 2, 3, 5)}
    found = {number for text in Page(render(told)).texts for number in _NUMBER.findall(text)}
    assert found <= known, found - known


def test_the_numbers_that_matter_are_there(page: str) -> None:
    text = " ".join(Page(page).texts)
    for wanted in (
        "25,917", "0.651 (0.630 to 0.672)", "0.693", "143.2 to one", "97.1 %", "41 came late", "7 contradicted",
        "moved since 2013-04-11", "effect 12.3 %, p < 0.001", "20,114 (18,002 to 22,225)", "0.661", "2013-04-07",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_bars_of_versions_stand_side_by_side_each_marked_as_its_own() -> None:
    by_day = full()["value"]["by_day"]
    drawn = over_time("EUR by day", by_day, lambda row: row["total"], bars=True)
    bars = re.findall(r'<rect class="bar (hue\d)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert len(bars) == len(by_day) == 28
    (hue, left, wide), (other, right, _) = bars[12:14]  # the day on which both answered
    assert (hue, other) == ("hue0", "hue1")
    assert float(left) + float(wide) == pytest.approx(float(right), abs=0.2)
    assert float(wide) == pytest.approx(float(bars[0][2]) / 2, abs=0.2)
    assert ">v3<" in drawn
    assert ">v4<" in drawn


def test_texts_from_outside_are_only_texts(page: str) -> None:
    assert "<script" not in page
    assert EVIL in " ".join(Page(page).texts)
    for state in STATES:
        found = render(bare(state))
        assert "<script" not in found
        assert not Page(found).wrong


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_said_in_place_of_an_alarm(state: str) -> None:
    text = " ".join(Page(render(bare(state))).texts)
    assert "No alarm" in text
    assert f"State: {state}." in text


def test_columns_that_had_too_few_days_are_named_and_not_said_to_look_like_training() -> None:
    told = full() | {"alarms": []}
    said = "nputs and scores look like those of training"
    assert f"I{said}; " in " ".join(Page(render(told)).texts)
    columns = [one | {"p": None} if one["name"] in {"hour", "__score__"} else one for one in told["drift"]["columns"]]
    text = " ".join(Page(render(told | {"drift": told["drift"] | {"columns": columns}})).texts)
    assert f"Not judged: too few days: the score and hour; other i{said}; " in text
    assert " Not judged: too few days: the score and hour." in text
    assert f"I{said}" not in text and "month" not in text.partition("Not judged")[2].partition(";")[0]


def test_the_same_report_is_the_same_page(page: str) -> None:
    assert render(json.loads(json.dumps(full()))) == page


def test_places_and_ticks() -> None:
    scale = Scale(0, 10, 100, 200)
    assert [scale(value) for value in (-5, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]
    assert Scale(3, 3, 0, 10)(3) == 5
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.61, 0.72, 4) == [0.65, 0.7]
    assert ticks(2, 2) == [2]
    assert (shown(12345.6), shown(0.25)) == ("12,346", "0.25")
    assert (
        steps([0, 1, 2], [5, 6], 9, "kind", filled=True) == '<path class="kind" d="M0 9 L0 5 L1 5 L1 6 L2 6 L2 9 Z"/>'
    )


# ---- looked at


def photograph(page: str, folder: Path, *, dark: bool = False) -> list[bytes]:
    """The page in a headless browser, 1,100 pixels wide, at half its size: rows of RGB(A) pixels."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed on this machine")
    source, target = folder / "report.html", folder / "report.png"
    source.write_text(page, encoding="utf-8")
    night = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/home"]
    size = ["--window-size=1100,3600", "--force-device-scale-factor=0.5"]
    command = [BROWSER, *flags, *size, *night, f"--screenshot={target}", source.as_uri()]
    subprocess.run(command, capture_output=True, timeout=240, check=True)
    return pixels(target.read_bytes())


def pixels(png: bytes) -> list[bytes]:
    """The rows of a PNG of eight bits a channel."""
    place, packed, header = 8, b"", (0, 0, 0, 0)
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            header = struct.unpack(">IIBB", body[:10])
        packed += body if kind == b"IDAT" else b""
        place += 12 + size
    width = header[0] * {2: 3, 6: 4}[header[3]]
    raw, rows, before = zlib.decompress(packed), [], bytearray(width)
    for start in range(0, len(raw), width + 1):
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + width], before, {2: 3, 6: 4}[header[3]])
        rows.append(bytes(before))
    return rows


def _unfiltered(kind: int, line: bytes, above: bytearray, step: int) -> bytearray:
    """https://www.w3.org/TR/png-3/#9Filters"""
    found = bytearray(line)
    for place in range(len(found)):
        left = found[place - step] if place >= step else 0
        corner = above[place - step] if place >= step else 0
        if kind == 1:
            found[place] = (found[place] + left) & 255
        elif kind == 2:
            found[place] = (found[place] + above[place]) & 255
        elif kind == 3:
            found[place] = (found[place] + (left + above[place]) // 2) & 255
        elif kind == 4:
            guess = left + above[place] - corner
            nearest = min((left, above[place], corner), key=lambda one: abs(guess - one))
            found[place] = (found[place] + nearest) & 255
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dark", [False, True], ids=["by day", "by night"])
def test_a_browser_draws_the_page(page: str, tmp_path: Path, dark: bool) -> None:
    rows = photograph(page, tmp_path, dark=dark)
    assert len(rows) == 1800
    step = len(rows[0]) // 550
    paper = rows[2][: 3 * step][:3]
    assert (sum(paper) < 3 * 64) if dark else (sum(paper) > 3 * 250)
    # something is drawn all the way down: no long stretch of the page is empty
    drawn = [any(row[x : x + 3] != paper for x in range(0, len(row), 8 * step)) for row in rows]
    last = max(number for number, one in enumerate(drawn) if one)
    assert last > 1200
    longest = max(len(run) for run in "".join(" x"[one] for one in drawn[:last]).split("x"))
    assert longest < 80
    # and nothing runs out of the page on either side
    edge = [row[x * step : x * step + 3] for row in rows for x in (1, 548)]
    assert all(one == paper for one in edge)
