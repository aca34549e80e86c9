"""An alarm that is found day after day is one alarm; one that went and comes again is another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from perennial.governance.ledger import Ledger
from perennial.monitoring.alarms import Bell, of, summary
from perennial.monitoring.calendar import Span
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from tests.aws import fresh_account
from tests.unit.monitoring.logs import MODEL, day, spec
from tests.unit.monitoring.reports import column, full

WEEK = timedelta(days=7)


@pytest.fixture
def bell() -> Iterator[Bell]:
    with fresh_account() as account:
        objects = Objects(account.bucket("data"))
        yield Bell(objects, Ledger(objects, Items("unused")), Bus("unused"), MODEL)


def key(bell: Bell, number: int, reason: str = "drift", version: int = 1) -> str:
    """The key of an alarm in the week that ends with a day."""
    window = Span(day(number) - WEEK + timedelta(days=1), day(number))
    return str(bell.named({"reason": reason, "version": version}, window)["key"])


def test_an_alarm_keeps_its_key_as_long_as_it_is_found_within_a_window(bell: Bell) -> None:
    first = key(bell, 10)
    assert first == f"drift/{MODEL}/1/{day(10)}"
    assert {key(bell, number) for number in (10, 11, 12, 18, 24)} == {first}


def test_one_that_went_away_for_a_window_is_another(bell: Bell) -> None:
    assert key(bell, 10) != key(bell, 17)


def test_reasons_and_versions_have_keys_of_their_own(bell: Bell) -> None:
    keys = {key(bell, 10), key(bell, 10, reason="performance"), key(bell, 10, version=2)}
    assert len(keys) == 3


def test_a_look_at_an_older_window_does_not_change_the_newer_ones(bell: Bell) -> None:
    newer = key(bell, 12)
    older = key(bell, 10)
    assert older != newer
    assert key(bell, 12) == newer


def told(**more: Any) -> dict[str, Any]:
    return full() | more


def test_it_says_what_moved_and_names_no_more_than_a_sentence_can_hold() -> None:
    columns = [column(f"f{number}", moved=0.1) for number in range(8)]
    (alarm,) = of(told(drift=full()["drift"] | {"columns": columns}, harm=None), spec())
    assert alarm["what"] == "f0, f1, f2, f3, f4 and 3 more have moved from what version 4 was trained on"
    assert alarm["how_much"].count(";") == 9
    assert (alarm["since"], alarm["predictions"], alarm["slice"]) == ("2013-04-11", 14_211, None)
    assert summary(alarm).endswith("(14,211 predictions)")


def test_performance_names_the_worst_slice() -> None:
    (alarm,) = of(told(drift=None), spec())
    assert (alarm["reason"], alarm["slice"]["column"], alarm["since"]) == ("performance", "carrier", "2013-04-15")


def test_what_happens_next_is_what_the_spec_says() -> None:
    def following(**when: Any) -> str:
        found = of(told(harm=None), spec(train={"when": when}))
        return str(found[0]["next"])

    assert following().startswith("nothing is trained: train.when.drift of model returns is false")
    assert "the governor is asked" in following(drift=True)
    bound = following(drift=True, outcomes=5000, cool_down="7d", monthly=4)
    assert "5,000 new outcomes and 168 hours since the last training and fewer than 4 trainings in 30 days" in bound


def test_quiet_parts_raise_nothing() -> None:
    quiet = told(drift=full()["drift"] | {"alarm": False}, harm=full()["harm"] | {"alarm": False})
    assert of(quiet, spec()) == []
    assert of(told(drift=None, harm=None), spec()) == []


def test_harm_that_was_shown_stays_an_alarm_when_outcomes_stop() -> None:
    (alarm,) = of(told(drift=None, performance=None), spec())
    wanted = {"reason": "performance", "version": 4, "since": "2013-04-15", "slice": None, "predictions": 0}
    assert {name: alarm[name] for name in wanted} == wanted
