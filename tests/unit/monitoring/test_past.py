"""Past windows lie on a grid, are judged once, and cost one object however many there were."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from perennial.monitoring.estimate import PastWindow
from perennial.monitoring.past import KEPT, Past
from perennial.monitoring.reference import refer
from perennial.monitoring.shelf import Shelf
from perennial.monitoring.versions import Versions
from perennial.registry import Registry
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from tests.aws import fresh_account
from tests.unit.monitoring.logs import MODEL, at, counted, day, deliver, record, said, spec, tell


class Known(Versions):
    """A version whose scores came true as often as they said."""

    def classes(self, version: int) -> tuple[str, tuple[bool, bool]]:
        return "binary", (False, True)

    def trained(self, version: int) -> dict[str, float]:
        return {"auc": 0.5}


@pytest.fixture
def objects() -> Iterator[Objects]:
    with fresh_account() as account:
        yield Objects(account.bucket("data"))


def past(objects: Objects, as_of: float, *, log: int = 400) -> Past:
    shelf = Shelf(objects, spec(), at(as_of), day(-log))
    versions = Known(MODEL, Registry(Items("unused")), objects)
    told = np.tile([0.1, 0.9], 50)
    label = (np.arange(100) % 10 < 1).astype(np.int64)
    held_out = refer("binary", label, np.stack([1 - told, told], axis=1), None)
    versions._evaluations[1] = {"held_out": held_out.to_json()}
    return Past(shelf, versions, "auc", 7)


def days(objects: Objects, numbers: range) -> None:
    """Two predictions a day, of which the likelier one came true."""
    for number in numbers:
        for place, probability in enumerate((0.1, 0.9)):
            when = number + 0.3 + place / 10
            deliver(objects, f"{number}-{place}", record(when, [1.0], probability=probability), on=day(number))
            tell(objects, said(when, 0, place == 1))


def test_windows_are_of_one_grid_and_none_overlaps_another(objects: Objects) -> None:
    days(objects, range(40))
    found: list[PastWindow] = []
    for number in range(12, 44):
        found = past(objects, number + 0.3).windows()
    spans = [(one.first, one.last) for one in found]
    assert len(spans) >= 4
    assert all(last < first for (_, last), (first, _) in pairwise(spans))
    assert {one.realised for one in found} == {1.0}


def test_a_look_reads_one_object_of_them(objects: Objects) -> None:
    days(objects, range(40))
    for number in range(12, 44):
        past(objects, number + 0.3).windows()
    with counted() as calls:
        past(objects, 43.4).windows()
    assert calls == ["s3.ListObjectsV2", "s3.GetObject"]
    kept = objects.get_json(sorted(objects.list(f"monitoring/{MODEL}/estimates/"))[-1])
    assert len(kept) <= KEPT


def test_one_without_traffic_says_nothing_and_is_not_asked_again(objects: Objects) -> None:
    assert past(objects, 30.3).windows() == []
    days(objects, range(30))
    assert past(objects, 30.4).windows() == []


def test_one_whose_log_is_gone_is_not_taken_for_empty(objects: Objects) -> None:
    assert past(objects, 30.3, log=-25).windows() == []
    assert not list(objects.list("monitoring/"))
