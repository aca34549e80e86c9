"""Which held-out rows neither challenger nor champion has seen, and what is said when they are too few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perennial.evaluation.champion import NotComparable
from perennial.evaluation.fresh import fresh_rows
from perennial.evaluation.holdout import Holdout

DAYS = np.repeat(np.arange("2024-03-01", "2024-03-11", dtype="datetime64[D]"), 5)
OWN: dict[str, Any] = {"split": {"by": "time"}, "datasets": []}


def held(days: Any = DAYS, version: Any = None) -> Holdout:
    rows = len(DAYS if days is None else days)
    return Holdout({"x": np.zeros(rows, np.float32)}, np.zeros(rows, np.int64), days, version)


def champion(**changes: Any) -> dict[str, Any]:
    return {"split": {"by": "time", "holdout_from": "2024-02-20"}, "datasets": []} | changes


def test_days_after_the_last_that_the_champion_saw_are_compared() -> None:
    found = fresh_rows(held(), OWN, champion(trained_until="2024-03-04T23:59:00Z"), {})
    assert found.mask.tolist() == (np.datetime64("2024-03-04") < DAYS).tolist()
    assert found.evidence == {"by": "day", "rows": 30, "days": 6, "champion_trained_until": "2024-03-04"}


def test_what_was_deployed_counts_and_not_what_was_evaluated() -> None:
    past = champion(trained_until="2024-02-19T10:00:00Z")
    with pytest.raises(NotComparable) as caught:
        fresh_rows(held(), OWN, past, {"refitted": True, "trained_until": "2024-03-05T00:00:00Z"})
    words = "trained on rows until 2024-03-05, and the held-out rows end on 2024-03-10: 5 days neither has seen, 6 are"
    assert words in str(caught.value)
    assert "with rows of 1 day more" in str(caught.value)
    assert caught.value.rows == {"by": "day", "rows": 25, "days": 5, "champion_trained_until": "2024-03-05"}
    assert fresh_rows(held(), OWN, past, {"refitted": False, "trained_until": past["trained_until"]}).mask.all()


def test_a_champion_that_saw_every_held_out_day_cannot_be_compared() -> None:
    # a refitted champion and no new day, or a challenger of a stale window
    with pytest.raises(NotComparable, match="0 days neither has seen, 6 are needed"):
        fresh_rows(held(), OWN, champion(), {"trained_until": "2024-03-31T00:00:00Z"})


def test_a_champion_of_an_older_release_saw_the_days_that_it_did_not_hold_out() -> None:
    assert fresh_rows(held(), OWN, champion(), {}).evidence["champion_trained_until"] == "2024-02-19"


def split_by_hash(*versions: int, **changes: Any) -> dict[str, Any]:
    used = [{"version": version, "content_sha256": f"content {version}"} for version in versions]
    return {"split": {"by": "hash", "seed": 1, "columns": ["x"]}, "label": "y", "datasets": used} | changes


def test_without_event_times_rows_of_versions_that_the_champion_lacked_are_compared() -> None:
    version = np.repeat([1, 2], 25)
    found = fresh_rows(held(None, version), split_by_hash(1, 2), split_by_hash(1), {"refitted": True})
    assert found.mask.tolist() == (version == 2).tolist()
    assert found.evidence == {"by": "version", "rows": 25, "versions": [2]}


def test_versions_are_known_by_content_since_another_environment_numbers_them_otherwise() -> None:
    version = np.repeat([1, 2], 25)
    theirs = split_by_hash(7, datasets=[{"version": 7, "content_sha256": "content 1"}])
    assert fresh_rows(held(None, version), split_by_hash(1, 2), theirs, {}).evidence["versions"] == [2]


def test_without_a_new_version_two_that_were_split_alike_have_seen_the_same_rows() -> None:
    rows = held(None, np.ones(50, int))
    assert fresh_rows(rows, split_by_hash(1), split_by_hash(1), {}).mask.all()
    for other, deployed in [
        (split_by_hash(1), {"refitted": True}),
        (split_by_hash(1, split={"by": "hash", "seed": 2, "columns": ["x"]}), {}),
        (split_by_hash(1, label="z"), {}),
    ]:
        with pytest.raises(NotComparable, match="0 held-out rows are of dataset versions that it was not trained on"):
            fresh_rows(rows, split_by_hash(1), other, deployed)


def test_rows_of_unknown_versions_are_no_evidence() -> None:
    with pytest.raises(NotComparable, match="nobody noted"):
        fresh_rows(held(None), split_by_hash(1, 2), split_by_hash(1), {})
