"""The page of a replayed year: complete, safe, and nothing from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from scripts.replay.page import page
from scripts.replay.timeline import Event, Month, Timeline


@pytest.fixture
def year() -> Timeline:
    months = [Month(f"2013-{n:02d}", 1000 + n, {"1": 1}, 0.66, 0.65, 0.67) for n in (4, 5, 6)]
    events = [
        Event("2013-04-01T06:00:00+00:00", "deployed", "serves", 1),
        Event("2013-05-20T06:00:00+00:00", "alarmed", "carrier <b>moved</b>"),
        Event("2013-06-02T06:00:00+00:00", "gated", "refused: auc is 0.5", 2),
        Event("2013-06-03T06:00:00+00:00", "gated", "passed its gates", 3),
        Event("2013-06-04T06:00:00+00:00", "deployed", "promoted", 3),
    ]
    bad = [{"kind": "leaked feature", "passed": False, "reasons": ["auc is 1.0 & must be at most 0.8"]}]
    return Timeline("flights", "flight-delays", "auc", True, months, events, [], bad, deployed=1, requests=300)


def picture(year: Timeline) -> ET.Element:
    [svg] = re.findall(r"<svg.*?</svg>", page(year), re.DOTALL)
    # one that we made, from our own strings
    return ET.fromstring(svg)  # noqa: S314


def test_every_figure_of_the_year_is_there(year: Timeline) -> None:
    text = page(year)
    for shown in ("0.660", "0.650", "0.670", "1,004", "2013-06-04", "refused: auc is 0.5", "300 requests"):
        assert shown in text


def test_what_came_from_outside_is_escaped(year: Timeline) -> None:
    text = page(year)
    assert "<b>moved</b>" not in text
    assert text.count("carrier &lt;b&gt;moved&lt;/b&gt;") == 2  # in the picture, and in the table
    assert "auc is 1.0 &amp; must be" in text


def test_nothing_is_loaded_from_elsewhere_and_the_page_is_small(year: Timeline) -> None:
    text = page(year)
    assert not re.search(r"<script|<link|@import|url\(|src=|https?://", text)
    assert len(text.encode()) < 100_000


def test_the_picture_has_a_line_for_each_way_and_a_lane_for_each_kind_that_happened(year: Timeline) -> None:
    svg = picture(year)
    assert len(svg.findall("polyline")) == 3
    words = [node.text for node in svg.iter("text")]
    for lane in ("alarms", "refused by a gate", "deployed", "serves"):
        assert lane in words
    # nobody declined anything, and a version that passed its gates is no event of the picture
    assert "declined" not in words
    assert len(list(svg.iter("circle"))) == 4
    assert [rect.get("width") is not None for rect in svg.iter("rect")] == [True, True]


def test_a_missing_value_leaves_a_gap_and_no_nonsense(year: Timeline) -> None:
    year.months[1].always = None
    points = [node.get("points", "") for node in picture(year).iter("polyline")]
    assert sorted(len(each.split()) for each in points) == [2, 3, 3]
    assert "nan" not in page(year).lower()


def test_a_year_that_never_began_is_a_page_too() -> None:
    text = page(Timeline("flights", "flight-delays", "auc", True))
    assert "<svg" not in text
    assert "–" in text
